"""What a decision leads to: the run a project compares against, and the ones it promoted.

`aliases` holds the names that point at runs (``baseline``, ``production``) and their history.
"""

from epochal.registry.aliases import (
    BASELINE,
    AliasChange,
    aliases,
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
    "get_alias",
    "get_baseline",
    "history",
    "set_alias",
    "set_baseline",
]
