"""What a metric's curve says about a training: level, speed, stability, and what went wrong.

Three families of numbers, none of which replaces another: where the run ended (`last_k_mean`,
next to `best`, which is optimistic because it was selected), how fast it got there (`reach`, on a
level that all compared runs share) and how steady it was (`noise_mad`, `max_drawdown`).
Noise within a run is a lower bound on the spread between seeds, never a substitute for it.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
import numpy.typing as npt

from epochal.analysis import curve_measures as measure
from epochal.analysis.curve_flags import Flag, Shape, end_flags, shape_flags
from epochal.analysis.curve_points import Array, Points, clean, thinned
from epochal.analysis.metrics import Direction
from epochal.errors import InvalidInput

__all__ = ["SHARES", "CurveStats", "Overfitting", "Reach", "curve_stats", "overfitting"]

SHARES = (0.5, 0.9, 0.95, 0.99)
"""Shares of the reference level that `CurveStats.reach` reports."""


_JUDGED = 1000
"""Shape, noise and speed are judged on at most so many points; best, last and area on all."""


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """When the smoothed curve came to a level and stayed there for two evaluations."""

    share: float
    """Of the reference: 0.9 is 90 % of it (for a loss: the reference divided by 0.9)."""
    level: float
    x: float | None
    """None: never reached (censored at the end of the run)."""
    seconds: float | None
    """None: never reached, or no times are known."""


class Overfitting(msgspec.Struct, frozen=True, kw_only=True):
    """Training and validation loss side by side (Prechelt 1998, "Early stopping - but when?")."""

    gl: float
    """Generalisation loss: percent by which the last validation loss is above the lowest."""
    progress: float
    """P_5 of the training loss, in thousandths."""
    pq: float | None
    """GL / P_5; None where the training loss has stopped moving."""
    gap: float
    """Mean validation minus mean training loss over the last evaluations."""
    overfits: bool
    """GL above 5 while the training loss falls and the validation loss rises."""


class CurveStats(msgspec.Struct, frozen=True, kw_only=True):
    """One curve in numbers. Values are in the metric's stored unit, x in the unit given.

    Whatever the points cannot give is None; nothing here is NaN, so it is JSON as it stands.
    """

    direction: Direction
    n: int
    """Points used: finite, after restarts and repeated steps have been resolved."""
    n_nonfinite: int = 0
    nan_from: float | None = None
    """From here to the end no value is finite; None where the last one is."""
    n_hidden: int = 0
    """Points that a later attempt or a repeated step replaced."""
    restarts: int = 0
    """How often x went back."""
    first_x: float | None = None
    last_x: float | None = None
    seconds: float | None = None
    """Wall time to the last point, including what a restart repeated."""

    best: float | None = None
    best_x: float | None = None
    best_smooth: float | None = None
    """Best value of the running median over five evaluations."""
    last: float | None = None
    last_k: int = 0
    """How many evaluations "the last k" are: 5, or 5 % of all where that is more."""
    last_k_mean: float | None = None
    """The level at which the run ended, not biased by picking a maximum."""
    best_minus_last: float | None = None
    """How much better the best is than the last; never negative."""
    best_optimism: float | None = None
    """How much better the best is than the running median at its place."""

    reference: float | None = None
    reach: tuple[Reach, ...] = ()
    """Times to shares of the common `reference`; empty without one."""
    own_reach: tuple[Reach, ...] = ()
    """Times to shares of the run's own `best_smooth`: its shape, not comparable between runs."""
    auc: float | None = None
    """Mean height of the best value so far over the budget."""

    noise_mad: float | None = None
    """Noise sd from successive differences, second half; a steady trend does not move it."""
    resid_mad: float | None = None
    """Noise sd about the running median, second half."""
    max_drawdown: float | None = None
    """Deepest fall below the best value so far, whole curve."""
    last_k_sd: float | None = None
    slope_last: float | None = None
    """Theil-Sen slope over the last k, per unit of x, in the metric's own sign."""

    overfitting: Overfitting | None = None
    flags: tuple[Flag, ...] = ()


