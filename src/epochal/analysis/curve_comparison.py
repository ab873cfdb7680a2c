"""Several curves on common terms, and one curve in one sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from epochal.analysis.curve_measures import running_median
from epochal.analysis.curve_points import Points, clean
from epochal.analysis.curves import CurveStats, Reach, curve_stats
from epochal.analysis.metrics import Metric, format_value
from epochal.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from epochal.analysis.curve_flags import Flag
    from epochal.analysis.metrics import Direction

__all__ = [
    "Curve",
    "CurveRow",
    "at_same_x",
    "compare_curves",
    "flag_words",
    "last_x",
    "sentence",
]


class Curve(NamedTuple):
    """One run's series of one metric, and what is known about the run; see `curve_stats`."""

    x: npt.ArrayLike
    y: npt.ArrayLike
    time: npt.ArrayLike | None = None
    started: float | None = None
    planned_epochs: float | None = None
    patience: float | None = None
    losses: tuple[npt.ArrayLike, npt.ArrayLike] | None = None


class CurveRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run in a comparison of curves."""

    name: str
    stats: CurveStats
    common_x: float | None = None
    """The last x that every run came to; None where a run has no values, or they never met."""
    at_common: float | None = None
    """Best value of the running median up to `common_x`: runs of different length on equal terms.

    A schedule that was planned over another length (a cosine learning rate, a late mosaic) has
    still not done its work there, so this tells who is ahead, not who would have won.
    """
    identical_to: tuple[str, ...] = ()
    """Runs with bit-identical values: one training counted twice, or a seed that had no effect."""
    on_front: bool = False
    """No other run ends better, is faster to 90 % and is steadier at once (Pareto front).

    The three are shown side by side and never added up: a weight would be a hidden opinion.
    """


def compare_curves(
    curves: Mapping[str, Curve],
    direction: Direction,
    *,
    champion: str | None = None,
    reference: float | None = None,
    budget: tuple[float, float] | None = None,
) -> list[CurveRow]:
    """Return the curves measured against one level and over one budget, in the order given.

    Parameters
    ----------
    curves
        Name -> curve, all of the same metric and in the same unit of x.
    champion
        The run whose `best_smooth` is the common reference.
    reference
        That level itself; wins over `champion`. With neither it is the best run's.
    budget
        (start, end) in x for the area under the curve; None spans from the earliest first to
        the latest last point, and shorter curves are held at their level.

    Raises
    ------
    NotFound
        If `champion` is not among the curves.
    InvalidInput
        If a curve's series differ in length.
    """
    if champion is not None and champion not in curves:
        raise NotFound(
            f"There is no curve of {champion!r}", f"Known are: {', '.join(curves) or 'none'}"
        )
    points = {name: clean(curve.x, curve.y) for name, curve in curves.items()}
    measured = [p for p in points.values() if len(p.x)]
    if budget is None and measured:
        budget = (
            float(min(p.x[0] for p in measured)),
            float(max(p.x[-1] for p in measured)),
        )
    if reference is None:
        names = [champion] if champion is not None else list(curves)
        levels = [
            level
            for name in names
            if (
                level := curve_stats(
                    curves[name].x, curves[name].y, direction=direction
                ).best_smooth
            )
            is not None
        ]
        better = max if direction == "max" else min
        reference = better(levels, default=None)
    stats = {
        name: curve_stats(
            curve.x,
            curve.y,
            time=curve.time,
            started=curve.started,
            direction=direction,
            reference=reference,
            budget=budget,
            planned_epochs=curve.planned_epochs,
            patience=curve.patience,
            losses=curve.losses,
        )
        for name, curve in curves.items()
    }
    costs = {name: _costs(one) for name, one in stats.items() if one.n}
    common = _common_x(*points.values())
    return [
        CurveRow(
            name=name,
            stats=one,
            common_x=common,
            at_common=_best_up_to(points[name], common, direction),
            identical_to=tuple(
                other
                for other in curves
                if other != name
                and len(points[name].y) >= 3
                and np.array_equal(points[name].x, points[other].x)
                and np.array_equal(points[name].y, points[other].y)
            ),
            on_front=name in costs
            and not any(_dominates(other, costs[name]) for other in costs.values()),
        )
        for name, one in stats.items()
    ]


def at_same_x(one: Curve, other: Curve, direction: Direction) -> tuple[float, float, float] | None:
    """Return the last x that both curves came to, and the best of each up to there.

    The best is that of the running median; None where a curve has no values, or they never met.
    """
    a, b = clean(one.x, one.y), clean(other.x, other.y)
    x = _common_x(a, b)
    values = _best_up_to(a, x, direction), _best_up_to(b, x, direction)
    if x is None or values[0] is None or values[1] is None:
        return None
    return x, values[0], values[1]


def last_x(curve: Curve) -> float:
    """Return the last x at which the curve has a value; -inf where it has none."""
    points = clean(curve.x, curve.y)
    return float(points.x[-1]) if len(points.x) else -math.inf


def _common_x(*curves: Points) -> float | None:
    if not curves or not all(len(p.x) for p in curves):
        return None
    last = float(min(p.x[-1] for p in curves))
    return last if all(p.x[0] <= last for p in curves) else None


def _best_up_to(points: Points, x: float | None, direction: Direction) -> float | None:
    if x is None:
        return None
    sign = 1.0 if direction == "max" else -1.0
    # smoothed only over what was known by then: a later value must not lift an earlier one
    until = running_median(sign * points.y[points.x <= x])
    return sign * float(np.max(until))


def _costs(stats: CurveStats) -> tuple[float, float, float]:
    """Return (end, speed, unsteadiness), each to be small; what is unknown is infinite."""
    sign = -1.0 if stats.direction == "max" else 1.0
    end = math.inf if stats.last_k_mean is None else sign * stats.last_k_mean
    reach = _reach(stats, 0.9)
    speed = math.inf if reach is None or reach.x is None else reach.x
    return end, speed, math.inf if stats.noise_mad is None else stats.noise_mad


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _reach(stats: CurveStats, share: float) -> Reach | None:
    return next((reach for reach in stats.reach if reach.share == share), None)


_SAID: dict[Flag, str] = {
    "nan": "with values that are NaN or infinite",
    "diverged": "diverged",
    "collapse": "collapsed after its best",
    "degraded_after_best": "got worse after its best",
    "spike": "with a spike",
    "overfitting": "validation loss rising while training loss falls",
    "plateau": "on a plateau",
    "still_improving": "still improving",
    "early_stopped": "stopped early by its patience",
    "stopped_before_plan": "stopped before its planned end",
}


def flag_words(stats: CurveStats) -> tuple[str, ...]:
    """Return what is to be noticed about the curve, as ends of a sentence: ``with a spike``."""
    words = {**_SAID, "nan": _not_numbers(stats)}
    return tuple(words[flag] for flag in stats.flags)


def _not_numbers(stats: CurveStats) -> str:
    if stats.nan_from is not None and stats.n:
        return f"NaN or infinite from {stats.nan_from:g} to its end"
    values = (
        "a value that is" if stats.n_nonfinite == 1 else f"{stats.n_nonfinite} values that are"
    )
    return f"with {values} NaN or infinite"


def sentence(
    stats: CurveStats,
    name: str,
    *,
    metric: Metric | None = None,
    share: float = 0.9,
    reference_name: str = "the reference level",
    unit: str = "epoch",
) -> str:
    """Return what a practitioner would say about the curve, in one sentence.

    Parameters
    ----------
    metric
        Tells how values are written; None writes four significant digits.
    share
        One of `epochal.analysis.curves.SHARES`: the share of the reference to time.
    reference_name
        Whose level it is, e.g. ``the champion's level``.
    unit
        What x counts: ``epoch`` or ``step``.
    """
    shown = metric or Metric(name="value")
    if stats.last is None or stats.best_x is None:
        reason = f": all {stats.n_nonfinite} are NaN or infinite" if stats.n_nonfinite else ""
        return f"{name} has no values to judge{reason}."
    last, best = format_value(shown, stats.last), format_value(shown, stats.best)
    if stats.n == 1:
        return f"{name} has one value, {last} at {unit} {stats.best_x:g}."
    parts = []
    if (reach := _reach(stats, share)) is not None:
        level = f"{share:.0%}".replace("%", " %") + f" of {reference_name}"
        if reach.x is None:
            sign = 1 if stats.direction == "max" else -1
            touched = stats.best is not None and sign * stats.best >= sign * reach.level
            parts.append(
                f"came to {level} but did not stay" if touched else f"never reached {level}"
            )
        else:
            # said is the first evaluation that was there, so an interpolated place is rounded up
            timed = reach.seconds is not None and reach.seconds >= 1
            seconds = f" ({_duration(reach.seconds or 0)})" if timed else ""
            parts.append(f"reached {level} at {unit} {math.ceil(reach.x)}{seconds}")
    parts.append(f"ended at {last} (best {best} at {unit} {stats.best_x:g})")
    parts.extend(flag_words(stats))
    return f"{name} {', '.join(parts)}."


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
