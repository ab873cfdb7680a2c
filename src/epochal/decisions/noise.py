"""What a difference is worth: its error from images and from seeds, and what would shrink it.

Two trainings of one recipe differ, because another seed finds other weights; and two evaluations
of one model differ, because other images would have been harder. The paired bootstrap measures
the second on the images at hand. Trainings that differ in their seed alone measure the first;
where there are none, the project's other replicates or a published spread stand in for it.

The two overlap: models of two seeds disagree about single images, which the bootstrap already
contains. So only what the seeds vary beyond it is added (*interaction-corrected*):

    SE^2 = SE_images^2 + sum over arms of max(s^2 - c^2, 0) / k

with s^2 the variance of the arm's k results, and c^2 half the bootstrap variance of the
difference between two of them. Degrees of freedom follow Satterthwaite (1946).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import NormalDist
from typing import Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from epochal.decisions.bootstrap import Draws
from epochal.decisions.distributions import t_cdf, t_quantile
from epochal.evaluation import ACCURACIES

__all__ = [
    "PRIORS",
    "Estimate",
    "Judgement",
    "Remedy",
    "SeedSpread",
    "estimate",
    "pooled_spread",
    "prior_spread",
]

Floats = npt.NDArray[np.float64]
Judgement: TypeAlias = Literal["pass", "fail", "unknown"]

PRIORS = ((50_000, 0.002), (5_000, 0.004), (0, 0.010))
"""(training images from which it holds, standard deviation over seeds of an mAP, 0..1).

Judgement from published repeats: COCO-sized trainings vary by .1 to .3 points, a few thousand
images by about .5, a few hundred by 1 to 2."""

_POWER = NormalDist().inv_cdf(0.8)


class SeedSpread(msgspec.Struct, frozen=True, kw_only=True):
    """The standard deviation over seeds that is assumed where an arm cannot show its own."""

    sd: float
    source: str
    """In words: the project's own replicates, or the published figure."""
    df: float = math.inf


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """What would settle an open difference, if it is as large as it looks."""

    images: int | None
    """Images in all; None: no number of images alone would."""
    seeds: int | None
    """Trainings of each recipe; None: no number of seeds alone would."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Candidate minus baseline: how large, how sure. Values in the metric's stored unit, 0..1."""

    baseline: float
    candidate: float
    """Means over the arm's seeds."""
    delta: float
    se: float
    se_images: float
    se_seeds: float
    df: float | None
    """Degrees of freedom of `se`; None: as many as make it normal."""
    interval: tuple[float, float]
    """Two-sided 95 %, images and seeds."""
    image_interval: tuple[float, float]
    """Two-sided 95 % over images alone: percentiles of the draws."""
    alpha: float
    """One-sided level of `lower` and `upper`."""
    lower: float
    upper: float
    p_better: float
    """P(the candidate's recipe is better), from `delta` and `se` with nothing assumed before."""
    detectable: float
    """The difference that would be found in 80 % of cases at this level."""
    seeds: tuple[int, int]
    """Trainings of baseline and candidate."""
    seed_source: str
    """Where the spread over seeds is from."""
    evidence: Literal["E2", "E3"]

    def judge(self, min_gain: float) -> Judgement:
        """Return the rule's answer: worth having and beyond doubt, out of reach, or open."""
        if self.delta >= min_gain and self.delta > 0 and self.lower > 0:
            return "pass"
        if self.delta <= 0 or self.upper < min_gain:
            return "fail"
        return "unknown"

    def remedy(self, min_gain: float, images: int) -> Remedy:
        """Return how many images, or seeds, would make `lower` positive.

        Parameters
        ----------
        images
            How many there are.
        """
        target = max(self.delta, min_gain) / self._quantile
        more_images = target**2 - self.se_seeds**2
        more_seeds = target**2 - self.se_images**2
        k = min(self.seeds)
        return Remedy(
            images=math.ceil(images * self.se_images**2 / more_images)
            if more_images > 0
            else None,
            seeds=max(k + 1, math.ceil(k * self.se_seeds**2 / more_seeds))
            if more_seeds > 0 and self.se_seeds > 0
            else None,
        )

    @property
    def _quantile(self) -> float:
        return t_quantile(1 - self.alpha, math.inf if self.df is None else self.df)


