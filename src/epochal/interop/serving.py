"""What a foreign protocol needs of the server that mounts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from epochal.store.store import Store

__all__ = ["Gate"]

R = TypeVar("R")


class Gate(Protocol):
    """The way to the workspace: threads that read it, and the one that writes.

    A request is answered with success only after its records are durable and taken in, which
    `Store.record`, `record_all` and `open_run` see to.
    """

    async def read(self, answer: Callable[[Store], R]) -> R:
        """Call ``answer(store)`` in a thread that reads."""

    async def write(self, answer: Callable[[Store], R]) -> R:
        """Call ``answer(store)`` in the thread that writes, one call after another."""
