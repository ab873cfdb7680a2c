"""Appending under every fault: nothing acknowledged is lost, nothing is said twice."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from epochal.journal import writer as writer_module
from epochal.journal.reader import read_journal
from epochal.journal.writer import TooLong, Writer, new_writer_id
from epochal.records import FORMAT, Config, Heartbeat, Metrics


def point(step: int) -> Metrics:
    return Metrics(values={"k": float(step)}, step=step)


def steps(*paths: Path) -> list[int]:
    """The steps in the journals of one writer, each position once."""
    found = {line.seq: line for path in paths for line in read_journal(path).lines}
    bodies = [found[seq].entry.body for seq in sorted(found)]
    return [body.step for body in bodies if isinstance(body, Metrics)]


class Disk:
    """Stands for `os.write` and the sync call of one writer, and fails on demand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.write, self.sync = os.write, writer_module._sync_file
        self.room: int | None = None
        self.piece: int | None = None
        self.fail_sync = 0
        self.interrupt = False
        monkeypatch.setattr(writer_module.os, "write", self._write)
        monkeypatch.setattr(writer_module, "_sync_file", self._sync)

    def _write(self, fd: int, data: bytes) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        take = min(len(data), self.piece or len(data), self.room or len(data))
        written = self.write(fd, data[:take])
        if self.room is not None:
            self.room -= written
        if self.interrupt:
            self.interrupt = False
            raise KeyboardInterrupt
        return written

    def _sync(self, fd: int) -> None:
        if self.fail_sync:
            self.fail_sync -= 1
            raise OSError(errno.EIO, "Input/output error")
        self.sync(fd)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def test_the_header_says_who_writes(tmp_path):
    writer = Writer(tmp_path, run="ab" * 16, attempt=2, rank=3, author="Ann <ann@example.org>")
    writer.close()
    header = read_journal(writer.path).header
    assert header is not None
    assert (header.format, header.writer, header.run) == (FORMAT, writer.id, "ab" * 16)
    assert (header.attempt, header.rank, header.pid) == (2, 3, os.getpid())
    assert header.author == "Ann <ann@example.org>"