def curve_stats(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    time: npt.ArrayLike | None = None,
    started: float | None = None,
    direction: Direction = "max",
    reference: float | None = None,
    budget: tuple[float, float] | None = None,
    planned_epochs: float | None = None,
    patience: float | None = None,
    losses: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> CurveStats:
    """Return the numbers of one curve.

    Parameters
    ----------
    x, y
        Shape (n,): where it was evaluated (epoch or step) and the values. Any floats. Where x
        goes back (a resume) or repeats, the later point hides the earlier ones from there on.
    time
        Shape (n,), seconds on any clock: cumulative or wall. A clock that goes back stands still.
    started
        The training's start on that clock (0 for the cumulative ``time`` of Ultralytics);
        None counts from the first point.
    reference
        The level that all compared runs are timed against, e.g. the champion's `best_smooth`.
    budget
        (start, end) in x for `auc`; None is the curve's own range.
    planned_epochs, patience
        In units of x, to tell an early stop from an abort.
    losses
        (training loss, validation loss) for the over-fitting gap.

    Raises
    ------
    InvalidInput
        If the arrays' lengths differ, or `direction` is neither ``max`` nor ``min``.
    """
    if direction not in ("max", "min"):
        raise InvalidInput(
            f"A curve cannot be judged in direction {direction!r}",
            'Say in the charter whether the metric is to be "max" or "min"',
        )
    with np.errstate(all="ignore"):  # values near 1e308 may overflow: `_number` makes them None
        points = clean(x, y, time, started)
        fit = overfitting(*losses) if losses is not None else None
        record_flags: tuple[Flag, ...] = ("nan",) if points.nonfinite else ()
        if fit is not None and fit.overfits:
            record_flags += ("overfitting",)
        sign = 1.0 if direction == "max" else -1.0
        z = sign * points.y
        if not len(z):
            return CurveStats(
                direction=direction,
                n=0,
                n_nonfinite=points.nonfinite,
                nan_from=points.lost_from,
                n_hidden=points.hidden,
                restarts=points.restarts,
                reference=_number(reference),
                overfitting=fit,
                flags=record_flags,
            )
        judged_x, judged_y = thinned(points, _JUDGED)
        judged = sign * judged_y
        smooth = measure.running_median(judged)
        at_best = int(np.argmax(z))
        k = min(len(z), max(5, len(z) // 20))
        residual = z - np.interp(points.x, judged_x, smooth)
        own_level = sign * float(np.max(smooth))
        start, end = budget if budget is not None else (float(points.x[0]), float(points.x[-1]))
        noise = _noise(z)
        slope = measure.theil_sen(points.x[-k:], z[-k:]) if k > 1 else None
        shape = Shape(
            x=judged_x,
            z=judged,
            smooth=smooth,
            k=min(len(judged), max(5, len(judged) // 20)),
            noise=_noise(judged) or 0.0,
            is_loss=direction == "min",
            lost=points.lost_from is not None,
        )
        return CurveStats(
            direction=direction,
            n=len(z),
            n_nonfinite=points.nonfinite,
            nan_from=points.lost_from,
            n_hidden=points.hidden,
            restarts=points.restarts,
            first_x=float(points.x[0]),
            last_x=float(points.x[-1]),
            seconds=None if points.elapsed is None else _number(points.elapsed[-1]),
            best=float(points.y[at_best]),
            best_x=float(points.x[at_best]),
            best_smooth=own_level,
            last=float(points.y[-1]),
            last_k=k,
            last_k_mean=_number(np.mean(points.y[-k:])),
            best_minus_last=_number(z[at_best] - z[-1]),
            best_optimism=_number(z[at_best] - np.interp(points.x[at_best], judged_x, smooth)),
            reference=_number(reference),
            reach=_reaches(points, judged_x, smooth, reference, sign),
            own_reach=_reaches(points, judged_x, smooth, own_level, sign),
            auc=_number(sign * measure.mean_best_so_far(points.x, z, start, end)),
            noise_mad=_number(noise),
            resid_mad=_number(measure.median_deviation(residual[_second_half(len(z)) :])),
            max_drawdown=_number(measure.max_drawdown(judged)),
            last_k_sd=_number(np.std(points.y[-k:], ddof=1)) if k > 1 else None,
            slope_last=None if slope is None else _number(sign * slope),
            overfitting=fit,
            flags=(
                *record_flags,
                *shape_flags(shape),
                *end_flags(
                    points.x,
                    float(points.x[at_best]),
                    planned_epochs,
                    patience,
                    last_x=points.last_x,
                ),
            ),
        )


def overfitting(training: npt.ArrayLike, validation: npt.ArrayLike) -> Overfitting | None:
    """Return the over-fitting measures of two loss curves of shape (n,), evaluation by evaluation.

    Only evaluations at which both are finite and positive count; None with fewer than two.

    Raises
    ------
    InvalidInput
        If the lengths differ.
    """
    train = np.asarray(training, dtype=np.float64)
    val = np.asarray(validation, dtype=np.float64)
    if train.ndim != 1 or train.shape != val.shape:
        raise InvalidInput(
            f"Losses of shapes {train.shape} and {val.shape} do not go together",
            "Pass the training and the validation loss of the same epochs",
        )
    with np.errstate(all="ignore"):
        both = np.isfinite(train) & np.isfinite(val) & (train > 0) & (val > 0)
        epochs, train, val = np.flatnonzero(both).astype(np.float64), train[both], val[both]
        if len(epochs) < 2:
            return None
        gl = measure.generalisation_loss(val)
        progress = measure.training_progress(train)
        gap = float(np.mean(val[-5:]) - np.mean(train[-5:]))
        if not all(map(math.isfinite, (gl, progress, gap))):
            return None
        train_slope = measure.theil_sen(epochs[-5:], train[-5:])
        val_slope = measure.theil_sen(epochs[-5:], val[-5:])
        return Overfitting(
            gl=gl,
            progress=progress,
            pq=_number(gl / progress) if progress > 0 else None,
            gap=gap,
            overfits=gl > 5 and train_slope < 0 < val_slope,
        )


def _reaches(
    points: Points, x: Array, smooth: Array, reference: float | None, sign: float
) -> tuple[Reach, ...]:
    """Return when `smooth` (maximised, at `x`) came to each share; none for a level without."""
    if reference is None or not math.isfinite(reference) or reference <= 0:
        return ()
    reaches = []
    for share in SHARES:
        level = reference * share if sign > 0 else reference / share
        if not math.isfinite(level):
            continue
        place = measure.time_to(x, smooth, sign * level)
        seconds = None
        if place is not None and points.elapsed is not None:
            seconds = _number(np.interp(place, points.x, points.elapsed))
        reaches.append(Reach(share=share, level=level, x=_number(place), seconds=seconds))
    return tuple(reaches)


def _noise(z: Array) -> float | None:
    """Return the noise sd between evaluations of the settled part; None for too few."""
    settled = z[_second_half(len(z)) :]
    return measure.difference_noise(settled) if len(settled) > 2 else None


def _second_half(n: int) -> int:
    """Return where the settled part begins; a short curve counts as a whole."""
    return n // 2 if n >= 10 else 0


def _number(value: float | np.floating | None) -> float | None:
    """Return a finite float or None, so that a result is JSON."""
    return float(value) if value is not None and math.isfinite(value) else None
