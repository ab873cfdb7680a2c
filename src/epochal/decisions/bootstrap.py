"""How far a metric moves when other images had been drawn: the paired bootstrap.

Images (or clips, where records name groups) are drawn with replacement, the same draw for every
model, so that what is hard for all of them cancels in a difference. A draw is a vector of
weights; match records answer for any weights without matching again (see `Resampler`). Efron's
bootstrap with multinomial counts; classes without objects in a draw leave both means.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from epochal.errors import InvalidInput
from epochal.evaluation import MatchRecords, Resampler, best_f1, recall_at_precision
from epochal.evaluation.evaluators import definition_of

__all__ = ["RESAMPLES", "Draws", "bootstrap", "can_resample", "class_metric", "looks_like_video"]

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
        (k,) and (b, k) per-class AP likewise (see `class_metric`).
    """

    point: float
    values: Floats
    class_point: Floats
    class_values: Floats


def can_resample(metric: str) -> bool:
    """Return whether `metric` can be computed from match records."""
    return metric in _AP or metric in _POINTS or _PRECISION.fullmatch(metric) is not None


def class_metric(metric: str) -> str:
    """Return which AP of a class goes with `metric`: AP50 with mAP50, else AP50-95."""
    return {"mAP50": "AP50", "mAP75": "AP75"}.get(metric, "AP50-95")


def bootstrap(
    records: Sequence[MatchRecords],
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
        ``recall``, ``f1`` at the threshold of the best mean F1.
    seed
        Of the generator: equal seeds give equal draws.

    Raises
    ------
    InvalidInput
        If the records are of different images, classes or groups, or the metric cannot be
        computed from them.
    """
    if not can_resample(metric):
        raise InvalidInput(
            f"{metric} cannot be computed from match records",
            "decide on mAP50-95, mAP50 or recall@precision=0.95",
        )
    places = [_places(records[0], other) for other in records]
    unit, units = _units(records[0])
    models = [_Model(model, metric) for model in records]
    draw = np.random.default_rng(seed)
    values = np.empty((len(models), resamples))
    class_values = np.empty((len(models), resamples, len(records[0].classes)))
    for start in range(0, resamples, _BLOCK):
        n = min(_BLOCK, resamples - start)
        counts = draw.multinomial(units, np.full(units, 1 / units), size=n)
        for row in range(n):
            weights = counts[row][unit].astype(np.float64)
            for m, model in enumerate(models):
                value, by_class = model(weights[places[m]])
                values[m, start + row] = value
                class_values[m, start + row] = by_class
        if progress is not None:
            progress(start + n, resamples)
    found = []
    for m, model in enumerate(models):
        value, by_class = model(None)
        found.append(Draws(value, values[m], by_class, class_values[m]))
    return found


class _Model:
    """The metric and the per-class AP of one model's records for any weights."""

    def __init__(self, records: MatchRecords, metric: str) -> None:
        self._resampler = Resampler(records, definition_of(records.evaluator))
        self._other: Callable[[Floats | None], float] | None = None
        iou = _AP.get(metric)
        self._at = None if iou is None else records.threshold_index(iou)
        if match := _PRECISION.fullmatch(metric):
            self._other = _PooledRecall(records, float(match["precision"]))
        elif metric in _POINTS:
            self._other = lambda w: float(getattr(best_f1(records, weights=w).macro, metric))

    def __call__(self, weights: Floats | None) -> tuple[float, Floats]:
        ap = self._resampler.ap(weights)
        by_class: Floats = ap.mean(axis=1) if self._at is None else ap[:, self._at]
        if self._other is not None:
            return self._other(weights), by_class
        known = by_class[~np.isnan(by_class)]
        return (float(known.mean()) if len(known) else float("nan")), by_class


class _PooledRecall:
    """`recall_at_precision(...).micro.recall`, with what no weight changes done once."""

    def __init__(self, records: MatchRecords, precision: float) -> None:
        at = records.threshold_index(0.5)
        order = np.argsort(-records.score, kind="stable")
        order = order[~records.ignored[order, at]]
        score = records.score[order]
        self._records, self._precision = records, precision
        self._img = records.img[order]
        self._tp = records.tp[order, at]
        self._is_cut = np.append(score[1:] != score[:-1], True)[: len(score)]

    def __call__(self, weights: Floats | None) -> float:
        if weights is None:
            return recall_at_precision(self._records, self._precision).micro.recall
        records = self._records
        truth = float((weights[records.truth_img] * records.truth_count).sum())
        if truth == 0:
            return float("nan")
        w = weights[self._img]
        n, tp = np.cumsum(w), np.cumsum(w * self._tp)
        good = self._is_cut & (tp > 0) & (tp >= self._precision * n - 1e-9)
        return float(tp[good].max() / truth) if good.any() else 0.0


def _places(first: MatchRecords, other: MatchRecords) -> npt.NDArray[np.int64]:
    """Return where each image of `other` stands in `first`."""
    if first.classes != other.classes:
        raise InvalidInput("the match records have different class lists", "evaluate both again")
    if first.images == other.images:
        return np.arange(first.n_images)
    place = {name: i for i, name in enumerate(first.images)}
    found = [place.get(name, -1) for name in other.images]
    shared = len({i for i in found if i >= 0})
    if shared < len(found) or len(found) != first.n_images:
        raise InvalidInput(
            f"the match records share {shared} of {first.n_images} and {len(found)} images",
            "evaluate both runs on the same split",
        )
    return np.array(found, np.int64)


def _units(records: MatchRecords) -> tuple[npt.NDArray[np.int64], int]:
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
