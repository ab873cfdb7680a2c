"""Operating points: what a detector reaches at one confidence threshold.

A threshold keeps the detections with score >= threshold. Only scores that occur can be cuts, and
detections of equal score fall on the same side of every cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from epochal.errors import InvalidInput
from epochal.evaluation.average_precision import image_weights, known_mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from epochal.evaluation.columns import Bools, Floats
    from epochal.evaluation.match_records import MatchRecords

__all__ = [
    "OperatingPoints",
    "Point",
    "recall_at_precision",
    "threshold_at",
    "ultralytics_best_f1",
]

_NAN = float("nan")


@dataclass(frozen=True)
class Point:
    """One threshold and what it reaches, 0..1; NaN where undefined (no detection, no truth)."""

    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """What thresholds reach per class and overall.

    Parameters
    ----------
    iou
        IoU threshold of the matches.
    threshold, precision, recall, f1
        (k,) per class; NaN where undefined. Recall and F1 are 0, not NaN, for a class that has
        truth and no detection.
    micro
        All classes' detections and objects counted together, under one threshold.
    macro
        Means of the per-class values over the classes in which they are defined; its threshold is
        NaN unless the classes share one.
    """

    iou: float
    threshold: Floats
    precision: Floats
    recall: Floats
    f1: Floats
    micro: Point
    macro: Point


def recall_at_precision(
    records: MatchRecords,
    precision: float = 0.95,
    iou: float = 0.5,
    weights: ArrayLike | None = None,
) -> OperatingPoints:
    """Return the highest recall at which precision is still at least `precision`.

    Precision is the raw ratio at the cut, not an envelope. Of cuts with equal recall the one with
    the highest threshold stands. Where no cut with a true positive is precise enough, recall is 0
    and the threshold NaN. Micro has one threshold for all classes, which is what is deployed.

    Parameters
    ----------
    precision
        Required precision, above 0 and at most 1.
    iou
        IoU threshold of the matches.
    weights
        (n_images,) how often each image counts; default: once.

    Raises
    ------
    InvalidInput
        A precision outside (0, 1], nothing matched at `iou`, or unusable weights.
    """
    if not 0 < precision <= 1:
        raise InvalidInput(f"precision is {precision}, expected above 0 and at most 1")
    counts = _Counts(records, iou, weights)
    points = [_reach(*counts.of(c), precision) for c in range(len(records.classes))]
    micro = _reach(*counts.pooled(), precision)
    return _points(iou, points, micro)


def threshold_at(
    records: MatchRecords,
    threshold: float | ArrayLike,
    iou: float = 0.5,
    weights: ArrayLike | None = None,
) -> OperatingPoints:
    """Return what a given threshold reaches on these records.

    The honest form of an operating point: choose the threshold on one split, apply it here to
    another.

    Parameters
    ----------
    threshold
        One confidence for all classes, or (k,) one per class; NaN keeps nothing of its class.
    iou, weights
        As in `recall_at_precision`.

    Raises
    ------
    InvalidInput
        As many thresholds as neither one nor k, nothing matched at `iou`, or unusable weights.
    """
    k = len(records.classes)
    shared = np.ndim(threshold) == 0
    given = np.asarray(threshold, np.float64)
    if not shared and given.shape != (k,):
        raise InvalidInput(f"{given.size} thresholds for {k} classes")
    each = np.broadcast_to(given, (k,))
    counts = _Counts(records, iou, weights)
    kept = records.score >= each[records.cls]
    n = np.bincount(records.cls, counts.w * kept, k)
    tp = np.bincount(records.cls, counts.w * (kept & counts.tp), k)
    points = [
        _point(t, hit, seen, truth)
        for t, hit, seen, truth in zip(each, tp, n, counts.truth, strict=True)
    ]
    common = float(given) if shared else _NAN
    return _points(iou, points, _point(common, tp.sum(), n.sum(), counts.truth.sum()), common)


def ultralytics_best_f1(records: MatchRecords) -> OperatingPoints:
    """Return precision, recall and F1 as Ultralytics prints them.

    Precision and recall at IoU .5 are interpolated over 1000 confidences; the mean F1 over classes
    with truth is smoothed with a box of a tenth of them; its maximum is the shared threshold.
    Micro values are exact counts at that threshold. Macro precision and recall are the library's
    ``metrics/precision(B)`` and ``metrics/recall(B)``.

    Raises
    ------
    InvalidInput
        Nothing matched at IoU .5.
    """
    iou, size = 0.5, 1000
    counts = _Counts(records, iou, None)
    grid = np.linspace(0, 1, size)
    k = len(records.classes)
    precision, recall = np.zeros((k, size)), np.zeros((k, size))
    for c in np.flatnonzero(counts.truth > 0):
        rows = slice(*records.class_bounds[c : c + 2])
        tp, n = counts.running(rows)
        if len(tp):
            falling = -records.score[rows]
            recall[c] = np.interp(-grid, falling, tp / counts.truth[c], left=0)
            precision[c] = np.interp(-grid, falling, tp / np.maximum(n, 1), left=1)
    f1 = 2 * precision * recall / (precision + recall + 1e-16)
    known = counts.truth > 0
    if not known.any():
        return threshold_at(records, _NAN, iou)
    width = round(size * 0.2) // 2 + 1
    edge = width // 2
    mean = np.pad(f1[known].mean(axis=0), edge, mode="edge")
    best = int(np.convolve(mean, np.full(width, 1 / width), "valid").argmax())
    threshold = float(grid[best])
    points = [
        Point(threshold, *(float(curve[c, best]) for curve in (precision, recall, f1)))
        if known[c]
        else Point(threshold, _NAN, _NAN, _NAN)
        for c in range(k)
    ]
    return _points(iou, points, threshold_at(records, threshold, iou).micro, threshold)


class _Counts:
    """Weighted true positives and countable detections at one IoU."""

    def __init__(self, records: MatchRecords, iou: float, weights: ArrayLike | None) -> None:
        at = records.threshold_index(iou)
        image = image_weights(weights, records.n_images)
        self.records = records
        self.tp: Bools = records.tp[:, at]
        self.w: Floats = np.where(records.ignored[:, at], 0.0, image[records.img])
        self.truth: Floats = np.bincount(
            records.truth_cls,
            image[records.truth_img] * records.truth_count,
            len(records.classes),
        ).astype(np.float64)

    def running(self, rows: slice) -> tuple[Floats, Floats]:
        """Return true positives and detections up to each row."""
        return np.cumsum(self.w[rows] * self.tp[rows]), np.cumsum(self.w[rows])

    def of(self, c: int) -> tuple[Floats, Floats, Floats, float]:
        """Return score, running true positives and detections, and truth of class `c`."""
        rows = slice(*self.records.class_bounds[c : c + 2])
        return self.records.score[rows], *self.running(rows), float(self.truth[c])

    def pooled(self) -> tuple[Floats, Floats, Floats, float]:
        """Return the same with all classes taken as one."""
        order = np.argsort(-self.records.score, kind="stable")
        tp, n = np.cumsum((self.w * self.tp)[order]), np.cumsum(self.w[order])
        return self.records.score[order], tp, n, float(self.truth.sum())


def _reach(score: Floats, tp: Floats, n: Floats, truth: float, precision: float) -> Point:
    """Return the furthest cut that is precise enough."""
    if truth == 0:
        return Point(_NAN, _NAN, _NAN, _NAN)
    reached = np.divide(tp, n, out=np.zeros_like(n), where=n > 0)
    cuts = np.flatnonzero(_last_of_ties(score) & (tp > 0) & (reached >= precision))
    if not len(cuts):
        return Point(_NAN, _NAN, 0.0, 0.0)
    best = cuts[tp[cuts].argmax()]
    return _point(float(score[best]), float(tp[best]), float(n[best]), truth)


def _last_of_ties(score: Floats) -> Bools:
    last: Bools = np.ones(len(score), np.bool_)
    last[:-1] = score[1:] != score[:-1]
    return last


def _point(threshold: float, tp: float, n: float, truth: float) -> Point:
    if truth == 0:
        return Point(float(threshold), _NAN, _NAN, _NAN)
    precision = float(tp / n) if n else _NAN
    return Point(float(threshold), precision, float(tp / truth), float(2 * tp / (n + truth)))


def _points(
    iou: float, points: list[Point], micro: Point, common: float = _NAN
) -> OperatingPoints:
    columns = np.array([(p.threshold, p.precision, p.recall, p.f1) for p in points], np.float64)
    threshold, precision, recall, f1 = columns.reshape(-1, 4).T
    macro = Point(common, *(known_mean(values) for values in (precision, recall, f1)))
    return OperatingPoints(iou, threshold, precision, recall, f1, micro, macro)
