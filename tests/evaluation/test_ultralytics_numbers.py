"""Numbers that Ultralytics printed are reproduced from its matches, each era under its own id."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from tests.evaluation.conftest import DATA, random_boxes, seeds, ultralytics_records

from epochal.errors import InvalidInput
from epochal.evaluation import (
    EPOCHAL,
    Boxes,
    average_precision,
    build_evaluation,
    confusion_matrix,
    definition_of,
    match,
    recall_at_precision,
    ultralytics_evaluator,
)

EXPECTED = json.loads((DATA / "ultralytics" / "expected.json").read_text())
RUNS = sorted(EXPECTED)


@pytest.fixture(params=RUNS)
def run(request):
    return request.param


def test_overall_numbers(run):
    evaluation, _ = build_evaluation(ultralytics_records(run), split="val", dataset="shapes")
    assert evaluation.evaluator == "ultralytics/8.4.180"
    for name, value in EXPECTED[run]["results"].items():
        assert evaluation.metrics[name] == pytest.approx(value, abs=1e-6), name


def test_numbers_of_each_class(run):
    evaluation, _ = build_evaluation(ultralytics_records(run), split="val", dataset="shapes")
    pairs = [
        ("precision", "precision"),
        ("recall", "recall"),
        ("f1", "f1"),
        ("ap50", "ap50"),
        ("ap75", "ap75"),
        ("ap50_95", "ap"),
        ("images", "images"),
        ("instances", "instances"),
    ]
    for theirs, ours in zip(EXPECTED[run]["per_class"], evaluation.per_class, strict=True):
        assert ours.name == theirs["class"]
        for name, field in pairs:
            assert getattr(ours, field) == pytest.approx(theirs[name], abs=1e-6), (ours.name, name)


def test_recall_at_precision_of_each_class(run):
    found = recall_at_precision(ultralytics_records(run), 0.95)
    theirs = EXPECTED[run]["per_class"]
    assert found.recall == pytest.approx([c["recall_at_p95"] for c in theirs], abs=1e-6)
    assert found.threshold == pytest.approx([c["conf_at_p95"] for c in theirs], abs=1e-6)


def test_confusion_matrix_cell_for_cell(run):
    boxes = Boxes.load(DATA / "ultralytics" / f"{run}-boxes.npz")
    # The library's own was made at its validation confidence; the file rounds to five decimals.
    ours = confusion_matrix(match(boxes), confidence=0.001 - 1e-9)
    assert ours.tolist() == EXPECTED[run]["confusion_matrix"]


def test_our_own_numbers_stay_within_the_known_distance(run):
    boxes = Boxes.load(DATA / "ultralytics" / f"{run}-boxes.npz")
    evaluation, _ = build_evaluation(boxes, split="val", dataset="shapes")
    assert evaluation.evaluator == EPOCHAL
    assert evaluation.metrics["mAP50-95"] == pytest.approx(
        EXPECTED[run]["results"]["mAP50-95"], abs=0.01
    )


@pytest.mark.parametrize(
    ("version", "evaluator", "definition"),
    [
        ("8.0.0", "ultralytics/8.0", "ultralytics<=8.4.30"),
        ("8.3.100", "ultralytics/8.0", "ultralytics<=8.4.30"),
        ("8.4.30", "ultralytics/8.0", "ultralytics<=8.4.30"),
        ("8.4.35", "ultralytics/8.4.35", "ultralytics"),
        ("8.4.40", "ultralytics/8.4.40", "ultralytics"),
        ("8.4.170", "ultralytics/8.4.40", "ultralytics"),
        ("8.4.175", "ultralytics/8.4.175", "ultralytics"),
        ("8.4.180", "ultralytics/8.4.180", "ultralytics"),
        ("8.4.190", "ultralytics/8.4.180", "ultralytics"),
        ("8.4.191", "ultralytics/8.4.191", "ultralytics"),
        ("8.4.190rc1", "ultralytics/8.4.190rc1", "ultralytics"),
    ],
)
def test_eras(version, evaluator, definition):
    assert ultralytics_evaluator(version) == evaluator
    assert definition_of(evaluator) == definition


def test_everybody_else_is_read_by_coco():
    assert definition_of(EPOCHAL) == "coco101"


def trapezoid_of_envelope(recall, precision, tail):
    """AP as the library writes it: the area under the envelope, interpolated at 101 recalls."""
    r = np.concatenate(([0.0], recall, tail[0]))
    p = np.concatenate(([1.0], precision, tail[1]))
    envelope = np.maximum.accumulate(p[::-1])[::-1]
    grid = np.linspace(0, 1, 101)
    at = np.interp(grid, r, envelope)
    return float(((at[1:] + at[:-1]) / 2 * np.diff(grid)).sum())


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_both_definitions_follow_their_formula(seed):
    records = match(random_boxes(seed, crowd=0.0))
    new = average_precision(records, definition="ultralytics").ap
    old = average_precision(records, definition="ultralytics<=8.4.30").ap
    for c in range(len(records.classes)):
        rows = slice(*records.class_bounds[c : c + 2])
        truth = records.n_truth[c]
        if not truth:
            assert np.isnan([old[c], new[c]]).all()
            continue
        for t in range(10):
            tp = np.cumsum(records.tp[rows, t])
            precision, recall = tp / np.arange(1, len(tp) + 1), tp / truth
            if not len(tp):
                assert old[c, t] == new[c, t] == 0
                continue
            ramp = trapezoid_of_envelope(recall, precision, ([1.0], [0.0]))
            cut = trapezoid_of_envelope(recall, precision, ([recall[-1], 1.0], [0.0, 0.0]))
            assert old[c, t] == pytest.approx(ramp, abs=1e-9)
            assert new[c, t] == pytest.approx(cut, abs=1e-9)


def test_the_old_ramp_gives_what_was_never_detected():
    boxes = Boxes(
        images=("a",),
        classes=("c",),
        truth_img=[0, 0],
        truth_cls=[0, 0],
        truth_xyxy=[[0, 0, 10, 10], [50, 50, 60, 60]],
        pred_img=[0],
        pred_cls=[0],
        pred_score=[0.9],
        pred_xyxy=[[0, 0, 10, 10]],
    )
    records = match(boxes)
    assert average_precision(records, definition="ultralytics").map == pytest.approx(0.495)
    assert average_precision(records, definition="ultralytics<=8.4.30").map == pytest.approx(0.75)
    assert average_precision(records).map == pytest.approx(51 / 101)


def test_ids_are_not_mixed():
    with pytest.raises(InvalidInput, match="measured by"):
        build_evaluation(random_boxes(1), split="val", dataset="x", evaluator="ultralytics/8.0")