def estimate(
    baseline: Sequence[Draws],
    candidate: Sequence[Draws],
    *,
    spread: SeedSpread,
    alpha: float,
    units: float = math.inf,
) -> Estimate:
    """Return the difference between two recipes, each given by one or more trainings.

    Parameters
    ----------
    baseline, candidate
        Each training under the same draws of images.
    spread
        For an arm of a single training whose counterpart has no seeds either.
    alpha
        One-sided error level.
    units
        How many images, or clips, were drawn from: few make the error itself uncertain.
    """
    mean = [np.mean([d.values for d in arm], axis=0) for arm in (baseline, candidate)]
    point = [float(np.mean([d.point for d in arm])) for arm in (baseline, candidate)]
    delta = point[1] - point[0]
    difference = mean[1] - mean[0]
    difference = difference[~np.isnan(difference)]
    se_images = float(difference.std(ddof=1)) if len(difference) > 1 else math.inf
    own = [_seed_variance(arm) for arm in (baseline, candidate)]
    shared = [v for v in own if v is not None]
    # One estimate that speaks for both arms is no more certain than it is for one.
    by_source: dict[object, list[float]] = {}
    freedom: dict[object, float] = {}
    source: object
    for side, (arm, variance) in enumerate(zip((baseline, candidate), own, strict=True)):
        if variance is not None:
            source, freedom[side] = side, len(arm) - 1
        elif shared:  # the other arm's seeds speak for both
            source, variance = 1 - side, shared[0]
        else:
            source, variance, freedom["assumed"] = "assumed", spread.sd**2, spread.df
        by_source.setdefault(source, []).append(variance / len(arm))
    seeds = sum(sum(terms) for terms in by_source.values())
    total = se_images**2 + seeds
    loss = sum(sum(terms) ** 2 / freedom[source] for source, terms in by_source.items())
    loss += se_images**4 / max(units - 1, 1)
    df = total**2 / loss if loss > 0 else math.inf
    se = math.sqrt(total)
    q, q95 = t_quantile(1 - alpha, df), t_quantile(0.975, df)
    percentiles = np.percentile(difference, [2.5, 97.5]) if len(difference) else (delta, delta)
    k = (len(baseline), len(candidate))
    return Estimate(
        baseline=point[0],
        candidate=point[1],
        delta=delta,
        se=se,
        se_images=se_images,
        se_seeds=math.sqrt(seeds),
        df=None if math.isinf(df) else df,
        interval=(delta - q95 * se, delta + q95 * se),
        image_interval=(float(percentiles[0]), float(percentiles[1])),
        alpha=alpha,
        lower=delta - q * se,
        upper=delta + q * se,
        p_better=t_cdf(delta / se, df) if se > 0 else (0.5 if delta == 0 else float(delta > 0)),
        detectable=(q + _POWER) * se,
        seeds=k,
        seed_source=f"{k[1]} and {k[0]} trainings that differ in their seed"
        if shared
        else spread.source,
        evidence="E3" if min(k) > 1 else "E2",
    )


def _seed_variance(arm: Sequence[Draws]) -> float | None:
    """Return what the arm's seeds vary beyond the bootstrap; None for a single training."""
    if len(arm) < 2:
        return None
    spread = float(np.var([d.point for d in arm], ddof=1))
    within = [float(np.nanvar(a.values - b.values, ddof=1)) / 2 for a, b in combinations(arm, 2)]
    return max(spread - float(np.mean(within)), 0.0)


def pooled_spread(arms: Sequence[Sequence[Draws]], source: str) -> SeedSpread | None:
    """Return the spread over seeds within the arms, beyond the bootstrap; None without seeds."""
    own = [(v, len(arm) - 1) for arm in arms if (v := _seed_variance(arm)) is not None]
    df = sum(k for _, k in own)
    if not df:
        return None
    return SeedSpread(sd=math.sqrt(sum(v * k for v, k in own) / df), source=source, df=df)


def prior_spread(training_images: int | None, metric: str) -> SeedSpread:
    """Return the published spread over seeds for a training of that size.

    Parameters
    ----------
    training_images
        None, where the data was never tagged, is taken as few.
    metric
        A recall at a fixed precision varies about four times as much as an mAP; an accuracy is
        taken to vary as one, and the source says so.
    """
    n = training_images or 0
    sd = next(sd for at_least, sd in PRIORS if n >= at_least)
    wider = 4.0 if metric.startswith("recall@") else 1.0
    whose = " of an mAP, taken for an accuracy's:" if metric in ACCURACIES else " of"
    size = f"{n} training images" if training_images else "an unknown number of training images"
    return SeedSpread(
        sd=sd * wider, source=f"published spread{whose} {sd * wider * 100:g} points for {size}"
    )
