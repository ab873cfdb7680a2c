"""The real MLflow client, unmodified, against a real `epochal ui`.

EPOCHAL_MLFLOW_PYTHON names the interpreters that have it (`make test-clients` makes them).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from epochal.journal.folder import Folder
from epochal.store.store import Store

SCRIPT = Path(__file__).with_name("mlflow_script.py")
PYTHONS = [p for p in os.environ.get("EPOCHAL_MLFLOW_PYTHON", "").split(os.pathsep) if p]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHONS, reason="EPOCHAL_MLFLOW_PYTHON names no interpreter"),
]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Folder, str]]:
    folder = Folder.create(tmp_path)
    command = [sys.executable, "-m", "epochal", "ui", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            assert address.startswith("http://"), "the server ended"
            yield folder, address.rstrip("/")
        finally:
            server.terminate()


@pytest.mark.parametrize("python", PYTHONS or ["none"])
def test_what_a_script_logs_comes_back_and_is_recorded(
    served: tuple[Folder, str], python: str, tmp_path: Path
) -> None:
    folder, address = served
    ended = subprocess.run(
        [python, str(SCRIPT), address],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    said = json.loads(ended.stdout[ended.stdout.index('{"version"') :])
    assert said["status"] == "FINISHED"
    assert said["params"] == {"lr": "0.1", "optimizer": "adam", "padded": "007"}
    assert said["loss"] == 0.2
    assert said["nan"]
    assert said["history"] == [[s, 1 / (s + 1)] for s in range(5)]
    assert said["tags"]["owner"] == "me"
    assert said["tags"]["mlflow.note.content"] == "**notes**"
    assert said["files"] == ["d.json", "sub"]
    assert said["text"] == "hello"
    assert said["found"] == ["v1_baseline"]
    assert said["champion"] == said["run"]
    assert said["errors"] == [
        "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE",
    ]  # fmt: skip
    assert said["experiments"] == ["Default", "pallets/large"]
    assert said["left"] == 2  # the deleted one is in the trash
    assert said["parent"]
    with Store(folder) as store:
        run = store.run(said["run"])
        assert (run.project, run.name) == ("pallets/large", "v1_baseline")
        assert run.config == {"lr": 0.1, "optimizer": "adam", "padded": 7}
        assert run.lesson is not None
        assert run.lesson.text == "**notes**"
        assert store.status(run) == "finished"
        assert store.points.read(run.id, "loss").value.tolist() == [1 / (s + 1) for s in range(5)]
        assert set(run.artifacts) == {"d.json", "sub/dir/two words.txt"}
