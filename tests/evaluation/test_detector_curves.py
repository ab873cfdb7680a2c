"""Curves over recall and confidence, against their definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from tests.evaluation.conftest import random_boxes, seeds

from epochal.errors import InvalidInput
from epochal.evaluation import average_precision, curves, match, threshold_at


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_curves_over_confidence_are_the_counts_at_each(seed):
    records = match(random_boxes(seed, levels=20))
    found = curves(records)
    for at in (0, 5, 50, 85, 100):
        point = threshold_at(records, found.confidence_grid[at])
        np.testing.assert_allclose(found.recall[:, at], point.recall)
        np.testing.assert_allclose(found.precision[:, at], point.precision)
        np.testing.assert_allclose(found.f1[:, at], point.f1)


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_precision_over_recall_averages_to_ap(seed):
    records = match(random_boxes(seed))
    mean = curves(records).precision_at_recall.mean(axis=1)
    np.testing.assert_allclose(mean, average_precision(records).ap[:, 0])


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_shapes_of_the_curves(seed):
    found = curves(match(random_boxes(seed)))
    recall = found.recall[~np.isnan(found.recall).any(axis=1)]
    envelope = found.precision_at_recall[~np.isnan(found.precision_at_recall).any(axis=1)]
    assert (np.diff(recall, axis=1) <= 0).all()  # a higher confidence never finds more
    assert (np.diff(envelope, axis=1) <= 0).all()
    assert ((found.f1[~np.isnan(found.f1)] >= 0) & (found.f1[~np.isnan(found.f1)] <= 1)).all()


def test_iou_that_was_not_matched():
    with pytest.raises(InvalidInput):
        curves(match(random_boxes(1)), 0.3)
