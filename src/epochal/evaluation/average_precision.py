"""Average precision from match records, for one weighting of the images or for thousands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from epochal.errors import InvalidInput
from epochal.evaluation.evaluators import DEFINITIONS, Definition, definition_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from epochal.evaluation.columns import Floats
    from epochal.evaluation.match_records import MatchRecords

__all__ = ["RECALL_GRID", "APResult", "Resampler", "average_precision", "image_weights"]

RECALL_GRID = np.linspace(0.0, 1.0, 101)
"""Recalls 0, .01 ... 1 at which precision is sampled (COCO's and Ultralytics')."""

_COUNTABLE = 2.0**31  # up to this sum, whole weights are counted as integers


@dataclass(frozen=True, eq=False)
class APResult:
    """AP per class and IoU threshold, 0..1; NaN where a class has no counting truth.

    Parameters
    ----------
    ap
        (k, t) average precision.
    thresholds
        (t,) IoU thresholds.
    """

    ap: Floats
    thresholds: tuple[float, ...]

    @property
    def per_class(self) -> Floats:
        """(k,) mean over the thresholds."""
        mean: Floats = self.ap.mean(axis=1)
        return mean

    @property
    def map(self) -> float:
        """Mean over classes with truth and all thresholds (mAP50-95); NaN without any truth."""
        return _mean(self.ap)

    @property
    def map50(self) -> float:
        """Mean over classes with truth at IoU .5; NaN where that was not measured."""
        return self.at(0.5)

    @property
    def map75(self) -> float:
        """Mean over classes with truth at IoU .75; NaN where that was not measured."""
        return self.at(0.75)

    def at(self, iou: float) -> float:
        """Return the mean over classes with truth at one IoU; NaN where that was not measured."""
        return _mean(self.ap[:, np.isclose(self.thresholds, iou, rtol=0, atol=1e-9)])


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def average_precision(
    records: MatchRecords,
    weights: ArrayLike | None = None,
    definition: Definition | None = None,
) -> APResult:
    """Return AP per class and threshold.

    Parameters
    ----------
    weights
        (n_images,) how often each image counts; default: once.
    definition
        ``coco101``: precision envelope at the first point with recall >= r, mean over
        r = 0, .01 ... 1, as pycocotools. ``ultralytics``: trapezoidal area under the envelope
        interpolated at those recalls, zero beyond the last, as Ultralytics since 8.4.40.
        ``ultralytics<=8.4.30``: the same with a ramp from the last point to recall 1, precision 0.
        Default: the one that the records' evaluator implies.

    Raises
    ------
    InvalidInput
        Unknown definition; weights of another length, negative or not finite.
    """
    definition = definition or definition_of(records.evaluator)
    return APResult(Resampler(records, definition).ap(weights), records.thresholds)


def image_weights(weights: ArrayLike | None, n: int) -> Floats:
    """Return weights of `n` images as doubles; None gives ones.

    Raises
    ------
    InvalidInput
        Another length, a negative or a non-finite weight.
    """
    if weights is None:
        return np.ones(n)
    array = np.asarray(weights, np.float64)
    if array.shape != (n,):
        raise InvalidInput(f"weights have shape {array.shape}, expected ({n},)")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise InvalidInput("a weight is negative or not finite")
    return array


class Resampler:
    """AP of one set of records under many weightings of its images.

    Weighting image i by w equals repeating it w times, so a bootstrap draws weights and asks here
    instead of matching again. What does not depend on the weights is prepared once: only true
    positives can move AP, so the curve is followed on them alone, class by class and threshold by
    threshold (a *segment*), and everything before them is one running sum.

    With whole-number weights results equal those of repeated images exactly; with fractional
    weights, recalls that meet a grid point within 1e-9 count as meeting it.

    Parameters
    ----------
    records
        The matches; ignored detections count for nothing.
    definition
        As in `average_precision`.

    Raises
    ------
    InvalidInput
        Unknown definition.
    """

    def __init__(self, records: MatchRecords, definition: Definition = "coco101") -> None:
        if definition not in DEFINITIONS:
            raise InvalidInput(
                f"unknown AP definition {definition}", f"Use one of {', '.join(DEFINITIONS)}"
            )
        self._definition = definition
        self._n = records.n_images
        self._t, self._k = len(records.thresholds), len(records.classes)
        self._truth = (records.truth_img, records.truth_cls, records.truth_count)

        level, row = np.nonzero(records.tp.T)  # segments are (threshold, class), rows by score
        segment = level * self._k + records.cls[row]
        self._length = np.bincount(segment, minlength=self._t * self._k)
        self._stop = np.cumsum(self._length)
        self._start = self._stop - self._length
        self._event_img = records.img[row].astype(np.intp)

        # Rows after the last true positive of a class move no AP, except through the old ramp;
        # rows that count at no threshold move none at all.
        keep = np.ones(len(records.cls), np.bool_)
        if definition != "ultralytics<=8.4.30":
            last = np.full(self._k, -1, np.int64)
            np.maximum.at(last, records.cls[row], row)
            keep = np.arange(len(keep)) <= last[records.cls]
        kept = np.flatnonzero(keep)
        ignored = records.ignored[kept]
        counting = ~ignored.all(axis=1)
        keep[kept[~counting]] = False
        kept, ignored = kept[counting], ignored[counting]
        bounds = records.class_bounds
        kept_before = np.concatenate(([0], np.cumsum(keep)))
        self._img = records.img[kept].astype(np.intp)
        self._row_start = np.tile(kept_before[bounds[:-1]], self._t)
        self._row_stop = np.tile(kept_before[bounds[1:]], self._t)
        self._event_after = kept_before[row + 1]

        out_level, out_kept = np.nonzero(ignored.T)
        out_row = kept[out_kept]
        out_segment = out_level * self._k + records.cls[out_row]
        self._out_img = records.img[out_row].astype(np.intp)
        out_bounds = np.searchsorted(out_segment, np.arange(self._t * self._k + 1))
        self._out_start, self._out_stop = out_bounds[:-1], out_bounds[1:]
        # Ignored rows before each event, found in one sorted sequence of (segment, row).
        width = len(records.cls) + 1
        self._out_before = np.searchsorted(out_segment * width + out_row, segment * width + row)

    def ap(self, weights: ArrayLike | None = None) -> Floats:
        """Return AP (k, t) under `weights` (n_images,); NaN where the weighted truth is empty.

        Raises
        ------
        InvalidInput
            As `image_weights`.
        """
        samples = self.precision(weights)
        if self._definition == "coco101":
            mean: Floats = samples.mean(axis=2)
            return mean
        area: Floats = (samples[:, :, 1:] + samples[:, :, :-1]) @ (np.diff(RECALL_GRID) / 2)
        return area

    def ap_many(self, weights: ArrayLike) -> Floats:
        """Return AP (b, k, t) under each row of `weights` (b, n_images).

        Raises
        ------
        InvalidInput
            As `image_weights`, for each row.
        """
        rows = np.asarray(weights)
        if rows.ndim != 2:
            raise InvalidInput(f"weights have shape {rows.shape}, expected (b, {self._n})")
        found = np.empty((len(rows), self._k, self._t))
        for index, row in enumerate(rows):
            found[index] = self.ap(row)
        return found

    def precision(self, weights: ArrayLike | None = None) -> Floats:
        """Return the precision (k, t, 101) that the definition reads at `RECALL_GRID`.

        Raises
        ------
        InvalidInput
            As `image_weights`.
        """
        w: Any = image_weights(weights, self._n)
        whole = bool((w == np.floor(w)).all())
        if whole and w.sum() < _COUNTABLE:  # running sums of integers are ten times as fast
            w = w.astype(np.int64)
        img, cls, count = self._truth
        truth = np.bincount(cls, w[img] * count, self._k).astype(np.float64)
        hits, seen, out = (
            _running(w.take(rows)) for rows in (self._event_img, self._img, self._out_img)
        )

        base = hits[self._start]
        found = hits[self._stop] - base
        tp = hits[1:] - np.repeat(base, self._length)
        offset = seen[self._row_start] - out[self._out_start]
        n = seen.take(self._event_after) - np.repeat(offset, self._length)
        if len(self._out_img):
            n -= out.take(self._out_before)
        precision = np.zeros(len(tp) + 1)  # one more: where a curve that is never reached points
        if self._definition == "coco101":
            np.divide(tp, n + np.spacing(1.0), out=precision[:-1])  # as pycocotools, to the bit
        else:
            np.divide(tp, n, out=precision[:-1], where=n > 0)

        need = _needed(truth, strict=self._definition != "coco101", whole=whole)
        need = np.tile(need.astype(w.dtype), (self._t, 1))
        reached = (need <= found[:, None]) & (self._length > 0)[:, None]
        first = _first_reaching(hits, np.where(reached, base[:, None] + need, 0))
        first = np.maximum(first, self._start[:, None])
        first = np.where(reached, first, self._stop[:, None])
        # The envelope is a maximum to the right: take it between sample points, then across them.
        between = np.maximum.reduceat(precision, first.ravel()).reshape(first.shape)
        between[~reached] = 0.0
        samples = np.maximum.accumulate(between[:, ::-1], axis=1)[:, ::-1]
        if self._definition == "ultralytics<=8.4.30":
            total = seen[self._row_stop] - out[self._out_stop] - offset
            samples = np.where(reached, samples, self._ramp(found, total, truth))
        samples = samples.reshape(self._t, self._k, -1)
        samples[:, truth == 0] = np.nan
        return samples.swapaxes(0, 1)

    def _ramp(self, found: Any, total: Any, truth: Floats) -> Floats:
        """Return the line from each segment's last point to recall 1, precision 0, on the grid."""
        truth = np.tile(truth, self._t)
        recall = np.divide(found, truth, out=np.zeros_like(truth), where=truth > 0)
        last = np.divide(found, total, out=np.zeros_like(truth), where=total > 0)
        room = np.where(recall < 1, 1 - recall, 1.0)
        ramp: Floats = np.where(
            (recall < 1)[:, None], last[:, None] * (1 - RECALL_GRID) / room[:, None], 0.0
        )
        return ramp


