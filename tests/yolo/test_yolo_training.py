"""A real training through ``epochal run``, unmodified, and what is known of it afterwards."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import yaml
from tests.yolo.conftest import QUICK, SIZES, Trained, evaluations

from epochal.evaluation.storage import load_boxes, load_matches

pytestmark = pytest.mark.slow

EPOCHS = 8


def test_what_was_said_and_what_the_trainer_made_of_it(trained: Trained) -> None:
    run = trained.yolo.the_run()
    with trained.yolo.store() as store:
        assert store.status(run) == "finished"
    assert (run.project, run.name, run.group, run.tags) == (
        "shapes",
        "v1_baseline",
        "g",
        ("a", "b"),
    )
    assert run.hypothesis == "it learns"
    assert run.pin is not None
    assert (run.pin.dataset, run.pin.state) == ("shapes@v1", "verified")
    asked = {k: v for k, v in QUICK.items() if k != "plots"}
    assert run.config.items() >= (asked | {"epochs": EPOCHS, "name": "v1_baseline"}).items()
    assert "momentum" not in run.config
    # args.yaml says amp: true on a machine that has none.
    assert run.effective["momentum"] == 0.937
    assert run.effective["amp"] is False
    assert run.effective["device"] == "cpu"
    assert run.notices == []


def test_epochs_are_those_of_results_csv_and_the_final_evaluation_is_none(
    trained: Trained,
) -> None:
    run = trained.yolo.the_run()
    table = (trained.best.parent.parent / "results.csv").read_text()
    rows = list(csv.DictReader(table.splitlines()))
    assert len(rows) == EPOCHS
    with trained.yolo.store() as store:
        for key in rows[0].keys() - {"epoch", "time"}:
            found = store.points.read(run.id, key)
            assert found.step.tolist() == list(range(1, EPOCHS + 1)), key
            np.testing.assert_allclose(
                found.value, [float(r[key]) for r in rows], rtol=1e-4, atol=1e-5, err_msg=key
            )
        classes = {k for k in run.metrics if k.startswith("class/mAP50-95/")}
        assert len(classes) >= 3
        per_class = np.mean([store.points.read(run.id, key).value for key in classes], axis=0)
        mean = store.points.read(run.id, "metrics/mAP50-95(B)").value
        if len(classes) == 4:
            np.testing.assert_allclose(per_class, mean, atol=1e-9)
    assert run.summary["epochs_done"] == EPOCHS
    assert run.summary["stopped_early"] is False
    assert run.summary["parameters"] > 1_000_000
    assert run.system  # measured beside the training


def test_files_are_kept(trained: Trained) -> None:
    run = trained.yolo.the_run()
    roles = {key: stamped.body.role for key, stamped in run.artifacts.items()}
    assert roles["weights/best.pt"] == roles["weights/last.pt"] == "weights"
    assert roles["args.yaml"] == "config"
    assert roles["results.csv"] == "table"
    for plot in ("results.png", "confusion_matrix.png", "BoxPR_curve.png", "val_batch0_pred.jpg"):
        assert roles[plot] == "plot", plot
    best = run.artifacts["weights/best.pt"].body
    assert best.size == trained.best.stat().st_size == run.summary["model_size"]
    with trained.yolo.store() as store:
        assert store.blobs.get(best.digest) == trained.best.read_bytes()
        args = yaml.safe_load(store.blobs.get(run.artifacts["args.yaml"].body.digest))
    assert args["imgsz"] == 64


def test_the_final_evaluation_has_ultralytics_numbers_and_ours_beside(trained: Trained) -> None:
    run = trained.yolo.the_run()
    with trained.yolo.store() as store:
        found = evaluations(store, run)
        theirs = found["final validation", "val", "ultralytics"]
        ours = found["final validation", "val", "epochal"]
        assert len(found) == 2
        printed = trained.theirs["val"]
        assert printed["metrics/mAP50-95(B)"] > 0.01  # it learned, so that equality says something
        for name, key in (("mAP50-95", "mAP50-95(B)"), ("mAP50", "mAP50(B)")):
            assert theirs.metrics[name] == pytest.approx(printed[f"metrics/{key}"], abs=1e-6)
        assert ours.metrics["mAP50-95"] == pytest.approx(theirs.metrics["mAP50-95"], abs=0.03)
        assert theirs.fingerprint != ours.fingerprint
        assert ours.dataset == "shapes@v1"
        assert ours.images == SIZES["val"]
        assert ours.weights == run.artifacts["weights/best.pt"].body.digest
        by_class = {row["Class"]: row for row in printed["class"]}
        for result in theirs.per_class:
            if result.name in by_class:
                row = by_class[result.name]
                assert (result.images, result.instances) == (row["Images"], row["Instances"])
                assert result.ap == pytest.approx(row["mAP50-95"], abs=1e-5)
        assert theirs.curves is not None
        assert ours.confusion is not None
        assert ours.confusion.confidence == 0.25  # Ultralytics counts from 0.001 on
        assert ours.speed["inference"] > 0
        boxes = load_boxes(store.blobs, ours)
        assert boxes is not None
        assert len(boxes.truth_cls) == sum(c.instances for c in ours.per_class)
        assert len(boxes.pred_cls) > 0
        assert len(boxes.digests) == SIZES["val"]
        assert boxes.truth_xyxy.min() >= 0
        assert boxes.truth_xyxy.max() <= 64
        for evaluation in (theirs, ours):
            records = load_matches(store.blobs, evaluation)
            assert records is not None
            assert records.n_images == SIZES["val"]


def test_the_console_is_kept_with_what_the_logger_prints(trained: Trained) -> None:
    with trained.yolo.store() as store:
        text = "\n".join(part.text for part in store.console(trained.yolo.the_run().id))
    assert f"Starting training for {EPOCHS} epochs" in text
    assert "Results saved to" in text
    assert "\x1b" not in text
