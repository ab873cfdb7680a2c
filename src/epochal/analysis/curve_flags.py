"""What a practitioner would notice about a curve, as named conditions with fixed thresholds.

The thresholds are judgements, not theory: they were set so that ordinary YOLO curves raise none
of the alarms. Curves come in maximised (a loss negated); `noise` is the sd of the second half.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
import numpy as np

from epochal.analysis import curve_measures as measure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from epochal.analysis.curve_points import Array

__all__ = ["Flag", "Shape", "end_flags", "shape_flags"]

Flag: TypeAlias = Literal[
    "nan",
    "diverged",
    "collapse",
    "degraded_after_best",
    "spike",
    "overfitting",
    "plateau",
    "still_improving",
    "early_stopped",
    "stopped_before_plan",
]


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A maximised curve with what has been measured on it; all arrays of shape (n,), n >= 1."""

    x: Array
    z: Array
    smooth: Array
    k: int
    """How many evaluations count as its end."""
    noise: float
    is_loss: bool
    lost: bool = False
    """Whether the values turned NaN or infinite and stayed so."""


def shape_flags(shape: Shape) -> Iterator[Flag]:
    """Yield what the values show, worst first."""
    fallen = _fallen(shape)
    if fallen:
        yield fallen
    if _has_spike(shape):
        yield "spike"
    if shape.lost:
        return  # what it was doing before is not how it ended
    if _still_improving(shape):
        yield "still_improving"
    elif not fallen and _on_plateau(shape):
        yield "plateau"


def end_flags(
    x: Array,
    best_x: float,
    planned: float | None,
    patience: float | None,
    *,
    last_x: float | None = None,
) -> Iterator[Flag]:
    """Yield how the run ended: by its patience, or short of its plan for another reason.

    Parameters
    ----------
    last_x
        Where the run ended, if its last values were not finite; default: the last of `x`.
    """
    end = float(x[-1]) if last_x is None else last_x
    if planned is not None:
        # counted from 0 or from 1, and perhaps not evaluated at every epoch: short of the plan
        # is a run that still had an evaluation to come
        last_planned = planned - 1 if x[0] == 0 else planned
        spacing = float(np.median(np.diff(x))) if len(x) > 1 else 1.0
        if end + spacing > last_planned:
            return
    # a trainer's patience counts from the best of its own fitness, some epochs from this best
    if patience is not None and patience > 0 and end - best_x >= 0.9 * patience:
        yield "early_stopped"
    elif planned is not None:
        yield "stopped_before_plan"


def _fallen(shape: Shape) -> Flag | None:
    """Return how it fell after its best, the worst word that is true."""
    if shape.is_loss and _diverged(-shape.z):
        return "diverged"
    share = _fall_after_best(shape)
    # three: a smoothed best of many evaluations is itself one noise sd too good
    if share * abs(float(np.max(shape.smooth))) <= 3 * shape.noise:
        return None
    if share > 0.5:
        return "collapse"
    return "degraded_after_best" if share > 0.01 else None


def _diverged(loss: Array) -> bool:
    """Whether three evaluations in a row after the best are above three times the best.

    Beyond the noise up to there, that is: a loss near zero is three times its best by chance.
    """
    at_best = int(np.argmin(loss))
    if loss[at_best] <= 0:
        return False
    noise = measure.difference_noise(loss[: at_best + 1]) if at_best > 4 else 0.0
    high = loss[at_best:] > 3 * loss[at_best] + 3 * noise
    return bool(np.any(high[:-2] & high[1:-1] & high[2:]))


def _fall_after_best(shape: Shape) -> float:
    """Return how far the end lies below the smoothed best, as a share of the best's size.

    Only evaluations after the best are the end, and it takes three of them: a curve that still
    rises has not fallen, however low the mean of its last k is.
    """
    at_best = int(np.argmax(shape.smooth))
    after = shape.z[max(at_best + 1, len(shape.z) - shape.k) :]
    best = float(shape.smooth[at_best])
    if len(after) < 3 or best == 0:
        return 0.0
    return (best - float(np.mean(after))) / abs(best)


def _has_spike(shape: Shape) -> bool:
    """Whether a value is further than 8 sd, and than 2 % of the level, from its neighbours."""
    residual = np.abs(shape.z - shape.smooth)
    # a steep start has quiet residuals and large differences: the larger of both is the noise
    spread = shape.noise
    if len(shape.z) > 2:
        spread = max(
            measure.median_deviation(shape.z - shape.smooth), measure.difference_noise(shape.z)
        )
    level = 0.02 * float(np.max(np.abs(shape.smooth)))
    return bool(np.any((residual > 8 * spread) & (residual > level)))


def _lately(shape: Shape) -> int:
    """Return how many evaluations tell whether it still moves: a fifth, and at least five."""
    return min(len(shape.z), max(5, -(-len(shape.z) // 5)))


def _still_improving(shape: Shape) -> bool:
    """Whether the last fifth rises by more than twice the noise and 0.5 % of the level."""
    x, z = shape.x[-_lately(shape) :], shape.z[-_lately(shape) :]
    if len(z) < 3:
        return False
    gain = measure.theil_sen(x, z) * float(x[-1] - x[0])
    return gain > 2 * shape.noise and gain > 0.005 * abs(float(np.mean(z)))


def _on_plateau(shape: Shape) -> bool:
    """Whether the last fifth brought no gain beyond the noise over all that was before it."""
    length = _lately(shape)
    if len(shape.z) < 2 * length:
        return False
    # the last two places have no full window: a lucky last value would pass for a gain
    before, lately = shape.smooth[:-length], shape.smooth[-length:-2]
    return float(np.max(lately) - np.max(before)) <= shape.noise
