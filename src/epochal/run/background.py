"""Threads beside the training: they sync, beat, sample and listen.

None holds a lock while it waits for the disk, so `log()` never waits for one. Syncing has a
thread of its own: whatever else takes long, no more than a second is ever at risk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Background", "Periodic", "stop_all"]

_SHORTEST = 0.05
"""Seconds between two looks at what is due, at least."""


class Periodic:
    """A task that is due every `interval` seconds, the first time after `delay`."""

    def __init__(self, interval: float, run: Callable[[], None], delay: float = 0.0) -> None:
        self.interval = interval
        self.run = run
        self.due = time.monotonic() + delay


class Background:
    """A daemon thread that runs tasks when they are due, until it is stopped.

    Parameters
    ----------
    periodic
        Tasks to repeat.
    on_error
        Gets what a task raised; the others go on.
    first
        Tasks for the beginning, once, in order; a stop waits for them.
    """

    def __init__(
        self,
        periodic: list[Periodic],
        on_error: Callable[[BaseException], None],
        first: list[Callable[[], None]] | None = None,
    ) -> None:
        self._first = first or []
        self._periodic = periodic
        self._on_error = on_error
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="epochal", daemon=True)

    def start(self) -> None:
        """Start the thread; at interpreter shutdown, when none can start, do without."""
        try:
            self._thread.start()
        except RuntimeError as error:
            self._on_error(error)

    def stop(self) -> None:
        """Ask the thread to end."""
        self._stop.set()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end, at most `timeout` seconds."""
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _loop(self) -> None:
        for task in self._first:
            self._try(task)
        while not self._stop.wait(self._pause()):
            for periodic in self._periodic:
                now = time.monotonic()
                if now >= periodic.due:
                    periodic.due = now + periodic.interval
                    self._try(periodic.run)

    def _pause(self) -> float:
        due = min(periodic.due for periodic in self._periodic)
        return max(due - time.monotonic(), _SHORTEST)

    def _try(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception as error:
            self._on_error(error)


def stop_all(background: list[Background], patience: float) -> None:
    """Ask all of them to end, and wait for that, at most `patience` seconds in all."""
    deadline = time.monotonic() + patience
    for one in background:
        one.stop()
    for one in background:
        one.join(max(deadline - time.monotonic(), 0.0))
