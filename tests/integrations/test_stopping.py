"""``epochal stop RUN``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import epochal
from epochal.cli import main
from epochal.journal.folder import Folder
from epochal.store.store import Store


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("EPOCHAL_WORKSPACE", str(tmp_path))
    return Folder.create(tmp_path)


def test_a_running_training_is_asked(workspace: Folder) -> None:
    with epochal.init(project="p", name="v1_long", capture=False):
        done = CliRunner().invoke(main, ["stop", "v1_long", "-m", "enough", "--json"])
        assert done.exit_code == 0, done.output
        assert json.loads(done.output)["stop_requested"] is True
        with Store(workspace) as store:
            assert store.find_run("v1_long").stop_requested


def test_what_does_not_run_is_not_asked(workspace: Folder) -> None:
    with epochal.init(project="p", name="v1_over", capture=False):
        pass
    over = CliRunner().invoke(main, ["stop", "v1_over"])
    assert over.exit_code == 2
    assert "it is finished" in over.output
    assert CliRunner().invoke(main, ["stop", "nobody"]).exit_code == 2
