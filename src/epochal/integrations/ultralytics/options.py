"""What a person asked of the recording of a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a model is to be recorded."""

    init: dict[str, Any] = field(default_factory=dict)
    every_n_batches: int = 0
    purpose: Literal["gate", "explore", "monitor"] = "explore"
    """What looks at test images are for; see `epochal.decisions.ledger`."""
    revealed: Literal["nothing", "number"] = "number"
    """What a look shows a person: Ultralytics prints its numbers unless it is kept from it."""
