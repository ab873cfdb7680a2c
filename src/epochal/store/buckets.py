"""Drawing many points with few: buckets that keep first, last, minimum and maximum.

Never a random sample: a spike is in some bucket's maximum whatever the zoom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from epochal.store.chunks import Floats

__all__ = ["BucketTable", "Overlay", "grid"]


@dataclass(frozen=True, slots=True)
class BucketTable:
    """One curve on a grid; NaN where a bucket has no number. All arrays are (buckets,)."""

    last: Floats
    min: Floats
    max: Floats
    mean: Floats


@dataclass(frozen=True, slots=True)
class Overlay:
    """Several runs' curves of one metric on one common grid."""

    x: Floats
    """(buckets,) left edges of the buckets, in steps."""
    runs: dict[str, BucketTable]


def grid(lo: int, hi: int, buckets: int) -> Floats:
    """Return the left edges of at most `buckets` equal buckets that cover the steps lo..hi.

    Where there are fewer steps than buckets, each step has its own.
    """
    span = hi - lo + 1
    count = int(min(buckets, span))
    return lo + np.arange(count, dtype=np.float64) * (span / count)


class Accumulator:
    """Collects rows of (step, count, last, min, max, sum) into the buckets of a grid."""

    def __init__(self, edges: Floats, hi: int) -> None:
        n = len(edges)
        self._lo = edges[0]
        self._width = (hi + 1 - edges[0]) / n
        self.count = np.zeros(n)
        self.last = np.full(n, np.nan)
        self.min = np.full(n, np.nan)
        self.max = np.full(n, np.nan)
        self.sum = np.zeros(n)

    def add_points(self, step: npt.NDArray[np.int64], value: Floats) -> None:
        """Add plain points in their order."""
        number = ~np.isnan(value)
        if not number.all():
            step, value = step[number], value[number]
        self.add(step, None, value, value, value, value)

    def add(
        self,
        step: npt.NDArray[np.int64] | Floats,
        count: Floats | None,
        last: Floats,
        low: Floats,
        high: Floats,
        total: Floats,
    ) -> None:
        """Add rows in their order; `count` None means one point a row."""
        place = np.floor((step - self._lo) / self._width).astype(np.int64)
        inside = (place >= 0) & (place < len(self.count))
        if count is not None:
            inside &= count > 0
        if not inside.all():
            place, last, low, high, total = (a[inside] for a in (place, last, low, high, total))
            count = count[inside] if count is not None else None
        if not len(place):
            return
        moves = np.diff(place)
        if (moves < 0).any():
            order = np.argsort(place, kind="stable")
            place, last, low, high, total = (a[order] for a in (place, last, low, high, total))
            count = count[order] if count is not None else None
            moves = np.diff(place)
        starts = np.append(0, np.flatnonzero(moves) + 1)
        at = place[starts]
        ends = np.append(starts[1:], len(place))
        self.count[at] += ends - starts if count is None else np.add.reduceat(count, starts)
        self.last[at] = last[ends - 1]
        self.min[at] = np.fmin(self.min[at], np.fmin.reduceat(low, starts))
        self.max[at] = np.fmax(self.max[at], np.fmax.reduceat(high, starts))
        with np.errstate(invalid="ignore", over="ignore"):
            self.sum[at] += np.add.reduceat(total, starts)

    def table(self) -> BucketTable:
        """Return what was collected."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(self.count > 0, self.sum / self.count, np.nan)
        # The sum of values near the largest double is infinite; their mean is not.
        mean = np.clip(mean, self.min, self.max)
        return BucketTable(self.last, self.min, self.max, mean)
