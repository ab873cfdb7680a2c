"""A disk that is full, broken or read-only: the training goes on, nothing is lost silently."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap

import pytest

from epochal.journal import writer as writer_module
from epochal.records import Dropped, Metrics, Notice
from epochal.run.background import Background, Periodic


@pytest.fixture
def full(monkeypatch):
    """A switch: while it is on, no write of a journal succeeds."""
    write, state = os.write, {"on": False}

    def refuse(fd, data):
        if state["on"]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(writer_module.os, "write", refuse)
    return state


def test_a_full_disk_pauses_counts_and_resumes(run, full, records, logged, document, capsys):
    """F15: and says so in the run."""
    run.log({"k": 0.0})
    full["on"] = True
    for _ in range(7):
        run.log({"k": 1.0})
    run.alert("lost as well")
    full["on"] = False
    run.log({"k": 2.0})
    run.finish()
    assert [step for step, _ in logged(run)] == [0, 8]
    (dropped,) = records(run, Dropped)
    assert (dropped.count, dropped.reason) == (8, "No space left on device")
    assert document(run).dropped == 8
    said = capsys.readouterr().err
    assert said.count("recording is paused: No space left") == 1
    assert said.count("recording goes on; 8 records") == 1


def test_a_disk_that_stays_full_is_told_at_the_end(run, full, capsys):
    """F15: at finish, with the number of records that are lost."""
    full["on"] = True
    for _ in range(3):
        run.log({"k": 1.0})
    run.finish()
    assert "4 records could not be written" in capsys.readouterr().err


def test_a_full_disk_at_the_opening_makes_a_silent_run(start, full, capsys):
    """F15: the training lives."""
    full["on"] = True
    run = start()
    run.log({"k": 1.0})
    run.artifact(__file__)
    run.finish()
    assert run.silent
    assert "NOT recorded" in capsys.readouterr().err


def test_every_lost_record_is_counted_by_many_threads(run, full, records):
    """G19: the drop counter is exact."""
    import threading

    full["on"] = True
    threads = [
        threading.Thread(target=lambda: [run.log({"k": 1.0}) for _ in range(100)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    full["on"] = False
    run.log({"k": 1.0})
    (dropped,) = records(run, Dropped)
    assert dropped.count == 800


def test_a_failed_sync_is_told_and_costs_nothing(run, monkeypatch, records, document):
    """F18: the run says so, and each record is there once."""
    sync, failures = writer_module._sync_file, [OSError(errno.EIO, "Input/output error")]

    def fail_once(fd):
        if failures:
            raise failures.pop()
        sync(fd)

    run.log({"k": 0.0})
    monkeypatch.setattr(writer_module, "_sync_file", fail_once)
    run.sync()
    run.log({"k": 1.0})
    run.finish()
    assert len(list((run.folder / "journal").iterdir())) == 2
    assert document(run).metrics["k"].n == 2
    assert "sync-failed" in {n.body.code for n in document(run).notices}


def test_a_disk_that_never_syncs_is_told_once_and_logging_goes_on(
    run, monkeypatch, logged, capsys
):
    def fail(fd):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(writer_module, "_sync_file", fail)
        for _ in range(3):
            run.log({"k": 1.0})
            run.sync()
    assert capsys.readouterr().err.count("does not sync") == 1


def test_a_journal_that_is_deleted_under_the_run_is_told(run, capsys):
    """F23: whatever cleaned it away, the loss is not silent."""
    import shutil

    run.log({"k": 1.0})
    shutil.rmtree(run.folder)
    for _ in range(2):
        run.log({"k": 1.0})
        run.sync()
    assert capsys.readouterr().err.count("was deleted; what this run records is lost") == 1


SMALL = textwrap.dedent(
    """
    import epochal, os, sys
    from pathlib import Path
    run = epochal.init("p", "v1_baseline", workspace=sys.argv[1], capture=False)
    filler = Path(sys.argv[1]) / "filler"
    step = 0
    def log():
        global step
        run.log({"k": float(step)}, step=step)
        step += 1
    for _ in range(20):
        log()
    try:
        filler.write_bytes(b"x" * (8 << 20))
    except OSError:
        pass
    for _ in range(3000):
        log()
    filler.unlink()
    for _ in range(20):
        log()
    run.finish()
    print(step)
    """
)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.parametrize(
    "limits",
    ["size=1m", "size=1m,nr_inodes=64"],
    ids=["space", "inodes"],
)
def test_a_really_full_disk(tmp_path, limits, script):
    """F15, F16: a disk of 1 MB, filled during the training and freed again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    inside = (
        f"mount -t tmpfs -o {limits} tmpfs {disk} || exit 77; "
        f"{sys.executable} -c '{SMALL}' {disk} || exit 1; cp -r {disk}/.epochal {tmp_path}/kept"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", inside], capture_output=True, text=True, check=False
    )
    if done.returncode == 77:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    from epochal.journal.folder import Folder
    from epochal.store.store import Store

    with Store(Folder(tmp_path / "kept")) as store:
        (run,) = store.runs()
        steps = store.points.read(run.id, "k").step.tolist()
    assert int(done.stdout) == 3040
    assert run.dropped > 0
    assert len(steps) + run.dropped == 3040
    assert steps[:20] == list(range(20))
    assert steps[-20:] == list(range(3020, 3040))
    assert run.attempts[-1].status == "finished"
    assert "recording is paused: No space left" in done.stderr


