"""Average precision equals pycocotools' own, bit for bit, and the published numbers."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.conftest import coco_precision, random_boxes, seeds, to_coco

from epochal.evaluation import (
    ALL,
    LARGE,
    MEDIUM,
    SMALL,
    Resampler,
    average_precision,
    build_evaluation,
    match,
    read_coco,
)

AREAS = (ALL, SMALL, MEDIUM, LARGE)


def same(ours, theirs):
    """NaN where the other is NaN, the same bits elsewhere."""
    return np.array_equal(ours, theirs, equal_nan=True)


@pytest.mark.parametrize("area", range(4), ids=["all", "small", "medium", "large"])
def test_precision_equals_on_coco_100(coco_files, area):
    truth, results = coco_files
    theirs, _ = coco_precision(json.loads(truth.read_text()), json.loads(results.read_text()))
    records = match(read_coco(truth, results), area=AREAS[area])
    assert same(Resampler(records).precision(), theirs[area])


def test_published_numbers_of_coco_100(coco_files):
    evaluation, _ = build_evaluation(read_coco(*coco_files), split="val", dataset="coco")
    _, stats = coco_precision(*(json.loads(file.read_text()) for file in coco_files))
    names = ("mAP50-95", "mAP50", "mAP75", "mAP50-95-small", "mAP50-95-medium", "mAP50-95-large")
    ours = [evaluation.metrics[name] for name in names]
    assert ours == pytest.approx(stats[:6], abs=1e-12)
    # As published with the detections, to three digits.
    assert np.round(ours, 3).tolist() == [0.505, 0.697, 0.573, 0.586, 0.519, 0.501]


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    n=st.integers(1, 12),
    k=st.integers(1, 4),
    levels=st.sampled_from([0, 0, 3]),
    crowd=st.sampled_from([0.0, 0.3]),
    limit=st.sampled_from([100, 3]),
)
def test_precision_equals_on_generated_boxes(seed, n, k, levels, crowd, limit):
    boxes = random_boxes(seed, n, k, levels=levels, crowd=crowd)
    theirs, _ = coco_precision(*to_coco(boxes), max_detections=limit)
    for area, expected in zip(AREAS, theirs, strict=True):
        records = match(boxes, area=area, max_detections=limit)
        assert same(Resampler(records).precision(), expected)


def test_classes_without_truth_are_nan_and_skipped():
    boxes = random_boxes(7, k=3)
    kept = boxes.truth_cls != 1
    boxes = replace(
        boxes,
        truth_img=boxes.truth_img[kept],
        truth_cls=boxes.truth_cls[kept],
        truth_xyxy=boxes.truth_xyxy[kept],
        truth_crowd=boxes.truth_crowd[kept],
        truth_area=boxes.truth_area[kept],
    )
    theirs, stats = coco_precision(*to_coco(boxes))
    found = average_precision(match(boxes))
    assert np.isnan(found.ap[1]).all()
    assert not np.isnan(found.ap[[0, 2]]).any()
    assert found.map == pytest.approx(stats[0], abs=1e-12)
    assert same(Resampler(match(boxes)).precision(), theirs[0])


def test_no_predictions_give_zero_and_no_truth_gives_nan():
    boxes = random_boxes(3)
    nothing = boxes.with_predictions(img=[], cls=[], score=[], xyxy=[])
    assert average_precision(match(nothing)).map == 0.0
    empty = replace(
        boxes, truth_img=(), truth_cls=(), truth_xyxy=(), truth_crowd=(), truth_area=()
    )
    assert np.isnan(average_precision(match(empty)).map)


def test_a_class_of_crowds_only_has_no_ap():
    boxes = random_boxes(5, k=1, crowd=0.0)
    boxes = replace(boxes, truth_crowd=np.ones(len(boxes.truth_img), bool))
    assert np.isnan(average_precision(match(boxes)).map)