def test_writer_ids_sort_by_time_and_do_not_repeat():
    ids = [new_writer_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert [one[:14] for one in ids] == sorted(one[:14] for one in ids)


def test_what_is_too_long_for_a_line_is_refused_and_nothing_written(tmp_path):
    writer = Writer(tmp_path)
    before = writer.path.stat().st_size
    with pytest.raises(TooLong, match="Config record"):
        writer.append(Config(values={"text": "x" * 70_000}))
    assert writer.path.stat().st_size == before
    assert writer.append(Heartbeat()) == 1
    writer.close()


def test_a_short_write_is_completed(tmp_path, disk):
    """F19: a kernel that takes three bytes at a time."""
    writer = Writer(tmp_path)
    disk.piece = 3
    for step in range(5):
        writer.append(point(step))
    writer.close()
    report = read_journal(writer.path)
    assert steps(writer.path) == list(range(5))
    assert (report.damaged, report.torn, report.missing) == (0, 0, 0)


@pytest.mark.parametrize("room", [0, 1, 20, 90])
def test_a_full_disk_costs_one_line_and_no_position(tmp_path, disk, room):
    """F15: the line that did not fit is torn; the next one starts afresh."""
    writer = Writer(tmp_path)
    writer.append(point(0))
    disk.room = room
    with pytest.raises(OSError, match="No space left"):
        writer.append(point(1))
    disk.room = None
    writer.append(point(2))
    writer.close()
    report = read_journal(writer.path)
    assert steps(writer.path) == [0, 2]
    assert report.missing == 0
    assert report.damaged == (1 if room else 0)


def test_a_full_disk_at_the_opening_leaves_no_file(tmp_path, disk):
    """F15, F16: trying again does not fill the folder with empty journals."""
    disk.room = 10
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            Writer(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_behind_the_write_does_not_repeat_a_position(tmp_path, disk):
    """F4: Ctrl-C while `log` is in the kernel: the line stands, the next has the next place."""
    writer = Writer(tmp_path)
    disk.interrupt = True
    with pytest.raises(KeyboardInterrupt):
        writer.append(point(0))
    writer.append(point(1))
    writer.close()
    report = read_journal(writer.path)
    assert steps(writer.path) == [0, 1]
    assert (report.missing, report.disordered) == (0, 0)


def test_a_disk_that_fails_to_sync_is_not_believed_again(tmp_path, disk):
    """F18: what was not known to be durable is written to a second file, once per position."""
    writer = Writer(tmp_path)
    writer.append(point(0))
    writer.sync()
    first = writer.path
    durable = first.read_bytes()
    writer.append(point(1))
    writer.append(point(2))
    disk.fail_sync = 1
    writer.sync()
    assert writer.files == 2
    writer.append(point(3))
    writer.close()
    assert steps(first, writer.path) == [0, 1, 2, 3]
    # The kernel may have thrown away what the failed sync should have written.
    first.write_bytes(durable)
    assert steps(first, writer.path) == [0, 1, 2, 3]
    assert read_journal(writer.path).writer == writer.id


def test_a_dying_disk_is_told_and_tried_again(tmp_path, disk):
    """F18: three syncs fail; the fourth succeeds in a file that never failed."""
    writer = Writer(tmp_path)
    first = writer.path
    writer.append(point(0))
    disk.fail_sync = 3
    with pytest.raises(OSError, match="Input/output"):
        writer.sync()
    writer.append(point(1))
    with pytest.raises(OSError, match="Input/output"):
        writer.sync()
    writer.append(point(2))
    writer.sync()
    last = writer.path
    writer.close()
    assert last != first
    assert steps(last) == [0, 1, 2]


def test_nothing_is_synced_twice(tmp_path, disk):
    writer = Writer(tmp_path)
    writer.sync()
    disk.fail_sync = 1  # would fail if it were called
    writer.sync()
    assert writer.files == 1
    disk.fail_sync = 0
    writer.close()
    writer.close()


def test_threads_get_positions_without_gap_or_repeat(tmp_path):
    """F9: 32 threads, 50 records each."""
    writer = Writer(tmp_path)
    barrier = threading.Barrier(32)

    def work(thread: int) -> None:
        barrier.wait()
        for i in range(50):
            writer.append(point(thread * 50 + i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    report = read_journal(writer.path)
    assert sorted(steps(writer.path)) == list(range(1600))
    assert [line.seq for line in report.lines] == list(range(1601))


def test_times_do_not_go_back_with_the_wall_clock(tmp_path, monkeypatch):
    """F47: the wall clock jumps an hour back; the order and the durations stay."""
    writer = Writer(tmp_path)
    writer.append(point(0))
    wall = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: wall() - 3_600_000_000_000)
    writer.append(point(1))
    writer.close()
    times = [line.t for line in read_journal(writer.path).lines]
    assert times == sorted(times)
    assert times[-1] - times[0] < 60_000_000


def test_an_importer_goes_on_behind_its_last_record(tmp_path):
    """F57: a second import of a source adds only what is new, also behind a torn line."""
    writer = Writer(tmp_path, writer="ab" * 16)
    writer.append(point(0))
    writer.close()
    with writer.path.open("ab") as file:
        file.write(b'{"crc":"00')
    again = Writer(tmp_path, writer="ab" * 16)
    assert again.seq == 2
    again.append(point(1))
    again.close()
    report = read_journal(again.path)
    assert steps(again.path) == [0, 1]
    assert (report.missing, report.damaged) == (0, 1)


def test_an_importer_goes_on_in_the_last_of_its_files(tmp_path, disk):
    writer = Writer(tmp_path, writer="ab" * 16)
    first = writer.path
    writer.append(point(0))
    disk.fail_sync = 1
    writer.close()
    again = Writer(tmp_path, writer="ab" * 16)
    assert again.seq == 2
    again.append(point(1))
    again.close()
    assert again.path != first
    assert steps(first, again.path) == [0, 1]


_LOGS_UNTIL_KILLED = """
import sys
from pathlib import Path
from epochal.journal.writer import Writer
from epochal.records import Metrics
writer = Writer(Path(sys.argv[1]))
step = 0
while True:
    writer.append(Metrics(values={"k": float(step)}, step=step))
    sys.stdout.write(f"{step}\\n"); sys.stdout.flush()
    step += 1
"""


def test_what_append_returned_from_survives_kill_9(tmp_path):
    """F1 in its smallest form; tests/durability does it a hundred times."""
    process = subprocess.Popen(
        [sys.executable, "-c", _LOGS_UNTIL_KILLED, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 200:
            break
    process.send_signal(signal.SIGKILL)
    acknowledged = [int(line), *(int(line) for line in process.stdout)][-1]
    process.wait()
    process.stdout.close()
    (path,) = tmp_path.glob("*.jsonl")
    assert set(range(acknowledged + 1)) <= set(steps(path))
