"""A served workspace: through Starlette's client, without sockets."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from epochal.journal.folder import Folder
from epochal.server.app import create_app
from epochal.server.service import Service

_spec = importlib.util.spec_from_file_location(
    "server_workspaces", Path(__file__).with_name("workspaces.py")
)
workspaces = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(workspaces)

URL = "http://127.0.0.1:8642"
API = "/api/v1"


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory):
    """A workspace with a pair of runs and a hostile one; tests that write take a copy."""
    place = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.delenv("EPOCHAL_WORKSPACE", raising=False)
        patch.setenv("EPOCHAL_AUTHOR", "Test Author <author@example.org>")
        folder = Folder.create(place)
        pair = workspaces.make_pair(folder, place / "data")
        pair.hostile = workspaces.make_hostile(folder, place / "hostile")
    return pair


@pytest.fixture(scope="session")
def served(session_folder):
    """The session's workspace, served: `client`, and what is in it. For tests that only read."""
    with _serving(session_folder.folder) as client:
        yield SimpleNamespace(client=client, **vars(session_folder))


@pytest.fixture
def pair(folder, tmp_path):
    """A pair of runs in a workspace of one's own."""
    return workspaces.make_pair(folder, tmp_path / "data", epochs=10)


@pytest.fixture
def writable(pair):
    """A pair of runs, served, to be changed."""
    with _serving(pair.folder) as client:
        yield SimpleNamespace(client=client, **vars(pair))


@pytest.fixture(scope="session")
def serving():
    """Return a function that gives a client of a served folder."""
    return _serving


def _serving(folder, policy=None, **options):
    """Return a client of the application that serves `folder`, to be entered."""
    from epochal.store.store import Store

    with Store(folder):
        pass  # as `epochal ui` does before it serves
    app = create_app(Service(folder), policy, **options)
    return TestClient(app, base_url=URL, raise_server_exceptions=False)
