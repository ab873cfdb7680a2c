"""Which cells a run has in the run table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

from epochal.records import Evaluated, Latency, LessonWritten
from epochal.store.documents import RunDocument

__all__ = ["FIELDS", "SPACES", "CellName", "cells"]

CellName: TypeAlias = tuple[str, ...]
"""``("name",)``; a space and a key; for ``metrics`` also which number of the curve."""

FIELDS = {
    "id": "run id",
    "name": "name of the run",
    "project": "project of the run",
    "status": "running, finished, failed, killed or stale",
    "created": "when it was opened, microseconds since the Unix epoch; compares with dates",
    "age": "seconds since it was opened",
    "duration": "seconds that its attempts took",
    "attempts": "how often it was started",
    "group": "group it was opened in",
    "parent": "run it was derived from, as given",
    "dataset": "dataset version it is pinned to, else the data as given",
    "pin": "verified, drifted, untagged or unchecked",
    "tags": "its tags; ask with `has`",
    "lesson": "what its lesson says; null while nobody has written one",
    "hypothesis": "what was expected",
    "source": "where it was imported from",
    "dropped": "records that were lost",
}
"""The plain fields and what they hold."""

SPACES = ("config", "metrics", "summary", "evaluation", "latency", "environment")
"""Where keys are looked up."""

_DEPTH = 8  # mappings nested deeper are one value


def cells(document: RunDocument) -> Iterator[tuple[CellName, Any]]:
    """Yield the cells of one run."""
    yield ("id",), document.id
    yield ("name",), document.name
    yield ("project",), document.project
    yield ("created",), document.created
    yield ("attempts",), len(document.attempts)
    yield ("duration",), document.duration
    last = document.attempts[-1] if document.attempts else None
    if last is not None and last.status:
        yield ("status",), last.status
    pin = document.pin
    optional = {
        "group": document.group,
        "parent": document.parent,
        "dataset": pin.dataset if pin else document.dataset,
        "pin": pin.state if pin else None,
        "tags": document.tags,
        "lesson": _words(document.lesson) if document.lesson else None,
        "hypothesis": document.hypothesis,
        "source": document.source,
        "dropped": document.dropped,
    }
    for name, value in optional.items():
        if value:
            yield (name,), value
    for space, values in (
        ("config", {**document.config, **document.effective}),
        ("summary", document.summary),
        ("environment", document.environment),
    ):
        for key, value in _flat(values):
            yield (space, key), value
    yield from _measured(document)
    for key, curve in document.metrics.items():
        low, high = curve.min, curve.max
        yield ("metrics", key, "count"), curve.n
        yield ("metrics", key, "first"), float(curve.first[1])
        yield ("metrics", key, "last"), float(curve.last[1])
        # A curve of nothing but NaN has neither, and its best is NaN too.
        yield ("metrics", key, "min"), float(low[1]) if low else math.nan
        yield ("metrics", key, "max"), float(high[1]) if high else math.nan


def _words(lesson: LessonWritten) -> str:
    fields = (lesson.result, lesson.change, lesson.hypothesis, lesson.next, lesson.text)
    return "\n".join(text.strip() for text in fields if text.strip())


def _measured(document: RunDocument) -> Iterator[tuple[CellName, Any]]:
    """Yield the newest evaluation on val and the newest latency; later records win.

    Numbers of other splits are no column: who sorts by the test set chooses by it.
    """
    for stamped in document.evaluations:
        body = stamped.body
        if isinstance(body, Evaluated) and body.split == "val":
            for key, value in body.metrics.items():
                yield ("evaluation", key), float(value)
    for stamped in document.latencies:
        latency = stamped.body
        if isinstance(latency, Latency) and latency.measure == "latency":
            yield ("latency", "p50"), latency.p50
            yield ("latency", "p95"), latency.p95
            yield ("latency", "device"), latency.device


def _flat(
    values: dict[str, Any], prefix: str = "", depth: int = _DEPTH
) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and depth:
            yield from _flat(value, f"{name}.", depth - 1)
        else:
            yield name, value
