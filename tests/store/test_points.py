"""Curves come back as they were appended, and buckets never hide an extreme."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epochal.store import chunks
from epochal.store.chunks import CHUNK, NO_EPOCH, Points
from epochal.store.database import Database
from epochal.store.points import PointStore

values = st.floats(width=64, allow_nan=True, allow_infinity=True)
steps = st.integers(-(2**63) + 1, 2**63 - 1)


def points(step, value):
    step = np.asarray(step, np.int64)
    empty = np.full(len(step), NO_EPOCH, np.int64)
    return Points(step, empty, np.arange(len(step), dtype=np.int64), np.asarray(value, np.float64))


@pytest.fixture
def store(tmp_path):
    database = Database(tmp_path / "index.sqlite")
    yield PointStore(database)
    database.close()


@given(st.lists(st.tuples(steps, steps, steps, values), min_size=1, max_size=50))
def test_a_chunk_holds_every_bit(rows):
    step, epoch, time, value = (np.array(column) for column in zip(*rows, strict=True))
    given_points = Points(step, epoch, time, value.astype(np.float64))
    found = chunks.decode(chunks.encode(given_points))
    assert (found.step == step).all()
    assert (found.epoch == epoch).all()
    assert (found.time == time).all()
    assert found.value.tobytes() == given_points.value.tobytes()


def test_chunks_are_packed_and_unpacked_in_several_threads_at_once():
    rng = np.random.default_rng(5)
    given_points = [points(np.arange(CHUNK), rng.standard_normal(CHUNK)) for _ in range(300)]
    packed = [chunks.encode(one) for one in given_points]
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(chunks.encode, given_points))
        found = list(pool.map(chunks.decode, packed))
    assert again == packed
    assert all((a.value == b.value).all() for a, b in zip(found, given_points, strict=True))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=8))
def test_any_portions_give_one_curve(tmp_path_factory, portions):
    database = Database(tmp_path_factory.mktemp("points") / "index.sqlite")
    store = PointStore(database)
    whole = points(np.arange(sum(portions)), np.sin(np.arange(sum(portions))))
    at = 0
    for size in portions:
        store.append("run", "loss", "writer", 1, whole[at : at + size])
        at += size
    found = store.read("run", "loss")
    assert (found.step == whole.step).all()
    assert (found.value == whole.value).all()
    sizes = [n for (n,) in database.rows("SELECT n FROM chunk ORDER BY start")]
    assert sum(sizes) == len(whole)
    assert all(n == CHUNK for n in sizes[: len(whole) // CHUNK])
    assert len(sizes) - len(whole) // CHUNK <= 14
    database.close()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 500), values), min_size=1, max_size=200),
    st.integers(1, 60),
    st.tuples(st.integers(-10, 510), st.integers(-10, 510)) | st.none(),
)
def test_buckets_keep_minimum_and_maximum(tmp_path_factory, rows, buckets, window):
    database = Database(tmp_path_factory.mktemp("points") / "index.sqlite")
    store = PointStore(database)
    step, value = (np.array(column) for column in zip(*rows, strict=True))
    store.append("run", "loss", "writer", 1, points(step, value))
    lo, hi = (min(window), max(window)) if window else (None, None)
    overlay = store.overlay(["run"], "loss", buckets=buckets, lo=lo, hi=hi)
    database.close()
    lo = step.min() if lo is None else lo
    hi = step.max() if hi is None else hi
    assert len(overlay.x) <= buckets
    table = overlay.runs["run"]
    inside = (step >= lo) & (step <= hi) & ~np.isnan(value)
    width = (hi - lo + 1) / len(overlay.x)
    place = ((step - lo) / width).astype(int)
    for bucket in range(len(overlay.x)):
        own = value[inside & (place == bucket)]
        if len(own):
            assert (table.min[bucket], table.max[bucket]) == (own.min(), own.max())
            assert table.last[bucket] == own[-1]
        else:
            assert np.isnan(table.min[bucket])


@pytest.mark.parametrize("spike", [0, 4095, 4096, 70_001, 99_999])
def test_a_single_spike_shows_at_every_zoom(store, spike):
    value = np.zeros(100_000)
    value[spike] = 7.0
    store.append("run", "loss", "writer", 1, points(np.arange(100_000), value))
    for buckets in (1, 50, 1000):
        overlay = store.overlay(["run"], "loss", buckets=buckets)
        assert np.nanmax(overlay.runs["run"].max) == 7.0
        # A preview's bucket stands where it begins: at most half a bucket off.
        found = np.nanargmax(overlay.runs["run"].max)
        assert abs(found - int(spike * buckets / 100_000)) <= 1


def test_runs_share_one_grid(store):
    store.append("a", "loss", "w", 1, points([0, 10], [1.0, 2.0]))
    store.append("b", "loss", "w", 1, points([5, 99], [3.0, math.nan]))
    overlay = store.overlay(["a", "b", "c"], "loss", buckets=10)
    assert overlay.x.tolist() == [10.0 * i for i in range(10)]
    assert set(overlay.runs) == {"a", "b"}
    assert overlay.runs["a"].last[:2].tolist() == [1.0, 2.0]
    assert overlay.runs["b"].last[0] == 3.0
    assert np.isnan(overlay.runs["b"].max[9])


def test_a_later_attempt_hides_from_its_first_step_on(store):
    store.append("run", "loss", "w1", 1, points(range(10), np.zeros(10)))
    store.append("run", "loss", "w2", 2, points(range(6, 8), np.ones(2)))
    assert store.read("run", "loss").value.tolist() == [0] * 6 + [1] * 2
    assert store.overlay(["run"], "loss").x.tolist() == list(range(8))
    assert len(store.read("run", "loss", superseded=True)) == 12
    assert store.summaries("run")["loss"].n == 8


def test_nothing_but_nan(store):
    store.append("run", "loss", "w", 1, points([0, 1], [math.nan, math.nan]))
    summary = store.summaries("run")["loss"]
    assert (summary.n, summary.nan, summary.min, summary.last) == (2, 2, None, (1, "NaN"))
    assert np.isnan(store.overlay(["run"], "loss").runs["run"].last).all()


def test_deleting_a_run_leaves_the_others(store):
    for run in ("a", "b"):
        store.append(run, "loss", "w", 1, points([0], [1.0]))
    store.delete("a")
    assert len(store.read("a", "loss")) == 0
    assert len(store.read("b", "loss")) == 1
