"""The confusion matrix: identities that hold at any confidence."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.conftest import random_boxes, seeds, ultralytics_records

from epochal.errors import InvalidInput
from epochal.evaluation import BACKGROUND, build_evaluation, confusion_matrix, match

confidences = st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0])


@settings(max_examples=40, deadline=None)
@given(seed=seeds, confidence=confidences, levels=st.sampled_from([0, 4]))
def test_sums(seed, confidence, levels):
    boxes = random_boxes(seed, levels=levels)
    records = match(boxes)
    matrix = confusion_matrix(records, confidence)
    above = boxes.pred_score > confidence
    assert matrix[:, :-1].sum(axis=0).tolist() == records.n_truth.tolist()
    assert (
        matrix[:-1].sum(axis=1).tolist()
        == np.bincount(boxes.pred_cls[above], minlength=3).tolist()
    )
    assert matrix[-1, -1] == 0
    assert (matrix >= 0).all()


@settings(max_examples=40, deadline=None)
@given(seed=seeds, confidence=confidences)
def test_any_confidence_equals_matching_only_what_is_above(seed, confidence):
    boxes = random_boxes(seed)
    above = boxes.pred_score > confidence
    fewer = boxes.with_predictions(
        img=boxes.pred_img[above],
        cls=boxes.pred_cls[above],
        score=boxes.pred_score[above],
        xyxy=boxes.pred_xyxy[above],
    )
    assert np.array_equal(
        confusion_matrix(match(boxes), confidence), confusion_matrix(match(fewer), confidence)
    )


def test_a_perfect_detector_is_diagonal():
    boxes = random_boxes(3, crowd=0.0)
    # An overlapping truth of another class could be taken instead: keep one object per image.
    _, first = np.unique(boxes.truth_img, return_index=True)
    boxes = replace(
        boxes,
        truth_img=boxes.truth_img[first],
        truth_cls=boxes.truth_cls[first],
        truth_xyxy=boxes.truth_xyxy[first],
        truth_crowd=(),
        truth_area=(),
        pred_img=boxes.truth_img[first],
        pred_cls=boxes.truth_cls[first],
        pred_score=np.full(len(first), 0.9),
        pred_xyxy=boxes.truth_xyxy[first],
    )
    records = match(boxes)
    assert np.array_equal(confusion_matrix(records)[:-1, :-1], np.diag(records.n_truth))


def test_confidence_and_iou_are_strict():
    boxes = random_boxes(3)
    boxes = replace(boxes, pred_score=np.full(len(boxes.pred_img), 0.25))
    assert confusion_matrix(match(boxes), 0.25)[:-1].sum() == 0


def test_document_names_confidence_iou_and_background():
    evaluation, _ = build_evaluation(random_boxes(3), split="val", dataset="x", confidence=0.4)
    matrix = evaluation.confusion
    assert (matrix.confidence, matrix.iou) == (0.4, 0.45)
    assert matrix.labels == ("class0", "class1", "class2", BACKGROUND)


def test_records_of_others_hold_no_matrix():
    with pytest.raises(InvalidInput, match="class-agnostic"):
        confusion_matrix(ultralytics_records("imgsz96-val"))


def test_another_iou_needs_another_match():
    with pytest.raises(InvalidInput, match="at IoU"):
        confusion_matrix(match(random_boxes(3)), iou=0.5)
    assert confusion_matrix(match(random_boxes(3), agnostic_iou=0.5), iou=0.5).sum() > 0
