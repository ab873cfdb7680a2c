"""`log()` takes whatever a training script has, and never raises."""

from __future__ import annotations

import asyncio
import decimal
import fractions
import gc
import itertools
import math
import threading
import weakref

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import epochal
from epochal.records import Metrics, Notice, System, from_wire


class Tensor:
    """Stands for a tensor of any library: a scalar by `item()`."""

    def __init__(self, value, size=1):
        self.value, self.size = value, size

    def item(self):
        if self.size != 1:
            raise RuntimeError("a Tensor with 4 elements cannot be converted to Scalar\nat x.cpp")
        return self.value


class Hostile:
    """An object whose every method raises."""

    def __float__(self):
        raise OverflowError("no")

    def __repr__(self):
        raise RuntimeError("no")

    def __getattr__(self, name):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1.5, 1.5),
        (3, 3.0),
        (True, 1.0),
        (np.float16(0.5), 0.5),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.float64(0.1), 0.1),
        (np.int64(7), 7.0),
        (np.bool_(True), 1.0),
        (np.array(2.5), 2.5),
        (np.array([2.5]), 2.5),
        (Tensor(0.25), 0.25),
        (decimal.Decimal("0.1"), 0.1),
        (fractions.Fraction(1, 4), 0.25),
        (-0.0, -0.0),
        (5e-324, 5e-324),
        (1.7976931348623157e308, 1.7976931348623157e308),
        (1 << 53, float(1 << 53)),
        (1 << 63, float(1 << 63)),
        (10**30, 1e30),
    ],
    ids=map(str, itertools.count()),
)
def test_whatever_is_a_number_is_taken(run, value, number, logged):
    """F14, F40: scalars of every library, by their value at the call."""
    run.log({"k": value})
    ((_, values),) = logged(run)
    assert values["k"] == number
    assert math.copysign(1, values["k"]) == math.copysign(1, number)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (np.float32("nan"), "NaN"),
        (10**400, "Infinity"),
        (-(10**400), "-Infinity"),
    ],
    ids=map(str, itertools.count()),
)
def test_what_is_not_finite_travels_by_name(run, value, name, logged):
    """F40, F41: next to good values, which are unharmed."""
    run.log({"good": 1.0, "k": value})
    assert logged(run) == [(0, {"good": 1.0, "k": name})]


@pytest.mark.parametrize(
    "value",
    [
        "0.5",
        None,
        b"1",
        1j,
        np.array([1.0, 2.0]),
        Tensor(0, size=4),
        [1.0],
        object(),
        Hostile,
        decimal.Decimal("sNaN"),
    ],
    ids=map(str, itertools.count()),
)
def test_what_is_no_number_is_left_out_and_told_once(run, value, records, logged):
    """F12, F14: the other values of the call are kept."""
    value = Hostile() if value is Hostile else value
    for _ in range(3):
        run.log({"bad": value, "good": 1.0})
    assert logged(run) == [(step, {"good": 1.0}) for step in range(3)]
    assert len(records(run, Notice)) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda run: run.log(None),
        lambda run: run.log([1, 2]),
        lambda run: run.log(Hostile()),
        lambda run: run.log({"k": 1.0}, step=Hostile()),
        lambda run: run.log({"k": 1.0}, step="five"),
        lambda run: run.log({"k": 1.0}, epoch=object()),
        lambda run: run.log({1: 1.0, (2, 3): 2.0, None: 3.0}),
        lambda run: run.log({"\ud800": 1.0}),
        lambda run: run.log({}),
        lambda run: run.system({"cpu": "busy"}),
        lambda run: run.system(None),
        lambda run: run.config.update(5),
        lambda run: run.config.update({"k": Hostile()}),
        lambda run: run.summary.update({"k": Hostile()}),
        lambda run: run.alert(None, level="loud"),
        lambda run: run.note(5),
        lambda run: run.image("x", Hostile()),
        lambda run: run.image("x", None, boxes=5),
        lambda run: run.artifact(None),
        lambda run: run.artifact("/nowhere/at/all"),
        lambda run: run.environment({"k": Hostile()}),
        lambda run: run.record(Metrics(values={"k": 1.0}, step="one")),
        lambda run: run.finish("great", reason=5),
    ],
    ids=map(str, itertools.count()),
)
def test_no_method_raises_whatever_it_is_given(run, call, records):
    """F12."""
    call(run)
    run.log({"after": 1.0})
    records(run)  # all that was written can be read again


