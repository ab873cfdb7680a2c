"""Single measures of a curve: closed definitions on clean arrays.

Every function takes 1-D float64 arrays of finite values, x strictly increasing, and a curve `z`
of which more is better (a loss comes in negated). `epochal.analysis.curve_points` gets them there.
Definitions follow the usual ones: Theil-Sen slope, median absolute deviation scaled to a normal
distribution's standard deviation (1.4826), Prechelt's generalisation loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from epochal.analysis.curve_points import Array

__all__ = [
    "difference_noise",
    "generalisation_loss",
    "max_drawdown",
    "mean_best_so_far",
    "median_deviation",
    "running_median",
    "theil_sen",
    "time_to",
    "training_progress",
]

_THEIL_SEN_POINTS = 300


def running_median(z: Array, width: int = 5) -> Array:
    """Return the centred running median; the window shrinks symmetrically towards both ends.

    Symmetric shrinking leaves a monotone curve exactly as it is.
    """
    half = width // 2
    smooth = z.copy()
    if len(z) >= width:
        windows = np.lib.stride_tricks.sliding_window_view(z, width)
        smooth[half : len(z) - half] = np.median(windows, axis=1)
    for i in (*range(half), *range(len(z) - half, len(z))):
        reach = min(i, len(z) - 1 - i)
        if 0 <= reach < half:
            smooth[i] = np.median(z[i - reach : i + reach + 1])
    return smooth


def time_to(x: Array, smooth: Array, level: float) -> float | None:
    """Return the first x at which `smooth` is at `level` and is so at the next evaluation too.

    Interpolated linearly between evaluations. None: never reached (censored), or reached only at
    the last evaluation, where nobody can say that it stays.
    """
    stays = (smooth[:-1] >= level) & (smooth[1:] >= level)
    if not stays.any():
        return None
    i = int(np.argmax(stays))
    if i == 0:
        return float(x[0])
    rise = smooth[i] - smooth[i - 1]
    if not rise > 0:  # both sides are at the level within rounding
        return float(x[i])
    share = float(np.clip((level - smooth[i - 1]) / rise, 0.0, 1.0))
    return float(x[i - 1] + share * (x[i] - x[i - 1]))


def mean_best_so_far(x: Array, z: Array, start: float, end: float) -> float:
    """Return the mean height of the best value so far over [start, end], by the trapezoid rule.

    Outside its own range a curve is held at its first or last level, so that a run that stopped
    early is compared over the same budget as one that went on.
    """
    best = np.maximum.accumulate(z)
    if not end > start:
        return float(np.interp(end, x, best))
    inside = (x > start) & (x < end)
    grid = np.concatenate(([start], x[inside], [end]))
    height = np.interp(grid, x, best)
    return float(np.sum(np.diff(grid) * (height[1:] + height[:-1]) / 2) / (end - start))


def max_drawdown(z: Array) -> float:
    """Return the deepest fall below the best value so far, in the unit of `z`."""
    return float(np.max(np.maximum.accumulate(z) - z, initial=0.0))


def median_deviation(values: Array) -> float:
    """Return the median absolute deviation, scaled to the sd of a normal distribution."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def difference_noise(z: Array) -> float:
    """Return the noise's sd from successive differences, which a linear trend does not move."""
    return median_deviation(np.diff(z)) / float(np.sqrt(2.0))


def theil_sen(x: Array, z: Array) -> float:
    """Return the median of the slopes between all pairs of points, per unit of x.

    Beyond 300 points an even selection of 300 stands for all of them: pairs grow as n².
    """
    if len(x) > _THEIL_SEN_POINTS:
        chosen = np.linspace(0, len(x) - 1, _THEIL_SEN_POINTS).astype(np.intp)
        x, z = x[chosen], z[chosen]
    first, second = np.triu_indices(len(x), k=1)
    return float(np.median((z[second] - z[first]) / (x[second] - x[first])))


def generalisation_loss(validation: Array) -> float:
    """Return GL = 100 (last / min - 1) of a validation loss > 0 (Prechelt 1998, section 2.1)."""
    return float(100.0 * (validation[-1] / np.min(validation) - 1.0))


def training_progress(training: Array, k: int = 5) -> float:
    """Return P_k = 1000 (mean / min - 1) over the last k training losses > 0 (Prechelt 1998)."""
    strip = training[-k:]
    return float(1000.0 * (np.mean(strip) / np.min(strip) - 1.0))
