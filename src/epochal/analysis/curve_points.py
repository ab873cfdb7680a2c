"""A recorded series made ready for measuring: restarts resolved, what is not finite taken out."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from epochal.errors import InvalidInput

__all__ = ["Array", "Points", "clean", "thinned"]

Array = npt.NDArray[np.float64]


class Points(msgspec.Struct, frozen=True, kw_only=True):
    """Finite values at strictly increasing x, and what was taken out to get there."""

    x: Array
    y: Array
    elapsed: Array | None
    """Seconds from the start of the training to each point; None without times."""
    nonfinite: int
    hidden: int
    restarts: int
    last_x: float | None = None
    """The last x of all that stands, finite or not; None without any."""
    lost_from: float | None = None
    """From here to the end no value is finite; None where the last one is."""


def clean(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    time: npt.ArrayLike | None = None,
    started: float | None = None,
) -> Points:
    """Return the points that count, of series of shape (n,) in the order they were recorded.

    A point is hidden by any later one at the same x or before it: a resume after a crash
    overwrites from its first step on, and a step that was logged twice has its last value.

    Raises
    ------
    InvalidInput
        If the series are not 1-D of one length.
    """
    xs = np.asarray(x, dtype=np.float64)
    ys = np.asarray(y, dtype=np.float64)
    clock = None if time is None else np.asarray(time, dtype=np.float64)
    shapes = [series.shape for series in (xs, ys, clock) if series is not None]
    if xs.ndim != 1 or any(shape != xs.shape for shape in shapes):
        raise InvalidInput(
            f"A curve needs series of one length, not shapes {', '.join(map(str, shapes))}",
            "Pass x, y and time of the same points",
        )
    placed = np.isfinite(xs)
    xs, ys = xs[placed], ys[placed]
    elapsed = None if clock is None else _elapsed(clock[placed], started)
    stands = np.ones(len(xs), dtype=bool)
    if len(xs) > 1:
        lowest_later = np.minimum.accumulate(xs[:0:-1])[::-1]
        stands[:-1] = xs[:-1] < lowest_later
    finite = np.isfinite(ys)
    kept = stands & finite
    standing = xs[stands]
    lost = standing[np.flatnonzero(finite[stands])[-1] + 1 :] if kept.any() else standing
    return Points(
        last_x=float(standing[-1]) if len(standing) else None,
        lost_from=float(lost[0]) if len(lost) else None,
        x=xs[kept],
        y=ys[kept],
        elapsed=None if elapsed is None else elapsed[kept],
        nonfinite=int(np.sum(~placed)) + int(np.sum(stands & ~finite)),
        hidden=int(np.sum(~stands)),
        restarts=int(np.sum(xs[1:] < xs[:-1])),
    )


def thinned(points: Points, most: int) -> tuple[Array, Array]:
    """Return x and y as at most `most` points: each the median of equally many neighbours.

    What is logged at every step is judged over the same share of the training as what is logged
    at every epoch. Fewer points than that are returned as they are.
    """
    size = -(-len(points.x) // most)
    if size <= 1:
        return points.x, points.y
    starts = np.arange(0, len(points.x), size)
    ends = np.minimum(starts + size, len(points.x))
    whole = (len(points.y) // size) * size
    values = np.median(points.y[:whole].reshape(-1, size), axis=1)
    if whole < len(points.y):
        values = np.append(values, np.median(points.y[whole:]))
    return points.x[(starts + ends - 1) // 2], values


def _elapsed(clock: Array, started: float | None) -> Array | None:
    """Return seconds since the start, never falling; unknown times are interpolated by place."""
    known = np.isfinite(clock)
    if not known.any():
        return None
    places = np.arange(len(clock))
    clock = np.interp(places, places[known], clock[known])
    # a trainer's own clock starts again at a resume: it stands still rather than run backwards
    with np.errstate(over="ignore"):  # clocks near 1e308: an infinite time, known to nobody
        passed = np.concatenate(([0.0], np.cumsum(np.maximum(np.diff(clock), 0.0))))
        lead = 0.0 if started is None else max(clock[0] - started, 0.0)
        return passed + lead
