"""How far a metric moves when other images had been drawn: the paired bootstrap.

Images (or clips, where records name groups) are drawn with replacement, the same draw for every
model, so that what is hard for all of them cancels in a difference. A draw is a vector of
weights; records answer for any weights without matching again (see `Resampler`, `Outcomes`).
Efron's bootstrap with multinomial counts; classes without objects in a draw leave both means.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from epochal.errors import InvalidInput
from epochal.evaluation import (
    ACCURACIES,
    F1Resampler,
    ImageRecords,
    MatchRecords,
    Outcomes,
    Resampler,
)
from epochal.evaluation.average_precision import known_mean
from epochal.evaluation.evaluators import definition_of

__all__ = [
    "RESAMPLES",
    "Draws",
    "bootstrap",
    "can_resample",
    "class_metric",
    "class_noun",
    "looks_like_video",
]

Floats = npt.NDArray[np.float64]

RESAMPLES = 1000
"""Draws: the error of a standard error is then 2.2 %."""

_BLOCK = 64
_PRECISION = re.compile(r"recall@precision=(?P<precision>0?\.\d+|1(\.0*)?)")
_AP = {"mAP50-95": None, "mAP50": 0.5, "mAP75": 0.75}
_POINTS = ("precision", "recall", "f1")


@dataclass(frozen=True, eq=False)
class Draws:
    """One model under the draws that all models of a comparison share.

    Parameters
    ----------
    point
        The metric on the images as they are, 0..1.
    values
        (b,) the metric under each draw; NaN where it is undefined there.
    class_point, class_values
        (k,) and (b, k) the metric of each class likewise (see `class_metric`).
    """

    point: float
    values: Floats
    class_point: Floats
    class_values: Floats


def can_resample(metric: str, records: ImageRecords) -> bool:
    """Return whether `metric` can be computed from records of that kind."""
    if isinstance(records, Outcomes):
        return metric in ACCURACIES
    return metric in _AP or metric in _POINTS or _PRECISION.fullmatch(metric) is not None


def class_metric(metric: str) -> str:
    """Return what of a class goes with `metric`.

    Recall with a classifier's accuracy, AP50 with mAP50, AP75 with mAP75, else AP50-95.
    """
    if metric in ACCURACIES:
        return "recall"
    return {"mAP50": "AP50", "mAP75": "AP75"}.get(metric, "AP50-95")


def class_noun(metric: str) -> str:
    """Return what a sentence calls it: AP, whatever its IoU, or recall."""
    return "recall" if class_metric(metric) == "recall" else "AP"


def bootstrap(
    records: Sequence[ImageRecords],
    metric: str,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Draws]:
    """Return what each model's metric becomes under the same draws of images.

    Parameters
    ----------
    records
        One for each model. All are of the same images, in any order; where they name groups,
        groups are drawn instead of images.
    metric
        ``mAP50-95``, ``mAP50``, ``mAP75``, ``recall@precision=P`` (micro), or ``precision``,
        ``recall``, ``f1`` at the threshold of the best mean F1; of a classifier's outcomes one
        of `ACCURACIES`.
    seed
        Of the generator: equal seeds give equal draws.

    Raises
    ------
    InvalidInput
        If the records are of different images, classes or groups, or the metric cannot be
        computed from them.
    """
    for one in records:
        if not can_resample(metric, one):
            named = "mAP50-95, mAP50 or recall@precision=0.95"
            if isinstance(one, Outcomes):
                named = ", ".join(ACCURACIES)
            raise InvalidInput(
                f"{metric} cannot be computed from these per-image records", f"decide on {named}"
            )
    places = [_places(records[0], other) for other in records]
    unit, units = _units(records[0])
    models = [
        _Classifier(model, metric) if isinstance(model, Outcomes) else _Detector(model, metric)
        for model in records
    ]
    draw = np.random.default_rng(seed)
    values = np.empty((len(models), resamples))
    class_values = np.empty((len(models), resamples, len(records[0].classes)))
    for start in range(0, resamples, _BLOCK):
        n = min(_BLOCK, resamples - start)
        counts = draw.multinomial(units, np.full(units, 1 / units), size=n)[:, unit]
        rows = slice(start, start + n)
        for m, model in enumerate(models):
            values[m, rows], class_values[m, rows] = model(counts[:, places[m]])
        if progress is not None:
            progress(start + n, resamples)
    found = []
    for m, model in enumerate(models):
        value, by_class = model(np.ones((1, len(unit))))
        found.append(Draws(float(value[0]), values[m], by_class[0], class_values[m]))
    return found


class _Classifier:
    """The metric (b,) and the recall of each class (b, k) for weights (b, n)."""

    def __init__(self, outcomes: Outcomes, metric: str) -> None:
        self._outcomes, self._metric = outcomes, metric

    def __call__(self, weights: npt.NDArray[Any]) -> tuple[Floats, Floats]:
        outcomes = self._outcomes
        return outcomes.accuracy(self._metric, weights), outcomes.recall(weights)


class _Detector:
    """The metric (b,) and the AP of each class (b, k) for weights (b, n)."""

    def __init__(self, records: MatchRecords, metric: str) -> None:
        self._other: Callable[[npt.NDArray[Any]], list[float]] | None = None
        if match := _PRECISION.fullmatch(metric):
            pooled = _PooledRecall(records, float(match["precision"]))
            self._other = lambda weights: [pooled(row) for row in weights.astype(np.float64)]
        elif metric in _POINTS:
            points = F1Resampler(records)
            self._other = lambda weights: [getattr(p, metric) for p in points.macro(weights)]
        iou = _AP.get(metric)
        measured = records if iou is None else _at(records, iou)
        self._resampler = Resampler(measured, definition_of(records.evaluator))

    def __call__(self, weights: npt.NDArray[Any]) -> tuple[Floats, Floats]:
        by_class: Floats = self._resampler.ap_many(weights).mean(axis=2)
        if self._other is not None:
            return np.array(self._other(weights)), by_class
        return np.array([known_mean(row) for row in by_class]), by_class


def _at(records: MatchRecords, iou: float) -> MatchRecords:
    """Return the records as matched at one IoU only, which is all that this metric asks for."""
    level = [records.threshold_index(iou)]
    return replace(
        records,
        thresholds=(records.thresholds[level[0]],),
        tp=records.tp[:, level],
        ignored=records.ignored[:, level],
    )


class _PooledRecall:
    """`recall_at_precision(...).micro.recall` under weights, prepared once.

    Of cuts that keep equally many true positives the first is the most precise, so only those are
    looked at that come right after one (after its ties).
    """

    def __init__(self, records: MatchRecords, precision: float) -> None:
        if precision <= 0:
            raise InvalidInput(f"precision is {precision:g}, expected above 0 and at most 1")
        at = records.threshold_index(0.5)
        order = np.argsort(-records.score, kind="stable")
        order = order[~records.ignored[order, at]]
        hit = np.flatnonzero(records.tp[order, at])
        descending = -records.score[order]
        cut = np.searchsorted(descending, descending[hit], side="right")
        order = order[: cut[-1] if len(cut) else 0]
        self._records, self._precision = records, precision
        self._img = records.img[order].astype(np.intp)
        self._hit_img = self._img[hit]
        self._cut = cut - 1
        self._hits_at_cut = np.searchsorted(hit, cut) - 1
        self._sums = np.empty(len(order))  # one for all draws: fresh pages cost more than the sums

    def __call__(self, weights: Floats) -> float:
        records = self._records
        truth = float((weights[records.truth_img] * records.truth_count).sum())
        if truth == 0:
            return float("nan")
        weights.take(self._img, out=self._sums, mode="clip")
        n = np.cumsum(self._sums, out=self._sums).take(self._cut)
        tp = np.cumsum(weights.take(self._hit_img)).take(self._hits_at_cut)
        good = (tp > 0) & (tp >= self._precision * n - 1e-9)
        return float(tp[good].max() / truth) if good.any() else 0.0


def _places(first: ImageRecords, other: ImageRecords) -> npt.NDArray[np.int64]:
    """Return where each image of `other` stands in `first`."""
    if first.classes != other.classes:
        raise InvalidInput("the records have different class lists", "evaluate both again")
    if first.images == other.images:
        return np.arange(first.n_images)
    place = {name: i for i, name in enumerate(first.images)}
    found = [place.get(name, -1) for name in other.images]
    shared = len({i for i in found if i >= 0})
    if shared < len(found) or len(found) != first.n_images:
        raise InvalidInput(
            f"the records share {shared} of {first.n_images} and {len(found)} images",
            "evaluate both runs on the same split",
        )
    return np.array(found, np.int64)


def _units(records: ImageRecords) -> tuple[npt.NDArray[np.int64], int]:
    """Return which unit each image belongs to, and how many units are drawn."""
    if not records.groups:
        return np.arange(records.n_images), records.n_images
    names, unit = np.unique(np.array(records.groups), return_inverse=True)
    return unit.astype(np.int64), len(names)


_NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>\d+)(\.[A-Za-z0-9]+)?$")
_FRAME = re.compile(r"frame|video|clip|seq(uence)?\d*|cam(era)?\d*", re.IGNORECASE)


def looks_like_video(images: Sequence[str]) -> str:
    """Return one line if the images' names look like numbered frames; empty if they do not.

    Neighbouring frames show the same thing: drawn one by one they pretend to be more evidence
    than they are (a 95 % interval of ten-frame clips holds the truth in 43 % of cases).
    """
    by_prefix: dict[str, list[int]] = defaultdict(list)
    for name in images:
        if match := _NUMBERED.match(name):
            by_prefix[match["prefix"]].append(int(match["number"]))
    runs = {
        prefix: sorted(numbers)
        for prefix, numbers in by_prefix.items()
        if len(numbers) >= 5 and float(np.median(np.diff(sorted(numbers)))) <= 3
    }
    several = len(runs) >= 3 or any(_FRAME.search(prefix) for prefix in runs)
    inside = sum(map(len, runs.values()))
    if not several or inside < len(images) / 2:
        return ""
    example = next(iter(runs))
    return (
        f"{inside} of {len(images)} images are numbered like video frames ({example}...): "
        "set group_of in the charter to draw clips, or the interval is too narrow"
    )
