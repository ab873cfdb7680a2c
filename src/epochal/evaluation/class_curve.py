"""Precision of one class at fixed recalls, under many weightings of the images at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from epochal.evaluation.columns import Floats
    from epochal.evaluation.evaluators import Definition
    from epochal.evaluation.match_records import MatchRecords

__all__ = ["RECALL_GRID", "ClassCurve"]

RECALL_GRID = np.linspace(0.0, 1.0, 101)
"""Recalls 0, .01 ... 1 at which precision is sampled (COCO's and Ultralytics')."""

_RAMP: Definition = "ultralytics<=8.4.30"
_AT_ONCE = 3 << 15  # numbers of one array, so that what is read next is still in the cache
_STRIDE = 8  # points for which one maximum is kept
_SPARSE = 16  # weighted hits per point from which they are searched for, not tabulated


class ClassCurve:
    """The curves of one class, one for each threshold, as its true positives in score order.

    Precision falls from one true positive to the next, so only they can decide its envelope, and
    what lies between two of them is a difference of one running sum. The curves of all thresholds
    lie end to end, each padded with points of weight zero to a whole number of strides.

    Parameters
    ----------
    records, c
        The matches and the class.
    definition
        As in `average_precision`.
    """

    def __init__(self, records: MatchRecords, c: int, definition: Definition) -> None:
        rows = slice(*records.class_bounds[c : c + 2])
        img, tp, ignored = records.img[rows], records.tp[rows], records.ignored[rows]
        # Rows after the last true positive move nothing, except through the old ramp; rows that
        # count at no threshold move nothing at all.
        counting = np.asarray(~ignored.all(axis=1))
        if definition != _RAMP:
            hits = np.flatnonzero(tp.any(axis=1))
            counting[hits[-1] + 1 if len(hits) else 0 :] = False
        img, tp, ignored = img[counting], tp[counting], ignored[counting]
        self._definition = definition
        nobody = records.n_images  # the place after the images, of weight zero
        self._img = img.astype(np.intp) if len(img) else np.array([nobody])
        of_class = records.truth_cls == c
        self._truth_img = records.truth_img[of_class].astype(np.intp)
        self._truth_count = records.truth_count[of_class]

        levels = len(records.thresholds)
        level, row = np.nonzero(tp.T)
        points = np.bincount(level, minlength=levels)
        self._strides = np.maximum(-(-points // _STRIDE), 1)
        self._length = self._strides * _STRIDE
        self._stop = np.cumsum(self._length)
        self._start = self._stop - self._length
        place = np.arange(len(row)) + np.repeat(self._start - (np.cumsum(points) - points), points)
        self._point_img = np.full(self._stop[-1], nobody, np.intp)
        self._point_img[place] = img[row]
        # A point of padding counts what its predecessor counts.
        last = np.zeros(self._stop[-1], np.intp)
        last[place] = row
        self._point_row = np.maximum.accumulate(last.reshape(-1, _STRIDE), axis=1).ravel()

        out_level, out_row = np.nonzero(ignored.T)
        self._out_img = img[out_row].astype(np.intp)
        width = len(img) + 1
        key = out_level * width + out_row
        at = np.repeat(np.arange(levels), self._length) * width
        self._out_before = np.searchsorted(key, at + self._point_row)
        self._out_start = np.searchsorted(key, np.arange(levels + 1) * width)

    @property
    def block(self) -> int:
        """How many weightings are best asked for at once."""
        return max(1, _AT_ONCE // max(len(self._point_img), len(self._img)))

    def samples(self, weights: NDArray[Any], *, whole: bool) -> Floats:
        """Return precision (b, t, 101) at `RECALL_GRID`; NaN where the weighted truth is empty.

        Parameters
        ----------
        weights
            (b, n_images + 1) in int32 or float64, with which no sum overflows; the last are 0.
        whole
            Whether all are whole numbers.
        """
        truth = weights.take(self._truth_img, axis=1) @ self._truth_count
        truth = truth.astype(np.float64)
        strict = self._definition != "coco101"
        hits = np.cumsum(weights.take(self._point_img, axis=1), axis=1, dtype=weights.dtype)
        base = np.zeros((len(hits), len(self._stop)), hits.dtype)
        base[:, 1:] = hits[:, self._stop[:-1] - 1]
        found = hits[:, self._stop - 1] - base
        seen, total = self._seen(weights)
        tp = hits - np.repeat(base, self._length, axis=1)
        # Where nothing is seen precision is 0; coco101 adds what pycocotools adds, to the bit.
        precision = tp / (np.where(seen > 0, seen, 1) if strict else seen + np.spacing(1.0))
        need = _needed(truth, strict=strict, whole=whole).astype(hits.dtype)[:, None]
        reached = need <= found[..., None]
        first = _first_reaching(hits, np.where(reached, base[..., None] + need, 0))
        first = np.maximum(first, self._start[:, None])
        beyond: Floats | float = 0.0
        if self._definition == _RAMP:
            beyond = _ramp(found, total, truth[:, None])
        samples = np.where(reached, self._envelope(precision, first), beyond)
        samples[truth == 0] = np.nan
        return samples

    def _seen(self, weights: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the detections that count up to each point (b, p) and to the end (b, t or 1)."""
        sums = np.cumsum(weights.take(self._img, axis=1), axis=1, dtype=weights.dtype)
        seen, total = sums.take(self._point_row, axis=1), sums[:, -1:]
        if len(self._out_img):
            out = _running(weights.take(self._out_img, axis=1))
            start = out.take(self._out_start, axis=1)
            seen -= out.take(self._out_before, axis=1)
            seen += np.repeat(start[:, :-1], self._length, axis=1)
            total = total - np.diff(start, axis=1)
        return seen, total

    def _envelope(self, precision: Floats, first: NDArray[np.int64]) -> Floats:
        """Return the highest precision of a curve from its points `first` (b, t, r) on.

        Two numbers tell it: the maximum from that point to the end of its stride, and that of the
        strides after it. `precision` (b, p) is overwritten.
        """
        b = len(precision)
        near = precision.reshape(b, -1, _STRIDE)
        for j in range(_STRIDE - 2, -1, -1):
            np.maximum(near[..., j], near[..., j + 1], out=near[..., j])
        far = np.zeros(near.shape[:2])
        for stop, strides in zip(self._stop // _STRIDE, self._strides, strict=True):
            if strides > 1:
                of = slice(stop - strides, stop - 1)
                after = near[:, stop - strides + 1 : stop, 0]
                np.maximum.accumulate(after[:, ::-1], axis=1, out=far[:, of][:, ::-1])
        row = np.arange(b)[:, None, None]
        envelope: Floats = np.maximum(
            near.ravel().take(first + row * precision.shape[1]),
            far.ravel().take(first // _STRIDE + row * far.shape[1]),
        )
        return envelope


def _running(values: NDArray[Any]) -> NDArray[Any]:
    """Return the sums of the first 0, 1 ... values of each row."""
    sums = np.zeros((len(values), values.shape[1] + 1), values.dtype)
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def _first_reaching(hits: NDArray[Any], goal: NDArray[Any]) -> NDArray[np.int64]:
    """Return the first point (b, t, r) with ``hits >= goal``; there is one.

    Parameters
    ----------
    hits
        (b, p), never falling along the points.
    goal
        (b, t, r).
    """
    b, p = hits.shape
    width = int(hits[:, -1].max()) + 2
    if not np.issubdtype(hits.dtype, np.integer) or width > _SPARSE * p:
        return np.array([np.searchsorted(*row) for row in zip(hits, goal, strict=True)], np.int64)
    # How many hits are below each whole number, counted once: cheaper than a search for each.
    offset = np.arange(b) * width
    count = np.bincount((hits + (offset + 1)[:, None]).ravel(), minlength=b * width)
    below = np.cumsum(count.reshape(b, width), axis=1)
    return below.ravel().take(goal + offset[:, None, None])


def _needed(truth: Floats, *, strict: bool, whole: bool) -> Floats:
    """Return the true positives (b, 101) from which recall is >= (or, strict, >) each grid point.

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


def _ramp(found: NDArray[Any], total: NDArray[Any], truth: Floats) -> Floats:
    """Return the line from each curve's last point to recall 1, precision 0, on the grid.

    Parameters
    ----------
    found, total, truth
        (b, t), (b, t or 1), (b, 1) true positives and detections at the end, and true objects.
    """
    recall = found / np.where(truth > 0, truth, 1.0)
    last = found / np.where(total > 0, total, 1.0)
    room = np.where(recall < 1, 1 - recall, 1.0)
    ramp: Floats = np.where(
        (recall < 1)[..., None], last[..., None] * (1 - RECALL_GRID) / room[..., None], 0.0
    )
    return ramp
