"""Curves of several runs on one grid, and which curves there are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from epochal.analysis.metrics import Registry, guess_direction
from epochal.errors import InvalidInput
from epochal.server.context import Context
from epochal.server.schema.curves import (
    Band,
    CurveGrid,
    Curves,
    CurvesQuery,
    KeyGroup,
    MetricKey,
    MetricKeys,
    MetricKeysQuery,
)
from epochal.store.buckets import Accumulator, BucketTable, Overlay
from epochal.store.chunks import NO_EPOCH, Points
from epochal.store.documents import RunDocument
from epochal.store.points import SYSTEM, PointStore, SeriesSummary

__all__ = ["curves", "metric_keys"]

Floats = npt.NDArray[np.float64]

_MAX_CELLS = 4_000_000
"""Runs x keys x buckets that one answer may have."""


def curves(context: Context, body: CurvesQuery) -> Curves:
    """Return the curves asked for on one grid a key."""
    change = context.change
    if len(body.runs) * len(body.keys) * body.buckets > _MAX_CELLS:
        raise InvalidInput(
            f"{len(body.runs)} runs x {len(body.keys)} metrics x {body.buckets} buckets are too "
            "many for one answer",
            "ask for fewer metrics at once, or fewer buckets",
        )
    if (body.x == "metric") != (body.x_metric is not None):
        raise InvalidInput("x_metric goes with x = metric, and with nothing else")
    if body.source == "system" and body.x not in ("relative", "wall"):
        raise InvalidInput("system metrics have no step", "draw them over relative or wall time")
    documents = context.runs(body.runs)
    reader = _Reader(context.store.points, documents, body)
    return Curves(x=body.x, curves=[reader.grid(key) for key in body.keys], change=change)


class _Reader:
    """Reads curves over the x that was asked for."""

    def __init__(
        self, points: PointStore, documents: list[RunDocument], query: CurvesQuery
    ) -> None:
        self._points = points
        self._documents = documents
        self._query = query

    def grid(self, key: str) -> CurveGrid:
        """Return the curves of `key`."""
        query = self._query
        stored = SYSTEM + key if query.source == "system" else key
        if query.x == "step" and query.source == "metrics":
            overlay, exact = self._by_step(stored)
        else:
            overlay, exact = self._by_other(stored)
        return _drawn(key, overlay, exact=exact)

    def _by_step(self, key: str) -> tuple[Overlay, bool]:
        lo, hi = self._query.lo, self._query.hi
        overlay = self._points.overlay(
            [d.id for d in self._documents],
            key,
            buckets=self._query.buckets,
            lo=None if lo is None else math.ceil(_bounded(lo)),
            hi=None if hi is None else math.floor(_bounded(hi)),
        )
        x = overlay.x
        return overlay, len(x) < 2 or bool(x[1] - x[0] <= 1)

    def _by_other(self, key: str) -> tuple[Overlay, bool]:
        read = {
            document.id: xy
            for document in self._documents
            if len((xy := self._columns(document, key))[0])
        }
        if not read:
            return Overlay(np.empty(0), {}), True
        lo = self._query.lo
        hi = self._query.hi
        lo = min(float(x.min()) for x, _ in read.values()) if lo is None else _bounded(lo)
        hi = max(float(x.max()) for x, _ in read.values()) if hi is None else _bounded(hi)
        if hi < lo:
            return Overlay(np.empty(0), {}), True
        places = np.unique(np.concatenate([x for x, _ in read.values()]))
        places = places[(places >= lo) & (places <= hi)]
        if len(places) <= self._query.buckets:
            # Few enough places: each is a bucket of its own, so that nothing is moved.
            return _at_places(read, places)
        steps = np.arange(self._query.buckets, dtype=np.float64)
        edges: Floats = lo + steps * ((hi - lo) / self._query.buckets)
        runs = {id: _bucketed(x, y, edges, hi) for id, (x, y) in read.items()}
        return Overlay(edges, runs), False

    def _columns(self, document: RunDocument, key: str) -> tuple[Floats, Floats]:
        """Return x and y of one run's curve, in the order in which it was logged."""
        points = self._points.read(document.id, key)
        x = self._x_of(document, points)
        there = ~np.isnan(x)
        return x[there], points.value[there]

    def _x_of(self, document: RunDocument, points: Points) -> Floats:
        match self._query.x:
            case "epoch":
                known = points.epoch != NO_EPOCH
                return np.where(known, points.epoch.astype(np.float64), np.nan)
            case "wall":
                return points.time / 1e6
            case "relative":
                return (points.time - document.created) / 1e6
            case "metric" if self._query.x_metric is not None:
                other = self._points.read(document.id, self._query.x_metric)
                return _joined(points, other)
            case _:
                return points.step.astype(np.float64)


def _bounded(value: float) -> float:
    if not math.isfinite(value):
        raise InvalidInput("the window must be finite")
    return min(max(value, -(2.0**62)), 2.0**62)


