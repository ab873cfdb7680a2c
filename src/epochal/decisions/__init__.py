"""Decisions: may this candidate replace the baseline, and what makes us sure?

`charter` holds the rules, `ledger` the looks at test images, `gates` the four questions,
`deciding` asks them, `decision` is the frozen answer, `explain` says it to people.

Names load on first use: a training process needs the charter and the ledger, not NumPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from epochal.decisions.charter import Charter
    from epochal.decisions.charter_in_force import charter_for_decision, sync_charter
    from epochal.decisions.deciding import decide
    from epochal.decisions.decision import Decision, Made, decisions, load_decision
    from epochal.decisions.gates.gate import Gate
    from epochal.decisions.ledger import Ledger, complete_look, ledger, open_look

__all__ = [
    "Charter",
    "Decision",
    "Gate",
    "Ledger",
    "Made",
    "charter_for_decision",
    "complete_look",
    "decide",
    "decisions",
    "ledger",
    "load_decision",
    "open_look",
    "sync_charter",
]

_HOMES = {
    "Charter": "charter",
    "charter_for_decision": "charter",
    "sync_charter": "charter",
    "Decision": "decision",
    "Made": "decision",
    "decisions": "decision",
    "load_decision": "decision",
    "decide": "deciding",
    "Gate": "gates.gate",
    "Ledger": "ledger",
    "complete_look": "ledger",
    "ledger": "ledger",
    "open_look": "ledger",
}


def __getattr__(name: str) -> Any:
    if home := _HOMES.get(name):
        return getattr(import_module(f"epochal.decisions.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
