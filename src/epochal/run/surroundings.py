"""What is recorded around a training without its doing anything, and when."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from epochal.capture.console import ConsoleCapture
from epochal.errors import EpochalError
from epochal.journal.reader import read_journal
from epochal.records import Artifact, Console, Heartbeat, StopRequested
from epochal.run.background import Background, Periodic
from epochal.run.run import Run
from epochal.run.telling import say

__all__ = ["start_background"]

_SYNC = 1.0
_HEARTBEAT = 10.0
_STOP = 2.0
_CONSOLE = 1.0


def start_background(run: Run, *, capture: bool) -> Background:
    """Return the run's thread, not yet started, with everything it does."""
    first: list[Callable[[], None]] = []
    periodic = [
        Periodic(_SYNC, run.sync, delay=_SYNC),
        Periodic(_HEARTBEAT, lambda: _beat(run), delay=_HEARTBEAT),
        Periodic(_STOP, _StopListener(run).look),
    ]
    if capture:
        console = ConsoleCapture(
            lambda stream, text: _console(run, stream, text),
        )
        console.install()
        run.on_finish.append(console.uninstall)
        periodic.append(Periodic(_CONSOLE, console.flush))
        first.append(lambda: _record_environment(run))
        periodic.append(Periodic(_system_interval(), _system_task(run)))
    return Background(first, periodic, lambda error: run._trouble("background", error))


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
    from epochal.store.blobs import Blobs

    if run.workspace is None or not text:
        return
    try:
        data = text.encode("utf-8", "backslashreplace")
        digest = Blobs(run.workspace.blobs).put(data)
    except (OSError, EpochalError) as error:
        run._trouble(key, error)
        return
    run.record(Artifact(key=key, digest=digest, size=len(data), role=role))


class _StopListener:
    """Looks for a stop request that somebody else's journal in the run's folder got since."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._begun = time.time_ns() // 1000
        self._sizes = {path: path.stat().st_size for path in self._journals()}

    def _journals(self) -> list[Path]:
        folder = self._run.folder
        return sorted((folder / "journal").glob("*.jsonl")) if folder is not None else []

    def look(self) -> None:
        if self._run.stop_requested:
            return
        for path in self._journals():
            if path.stem in self._run._written:
                continue
            size = path.stat().st_size
            if size == self._sizes.get(path):
                continue
            self._sizes[path] = size
            if any(
                line.t > self._begun
                and line.entry is not None
                and isinstance(line.entry.body, StopRequested)
                for line in read_journal(path).lines
            ):
                self._run.stop_requested = True
                say(f"a stop of {self._run.name} was requested; it ends at the next epoch")
