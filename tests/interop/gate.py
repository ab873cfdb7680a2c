"""The way to a workspace that a protocol is given, without a server around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from epochal.store.store import Store


class DirectGate:
    """One store, used from the thread that asks."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def read(self, answer: Callable[[Store], Any]) -> Any:
        return answer(self.store)

    write = read
