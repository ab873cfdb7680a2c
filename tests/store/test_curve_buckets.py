"""A curve in buckets says what the points say, however it came in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epochal.store.buckets import Accumulator, grid
from epochal.store.chunks import NO_EPOCH, Points
from epochal.store.store import Store


@pytest.fixture
def store(folder):
    with Store(folder) as opened:
        yield opened


def points(steps, values):
    steps = np.asarray(steps, np.int64)
    return Points(
        steps, np.full(len(steps), NO_EPOCH), steps * 1000, np.asarray(values, np.float64)
    )


def append(store, run, steps, values, *, writer="w", attempt=1):
    with store._db.transaction():
        store.points.append(run, "k", writer, attempt, points(steps, values))


def naive(steps, values, edges, hi):
    """Last, minimum, maximum and mean of each bucket, point by point."""
    width = (hi + 1 - edges[0]) / len(edges)
    buckets = [[] for _ in edges]
    for step, value in zip(steps, values, strict=True):
        place = int((step - edges[0]) / width)
        if not math.isnan(value) and edges[0] <= step <= hi:
            buckets[place].append(value)
    table = [(b[-1], min(b), max(b), sum(b) / len(b)) if b else (math.nan,) * 4 for b in buckets]
    return np.array(table).T


_runs = iter(range(10**9))
VALUES = st.floats(-1e6, 1e6) | st.just(math.nan)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.lists(st.tuples(st.integers(-50, 200), VALUES), min_size=1, max_size=40),
             min_size=1, max_size=4),
    st.integers(1, 60),
)  # fmt: skip
def test_a_bucket_holds_what_its_points_say(store, portions, buckets):
    """F62: whatever the portions, repeated, backward and missing steps, NaN among them."""
    run = f"{next(_runs):032x}"
    for portion in portions:
        append(store, run, *zip(*portion, strict=True))
    steps, values = zip(*(point for portion in portions for point in portion), strict=True)
    found = store.points.overlay([run], "k", buckets=buckets)
    table = found.runs[run]
    expected = naive(steps, values, found.x, max(steps))
    np.testing.assert_array_equal([table.last, table.min, table.max], expected[:3])
    np.testing.assert_allclose(table.mean, expected[3], rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("n", [4096, 8192, 200_000])
def test_a_spike_is_seen_at_any_zoom(store, n):
    """F62: previews of sealed chunks keep first and last, minimum and maximum."""
    values = np.sin(np.arange(n) / 1000)
    values[n // 3], values[n // 2] = 99.0, -99.0
    append(store, "r", np.arange(n), values)
    for buckets in (1, 7, 100, 2000):
        table = store.points.overlay(["r"], "k", buckets=buckets).runs["r"]
        assert (np.nanmax(table.max), np.nanmin(table.min)) == (99.0, -99.0)
        assert table.last[-1] == values[-1]
    lo, hi = n // 3 - 10, n // 3 + 10
    found = store.points.overlay(["r"], "k", buckets=2000, lo=lo, hi=hi)
    np.testing.assert_array_equal(found.x, np.arange(lo, hi + 1))
    np.testing.assert_array_equal(found.runs["r"].last, values[lo : hi + 1])


def test_the_mean_of_previews_is_that_of_the_points(store):
    n = 500_000
    values = np.random.default_rng(0).normal(size=n)
    append(store, "r", np.arange(n), values)
    table = store.points.overlay(["r"], "k", buckets=1).runs["r"]
    assert table.mean[0] == pytest.approx(values.mean(), rel=1e-9)


def test_a_later_attempt_hides_the_earlier_one_in_buckets_too(store):
    """F44: also where whole chunks are previewed."""
    n = 400_000
    append(store, "r", np.arange(n), np.zeros(n), writer="a", attempt=1)
    append(store, "r", np.arange(n // 2, n), np.ones(n - n // 2), writer="b", attempt=2)
    found = store.points.overlay(["r"], "k", buckets=100)
    table = found.runs["r"]
    later = found.x >= n // 2
    assert (table.min[later] == 1).all()
    assert (table.max[~later] == 0).all()


def test_points_of_every_kind_come_back(store):
    values = [0.1, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1e308]
    steps = [-(1 << 63), 5, 5, 3, 0, 7, (1 << 63) - 1]
    append(store, "r", steps, values)
    found = store.points.read("r", "k")
    assert found.step.tolist() == steps
    assert found.value.tobytes() == np.array(values).tobytes()


def test_the_mean_of_values_near_the_largest_double_is_finite():
    """Found by hypothesis: their sum is not."""
    target = Accumulator(grid(0, 0, 1), 0)
    largest = np.finfo(np.float64).max
    target.add_points(np.zeros(3, np.int64), np.array([largest, largest / 2, largest / 4]))
    table = target.table()
    assert table.min[0] <= table.mean[0] <= table.max[0] < math.inf
