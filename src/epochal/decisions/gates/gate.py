"""What a gate says: its answer, one sentence, the evidence, and what would change it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

__all__ = ["KIND_OF", "Gate", "Kind", "Outcome"]

Outcome: TypeAlias = Literal["pass", "fail", "unknown", "not applicable"]
Kind: TypeAlias = Literal["", "no win", "inconclusive", "invalid"]

KIND_OF: dict[Outcome, Kind] = {
    "pass": "",
    "not applicable": "",
    "fail": "no win",
    "unknown": "inconclusive",
}
"""What an outcome makes of the verdict, unless the two must not be compared at all."""


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One rule's outcome."""

    number: int
    name: str
    outcome: Outcome
    sentence: str
    """One sentence for a person, without a full stop."""
    kind: Kind = ""
    """What it makes of the verdict where it does not pass: the candidate does not win, nobody
    can tell yet, or the two must not be compared."""
    evidence: dict[str, Any] = {}
    """Numbers, digests and names behind the sentence."""
    details: tuple[str, ...] = ()
    """Further lines: listed classes, caveats, where the numbers are from."""
    next: tuple[str, ...] = ()
    """Commands or experiments that would change the outcome, the cheapest first."""
