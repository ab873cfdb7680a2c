"""The one threshold, shared by all classes, at which the mean F1 is best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from epochal.evaluation.average_precision import image_weights, known_mean, weightings
from epochal.evaluation.operating_points import OperatingPoints, Point, threshold_at

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from epochal.evaluation.match_records import MatchRecords

__all__ = ["F1Resampler", "best_f1"]

_SLACK = 1e-12  # keeps rounding of a sum from choosing between equal cuts


def best_f1(
    records: MatchRecords, iou: float = 0.5, weights: ArrayLike | None = None
) -> OperatingPoints:
    """Return the point at the one threshold, shared by all classes, with the highest mean F1.

    The mean runs over classes with truth and every score that occurs is tried; of equal ones the
    highest threshold stands. Without any detection of such a class the threshold is NaN.

    Parameters
    ----------
    iou, weights
        As in `recall_at_precision`.

    Raises
    ------
    InvalidInput
        Nothing was matched at `iou`, or unusable weights.
    """
    once = image_weights(weights, records.n_images)[None]
    return threshold_at(records, F1Resampler(records, iou).macro(once)[0].threshold, iou, weights)


class F1Resampler:
    """The macro point of `best_f1` under many weightings of the images.

    What does not depend on the weights is prepared once, above all the order of the scores. F1
    falls from one true positive to the next, so only a threshold at one of them can be the best.

    Parameters
    ----------
    records
        The matches; ignored detections count for nothing.
    iou
        IoU threshold of the matches.

    Raises
    ------
    InvalidInput
        Nothing was matched at `iou`.
    """

    def __init__(self, records: MatchRecords, iou: float = 0.5) -> None:
        at = records.threshold_index(iou)
        counting = ~records.ignored[:, at]
        self._n, self._k = records.n_images, len(records.classes)
        self._img = records.img[counting].astype(np.intp)
        self._cls = records.cls[counting].astype(np.intp)
        self._tp = records.tp[counting, at]
        self._bounds = np.searchsorted(self._cls, np.arange(self._k + 1))
        self._truth_img = records.truth_img.astype(np.intp)
        self._truth_cls, self._truth_count = records.truth_cls, records.truth_count
        # No sum of weights has more terms than this.
        self._terms = len(self._img) + int(self._truth_count.sum())

        score = records.score[counting]
        self._order = np.argsort(-score, kind="stable")
        self._falling = -score[self._order]
        hits = self._falling[self._tp[self._order]]
        # The last of the rows that share a true positive's score: they fall on the same side.
        self._cuts = np.unique(np.searchsorted(self._falling, hits, side="right")) - 1
        self._reach = self._order[: self._cuts[-1] + 1 if len(self._cuts) else 0]
        # One for all weightings: fresh pages cost more than the sums.
        self._change = np.zeros(len(score))
        self._total = np.empty(len(self._reach))

    def macro(self, weights: ArrayLike) -> list[Point]:
        """Return the threshold of the best mean F1 and the means there, for each weighting.

        Parameters
        ----------
        weights
            (b, n_images) how often each image counts.

        Raises
        ------
        InvalidInput
            As `best_f1`, for each row.
        """
        return [self._best(row) for row in weightings(weights, self._n, self._terms)]

    def _best(self, weights: NDArray[Any]) -> Point:
        w = weights.take(self._img)
        objects = weights.take(self._truth_img) * self._truth_count
        truth = np.bincount(self._truth_cls, objects, self._k).astype(weights.dtype)
        threshold = self._threshold(w, truth)
        kept = self._order[: np.searchsorted(self._falling, -threshold, side="right")]
        cls, seen = self._cls.take(kept), w.take(kept)
        n = np.bincount(cls, seen, self._k)[truth > 0]
        tp = np.bincount(cls, seen * self._tp.take(kept), self._k)[truth > 0]
        known = truth[truth > 0]
        return Point(
            threshold,
            precision=known_mean(tp[n > 0] / n[n > 0]),
            recall=known_mean(tp / known),
            f1=known_mean(2 * tp / (n + known)),
        )

    def _threshold(self, w: NDArray[Any], truth: NDArray[Any]) -> float:
        """Return the highest score with the best mean F1; NaN without a detection that counts.

        Parameters
        ----------
        w, truth
            (p,) weights of the detections and (k,) weighted objects, of one dtype.
        """
        # F1 = 2 tp / (n + truth) changes at one class per row: summed over the classes it is a
        # running sum of changes, here of halves.
        change = self._change
        for c, objects in enumerate(truth):
            rows = slice(*self._bounds[c : c + 2])
            if objects == 0 or rows.start == rows.stop:
                change[rows] = 0
                continue
            tp = np.cumsum(w[rows] * self._tp[rows], dtype=w.dtype)
            half = tp / (np.cumsum(w[rows], dtype=w.dtype) + objects)
            change[rows.start] = half[0]
            np.subtract(half[1:], half[:-1], out=change[rows.start + 1 : rows.stop])
        total = change.take(self._reach, out=self._total, mode="clip")
        reached = 2 * np.cumsum(total, out=total).take(self._cuts)
        if reached.max(initial=0) > _SLACK:
            best = self._cuts[(reached >= reached.max() - _SLACK).argmax()]
            return float(-self._falling[best])
        # Without a true positive all cuts are equal, and the first one stands.
        counting = np.flatnonzero((w > 0)[self._order] & (truth > 0)[self._cls[self._order]])
        return float(-self._falling[counting[0]]) if len(counting) else float("nan")
