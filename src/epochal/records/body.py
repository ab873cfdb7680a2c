"""What every record is made of: the base of all bodies, and numbers as they travel."""

from __future__ import annotations

import math
from typing import TypeAlias

import msgspec

__all__ = ["Body", "Number", "from_wire", "to_wire"]

Number: TypeAlias = float | str
"""A metric value on the wire: a finite double, or one of the three names of `to_wire`."""


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What one record says. The subclass is the kind; ``kind`` names it on the wire."""


def to_wire(value: float) -> Number:
    """Return `value` as it travels: itself when finite, else its name."""
    if value - value == 0.0:
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def from_wire(value: Number) -> float:
    """Return the double that `to_wire` sent."""
    return float(value)
