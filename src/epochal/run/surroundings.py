"""What is recorded around a training without its doing anything, and when."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from epochal.capture.console import ConsoleCapture
from epochal.journal.reader import LineReader, writer_of
from epochal.records import Artifact, Console, Heartbeat, StopRequested
from epochal.run.background import Background, Periodic
from epochal.run.run import Run
from epochal.run.telling import say

if TYPE_CHECKING:
    from epochal.store.blobs import Blobs

__all__ = ["start_background"]

_SYNC = 0.9
"""Seconds between two syncs: with the sync itself no more than a second is at risk."""
_HEARTBEAT = 10.0
_STOP = 2.0
_CONSOLE = 1.0


def start_background(run: Run, *, capture: bool) -> None:
    """Start everything that runs beside the training, and listen to what it prints."""
    listener = _StopListener(run)
    periodic = [
        Periodic(_HEARTBEAT, lambda: _beat(run), delay=_HEARTBEAT),
        Periodic(_STOP, listener.look, delay=_STOP),
    ]
    first: list[Callable[[], None]] = []
    if capture:
        console = ConsoleCapture(lambda stream, text: _console(run, stream, text))
        console.install()
        run.on_finish.append(console.uninstall)
        periodic.append(Periodic(_CONSOLE, console.flush))
        first.append(lambda: _record_environment(run))
        periodic.append(Periodic(_system_interval(), _system_task(run)))
    run.watch([_syncing(run), Background(periodic, _on_error(run), first)])


def background_of_helper(run: Run) -> list[Background]:
    """Return what runs beside a forked child, or another process that records into `run`."""
    if multiprocessing := sys.modules.get("multiprocessing.util"):
        # Its children end without `atexit`.
        multiprocessing.Finalize(None, run.sync, exitpriority=0)
    return [_syncing(run)]


def _syncing(run: Run) -> Background:
    return Background([Periodic(_SYNC, run.sync, delay=_SYNC)], _on_error(run))


def _on_error(run: Run) -> Callable[[BaseException], None]:
    return lambda error: run.recorder.trouble("background", error)


def _beat(run: Run) -> None:
    run.record(Heartbeat())


def _console(run: Run, stream: str, text: str) -> None:
    run.record(Console(stream="stderr" if stream == "stderr" else "stdout", text=text))


def _system_interval() -> float:
    try:
        return max(0.5, float(os.environ.get("EPOCHAL_SYSTEM_INTERVAL", "5")))
    except ValueError:
        return 5.0


def _system_task(run: Run) -> Callable[[], None]:
    sampler = None

    def sample() -> None:
        nonlocal sampler
        if sampler is None:
            from epochal.capture.system_metrics import Sampler

            sampler = Sampler()
        run.system(sampler.sample())

    return sample


def _record_environment(run: Run) -> None:
    """Record machine, packages and the user's repository; large parts become blobs."""
    from epochal.capture.environment import environment_state
    from epochal.capture.git import git_state

    machine = environment_state()
    run.environment(machine.values)
    _attach(run, "environment/packages.txt", machine.packages, "packages")
    repository = git_state()
    if repository.root:
        run.environment({"git": repository.values()})
        _attach(run, "environment/uncommitted.diff", repository.diff, "diff")


def _attach(run: Run, key: str, text: str, role: str) -> None:
    def store(blobs: Blobs) -> Artifact:
        from epochal.run.storing import store_text

        return store_text(blobs, key, text, role)

    if text:
        run.record_stored("artifact", key, store)


class _StopListener:
    """Looks for a stop request that somebody else's journal in the run's folder got since."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._read = {path: path.stat().st_size for path in self._journals()}
        """Bytes of each file that were read, or were there before this attempt."""

    def _journals(self) -> list[Path]:
        folder = self._run.folder
        return sorted((folder / "journal").glob("*.jsonl")) if folder is not None else []

    def look(self) -> None:
        if self._run.stop_requested:
            return
        for path in self._journals():
            if not self._run.recorder.wrote(path) and self._asks_to_stop(path):
                self._run.stop_requested = True
                say(f"a stop of {self._run.name} was requested; it ends at the next epoch")
                return

    def _asks_to_stop(self, path: Path) -> bool:
        start = self._read.get(path, 0)
        if path.stat().st_size <= start:
            return False
        with path.open("rb") as file:
            first = file.readline()
            file.seek(start)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._read[path] = start + end
        if b'"stop"' not in data:
            return False
        reader = LineReader(writer_of(path, first.rstrip(b"\n")))
        return any(
            line.entry is not None and isinstance(line.entry.body, StopRequested)
            for line in reader.lines(data[:end])
        )
