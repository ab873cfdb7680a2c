"""What a decision leads to: the run a project compares against, and the ones it promoted.

`aliases` holds the names that point at runs (``baseline``, ``production``) and their history,
`promote` moves one where a decision lets the run ship, `webhook` tells a deployment system, and
`handoff` writes the folder that the run ships as.
"""

from epochal.registry.aliases import (
    BASELINE,
    AliasChange,
    aliases,
    aliases_of,
    get_alias,
    get_baseline,
    history,
    set_alias,
    set_baseline,
)

__all__ = [
    "BASELINE",
    "AliasChange",
    "aliases",
    "aliases_of",
    "get_alias",
    "get_baseline",
    "history",
    "set_alias",
    "set_baseline",
]
