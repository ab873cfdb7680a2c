"""What MLflow's clients manage and Epochal has no place of its own for.

It is kept as `Foreign` records of the workspace, whole: each change repeats the entity.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from epochal.interop.mlflow.entities import SYSTEM
from epochal.records import Foreign
from epochal.store.store import Store

__all__ = ["KeptEntities", "now", "pairs"]


def now() -> int:
    """Return the time in MLflow's unit, milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags or params as a client gets them."""
    return [{"key": key, "value": value} for key, value in values.items()]


class KeptEntities:
    """Entities by type and key, as the workspace's journals have them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._said = store.foreign(SYSTEM)

    def of(self, type: str) -> dict[str, Any]:
        """Return all entities of a type, by key."""
        return self._said.get(type, {})

    def put(self, type: str, key: str, value: Any) -> None:
        """Record an entity as it is from now on; None: it is gone."""
        self.store.record_all([(Foreign(system=SYSTEM, type=type, key=key, value=value), None)])
        self._said = self.store.foreign(SYSTEM)
