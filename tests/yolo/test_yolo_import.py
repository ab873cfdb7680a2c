"""A folder that a real training left, taken in, against the same training recorded live."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.yolo.conftest import Trained, Yolo

from epochal.interop.ultralytics import import_folder
from epochal.interop.ultralytics.checkpoint import checkpoint_facts
from epochal.interop.ultralytics.marker import MARKER
from epochal.journal.folder import Folder
from epochal.store.store import Store

pytestmark = pytest.mark.slow


def test_what_is_imported_is_what_was_recorded(trained: Trained, tmp_path: Path) -> None:
    live = trained.yolo.the_run()
    folder = tmp_path / "v1_baseline"
    shutil.copytree(trained.best.parent.parent, folder)
    (folder / MARKER).unlink()
    workspace = Folder.create(tmp_path / "other")
    report = import_folder(folder, workspace=workspace.root, project="shapes")
    assert report.problems == ()
    assert report.left_out == ()
    with Store(workspace) as store, trained.yolo.store() as theirs:
        (run,) = store.runs()
        assert store.status(run) == "finished"
        assert run.name == live.name
        same = {"weights/best.pt", "weights/last.pt", "results.csv", "results.png"}
        for key in same:
            assert run.artifacts[key].body.digest == live.artifacts[key].body.digest
        for key in ("train/box_loss", "metrics/mAP50-95(B)", "val/cls_loss", "lr/pg0"):
            here, there = store.points.read(run.id, key), theirs.points.read(live.id, key)
            assert here.step.tolist() == there.step.tolist()
            np.testing.assert_allclose(here.value, there.value, rtol=1e-4, atol=1e-5)
    assert run.config["imgsz"] == live.config["imgsz"]
    assert run.effective["momentum"] == live.effective["momentum"]


def test_a_real_checkpoint_tells_its_version_and_that_it_is_finished(trained: Trained) -> None:
    facts = checkpoint_facts(trained.best)
    assert facts["epoch"] == -1
    assert str(facts["version"]).count(".") == 2


def test_an_imported_run_can_be_measured(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "v1_baseline"
    shutil.copytree(trained.best.parent.parent, folder)
    (folder / MARKER).unlink()
    yolo = Yolo(trained.yolo.python, tmp_path)
    workspace = Folder.create(tmp_path)
    import_folder(folder, workspace=workspace.root, project="shapes")
    command = ("-m", "epochal", "evaluate", "v1_baseline", "--split", "test", "--json")
    found = json.loads(yolo.run(*command))
    printed = trained.theirs["test"]["metrics/mAP50-95(B)"]
    assert found["evaluations"][0]["metrics"]["mAP50-95"] == pytest.approx(printed, abs=1e-6)
    (run,) = yolo.runs()
    assert len(run.evaluations) == 2
