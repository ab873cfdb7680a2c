"""``yolo val`` on its own: whose weights, which split, and the look at test images."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.yolo.conftest import SIZES, Trained, Yolo, evaluations

from epochal.journal.folder import Folder

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> Yolo:
    """A workspace of its own with the trained run in it."""
    shutil.copytree(trained.yolo.folder / ".epochal", tmp_path / ".epochal")
    return Yolo(trained.yolo.python, tmp_path)


def validate(copy: Yolo, trained: Trained, model: Path, split: str) -> None:
    copy.run(
        *copy.launch(
            *("detect", "val", f"model={model}", f"data={trained.data}", f"split={split}"),
            *("imgsz=64", "batch=8", "device=cpu", "workers=0", "plots=False"),
        )
    )


def test_test_evaluations_belong_to_the_run_by_the_weights_digest_and_are_looks(
    copy: Yolo, trained: Trained, tmp_path: Path
) -> None:
    # Moved and renamed: only the bytes say whose they are.
    elsewhere = tmp_path / "shipped.pt"
    shutil.copy(trained.best, elsewhere)
    before = copy.the_run()
    validate(copy, trained, elsewhere, "test")
    run = copy.the_run()
    assert run.id == before.id
    assert len(run.attempts) == 1
    with copy.store() as store:
        assert store.status(run) == "finished"
        found = evaluations(store, run)
        theirs = found["validation", "test", "ultralytics"]
        ours = found["validation", "test", "epochal"]
        printed = trained.theirs["test"]
        for name in ("mAP50-95", "mAP50", "precision", "recall"):
            assert theirs.metrics[name] == pytest.approx(printed[f"metrics/{name}(B)"], abs=1e-6)
        assert ours.images == SIZES["test"]
        opened, completed = (governed for governed in store.governance("look"))
        looks = {s.body.look for s in run.evaluations if s.body.split == "test"}
        measured = [s.t for s in run.evaluations if s.body.split == "test"]
    assert (opened.body.state, completed.body.state) == ("opened", "completed")
    assert opened.body.look == completed.body.look
    assert looks == {opened.body.look}
    assert opened.t < min(measured)
    assert opened.body.run == run.id
    assert opened.body.weights == ours.weights
    assert opened.body.n_images == SIZES["test"]
    assert completed.body.revealed == "number"
    assert completed.body.result["mAP50-95"] == pytest.approx(ours.metrics["mAP50-95"])


def test_val_is_compared_under_the_same_fingerprint_and_is_no_look(
    copy: Yolo, trained: Trained
) -> None:
    validate(copy, trained, trained.best, "val")
    run = copy.the_run()
    with copy.store() as store:
        found = evaluations(store, run)
        assert store.governance("look") == []
    final = found["final validation", "val", "epochal"]
    alone = found["validation", "val", "epochal"]
    assert final.fingerprint == alone.fingerprint
    assert final.metrics["mAP50-95"] == pytest.approx(alone.metrics["mAP50-95"], abs=1e-6)


def test_a_look_that_crashed_was_a_look(copy: Yolo, trained: Trained) -> None:
    copy.script(
        f"""
import os, signal
from epochal.integrations.ultralytics import install
install()
from ultralytics import YOLO
model = YOLO({str(trained.best)!r})
model.add_callback("on_val_batch_start", lambda validator: os.kill(os.getpid(), signal.SIGKILL))
model.val(data={str(trained.data)!r}, split="test", imgsz=64, device="cpu", plots=False)
""",
        code=-9,
    )
    with copy.store() as store:
        (look,) = store.governance("look")
    assert look.body.state == "opened"
    assert look.body.run == copy.the_run().id
    assert look.body.n_images == SIZES["test"]


def test_weights_of_nobody_get_a_run_that_says_so(yolo: Yolo, trained: Trained) -> None:
    stranger = yolo.folder / "someone.pt"
    shutil.copy(trained.best, stranger)
    validate(yolo, trained, stranger, "val")
    run = yolo.the_run()
    assert run.name == "someone"
    assert run.tags == ("evaluation",)
    with yolo.store() as store:
        assert store.status(run) == "finished"
        found = evaluations(store, run)
    assert {split for _, split, _ in found} == {"val"}
    assert run.artifacts["weights/someone.pt"].body.role == "weights"


def test_a_workspace_that_is_read_only_does_not_stop_the_validation(
    copy: Yolo, trained: Trained
) -> None:
    # A file in the place of the folder: works for root as well, who may write anywhere.
    for run_folder in Folder.at(copy.folder).run_folders():
        shutil.rmtree(run_folder / "journal")
        (run_folder / "journal").write_text("")
    validate(copy, trained, trained.best, "val")
