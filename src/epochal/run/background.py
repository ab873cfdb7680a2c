"""One thread beside the training: syncs, beats, samples, listens.

It holds no lock while it waits for the disk, so `log()` never waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Background", "Periodic"]

_TICK = 0.5
"""Seconds between looks at what is due."""


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
    first
        Tasks for the beginning, once, in order.
    periodic
        Tasks to repeat.
    on_error
        Gets what a task raised; the others go on.
    """

    def __init__(
        self,
        first: list[Callable[[], None]],
        periodic: list[Periodic],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._first = first
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

    def stop(self, timeout: float = 5.0) -> None:
        """Ask the thread to end and wait for it at most `timeout` seconds."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _loop(self) -> None:
        for task in self._first:
            if self._stop.is_set():
                return
            self._try(task)
        while not self._stop.wait(_TICK):
            for periodic in self._periodic:
                now = time.monotonic()
                if now >= periodic.due:
                    periodic.due = now + periodic.interval
                    self._try(periodic.run)

    def _try(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception as error:
            self._on_error(error)
