"""Operating points, against trying every cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.conftest import random_boxes, records_of, repeated, seeds

from epochal.errors import InvalidInput
from epochal.evaluation import (
    F1Resampler,
    best_f1,
    match,
    recall_at_precision,
    threshold_at,
)

NAN = float("nan")


def counts(records, rows, threshold):
    """True positives and countable detections at score >= threshold, at IoU .5."""
    kept = rows & (records.score >= threshold) & ~records.ignored[:, 0]
    return int(records.tp[kept, 0].sum()), int(kept.sum())


def brute_recall(records, rows, truth, precision):
    """Highest recall over all cuts with enough precision; of equal ones the highest cut."""
    if not truth:
        return NAN, NAN
    best, threshold = 0, NAN
    for cut in sorted(set(records.score[rows & ~records.ignored[:, 0]]), reverse=True):
        tp, n = counts(records, rows, cut)
        if tp > best and tp / n >= precision:
            best, threshold = tp, cut
    return best / truth, threshold


@settings(max_examples=60, deadline=None)
@given(seed=seeds, precision=st.sampled_from([0.3, 0.5, 0.8, 0.95, 1.0]), levels=st.integers(0, 6))
def test_recall_at_precision_by_trying_every_cut(seed, precision, levels):
    records = match(random_boxes(seed, levels=levels))
    found = recall_at_precision(records, precision)
    for c in range(3):
        recall, threshold = brute_recall(records, records.cls == c, records.n_truth[c], precision)
        np.testing.assert_equal(found.recall[c], recall)
        np.testing.assert_equal(found.threshold[c], threshold)
    everything = np.ones(len(records.cls), bool)
    recall, threshold = brute_recall(records, everything, records.n_truth.sum(), precision)
    np.testing.assert_equal((found.micro.recall, found.micro.threshold), (recall, threshold))
    if recall > 0:
        assert found.micro.precision >= precision


@settings(max_examples=40, deadline=None)
@given(seed=seeds, levels=st.integers(0, 6))
def test_best_f1_by_trying_every_cut(seed, levels):
    records = match(random_boxes(seed, levels=levels))
    found = best_f1(records)
    known = np.flatnonzero(records.n_truth)

    def mean_f1(cut):
        values = []
        for c in known:
            tp, n = counts(records, records.cls == c, cut)
            values.append(2 * tp / (n + records.n_truth[c]))
        return np.mean(values)

    cuts = sorted(set(records.score[~records.ignored[:, 0]]), reverse=True)
    assert found.macro.f1 == pytest.approx(max(map(mean_f1, cuts)), abs=1e-12)
    assert mean_f1(found.macro.threshold) == pytest.approx(found.macro.f1, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, threshold=st.sampled_from([0.0, 0.3, 0.7, 2.0]))
def test_threshold_at_counts(seed, threshold):
    records = match(random_boxes(seed))
    found = threshold_at(records, threshold)
    for c in range(3):
        tp, n = counts(records, records.cls == c, threshold)
        truth = records.n_truth[c]
        np.testing.assert_equal(found.recall[c], tp / truth if truth else NAN)
        np.testing.assert_equal(found.precision[c], tp / n if truth and n else NAN)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, weights=st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_weights_equal_repeated_images(seed, weights):
    boxes = random_boxes(seed, 6)
    records, copies = match(boxes), match(repeated(boxes, weights))
    for point in (recall_at_precision, best_f1):
        weighted, copied = point(records, weights=weights), point(copies)
        np.testing.assert_allclose(weighted.recall, copied.recall, atol=1e-12)
        np.testing.assert_allclose(weighted.threshold, copied.threshold, atol=1e-12)


def as_numbers(point):
    return [point.threshold, point.precision, point.recall, point.f1]


@settings(max_examples=60, deadline=None)
@given(seed=seeds, levels=st.sampled_from([0, 4]), per_image=st.sampled_from([0.2, 4]))
def test_many_weightings_equal_each_alone_and_repeated_images(seed, levels, per_image):
    boxes = random_boxes(seed, 6, per_image=per_image, levels=levels)
    records = match(boxes)
    weights = np.random.default_rng(seed).multinomial(6, np.full(6, 1 / 6), size=3)
    weights = np.vstack([weights, np.zeros((1, 6), int)])
    found = F1Resampler(records).macro(weights)
    for row, point in zip(weights, found, strict=True):
        alone = best_f1(records, weights=row).macro
        np.testing.assert_array_equal(as_numbers(point), as_numbers(alone))
        if not levels:  # equal scores within one image have no order that repeating keeps
            copied = best_f1(match(repeated(boxes, row))).macro
            np.testing.assert_array_equal(as_numbers(point), as_numbers(copied))


@settings(max_examples=30, deadline=None)
@given(seed=seeds, weights=st.lists(st.floats(0, 3), min_size=6, max_size=6))
def test_fractional_weights_reach_the_best_of_all_cuts(seed, weights):
    records = match(random_boxes(seed, 6))
    (found,) = F1Resampler(records).macro([weights])
    reached = [threshold_at(records, cut, weights=weights).macro.f1 for cut in records.score]
    np.testing.assert_allclose(found.f1, max(reached), atol=1e-11)


@pytest.mark.parametrize("weights", [np.ones(6), np.ones((2, 5)), -np.ones((1, 6))])
def test_unusable_weightings_are_refused(weights):
    with pytest.raises(InvalidInput, match="weight"):
        F1Resampler(match(random_boxes(1, 6))).macro(weights)


def test_chosen_on_one_split_applied_to_another():
    val, test = match(random_boxes(1, 40)), match(random_boxes(2, 40))
    chosen = recall_at_precision(val, 0.5)
    applied = threshold_at(test, chosen.threshold)
    again = threshold_at(val, chosen.threshold)
    np.testing.assert_array_equal(again.recall, np.where(chosen.recall > 0, chosen.recall, 0))
    assert applied.threshold.tolist() == pytest.approx(chosen.threshold.tolist(), nan_ok=True)


def test_ties_fall_on_the_same_side():
    records = records_of([0.9, 0.5, 0.5], [True, True, False], [2])
    found = recall_at_precision(records, 0.95)
    assert (found.recall[0], found.threshold[0]) == (0.5, 0.9)


def test_of_equal_recall_the_highest_threshold_stands():
    records = records_of([0.9, 0.5], [True, False], [1])
    found = recall_at_precision(records, 0.5)
    assert (found.recall[0], found.threshold[0], found.precision[0]) == (1.0, 0.9, 1.0)


def test_no_cut_is_precise_enough():
    found = recall_at_precision(records_of([0.9, 0.8], [False, True], [1]), 0.95)
    assert found.recall[0] == 0.0
    assert np.isnan(found.threshold[0])
    assert found.micro.recall == 0.0


def test_a_class_without_truth_is_undefined_but_its_detections_count_in_micro():
    records = records_of([0.9, 0.8], [False, True], [0, 1], cls=[0, 1], k=2)
    found = recall_at_precision(records, 0.95)
    assert np.isnan(found.recall[0])
    assert found.recall[1] == 1.0
    assert found.micro.recall == 0.0  # the other class's false alarm comes first
    assert found.macro.recall == 1.0


@pytest.mark.parametrize("precision", [0.0, -1.0, 1.01, NAN])
def test_precision_must_be_within_0_and_1(precision):
    with pytest.raises(InvalidInput):
        recall_at_precision(match(random_boxes(1)), precision)


def test_iou_that_was_not_matched():
    with pytest.raises(InvalidInput, match="no matches at IoU"):
        recall_at_precision(match(random_boxes(1)), iou=0.33)


def test_as_many_thresholds_as_classes():
    with pytest.raises(InvalidInput, match="2 thresholds for 3 classes"):
        threshold_at(match(random_boxes(1)), [0.1, 0.2])


def test_no_detection_of_any_class():
    boxes = random_boxes(1).with_predictions(img=[], cls=[], score=[], xyxy=[])
    found = best_f1(match(boxes))
    assert np.isnan(found.macro.threshold)
    assert found.macro.f1 == 0.0


def test_without_a_true_positive_the_highest_score_stands():
    found = best_f1(records_of([0.9, 0.9, 0.8], [False, False, False], [2]))
    assert (found.macro.threshold, found.macro.precision, found.macro.f1) == (0.9, 0.0, 0.0)