@pytest.mark.parametrize(
    "call",
    [
        lambda run: run.log({"k": "text"}),
        lambda run: run.log([1]),
        lambda run: run.log({"k": 1.0}, step=0.5),
        lambda run: run.config.update(5),
        lambda run: run.artifact("/nowhere/at/all"),
    ],
    ids=map(str, itertools.count()),
)
def test_strict_mode_raises(run, call, monkeypatch):
    """F12: for tests of one's own script."""
    monkeypatch.setenv("EPOCHAL_STRICT", "1")
    with pytest.raises((ValueError, TypeError, AttributeError, OSError)):
        call(run)


def test_nested_values_are_joined(run, logged):
    run.log({"train": {"loss": {"box": 1.0}}, "lr": 0.1})
    assert logged(run) == [(0, {"train/loss/box": 1.0, "lr": 0.1})]


def test_text_without_utf8_is_escaped_and_kept(run, records, logged):
    run.log({"a\ud800": 1.0, "b": 2.0})
    run.alert("half \udcff", "a \ud800 surrogate")
    ((_, values),) = logged(run)
    assert set(values) == {"a\\ud800", "b"}
    assert any(body.title == "half \\udcff" for body in records(run) if hasattr(body, "title"))


@pytest.mark.parametrize("count", [200, 5_000])
def test_very_many_keys_are_all_kept(run, count, logged):
    """F61 in small: what does not fit into one line goes into several of the same step."""
    values = {f"{'layer' * 40}/{n}": float(n) for n in range(count)}
    run.log(values, step=3)
    found = {}
    for step, part in logged(run):
        assert step == 3
        found |= part
    assert found == values


def test_a_key_that_fits_no_line_is_told_and_the_others_kept(run, records, logged):
    run.log({"x" * 70_000: 1.0, "good": 2.0})
    assert logged(run) == [(0, {"good": 2.0})]
    assert [notice.code for notice in records(run, Notice)] == ["too-long"]


@pytest.mark.parametrize(
    ("given_steps", "kept"),
    [
        ([None, None, None], [0, 1, 2]),
        ([5, None, None], [5, 6, 7]),
        ([5, 5, 3, None], [5, 5, 3, 4]),
        ([-7, None], [-7, -6]),
        ([(1 << 63) - 1], [(1 << 63) - 1]),
        ([-(1 << 63)], [-(1 << 63)]),
        ([2.0, np.int32(3), np.array(4), True], [2, 3, 4, 1]),
        ([1, 0.5, None], [1, 2, 3]),
        ([1, 1 << 63, None], [1, 2, 3]),
        ([4, math.nan, "x", None], [4, 5, 6, 7]),
    ],
    ids=map(str, itertools.count()),
)
def test_steps(run, given_steps, kept, logged):
    """F43: repeated, backwards, negative, huge, float, missing; nothing is dropped."""
    for n, step in enumerate(given_steps):
        run.log({"k": float(n)}, step=step)
    assert logged(run) == [(step, {"k": float(n)}) for n, step in enumerate(kept)]


def test_a_step_that_is_no_integer_is_kept_in_the_report(run, records):
    run.log({"k": 1.0}, step=0.5)
    (notice,) = records(run, Notice)
    assert "0.5" in notice.text


