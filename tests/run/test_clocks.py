"""Clocks jump; the order of what was recorded does not (F47)."""

from __future__ import annotations

import time

import pytest

from epochal.journal.process import host
from epochal.records import Header
from epochal.store.liveness import STALE_AFTER, status_of
from epochal.store.store import Store

DAY = 86_400_000_000_000


@pytest.fixture
def jump(monkeypatch):
    """Move the wall clock by some nanoseconds, or to a moment; time that passes is untouched."""
    wall = time.time_ns

    def move(by=0, to=None):
        base = wall()
        shift = by if to is None else to - base
        monkeypatch.setattr(time, "time_ns", lambda: wall() + shift)

    return move


@pytest.mark.parametrize(
    ("by", "to"),
    [(-3_600_000_000_000, None), (DAY, None), (0, 0), (0, 2_147_483_648_000_000_000)],
    ids=["hour-back", "day-on", "1970", "2038"],
)
def test_a_clock_that_jumps_between_attempts_changes_no_order(
    start, jump, folder, document, by, to
):
    run = start()
    for step in range(6):
        run.log({"k": float(step)}, step=step)
    run.finish("killed")
    jump(by, to)
    again = start(resume=run.id)
    for step in range(3, 6):
        again.log({"k": 100.0 + step}, step=step)
    again.finish()
    found = document(run)
    assert [a.number for a in found.attempts] == [1, 2]
    assert [a.status for a in found.attempts] == ["killed", "finished"]
    assert all(a.ended >= a.opened for a in found.attempts)
    with Store(folder) as store:
        line = store.points.read(run.id, "k")
    assert line.value.tolist() == [0, 1, 2, 103, 104, 105]


def test_a_clock_that_jumps_during_a_training_makes_no_time_negative(start, jump, folder):
    run = start()
    for step in range(4):
        run.log({"k": 1.0}, step=step)
        jump((-1) ** step * DAY)
    run.finish()
    with Store(folder) as store:
        times = store.points.read(run.id, "k").time.tolist()
    assert times == sorted(times)
    assert times[-1] - times[0] < 60_000_000


def test_a_machine_that_died_leaves_a_stale_run(start, document):
    """F7: no exit record; elsewhere, only silence tells."""
    run = start()
    run.log({"k": 1.0})
    run.sync()
    found = document(run)
    elsewhere = Header(format=1, epochal="", writer="w", host="gpu-box", pid=1, boot="b")
    now = found.last_t / 1e6
    assert status_of(found, elsewhere, now + STALE_AFTER - 1) == "running"
    assert status_of(found, elsewhere, now + STALE_AFTER + 1) == "stale"
    rebooted = Header(format=1, epochal="", writer="w", host=host(), pid=1, boot="before")
    assert status_of(found, rebooted, now + STALE_AFTER + 1) == "stale"
