"""Percentiles and their bounds: known ranks, and coverage where the truth is known."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.latency import percentile, smallest_sample, upper_bound
from epochal.latency.order_statistics import upper_rank


@pytest.mark.parametrize(
    ("n", "q", "rank"), [(300, 0.95, 292), (1000, 0.95, 962), (1000, 0.99, 996)]
)
def test_known_ranks(n, q, rank):
    assert upper_rank(n, q) == rank


@pytest.mark.parametrize(("q", "n"), [(0.5, 5), (0.9, 29), (0.95, 59), (0.99, 299), (0.999, 2995)])
def test_smallest_sample(q, n):
    assert smallest_sample(q) == n
    assert upper_rank(n, q) == n
    assert upper_bound([1.0] * (n - 1), q) == math.inf


def test_rank_by_exact_fractions():
    from fractions import Fraction

    q = Fraction(9, 10)
    for n in (29, 50, 77):
        below, k = Fraction(0), 0
        while True:
            below += math.comb(n, k) * q**k * (1 - q) ** (n - k)
            if below >= Fraction(95, 100):
                break
            k += 1
        assert upper_rank(n, 0.9) == k + 1


def test_the_bound_holds_as_often_as_it_says():
    rng = random.Random(0)
    truth = -math.log(0.05)  # p95 of the exponential distribution
    held = sum(
        upper_bound([rng.expovariate(1) for _ in range(100)], 0.95) >= truth for _ in range(2000)
    )
    assert 0.95 - 2 * math.sqrt(0.05 * 0.95 / 2000) <= held / 2000 <= 1


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95, 1]))
def test_a_percentile_is_the_smallest_that_enough_do_not_exceed(values, q):
    found = percentile(values, q)
    assert found in values
    assert sum(v <= found for v in values) >= q * len(values) - 1e-6
    assert sum(v < found for v in values) < q * len(values) + 1e-6
    assert upper_bound(values, min(q, 0.95)) >= percentile(values, min(q, 0.95))


def test_no_values():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
