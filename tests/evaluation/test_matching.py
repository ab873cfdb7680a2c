"""The rules of matching, one by one; agreement with pycocotools as a whole is tested elsewhere."""

import numpy as np
import pytest
from tests.evaluation.conftest import random_boxes

from epochal.errors import InvalidInput
from epochal.evaluation import (
    SMALL,
    Boxes,
    average_precision,
    bbox_iou,
    confusion_matrix,
    match,
)

BOX, FAR = (0.0, 0.0, 10.0, 10.0), (50.0, 50.0, 60.0, 60.0)


def boxes(truth, pred, *, crowd=(), truth_cls=None, pred_cls=None, classes=("a", "b")):
    """One image; `truth` are boxes, `pred` are (score, box)."""
    return Boxes(
        images=("image",),
        classes=classes,
        truth_img=[0] * len(truth),
        truth_cls=[0] * len(truth) if truth_cls is None else truth_cls,
        truth_xyxy=truth,
        truth_crowd=crowd,
        pred_img=[0] * len(pred),
        pred_cls=[0] * len(pred) if pred_cls is None else pred_cls,
        pred_score=[score for score, _ in pred],
        pred_xyxy=[box for _, box in pred],
    )


def flags(records, iou=0.5):
    at = records.threshold_index(iou)
    return records.tp[:, at].tolist(), records.ignored[:, at].tolist()


def test_a_second_detection_of_the_same_object_is_false():
    tp, ignored = flags(match(boxes([BOX], [(0.9, BOX), (0.8, BOX)])))
    assert tp == [True, False]
    assert ignored == [False, False]


def test_equal_scores_keep_the_detectors_order():
    half = (0.0, 0.0, 10.0, 6.0)
    tp, _ = flags(match(boxes([BOX], [(0.5, half), (0.5, BOX)])))
    assert tp == [True, False]


def test_each_threshold_matches_on_its_own():
    loose = (0.0, 0.0, 10.0, 7.2)  # IoU .72
    records = match(boxes([BOX], [(0.9, loose), (0.8, BOX)]))
    assert flags(records, 0.7)[0] == [True, False]
    assert flags(records, 0.75)[0] == [False, True]


def test_a_crowd_takes_any_number_and_none_counts():
    records = match(boxes([BOX], [(0.9, BOX), (0.8, BOX), (0.7, FAR)], crowd=[True]))
    tp, ignored = flags(records)
    assert tp == [False, False, False]
    assert ignored == [True, True, False]
    assert records.n_truth[0] == 0
    assert records.n_ignored[0] == 1


def test_a_crowd_is_measured_by_the_area_of_the_detection():
    region = (0.0, 0.0, 100.0, 100.0)
    _, ignored = flags(match(boxes([region], [(0.9, BOX)], crowd=[True])))
    assert ignored == [True]
    tp, ignored = flags(match(boxes([region], [(0.9, BOX)])))
    assert (tp, ignored) == ([False], [False])


def test_an_object_that_counts_comes_before_a_crowd():
    near = (0.0, 0.0, 10.0, 8.0)
    tp, ignored = flags(match(boxes([near, BOX], [(0.9, BOX)], crowd=[False, True])))
    assert (tp, ignored) == ([True], [False])


def test_what_is_beyond_the_limit_counts_for_nothing():
    many = [(0.9 - i / 100, FAR) for i in range(3)] + [(0.1, BOX)]
    records = match(boxes([BOX], many), max_detections=3)
    assert flags(records) == ([False] * 4, [False, False, False, True])


def test_the_limit_is_per_class():
    pred = [(0.9, FAR), (0.8, BOX)]
    records = match(boxes([BOX], pred, pred_cls=[1, 0]), max_detections=1)
    assert not records.ignored.any()


def test_another_class_is_never_matched_but_shown_in_the_confusion_matrix():
    records = match(boxes([BOX], [(0.9, BOX)], pred_cls=[1]))
    assert not records.tp.any()
    assert confusion_matrix(records).tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]


def test_area_ignores_objects_and_unmatched_detections_outside():
    small, large = (0.0, 0.0, 10.0, 10.0), (100.0, 100.0, 200.0, 200.0)
    pred = [(0.9, small), (0.8, large), (0.7, (300.0, 300.0, 400.0, 400.0))]
    records = match(boxes([small, large], pred), area=SMALL)
    assert flags(records) == ([True], [False])
    assert records.n_truth[0] == 1
    assert records.n_ignored[0] == 1
    assert not records.agnostic_iou


def test_any_similarity_serves():
    # What masks or keypoints will do: similarity by something else than boxes.
    def centre(boxes):
        del boxes
        return lambda p, t: np.where(p == t, 0.8, 0.0)

    records = match(boxes([BOX, FAR], [(0.9, FAR), (0.8, BOX)]), similarity=centre)
    assert flags(records, 0.8)[0] == [True, True]
    assert flags(records, 0.85)[0] == [False, False]


def test_a_box_without_extent_is_matched_by_nothing():
    point = (5.0, 5.0, 5.0, 5.0)
    records = match(boxes([point], [(0.9, point)]))
    assert not records.tp.any()
    assert average_precision(records).map == 0.0
    assert bbox_iou(boxes([point], [(0.9, point)]))(np.array([0]), np.array([0])) == [0.0]


@pytest.mark.parametrize("thresholds", [(), (0.5, 0.5), (0.6, 0.5), (0.0, 0.5), (0.5, 1.1)])
def test_thresholds_must_rise_within_0_and_1(thresholds):
    with pytest.raises(InvalidInput, match="thresholds"):
        match(random_boxes(1), thresholds=thresholds)


def test_a_limit_below_one_is_refused():
    with pytest.raises(InvalidInput, match="max_detections"):
        match(random_boxes(1), max_detections=0)


def test_nothing_at_all():
    records = match(boxes([], []))
    assert records.n_images == 1
    assert confusion_matrix(records).sum() == 0
    assert match(Boxes(images=(), classes=())).tp.shape == (0, 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pred_xyxy": [[0, 0, np.nan, 5]]}, "image image: the box of a prediction is not finite"),
        ({"pred_score": [np.inf]}, "a prediction's score is not finite"),
        ({"pred_xyxy": [[9, 0, 0, 5]]}, "negative width"),
        ({"pred_cls": [2]}, "outside 0..1"),
        ({"pred_cls": [0.5]}, "pred_cls"),
        ({"pred_cls": ["a"]}, "pred_cls"),
        ({"pred_cls": [2**70]}, "pred_cls"),
        ({"pred_img": [2**40]}, "pred_img"),
        ({"pred_score": [None]}, "score"),
        ({"pred_img": [1]}, "image index"),
        ({"truth_xyxy": [[0, 0, 5, -5]]}, "negative width"),
        ({"truth_cls": [-1]}, "class outside"),
        ({"images": ("a", "a")}, "image name occurs twice"),
        ({"classes": ("a", "a")}, "class name occurs twice"),
        ({"digests": ("1", "2")}, "2 digests for 1 images"),
        ({"groups": ("1", "2")}, "2 groups for 1 images"),
        ({"pred_score": []}, "pred_score"),
    ],
)
def test_unusable_boxes_are_refused(change, message):
    good = {
        "images": ("image",),
        "classes": ("a", "b"),
        "truth_img": [0],
        "truth_cls": [0],
        "truth_xyxy": [BOX],
        "pred_img": [0],
        "pred_cls": [0],
        "pred_score": [0.5],
        "pred_xyxy": [BOX],
    }
    with pytest.raises(InvalidInput, match=message):
        Boxes(**(good | change))
