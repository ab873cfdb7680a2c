"""The events that pages listen to: what changed since when."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator

from epochal.server.schema.workspace import ChangeEvent

__all__ = ["Changes"]

_REMEMBERED = 512
"""Events that a stream may have missed and still be told one by one."""


class Changes:
    """The events so far, and everybody who waits for the next one.

    Events are told by the tailer's thread and heard in the server's event loop.
    """

    def __init__(self) -> None:
        self.current = 0
        """The change counter: what an answer given now is at least as new as."""
        self._events: deque[tuple[int, ChangeEvent]] = deque(maxlen=_REMEMBERED)
        """Each with the counter before it."""
        self._lock = threading.Lock()
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._closed = False

    def tell(self, event: ChangeEvent) -> None:
        """Add an event and wake everybody who waits."""
        with self._lock:
            self._events.append((self.current, event))
            self.current = event.change
            self._wake()

    def close(self) -> None:
        """End all streams."""
        with self._lock:
            self._closed = True
            self._wake()

    def _wake(self) -> None:
        for loop, woken in self._listeners:
            loop.call_soon_threadsafe(woken.set)

    def since(self, change: int) -> list[ChangeEvent]:
        """Return what happened after `change`; where that is too long ago, that all may have."""
        with self._lock:
            if change == self.current:
                return []
            if change > self.current or not self._events or change < self._events[0][0]:
                return [_everything(self.current)]
            return [event for _, event in self._events if event.change > change]

    async def listen(
        self, since: int | None, heartbeat: float
    ) -> AsyncIterator[ChangeEvent | None]:
        """Yield events from `since` on (None: from now on), and None after each silence.

        Parameters
        ----------
        heartbeat
            Seconds of silence after which None is yielded, so that a dead connection is noticed.
        """
        last = self.current if since is None else since
        woken = asyncio.Event()
        listener = (asyncio.get_running_loop(), woken)
        with self._lock:
            self._listeners.add(listener)
        try:
            while not self._closed:
                woken.clear()
                for event in self.since(last):
                    last = event.change
                    yield event
                try:
                    async with asyncio.timeout(heartbeat):
                        await woken.wait()
                except TimeoutError:
                    yield None
        finally:
            with self._lock:
                self._listeners.discard(listener)


def _everything(change: int) -> ChangeEvent:
    return ChangeEvent(change=change, runs=[], projects=[], all=True, governance=True)
