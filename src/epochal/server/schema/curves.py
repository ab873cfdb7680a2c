"""Curves of several runs on one grid."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from epochal.server.schema.common import RunId

__all__ = [
    "Band",
    "CurveGrid",
    "Curves",
    "CurvesQuery",
    "KeyGroup",
    "MetricKey",
    "MetricKeys",
    "MetricKeysQuery",
    "X",
]

X: TypeAlias = Literal["step", "epoch", "relative", "wall", "metric"]
"""``relative``: seconds since the run was opened; ``wall``: seconds since the Unix epoch."""

Key: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200_000)]
Runs: TypeAlias = Annotated[list[RunId], Meta(min_length=1, max_length=500)]


class CurvesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which curves, over what, from where to where, how finely."""

    runs: Runs
    keys: Annotated[list[Key], Meta(min_length=1, max_length=100)]
    source: Literal["metrics", "system"] = "metrics"
    """System metrics have no step or epoch: `x` must be ``relative`` or ``wall``."""
    x: X = "step"
    x_metric: Key | None = None
    """The key to draw over, where `x` is ``metric``: points of one step belong together."""
    lo: float | None = None
    hi: float | None = None
    """The window in units of `x`; by default all there is."""
    buckets: Annotated[int, Meta(ge=1, le=4000)] = 1000


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """One run's curve: one value a bucket, null where the bucket has no finite number."""

    last: list[float | None]
    min: list[float | None]
    max: list[float | None]


class CurveGrid(msgspec.Struct, frozen=True, kw_only=True):
    """The curves of one key on one common grid."""

    key: str
    x: list[float]
    """Left edges of the buckets, ascending; buckets that are empty for all runs are left out."""
    runs: dict[str, Band]
    """Run id -> its curve; runs that never logged the key are left out."""
    exact: bool
    """No bucket holds more than one point of a run: `last` is the curve itself."""


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """The curves asked for, in the order of the keys."""

    x: X
    curves: list[CurveGrid]
    change: int


class MetricKeysQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which metrics a set of runs has."""

    runs: Runs
    project: str | None = None
    """Whose charter names metrics and directions; by default that of the first run."""


class MetricKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key, and what is known about it."""

    key: str
    canonical: str
    """Name in the metric registry; the key itself where it is not known."""
    title: str
    unit: str
    direction: Literal["max", "min"] | None
    runs: int
    """How many of the runs have it."""
    points: int
    """Most points in any one run."""
    by_epoch: bool
    """Epochs were given with its points."""


class KeyGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Keys with a common prefix, up to the first ``/``; empty for those without."""

    prefix: str
    keys: list[MetricKey]


class MetricKeys(msgspec.Struct, frozen=True, kw_only=True):
    """All keys of the runs."""

    groups: list[KeyGroup]
    system: list[MetricKey]
    change: int
