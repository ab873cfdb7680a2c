"""Metric points by run and key: appended in any portion, read whole or in buckets.

A series is what one writer logged under one key. A run's curve is made of its series in the
order (attempt, writer), where a later attempt hides what an earlier one said from the later
one's first step on: a resume overwrites, it does not zigzag.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from epochal.store import chunks
from epochal.store.buckets import Accumulator, Overlay, grid
from epochal.store.chunks import CHUNK, PREVIEW, Floats, Points
from epochal.store.database import Database

__all__ = ["SYSTEM", "PointStore", "SeriesSummary"]

SYSTEM = "@system/"
"""Prefix of the keys of system metrics; their step is the time in whole seconds."""

_SQL_LIST = 500  # values in one IN list; SQLite's own limit is higher


class SeriesSummary(msgspec.Struct, frozen=True, omit_defaults=True):
    """A curve in a few numbers; each pair is (step, value). NaN counts but is never min or max."""

    n: int
    lo: int
    hi: int
    first: tuple[int, float | str]
    last: tuple[int, float | str]
    min: tuple[int, float | str] | None = None
    max: tuple[int, float | str] | None = None
    nan: int = 0
    last_epoch: int | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(SeriesSummary).decode


def _number(value: float) -> float | str:
    from epochal.records import to_wire

    return to_wire(float(value))


def summarize(points: Points) -> SeriesSummary:
    """Return the summary of `points` (at least one)."""
    value, step = points.value, points.step
    nan = np.isnan(value)
    low = high = None
    if not nan.all():
        at_low, at_high = int(np.nanargmin(value)), int(np.nanargmax(value))
        low = (int(step[at_low]), _number(value[at_low]))
        high = (int(step[at_high]), _number(value[at_high]))
    epoch = int(points.epoch[-1])
    return SeriesSummary(
        n=len(points),
        lo=int(step.min()),
        hi=int(step.max()),
        first=(int(step[0]), _number(value[0])),
        last=(int(step[-1]), _number(value[-1])),
        min=low,
        max=high,
        nan=int(nan.sum()),
        last_epoch=None if epoch == chunks.NO_EPOCH else epoch,
    )


def _merge(a: SeriesSummary, b: SeriesSummary) -> SeriesSummary:
    """Return the summary of a series to which a portion summarised as `b` was appended."""
    lows = [s.min for s in (a, b) if s.min]
    highs = [s.max for s in (a, b) if s.max]
    return SeriesSummary(
        n=a.n + b.n,
        lo=min(a.lo, b.lo),
        hi=max(a.hi, b.hi),
        first=a.first,
        last=b.last,
        min=min(lows, key=lambda pair: float(pair[1])) if lows else None,
        max=max(highs, key=lambda pair: float(pair[1])) if highs else None,
        nan=a.nan + b.nan,
        last_epoch=b.last_epoch,
    )


class _Series(NamedTuple):
    id: int
    run: str
    attempt: int
    summary: SeriesSummary
    cutoff: int | None
    """Steps from here on are hidden by a later attempt."""

    @property
    def hi(self) -> int:
        """Return the highest step that may be visible."""
        hi = self.summary.hi
        return hi if self.cutoff is None else min(hi, self.cutoff - 1)


class PointStore:
    """The points of all runs. Writing happens inside a transaction of the caller's."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # --- writing -------------------------------------------------------------------------------

    def append(self, run: str, key: str, writer: str, attempt: int, points: Points) -> None:
        """Append `points` to a series."""
        added = summarize(points)
        found = self._db.rows(
            "SELECT id, n, summary FROM series WHERE run = ? AND key = ? AND writer = ?",
            (run, key, writer),
        )
        if found:
            series, n, summary = found[0]
            merged = _merge(_decode(summary), added)
            self._db.execute(
                "UPDATE series SET n = ?, summary = ? WHERE id = ?",
                (merged.n, _encode(merged).decode(), series),
            )
            self._extend(series, n, points)
        else:
            series = self._db.insert(
                "INSERT INTO series (run, key, writer, attempt, n, summary)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (run, key, writer, attempt, added.n, _encode(added).decode()),
            )
            self._write_chunks(series, 0, points)

    def _extend(self, series: int, n: int, points: Points) -> None:
        """Append behind `n` points, merging open tails so that each point moves O(log n) times."""
        block = n - n % CHUNK
        tails = self._db.rows(
            "SELECT start, n, data FROM chunk WHERE series = ? AND start >= ? ORDER BY start DESC",
            (series, block),
        )
        fills = n - block + len(points) >= CHUNK
        start, parts = n, [points]
        for tail_start, tail_n, data in tails:
            if not fills and tail_n > 2 * (n - start + len(points)):
                break
            parts.insert(0, chunks.decode(data))
            start = tail_start
        self._db.execute("DELETE FROM chunk WHERE series = ? AND start >= ?", (series, start))
        self._write_chunks(series, start, Points.join(parts))

    def _write_chunks(self, series: int, start: int, points: Points) -> None:
        rows: list[tuple[object, ...]] = []
        at = 0
        while at < len(points):
            take = min(CHUNK - (start + at) % CHUNK, len(points) - at)
            part = points[at : at + take]
            ascending = bool((np.diff(part.step) >= 0).all())
            sealed = take == CHUNK and ascending
            rows.append(
                (
                    series,
                    start + at,
                    take,
                    int(part.step.min()),
                    int(part.step.max()),
                    int(ascending),
                    chunks.encode(part),
                    chunks.preview(part) if sealed else None,
                )
            )
            at += take
        self._db.execute_many("INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def delete(self, run: str) -> None:
        """Delete all points of a run."""
        self._db.execute(
            "DELETE FROM chunk WHERE series IN (SELECT id FROM series WHERE run = ?)", (run,)
        )
        self._db.execute("DELETE FROM series WHERE run = ?", (run,))

    # --- reading -------------------------------------------------------------------------------

    def summaries(self, run: str) -> dict[str, SeriesSummary]:
        """Return the summary of each of the run's curves, by key, of what is visible."""
        by_key: dict[str, list[SeriesSummary]] = {}
        for key, summary in self._db.rows(
            "SELECT key, summary FROM series WHERE run = ? ORDER BY key, attempt, writer", (run,)
        ):
            by_key.setdefault(key, []).append(_decode(summary))
        return {
            key: parts[0] if len(parts) == 1 else summarize(self.read(run, key))
            for key, parts in by_key.items()
        }

    def read(self, run: str, key: str, *, superseded: bool = False) -> Points:
        """Return the run's curve of `key`.

        Points stand in the order in which they were logged; where several writers contributed,
        in the order of their steps.

        Parameters
        ----------
        superseded
            Also return what a later attempt has hidden.
        """
        series = self._series([run], key)
        parts = []
        for one in series:
            found = [
                chunks.decode(data)
                for (data,) in self._db.rows(
                    "SELECT data FROM chunk WHERE series = ? ORDER BY start", (one.id,)
                )
            ]
            points = Points.join(found)
            if one.cutoff is not None and not superseded:
                points = points[points.step < one.cutoff]
            parts.append(points)
        joined = Points.join(parts)
        if len(series) > 1 and not superseded:
            joined = joined[np.argsort(joined.step, kind="stable")]
        return joined

    def overlay(
        self,
        runs: Sequence[str],
        key: str,
        *,
        buckets: int = 1000,
        lo: int | None = None,
        hi: int | None = None,
    ) -> Overlay:
        """Return the curves of `key` of several runs on one grid of at most `buckets` buckets.

        Parameters
        ----------
        lo, hi
            First and last step of the window; by default all that the runs have.
        """
        series = self._series(runs, key)
        if not series:
            return Overlay(np.empty(0), {})
        lo = min(s.summary.lo for s in series) if lo is None else lo
        hi = max(s.hi for s in series) if hi is None else hi
        if hi < lo:
            return Overlay(np.empty(0), {})
        edges = grid(lo, hi, buckets)
        collected = {s.run: Accumulator(edges, hi) for s in series}
        for one in series:
            previews = self._previews_suffice(one, lo, hi, len(edges))
            self._collect(collected[one.run], one, self._chunks(one, lo, hi, previews=previews))
        return Overlay(edges, {run: a.table() for run, a in collected.items()})

    @staticmethod
    def _previews_suffice(series: _Series, lo: int, hi: int, buckets: int) -> bool:
        """Tell whether a preview's bucket is at most half a bucket of the grid."""
        span = max(1, series.summary.hi - series.summary.lo + 1)
        inside = series.summary.n * (min(hi, series.hi) - max(lo, series.summary.lo) + 1) / span
        return inside / buckets >= 2 * (CHUNK / PREVIEW)

    @staticmethod
    def _collect(
        target: Accumulator,
        series: _Series,
        found: Iterable[tuple[bytes | None, bytes | None]],
    ) -> None:
        """Add a series' chunks in their order; previews, which are small, many at once."""
        tables: list[Floats] = []
        for data, table in found:
            if data is None and table is not None:
                tables.append(chunks.read_preview(table))
            elif data is not None:
                if tables:
                    target.add(*np.concatenate(tables, axis=1))
                    tables.clear()
                step, value = chunks.decode_curve(data)
                if series.cutoff is not None:
                    step, value = step[step < series.cutoff], value[step < series.cutoff]
                target.add_points(step, value)
        if tables:
            target.add(*np.concatenate(tables, axis=1))

    def _chunks(
        self, series: _Series, lo: int, hi: int, *, previews: bool
    ) -> Iterable[tuple[bytes | None, bytes | None]]:
        """Yield (data, preview) of a series in order; no data where the preview serves."""
        # The data of a chunk whose preview serves is not even read.
        data = "CASE WHEN preview IS NULL THEN data END" if previews else "data"
        for start, low, top, body, table in self._db.rows(
            f"SELECT start, lo, hi, {data}, preview FROM chunk"
            " WHERE series = ? AND hi >= ? AND lo <= ? ORDER BY start",
            (series.id, lo, hi),
        ):
            # At the window's edges and where an attempt was superseded, single points count.
            cutoff = series.cutoff
            straddles = low < lo or top > hi or (cutoff is not None and top >= cutoff)
            if body is None and straddles:
                body = self._db.rows(
                    "SELECT data FROM chunk WHERE series = ? AND start = ?", (series.id, start)
                )[0][0]
            yield body, table

    def _series(self, runs: Sequence[str], key: str) -> list[_Series]:
        found: list[tuple[int, str, int, SeriesSummary]] = []
        for part in _portions(list(runs)):
            marks = ",".join("?" * len(part))
            found += [
                (one, run, attempt, _decode(summary))
                for one, run, attempt, summary in self._db.rows(
                    f"SELECT id, run, attempt, summary FROM series WHERE run IN ({marks})"
                    " AND key = ? ORDER BY run, attempt, writer",
                    (*part, key),
                )
            ]
        by_run: dict[str, list[tuple[int, int]]] = {}
        for _, run, attempt, summary in found:
            by_run.setdefault(run, []).append((attempt, summary.lo))
        return [
            _Series(
                one,
                run,
                attempt,
                summary,
                min((first for a, first in by_run[run] if a > attempt), default=None),
            )
            for one, run, attempt, summary in found
        ]


def _portions(values: list[Any]) -> Iterable[list[Any]]:
    for at in range(0, len(values), _SQL_LIST):
        yield values[at : at + _SQL_LIST]