def test_the_epoch_goes_along_or_is_left_out(run, records):
    run.log({"k": 1.0}, epoch=3)
    run.log({"k": 1.0}, epoch=np.float32(4))
    run.log({"k": 1.0}, epoch="last")
    run.log({"k": 1.0}, epoch=10**30)
    assert [body.epoch for body in records(run, Metrics)] == [3, 4, None, None]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.dictionaries(
                st.text(max_size=12), st.floats(allow_nan=True, allow_infinity=True), max_size=5
            ),
            st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
        ),
        max_size=8,
    )
)
def test_a_reader_gets_the_numbers_that_were_logged(start, logged, calls):
    """F40, F42, F43: bit for bit, in order, whatever the names and steps."""
    run = start()
    expected, step = [], 0
    for values, given_step in calls:
        run.log(values, step=given_step)
        step = step if given_step is None else given_step
        if values:
            expected.append((step, values))
        step = min(step + 1, (1 << 63) - 1)
    run.finish()
    found = [(at, {k: from_wire(v) for k, v in values.items()}) for at, values in logged(run)]
    escaped = [
        (at, {k.encode("utf-8", "backslashreplace").decode(): v for k, v in values.items()})
        for at, values in expected
    ]
    assert repr(found) == repr(escaped)


def test_the_index_holds_the_same_bits(run, folder):
    """F40, F41: through the store as well."""
    from epochal.store.store import Store

    values = [0.1, -0.0, 5e-324, 1e308, math.inf, -math.inf, math.nan, float(2**53 + 2)]
    for value in values:
        run.log({"k": value})
    run.finish()
    with Store(folder) as store:
        found = store.points.read(run.id, "k").value
    assert np.array(values).tobytes() == found.tobytes()


def test_objects_are_not_kept_alive(run):
    """F14: a tensor that was logged does not hold its graph."""
    tensor = Tensor(1.0)
    alive = weakref.ref(tensor)
    run.log({"k": tensor})
    run.config.update({"k": tensor})
    del tensor
    gc.collect()
    assert alive() is None


def test_32_threads_lose_and_mix_nothing(start, logged):
    """F9: two runs at once, each thread its own series."""
    one = start("v1_baseline")
    two = epochal.run.opening.join(
        str(one.workspace.root), one.id, one.name, one.project, one.attempt
    )
    barrier = threading.Barrier(32)

    def work(thread):
        barrier.wait()
        run = two if thread % 2 else one
        for step in range(40):
            run.log({f"thread/{thread}": float(step)}, step=step)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    two.finish()
    by_thread = {}
    for step, values in logged(one):
        for key, value in values.items():
            assert value == step
            by_thread.setdefault(key, []).append(step)
    assert by_thread == {f"thread/{n}": list(range(40)) for n in range(32)}


def test_threads_without_steps_get_each_step_once(run, logged):
    """F9: "last + 1" is counted once."""
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        for _ in range(100):
            run.log({"k": 1.0})

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(step for step, _ in logged(run)) == list(range(800))


def test_tasks_of_an_event_loop_lose_nothing(run, logged):
    """F9: asyncio."""

    async def work(task):
        for step in range(50):
            run.log({f"task/{task}": float(step)}, step=step)
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(*(work(n) for n in range(20)))

    asyncio.run(main())
    assert len(logged(run)) == 1000


def test_after_the_end_nothing_is_recorded_and_nothing_raised(run, capsys, logged):
    run.log({"k": 1.0})
    run.finish()
    run.finish("failed")
    run.log({"k": 2.0})
    run.log({"k": 3.0})
    run.config["lr"] = 1
    assert logged(run) == [(0, {"k": 1.0})]
    assert capsys.readouterr().err.count("after finish()") == 1


def test_the_module_functions_act_on_the_current_run(start, capsys, records, logged):
    epochal.log({"k": 0.0})
    assert "call epochal.init() first" in capsys.readouterr().err
    run = start()
    assert epochal.current() is run
    epochal.log({"k": 1.0}, step=4)
    epochal.finish("failed", "on purpose")
    assert epochal.current() is None
    assert logged(run) == [(4, {"k": 1.0})]
    assert records(run)[-1].status == "failed"


def test_system_metrics_go_by_time(run, folder, records, document):
    run.system({"cpu/percent": 12.5})
    assert [body.values for body in records(run, System)] == [{"cpu/percent": 12.5}]
    run.finish()
    assert document(run).system["cpu/percent"].n == 1