def _joined(points: Points, other: Points) -> Floats:
    """Return the other metric's value at each step; NaN where it has none."""
    steps, last = np.unique(other.step[::-1], return_index=True)
    if not len(steps):
        return np.full(len(points), np.nan)
    values = other.value[::-1][last]
    at = np.searchsorted(steps, points.step).clip(max=len(steps) - 1)
    found: Floats = np.where(steps[at] == points.step, values[at], np.nan)
    found[~np.isfinite(found)] = np.nan
    return found


def _bucketed(x: Floats, y: Floats, edges: Floats, hi: float) -> BucketTable:
    width = (hi - edges[0]) / len(edges)
    # The last bucket takes its right edge too.
    place = np.minimum((x - edges[0]) / width, len(edges) - 1)
    inside = (x >= edges[0]) & (x <= hi)
    collected = Accumulator(np.arange(len(edges), dtype=np.float64), len(edges) - 1)
    collected.add_points(place[inside].astype(np.int64), y[inside])
    return collected.table()


def _at_places(read: dict[str, tuple[Floats, Floats]], places: Floats) -> tuple[Overlay, bool]:
    if not len(places):
        return Overlay(np.empty(0), {}), True
    runs, exact = {}, True
    for id, (x, y) in read.items():
        at = np.searchsorted(places, x).clip(max=len(places) - 1)
        here = places[at] == x
        collected = Accumulator(np.arange(len(places), dtype=np.float64), len(places) - 1)
        collected.add_points(at[here], y[here])
        exact = exact and bool((collected.count <= 1).all())
        runs[id] = collected.table()
    return Overlay(places, runs), exact


def _drawn(key: str, overlay: Overlay, *, exact: bool) -> CurveGrid:
    """Return an overlay without the buckets in which no run has a number."""
    tables = overlay.runs.values()
    if not tables:
        return CurveGrid(key=key, x=[], runs={}, exact=exact)
    any_here = np.logical_or.reduce([~np.isnan(t.last) for t in tables])
    return CurveGrid(
        key=key,
        x=overlay.x[any_here].tolist(),
        runs={
            id: Band(
                last=_short(t.last[any_here]),
                min=_short(t.min[any_here]),
                max=_short(t.max[any_here]),
            )
            for id, t in overlay.runs.items()
        },
        exact=exact,
    )


def _short(values: Floats) -> list[float | None]:
    """Return values to draw: as many digits as a screen can show, so that they travel fast.

    Seven significant digits, more where all values are close to each other. What is not finite
    becomes null.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return [None] * len(values)
    low, high = float(finite.min()) / 2, float(finite.max()) / 2  # their difference is finite
    largest, span = max(abs(low), abs(high)), high - low
    digits = 7 + (max(0, math.ceil(math.log10(largest / span))) if span > 0 else 0)
    if digits >= 15:
        return _plain(values)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exponent = np.floor(np.log10(np.abs(values)))
        scale = 10.0 ** (digits - 1 - exponent)
        rounded = np.where(
            np.isfinite(scale) & (scale > 0), np.round(values * scale) / scale, values
        )
    return _plain(rounded)


def _plain(values: Floats) -> list[float | None]:
    drawn: list[float | None] = values.tolist()  # msgspec writes what is not finite as null
    return drawn


def metric_keys(context: Context, body: MetricKeysQuery) -> MetricKeys:
    """Return the keys of the runs, grouped by their prefix."""
    change = context.change
    documents = context.runs(body.runs)
    registry = context.registry(body.project or documents[0].project)
    groups: dict[str, list[MetricKey]] = {}
    for key, summaries in sorted(_by_key([d.metrics for d in documents]).items()):
        prefix = key.partition("/")[0] if "/" in key else ""
        groups.setdefault(prefix, []).append(_metric_key(key, summaries, registry))
    system = _by_key([d.system for d in documents])
    return MetricKeys(
        groups=[KeyGroup(prefix=prefix, keys=keys) for prefix, keys in groups.items()],
        system=[_metric_key(key, found, registry) for key, found in sorted(system.items())],
        change=change,
    )


def _by_key(metrics: Sequence[dict[str, SeriesSummary]]) -> dict[str, list[SeriesSummary]]:
    found: dict[str, list[SeriesSummary]] = {}
    for one in metrics:
        for key, summary in one.items():
            found.setdefault(key, []).append(summary)
    return found


def _metric_key(key: str, summaries: list[SeriesSummary], registry: Registry) -> MetricKey:
    metric = registry.resolve(key)
    return MetricKey(
        key=key,
        canonical=metric.name,
        title=metric.title or key,
        unit=metric.unit,
        direction=metric.direction or guess_direction(key),
        runs=len(summaries),
        points=max(summary.n for summary in summaries),
        by_epoch=all(summary.last_epoch is not None for summary in summaries),
    )
