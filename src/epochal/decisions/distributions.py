"""Normal and Student's t: the two curves that a decision's error levels are read from."""

from __future__ import annotations

import functools
import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

__all__ = ["t_cdf", "t_quantile"]

_NORMAL = NormalDist()
_STEPS = 20_001


def t_cdf(value: float, df: float = math.inf) -> float:
    """Return P(T <= value) for Student's t with `df` degrees of freedom (inf: normal)."""
    if math.isinf(df):
        return _NORMAL.cdf(value)
    angle, share = _angles(df)
    return float(np.interp(math.atan(value / math.sqrt(df)), angle, share))


def t_quantile(share: float, df: float = math.inf) -> float:
    """Return the value that Student's t stays below with probability `share`, 0..1."""
    if math.isinf(df):
        return _NORMAL.inv_cdf(share)
    angle, below = _angles(df)
    return math.sqrt(df) * math.tan(float(np.interp(share, below, angle)))


@functools.lru_cache(maxsize=64)
def _angles(df: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return angles and the distribution function there.

    With t = sqrt(df) tan(a) the density is cos(a)^(df - 1) on -pi/2..pi/2: bounded for df >= 1,
    so that the trapezoid rule is enough. Fewer degrees of freedom are taken as one.
    """
    angle = np.linspace(-np.pi / 2, np.pi / 2, _STEPS)
    density = np.cos(angle).clip(0.0) ** (max(df, 1.0) - 1.0)
    share = np.concatenate(([0.0], np.cumsum(density[1:] + density[:-1])))
    return angle, share / share[-1]
