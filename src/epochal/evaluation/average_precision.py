"""Average precision from match records, for one weighting of the images or for thousands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from epochal.errors import InvalidInput
from epochal.evaluation.class_curve import RECALL_GRID, ClassCurve
from epochal.evaluation.evaluators import DEFINITIONS, Definition, definition_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from epochal.evaluation.columns import Floats
    from epochal.evaluation.match_records import MatchRecords

__all__ = [
    "RECALL_GRID",
    "APResult",
    "Resampler",
    "average_precision",
    "image_weights",
    "known_mean",
    "weightings",
]

_COUNTABLE = 2.0**31  # where no sum gets there, whole weights are counted as short integers


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
        return known_mean(self.ap)

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
        return known_mean(self.ap[:, np.isclose(self.thresholds, iou, rtol=0, atol=1e-9)])


def known_mean(values: Floats) -> float:
    """Return the mean of what is not NaN; NaN where nothing is."""
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
    _refuse_unusable(array)
    return array


def weightings(weights: ArrayLike, n: int, terms: int) -> NDArray[Any]:
    """Return many weightings (b, n) of `n` images.

    In int32 where they are whole and no sum of `terms` of them gets out of its range, else in
    float64.

    Raises
    ------
    InvalidInput
        Another shape, a negative or a non-finite weight.
    """
    rows = np.asarray(weights, np.float64)
    if rows.ndim != 2 or rows.shape[1] != n:
        raise InvalidInput(f"weights have shape {rows.shape}, expected (b, {n})")
    _refuse_unusable(rows)
    fits = rows.max(initial=0) * terms < _COUNTABLE and bool((rows == np.floor(rows)).all())
    return rows.astype(np.int32) if fits else rows


def _refuse_unusable(weights: Floats) -> None:
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise InvalidInput("a weight is negative or not finite")


class Resampler:
    """AP of one set of records under many weightings of its images.

    Weighting image i by w equals repeating it w times, so a bootstrap draws weights and asks here
    instead of matching again. What does not depend on the weights is prepared once, class by
    class (see `ClassCurve`).

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
        self._n, self._t = records.n_images, len(records.thresholds)
        # No sum of weights has more terms than this.
        self._terms = max(len(records.img), int(records.tp.sum()), int(records.truth_count.sum()))
        self._curves = [ClassCurve(records, c, definition) for c in range(len(records.classes))]

    def ap(self, weights: ArrayLike | None = None) -> Floats:
        """Return AP (k, t) under `weights` (n_images,); NaN where the weighted truth is empty.

        Raises
        ------
        InvalidInput
            As `image_weights`.
        """
        ap: Floats = self.ap_many(image_weights(weights, self._n)[None])[0]
        return ap

    def ap_many(self, weights: ArrayLike) -> Floats:
        """Return AP (b, k, t) under each row of `weights` (b, n_images).

        Raises
        ------
        InvalidInput
            As `image_weights`, for each row.
        """
        found = np.empty((len(np.atleast_1d(weights)), self._t, len(self._curves)))
        for c, rows, samples in self._samples(weights):
            if self._definition == "coco101":
                found[rows, :, c] = samples.mean(axis=2)
            else:
                steps = (samples[..., 1:] + samples[..., :-1]) * np.diff(RECALL_GRID)
                found[rows, :, c] = (steps / 2).sum(axis=2)
        return found.swapaxes(1, 2)

    def precision(self, weights: ArrayLike | None = None) -> Floats:
        """Return the precision (k, t, 101) that the definition reads at `RECALL_GRID`.

        Raises
        ------
        InvalidInput
            As `image_weights`.
        """
        found = np.empty((len(self._curves), self._t, len(RECALL_GRID)))
        for c, _, samples in self._samples(image_weights(weights, self._n)[None]):
            found[c] = samples[0]
        return found

    def _samples(self, weights: ArrayLike) -> Iterator[tuple[int, slice, Floats]]:
        """Yield a class, some rows of `weights` and their precision (rows, t, 101)."""
        rows = weightings(weights, self._n, self._terms)
        whole = bool((rows == np.floor(rows)).all())
        counts = np.zeros((len(rows), self._n + 1), rows.dtype)
        counts[:, :-1] = rows
        for c, curve in enumerate(self._curves):
            for start in range(0, len(counts), curve.block):
                block = slice(start, start + curve.block)
                yield c, block, curve.samples(counts[block], whole=whole)
