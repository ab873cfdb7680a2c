"""``epochal evaluate`` with real weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.yolo.conftest import Trained, Yolo, arguments

from epochal.registry import set_baseline

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> Yolo:
    shutil.copytree(trained.yolo.folder / ".epochal", tmp_path / ".epochal")
    return Yolo(trained.yolo.python, tmp_path)


def evaluate(yolo: Yolo, *argv: str, code: int = 0) -> str:
    return yolo.run("-m", "epochal", "evaluate", *argv, code=code)


def test_val_gives_ultralytics_own_numbers_from_weights_that_only_the_store_has(
    copy: Yolo, trained: Trained
) -> None:
    hidden = trained.best.with_suffix(".hidden")
    trained.best.rename(hidden)
    try:
        found = json.loads(evaluate(copy, "v1_baseline", "--json"))
    finally:
        hidden.rename(trained.best)
    theirs, ours = found["evaluations"]
    for name in ("mAP50-95", "mAP50", "precision", "recall"):
        printed = trained.theirs["val"][f"metrics/{name}(B)"]
        assert theirs["metrics"][name] == pytest.approx(printed, abs=1e-6)
    assert ours["evaluator"] == "epochal/coco101"
    assert ours["weights"] == copy.the_run().artifacts["weights/best.pt"].body.digest
    with copy.store() as store:
        assert store.governance("look") == []
    assert not list(copy.folder.glob("runs/**/val*"))


def test_a_losing_challenger_learns_the_verdict(copy: Yolo, trained: Trained) -> None:
    command = arguments(data=trained.data, epochs=1, name="v2_worse", fraction=0.1)
    copy.run(*copy.launch("--project", "shapes", "--", "detect", "train", *command))
    with copy.store() as store:
        baseline = store.find_run("v1_baseline")
        set_baseline(store, "shapes", baseline, "the first")
    # The reference's own look is free, and its numbers are no secret.
    shown = evaluate(copy, "v1_baseline", "--split", "test")
    assert "mAP50-95" in shown
    hidden = evaluate(copy, "v2_worse", "--split", "test")
    assert "val has not earned this look" in hidden
    assert "more experiments" in hidden
    assert "mAP50-95  " not in hidden
    with copy.store() as store:
        challenger = store.find_run("v2_worse")
        looks = [g.body for g in store.governance("look") if g.body.run == challenger.id]
    assert [look.state for look in looks] == ["opened", "completed", "completed"]
    assert [look.revealed for look in looks] == ["nothing", "nothing", "verdict"]
    assert {look.purpose for look in looks} == {"explore"}
    assert looks[-1].result["mAP50-95"] is not None  # kept, only not shown
    revealed = json.loads(evaluate(copy, "v2_worse", "--split", "test", "--reveal", "--json"))
    assert len(revealed["evaluations"]) == 2
    with copy.store() as store:
        assert store.governance("look")[-1].body.revealed == "number"


def test_what_cannot_be_measured_is_one_line(copy: Yolo, trained: Trained) -> None:
    assert "no run 'nobody'" in evaluate(copy, "nobody", code=2)
    assert "is not here" in evaluate(copy, "v1_baseline", "--data", "gone.yaml", code=2)
    assert "--python" in evaluate(copy, "v1_baseline", "--python", "/bin/false", code=2)
    broken = copy.folder / "broken.yaml"
    broken.write_text("train: images/train\nval: images/nothing\nnames: {0: a}\n")
    output = evaluate(copy, "v1_baseline", "--data", str(broken), code=2)
    assert output.startswith("error: the validation of v1_baseline failed: ")
    assert len(output.strip().splitlines()) == 2
    assert "belong together" in evaluate(copy, "v1_baseline", "--ground-truth", "x", code=2)
