"""Many chances to be lucky: what they cost, in error level and in bias.

Light: the standard library alone, because the ledger is read by processes that train.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from statistics import NormalDist

__all__ = ["best_of_level", "expected_maximum", "holm", "largest_k", "look_level"]

_NORMAL = NormalDist()


@functools.cache
def expected_maximum(k: int) -> float:
    """Return c_k: the expected maximum of `k` independent standard normal variables.

    The best of k equal models looks c_k standard errors better than it is: 0 for one, .564 for
    2, 1.539 for 10 (Tippett 1925). Computed by the trapezoid rule to about 1e-9.
    """
    if k < 2:
        return 0.0
    step, reach = 0.01, 9.0
    total = 0.0
    for i in range(-round(reach / step), round(reach / step) + 1):
        z = i * step
        total += z * _NORMAL.pdf(z) * _NORMAL.cdf(z) ** (k - 1)
    return k * total * step


def largest_k(bias: float, se: float, limit: int = 1000) -> int:
    """Return how many looks keep the bias of the best below `bias`: the largest k, at least 1.

    Parameters
    ----------
    bias, se
        The bias that is still irrelevant, and the standard error of one comparison.
    """
    low, high = 1, limit
    while low < high:
        middle = (low + high + 1) // 2
        if expected_maximum(middle) * se <= bias:
            low = middle
        else:
            high = middle - 1
    return low


def look_level(alpha: float, k: int) -> float:
    """Return the error level of look number `k` at one test set: ``alpha / (k (k + 1))``.

    The levels of all looks, however many there will be, add up to `alpha`.
    """
    return alpha / (k * (k + 1))


def best_of_level(alpha: float, k: int) -> float:
    """Return the level at which each of `k` candidates is judged so that the best has `alpha`.

    Šidák's, which is exact for independent candidates and safe for those that share a baseline.
    """
    return -math.expm1(math.log1p(-alpha) / k)


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values adjusted for there being many (Holm 1979), in the order given."""
    order = sorted(range(len(p)), key=p.__getitem__)
    adjusted = [0.0] * len(p)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, p[index] * (len(p) - rank)))
        adjusted[index] = running
    return adjusted
