from __future__ import annotations

import pytest
from tests.comparison.conftest import Lab

from epochal.journal.folder import Folder


@pytest.fixture(autouse=True)
def _own_user(tmp_path, monkeypatch):
    """A user of the test's own: the list of known workspaces lies in the state folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("EPOCHAL_STRICT", "1")
    monkeypatch.setenv("EPOCHAL_AUTHOR", "Ada <ada@example.org>")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "here").mkdir()
    return Lab(Folder.create(tmp_path / "here"))


@pytest.fixture
def make_lab(tmp_path):
    def make(name):
        (tmp_path / name).mkdir()
        return Lab(Folder.create(tmp_path / name))

    return make