def _running(values: Any) -> Any:
    """Return the sums of the first 0, 1 ... values."""
    sums = np.zeros(len(values) + 1, values.dtype)
    np.cumsum(values, out=sums[1:])
    return sums


def _first_reaching(hits: Any, goal: Any) -> NDArray[np.int64]:
    """Return for each `goal` the first i with ``hits[i + 1] >= goal``; `hits` never falls."""
    if not np.issubdtype(hits.dtype, np.integer) or hits[-1] > 16 * len(hits):
        return np.asarray(np.searchsorted(hits[1:], goal))
    # How many sums are below each whole number, counted once: cheaper than a search per goal.
    below = np.cumsum(np.bincount(hits[1:], minlength=1))
    return np.where(goal > 0, below.take(goal - 1, mode="clip"), 0)


def _needed(truth: Floats, *, strict: bool, whole: bool) -> Floats:
    """Return the true positives (k, 101) from which recall is >= (or, strict, >) each grid point.

    The test is made on ``tp / truth`` in floating point, as the libraries make it, not on
    ``r * truth``: both round, and differently.
    """
    grid = RECALL_GRID[None, :]
    target = truth[:, None] * grid
    if not whole:
        slack = 1e-9 * truth[:, None]
        return np.maximum(target + slack if strict else target - slack, 0.0)
    nearest = np.round(target)
    recall = nearest / np.where(truth > 0, truth, 1.0)[:, None]
    short = recall <= grid if strict else recall < grid
    return np.where(short, nearest + 1, nearest)
