"""Weighting images equals repeating them, so that a bootstrap needs no second match."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.conftest import random_boxes, repeated, seeds

from epochal.errors import InvalidInput
from epochal.evaluation import DEFINITIONS, MatchRecords, Resampler, average_precision, match

definitions = st.sampled_from(DEFINITIONS)


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    definition=definitions,
    weights=st.lists(st.integers(0, 4), min_size=8, max_size=8),
    crowd=st.sampled_from([0.0, 0.3]),
)
def test_weights_equal_repeated_images(seed, definition, weights, crowd):
    boxes = random_boxes(seed, 8, crowd=crowd)
    weighted = Resampler(match(boxes), definition).ap(weights)
    copied = average_precision(match(repeated(boxes, weights)), definition=definition).ap
    assert np.array_equal(weighted, copied, equal_nan=True)


def tie_across_images(boxes, levels):
    """Return the boxes with scores that tie between images but never within one class of one."""
    score = np.empty(len(boxes.pred_img))
    for image in range(len(boxes.images)):
        rows = np.flatnonzero(boxes.pred_img == image)
        score[rows] = np.linspace(1, 0.1, levels)[np.arange(len(rows)) % levels]
        score[rows] -= np.arange(len(rows)) // levels * 1e-3
    return replace(boxes, pred_score=score)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, weights=st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_weights_equal_repeated_images_when_scores_tie_between_images(seed, weights):
    boxes = tie_across_images(random_boxes(seed, 8), 5)
    weighted = Resampler(match(boxes)).ap(weights)
    copied = average_precision(match(repeated(boxes, weights))).ap
    assert np.array_equal(weighted, copied, equal_nan=True)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, definition=definitions, levels=st.sampled_from([0, 4]))
def test_ones_change_nothing_and_scale_does_not_matter(seed, definition, levels):
    records = match(random_boxes(seed, 8, levels=levels))
    resampler = Resampler(records, definition)
    plain = resampler.ap()
    assert np.array_equal(resampler.ap(np.ones(8)), plain, equal_nan=True)
    # More than is counted as integers, and a share: the floating-point path.
    np.testing.assert_allclose(resampler.ap(np.full(8, 2.0**40)), plain, atol=1e-12)
    tenth = Resampler(records, "ultralytics").ap(np.full(8, 0.1))
    np.testing.assert_allclose(tenth, Resampler(records, "ultralytics").ap(), atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, weights=st.lists(st.floats(0, 3), min_size=8, max_size=8))
def test_fractional_weights_equal_weights_in_small_units(seed, weights):
    resampler = Resampler(match(random_boxes(seed, 8)))
    units = np.round(np.array(weights) * 64)
    shares = resampler.ap(units / 64)
    if np.array_equal(units, np.floor(units / 64) * 64):
        return  # whole after all
    # Both may only part where a recall meets a grid point within rounding.
    np.testing.assert_allclose(shares, resampler.ap(units), atol=0.011)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, definition=st.sampled_from(["coco101", "ultralytics"]))
def test_what_comes_after_the_last_true_positive_changes_nothing(seed, definition):
    records = match(random_boxes(seed, 8))
    kept = np.zeros(len(records.cls), bool)
    for c in range(len(records.classes)):
        rows = np.flatnonzero(records.cls == c)
        hits = rows[records.tp[rows].any(axis=1)]
        if len(hits):
            kept[rows[rows <= hits[-1]]] = True
    trimmed = replace(
        records,
        **{
            name: getattr(records, name)[kept] for name in ("img", "cls", "score", "tp", "ignored")
        },
        gt_class=records.gt_class[kept],
        iou=records.iou[kept],
    )
    weights = np.random.default_rng(seed).multinomial(8, np.full(8, 1 / 8))
    assert np.array_equal(
        Resampler(trimmed, definition).ap(weights),
        Resampler(records, definition).ap(weights),
        equal_nan=True,
    )


@settings(max_examples=20, deadline=None)
@given(seed=seeds, definition=definitions)
def test_many_weightings_at_once(seed, definition):
    resampler = Resampler(match(random_boxes(seed, 8)), definition)
    weights = np.random.default_rng(seed).multinomial(8, np.full(8, 1 / 8), size=5)
    each = np.stack([resampler.ap(row) for row in weights])
    assert np.array_equal(resampler.ap_many(weights), each, equal_nan=True)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, definition=definitions, scale=st.sampled_from([10, 1000, 10**6]))
def test_whole_weights_of_any_size_count_alike(seed, definition, scale):
    # However the sums are kept and searched, which their size decides.
    resampler = Resampler(match(random_boxes(seed, 8)), definition)
    weights = np.random.default_rng(seed).multinomial(8, np.full(8, 1 / 8), size=3)
    scaled = resampler.ap_many(weights * scale)
    np.testing.assert_allclose(scaled, resampler.ap_many(weights), rtol=0, atol=1e-12)


def test_more_weightings_than_are_counted_at_once(monkeypatch):
    records = match(random_boxes(17, 8))
    weights = np.random.default_rng(0).multinomial(8, np.full(8, 1 / 8), size=40)
    found = Resampler(records).ap_many(weights)
    monkeypatch.setattr("epochal.evaluation.class_curve._AT_ONCE", 300)
    assert np.array_equal(Resampler(records).ap_many(weights), found, equal_nan=True)


def test_weight_zero_removes_an_image():
    boxes = random_boxes(11, 6)
    weights = [1, 1, 0, 1, 0, 1]
    found = average_precision(match(boxes), weights).ap
    assert np.array_equal(found, average_precision(match(repeated(boxes, weights))).ap)


def test_all_weights_zero_leaves_nothing():
    assert np.isnan(average_precision(match(random_boxes(11, 6)), np.zeros(6)).ap).all()


def test_order_and_names_of_images_do_not_matter_while_scores_differ():
    boxes = random_boxes(13, 9)
    place = np.random.default_rng(0).permutation(9)
    moved = replace(
        boxes,
        images=tuple(f"other{i}" for i in range(9)),
        truth_img=place[boxes.truth_img],
        pred_img=place[boxes.pred_img],
    )
    assert np.array_equal(average_precision(match(moved)).ap, average_precision(match(boxes)).ap)


@pytest.mark.parametrize(
    "weights", [np.ones(5), np.ones((6, 1)), [1, 1, 1, 1, 1, -1], [1, 1, 1, 1, 1, np.nan]]
)
def test_unusable_weights_are_refused(weights):
    with pytest.raises(InvalidInput):
        average_precision(match(random_boxes(11, 6)), weights)


def test_many_weightings_need_two_dimensions():
    with pytest.raises(InvalidInput):
        Resampler(match(random_boxes(11, 6))).ap_many(np.ones(6))


def test_unknown_definition_is_refused():
    with pytest.raises(InvalidInput, match="coco101"):
        Resampler(match(random_boxes(11, 6)), "voc07")


def test_records_without_detections_or_images():
    nothing = MatchRecords.from_arrays(
        images=(),
        classes=("a",),
        evaluator="epochal/coco101",
        tp=[],
        score=[],
        pred_cls=[],
        pred_img=[],
        target_cls=[],
        target_img=[],
    )
    assert np.isnan(average_precision(nothing).map)
    assert average_precision(nothing).ap.shape == (1, 10)