def test_a_limit_on_the_file_size_is_as_a_full_disk(script):
    """F17: `ulimit -f`, EFBIG."""
    one = script(
        """
        import epochal, resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        run = epochal.init("p", "v1_baseline", capture=False)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        for step in range(500):
            run.log({"k": 1.0}, step=step)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        run.log({"k": 1.0}, step=500)
        """
    )
    code, error = one.end()
    assert code == 0, error
    run, status = one.only_run()
    assert status == "finished"
    assert run.metrics["k"].n + run.dropped == 501
    assert run.dropped > 0


def test_without_file_descriptors_the_training_goes_on(script):
    """F22: logging needs none that it does not have; artifacts are told."""
    one = script(
        """
        import epochal, os
        run = epochal.init("p", "v1_baseline", capture=False)
        run.artifact(__import__("blake3").__file__, "first")
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        run.log({"k": 1.0})
        assert run.artifact("/etc/hostname", "second") is None
        for fd in held:
            os.close(fd)
        run.log({"k": 2.0})
        """
    )
    code, error = one.end()
    assert code == 0, error
    run, status = one.only_run()
    assert (status, run.metrics["k"].n) == ("finished", 2)
    assert "Too many open files" in error


def test_a_read_only_place_makes_a_silent_run(script, folder):
    """F17: EROFS and EACCES end in one clear line."""
    one = script(
        """
        import epochal
        run = epochal.init("p", "v1_baseline", workspace="/proc/nowhere")
        run.log({"k": 1.0})
        run.image("i", None); run.config["a"] = 1; run.finish()
        assert run.silent
        """
    )
    code, error = one.end()
    assert code == 0, error
    assert "NOT recorded" in error


def test_logging_does_not_wait_for_a_slow_disk(run, monkeypatch, logged):
    """F20: the sync takes two seconds; log() does not."""
    import threading
    import time

    syncing, release = threading.Event(), threading.Event()

    def slow(fd):
        syncing.set()
        release.wait(10)

    monkeypatch.setattr(writer_module, "_sync_file", slow)
    run.log({"k": 0.0})
    thread = threading.Thread(target=run.sync)
    thread.start()
    assert syncing.wait(10)
    begun = time.perf_counter()
    for _ in range(200):
        run.log({"k": 1.0})
    took = time.perf_counter() - begun
    release.set()
    thread.join()
    assert took < 1.0
    assert len(logged(run)) == 201


def test_a_task_that_takes_long_does_not_delay_the_sync():
    """At most one second at risk, whatever else goes on beside the training."""
    import threading

    stuck, synced = threading.Event(), threading.Event()
    slow = Background([Periodic(60, lambda: None)], print, [lambda: stuck.wait(10)])
    sync = Background([Periodic(0.05, synced.set)], print)
    slow.start()
    sync.start()
    assert synced.wait(5)
    stuck.set()
    for one in (slow, sync):
        one.stop()
        one.join(5)


def test_a_task_that_raises_does_not_end_the_others():
    import threading

    errors, again = [], threading.Event()

    def fail():
        raise RuntimeError("broken")

    background = Background(
        [Periodic(0.01, fail), Periodic(0.01, lambda: errors and again.set())],
        errors.append,
        [fail],
    )
    background.start()
    assert again.wait(5)
    background.stop()
    background.join(5)
    assert all(isinstance(error, RuntimeError) for error in errors)


def test_metrics_are_metrics(run, records):
    """The recorder takes records from others as well, checked."""
    assert run.record(Metrics(values={"k": 1.0}, step=3))
    assert not run.record(Metrics(values={"k": 1.0}, step="three"))
    assert [body.step for body in records(run, Metrics)] == [3]
    assert len(records(run, Notice)) == 1
