"""A classifier's outcomes: its accuracies under any weights of the images, stored and read."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.conftest import seeds

from epochal.errors import Damaged, InvalidInput
from epochal.evaluation import ACCURACIES, Outcomes, build_classification
from epochal.evaluation.storage import load_matches, load_records, store_evaluation
from epochal.store.blobs import Blobs


def classified(seed, n=40, k=7):
    """Return the evaluation and the outcomes of `n` images; scores tie, classes may be absent."""
    rng = np.random.default_rng(seed)
    return build_classification(
        rng.integers(0, k - 1, n),
        rng.random((n, k)).round(1),
        images=[f"{i:03}.jpg" for i in range(n)],
        classes=[f"c{i}" for i in range(k)],
        split="val",
        dataset="d@v1",
    )


def repeated(outcomes, weights):
    rows = np.repeat(np.arange(outcomes.n_images), weights)
    columns = {name: getattr(outcomes, name)[rows] for name in ("true", "predicted", "place")}
    return replace(outcomes, images=tuple(f"copy {i}" for i in range(len(rows))), **columns)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, weights=st.lists(st.integers(0, 4), min_size=40, max_size=40))
def test_weights_equal_repeated_images(seed, weights):
    _, outcomes = classified(seed)
    copies = repeated(outcomes, weights)
    once = np.ones((1, copies.n_images))
    for metric in ACCURACIES:
        np.testing.assert_array_equal(
            outcomes.accuracy(metric, [weights]), copies.accuracy(metric, once)
        )
    np.testing.assert_array_equal(outcomes.recall([weights]), copies.recall(once))


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_the_document_follows_from_the_outcomes(seed):
    evaluation, outcomes = classified(seed)
    once = np.ones((1, outcomes.n_images))
    for metric in ACCURACIES:
        assert evaluation.metrics[metric] == outcomes.accuracy(metric, once)[0]
    recall = [None if np.isnan(r) else r for r in outcomes.recall(once)[0]]
    assert [c.recall for c in evaluation.per_class] == recall
    assert [c.instances for c in evaluation.per_class] == outcomes.n_truth.tolist()


def test_accuracies_against_counting():
    _, outcomes = classified(3)
    weights = np.random.default_rng(0).multinomial(40, np.full(40, 1 / 40), size=5)
    for row, found in zip(weights, outcomes.accuracy("accuracy_top5", weights), strict=True):
        hits = sum(w for w, place in zip(row, outcomes.place, strict=True) if place < 5)
        assert found == hits / row.sum()
    recall = outcomes.recall(weights)
    assert recall.shape == (5, 7)
    assert np.isnan(recall[:, 6]).all()  # a class without images


def test_nothing_weighted_is_undefined():
    _, outcomes = classified(3)
    assert np.isnan(outcomes.accuracy("accuracy_top1", np.zeros((1, 40)))).all()


def test_stored_beside_the_document_and_read(tmp_path):
    evaluation, outcomes = classified(4)
    blobs = Blobs(tmp_path)
    body = store_evaluation(blobs, evaluation, outcomes)
    from epochal.evaluation import load_evaluation

    kept = load_evaluation(blobs, body.digest)
    assert kept.outcomes
    assert not kept.matches
    assert load_matches(blobs, kept) is None
    found = load_records(blobs, kept)
    assert isinstance(found, Outcomes)
    assert (found.images, found.classes) == (outcomes.images, outcomes.classes)
    assert found.to_bytes() == outcomes.to_bytes()
    assert kept.fingerprint == evaluation.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"true": [9] * 40}, "outside 0..6"),
        ({"place": [0] * 39}, "shape"),
        ({"place": [1] * 40, "predicted": [0] * 40, "true": [0] * 40}, "contradicts"),
        ({"images": ["a"] * 40}, "twice"),
        ({"groups": ["a"]}, "1 groups for 40 images"),
    ],
)
def test_columns_that_do_not_fit_are_refused(change, message):
    _, outcomes = classified(5)
    with pytest.raises(InvalidInput, match=message):
        replace(outcomes, **change)


def test_unusable_questions_are_refused():
    _, outcomes = classified(5)
    with pytest.raises(InvalidInput, match="accuracy_top1"):
        outcomes.accuracy("mAP50-95", np.ones((1, 40)))
    with pytest.raises(InvalidInput, match="expected"):
        outcomes.recall(np.ones(40))


def test_another_archive_is_damaged():
    with pytest.raises(Damaged):
        Outcomes.from_bytes(b"no archive")
