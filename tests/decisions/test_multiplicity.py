import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.decisions.distributions import t_cdf, t_quantile
from epochal.decisions.multiplicity import (
    best_of_level,
    expected_maximum,
    holm,
    largest_k,
    look_level,
)

P = st.lists(st.floats(0, 1), max_size=40)


@pytest.mark.parametrize(
    ("k", "c"),
    [(1, 0), (2, 0.5642), (3, 0.8463), (5, 1.1630), (10, 1.5388), (20, 1.8675), (100, 2.5076)],
)
def test_expected_maximum_of_normal_variables(k, c):
    assert expected_maximum(k) == pytest.approx(c, abs=5e-5)


def test_expected_maximum_against_dice():
    draws = np.random.default_rng(3).normal(size=(40_000, 7)).max(axis=1)
    assert expected_maximum(7) == pytest.approx(draws.mean(), abs=0.02)


@pytest.mark.parametrize(
    ("images", "looks"), [(160, 1), (500, 1), (1000, 2), (2000, 4), (5000, 16)]
)
def test_looks_that_a_set_of_a_size_bears(images, looks):
    """Bias of the best of k <= 0.5 points, with SE = 20 points over root n."""
    assert largest_k(0.5, 20 / math.sqrt(images)) == looks


def test_levels_of_all_looks_add_up_to_the_family():
    levels = [look_level(0.1, k) for k in range(1, 100_000)]
    assert levels[0] == pytest.approx(0.05)
    assert sum(levels) < 0.1
    assert sum(levels) == pytest.approx(0.1, rel=1e-4)


def test_best_of_k_keeps_the_level_of_the_choice():
    assert best_of_level(0.05, 1) == pytest.approx(0.05)
    assert 1 - (1 - best_of_level(0.05, 8)) ** 8 == pytest.approx(0.05)


def test_holm_on_the_textbook_case():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@given(P)
def test_holm_only_raises_keeps_the_order_and_the_smallest_is_bonferroni(p):
    adjusted = holm(p)
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))
    assert all(a <= 1 for a in adjusted)
    order = np.argsort(p, kind="stable")
    assert all(np.diff(np.array(adjusted)[order]) >= 0)
    if p:
        assert min(adjusted) == pytest.approx(min(1.0, min(p) * len(p)))


@given(P, st.randoms())
def test_holm_does_not_depend_on_the_order(p, random):
    shuffled = list(range(len(p)))
    random.shuffle(shuffled)
    once = holm(p)
    again = holm([p[i] for i in shuffled])
    assert again == pytest.approx([once[i] for i in shuffled])


@pytest.mark.parametrize(
    ("share", "df", "value"),
    [
        (0.95, 1, 6.3138),
        (0.975, 2, 4.3027),
        (0.95, 4, 2.1318),
        (0.975, 10, 2.2281),
        (0.99, 30, 2.4573),
        (0.999, 5, 5.8934),
        (0.95, math.inf, 1.6449),
    ],
)
def test_students_t_as_tabulated(share, df, value):
    assert t_quantile(share, df) == pytest.approx(value, rel=2e-4)
    assert t_cdf(value, df) == pytest.approx(share, abs=2e-5)


@given(st.floats(0.001, 0.999), st.floats(1, 200))
def test_students_t_is_symmetric_and_inverse(share, df):
    value = t_quantile(share, df)
    assert t_quantile(1 - share, df) == pytest.approx(-value, rel=1e-6, abs=1e-9)
    assert t_cdf(value, df) == pytest.approx(share, abs=1e-6)
