"""Percentiles of a sample, and how high those of the population can be.

No distribution is assumed: the number of samples below the q-quantile is binomial (n, q), so an
order statistic of high enough rank lies above that quantile with the confidence asked for (see
e.g. Hahn and Meeker, Statistical Intervals). Latencies have long tails; mean and deviation, or
samples "cleaned" by clipping at two sigma, hide exactly what a deadline is about.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["percentile", "smallest_sample", "upper_bound", "upper_rank"]

CONFIDENCE = 0.95


def percentile(values: Sequence[float], q: float) -> float:
    """Return the q-quantile, 0 < q <= 1: the smallest value that a share q does not exceed.

    Raises
    ------
    ValueError
        There are no values.
    """
    if not values:
        raise ValueError("no values")
    rank = math.ceil(q * len(values) - 1e-9)
    return sorted(values)[max(rank, 1) - 1]


def upper_bound(values: Sequence[float], q: float, confidence: float = CONFIDENCE) -> float:
    """Return an upper confidence bound of the population's q-quantile; infinity if n is too small.

    It holds for independent values of any one distribution.
    """
    rank = upper_rank(len(values), q, confidence)
    return sorted(values)[rank - 1] if rank <= len(values) else math.inf


def upper_rank(n: int, q: float, confidence: float = CONFIDENCE) -> int:
    """Return the rank, from 1, of the order statistic that bounds the q-quantile; n + 1 for none.

    It is the smallest r with P(Binomial(n, q) < r) >= confidence.
    """
    below = 0.0
    for k in range(n):
        below += math.exp(
            math.lgamma(n + 1)
            - math.lgamma(k + 1)
            - math.lgamma(n - k + 1)
            + k * math.log(q)
            + (n - k) * math.log1p(-q)
        )
        if below >= confidence:
            return k + 1
    return n + 1


def smallest_sample(q: float, confidence: float = CONFIDENCE) -> int:
    """Return how many values a bound of the q-quantile needs: 59 for p95, 299 for p99."""
    return math.ceil(math.log(1 - confidence) / math.log(q) - 1e-9)
