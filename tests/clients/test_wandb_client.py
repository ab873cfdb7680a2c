"""Runs that the real W&B SDK writes offline, compared 1:1 with what was logged.

EPOCHAL_WANDB_PYTHON names an interpreter that has it (`make test-clients` makes one).
"""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path

import pytest

from epochal.interop.wandb import import_wandb
from epochal.journal.folder import Folder
from epochal.store.store import Store

SCRIPT = Path(__file__).with_name("wandb_script.py")
PYTHON = os.environ.get("EPOCHAL_WANDB_PYTHON", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="EPOCHAL_WANDB_PYTHON names no interpreter"),
]


def test_what_the_sdk_logged_is_taken_in_as_it_was(tmp_path: Path) -> None:
    ended = subprocess.run(
        [PYTHON, str(SCRIPT), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    said = json.loads(ended.stdout[ended.stdout.index('{"version"') :])
    workspace = Folder.create(tmp_path / "workspace")
    report = import_wandb(tmp_path / "wandb", workspace=workspace)
    assert not report.problems
    assert not report.left_out
    again = import_wandb(tmp_path / "wandb", workspace=workspace)
    assert [run.new for run in again.runs] == [0]
    with Store(workspace) as store:
        (run,) = store.runs()
        assert (run.project, run.name, run.group) == ("pallets", "v1_baseline", "grp")
        assert run.tags == ("t1",)
        assert run.lesson is not None
        assert run.lesson.text == "**notes**"
        assert run.config == said["config"]
        for key, points in said["logged"].items():
            found = store.points.read(run.id, key)
            assert list(zip(found.step.tolist(), found.value.tolist(), strict=True)) == [
                tuple(point) for point in points
            ]
        assert math.isnan(store.points.read(run.id, "nan").value[0])
        assert store.points.read(run.id, "inf").value.tolist() == [math.inf]
        assert run.summary == {"text": "hello", "best": 0.99}
        assert store.status(run) == "finished"
        assert {"histograms/hist.json", "artifacts/detector/best.pt"} <= set(run.artifacts)
        console = "".join(line.text for line in store.console(run.id))
        assert [line for line in console.splitlines() if line.startswith("console")] == [
            f"console line {step}" for step in (0, 50, 100, 150)
        ]
