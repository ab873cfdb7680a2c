"""The list of runs, as ``epochal runs --json`` gives it and its page draws it."""

from __future__ import annotations

from typing import Any

import msgspec

from epochal.analysis.metrics import Metric, Registry
from epochal.lessons.writing import is_empty
from epochal.records import Status
from epochal.registry import aliases_of
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["RunLine", "RunList", "run_line"]


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the list."""

    id: str
    name: str
    project: str
    status: Status
    created: int
    """Microseconds since the Unix epoch, UTC."""
    duration: float
    """Seconds."""
    metric: str = ""
    """The key under which it logged the list's metric; empty: it never did."""
    best: float | None = None
    last: float | None = None
    dataset: str = ""
    pin: str = ""
    """``verified``, ``drifted``, ``untagged`` or ``unchecked``; empty: no data is known."""
    lesson: bool = False
    """Whether somebody has written down what it taught."""
    dropped: int = 0
    """Records that were lost."""
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    """``baseline``, ``production`` ..., where they point at it."""
    columns: dict[str, Any] = {}
    """Values of the columns that were asked for."""


class RunList(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that fit, or the newest of them."""

    project: str | None
    """None: runs of all projects."""
    metric: str
    direction: str
    total: int
    """How many fit, shown or not."""
    runs: tuple[RunLine, ...]


def run_line(
    store: Store,
    document: RunDocument,
    metric: Metric,
    registry: Registry,
    columns: dict[str, Any],
) -> RunLine:
    """Return the line of one run, with its numbers on `metric`."""
    key = registry.find_key(metric.name, document.metrics) or ""
    best = last = None
    if key:
        curve = document.metrics[key]
        last = float(curve.last[1])
        extreme = {"max": curve.max, "min": curve.min}.get(metric.direction or "")
        best = float(extreme[1]) if extreme else None
    pin = document.pin
    return RunLine(
        id=document.id,
        name=document.name,
        project=document.project,
        status=store.status(document),
        created=document.created,
        duration=document.duration,
        metric=key,
        best=best,
        last=last,
        dataset=(pin.dataset if pin else document.dataset) or "",
        pin=pin.state if pin else "",
        lesson=not is_empty(document.lesson),
        dropped=document.dropped,
        tags=document.tags,
        aliases=aliases_of(store, document),
        columns=columns,
    )
