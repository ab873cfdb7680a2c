"""What a classifier said of each image: enough for its accuracy under any weights of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from epochal.errors import Damaged, InvalidInput
from epochal.evaluation.columns import Floats, Ints, column, pack, unpack

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ACCURACIES", "Outcomes"]

ACCURACIES = ("accuracy_top1", "accuracy_top5", "accuracy_mean_class")
"""Metrics computed from outcomes: shares of images whose class is the most probable, or among the
five most probable, and the mean over the classes of their recall."""

_KIND = "outcomes"
_NAMES = ("images", "classes", "groups", "evaluator")
_COLUMNS = ("true", "predicted", "place")
_TOP = {"accuracy_top1": 1, "accuracy_top5": 5}


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcomes:
    """The true class, the predicted one and the place of the true one, of `n` images.

    Each image is one unit and one object, so a metric under weights is a ratio of weighted counts:
    replicating image i w times equals weighting it by w, as with `MatchRecords`.

    Parameters
    ----------
    images, classes, groups
        As in `Boxes`.
    evaluator
        Id of who ranked the classes, e.g. ``epochal/classification``.
    true, predicted
        (n,) the image's class, and the most probable one.
    place
        (n,) how many classes were ranked before the true one: 0 is a hit.

    Raises
    ------
    InvalidInput
        Columns that do not fit each other, indices out of range, or a name that occurs twice.
    """

    images: tuple[str, ...]
    classes: tuple[str, ...]
    groups: tuple[str, ...] = ()
    evaluator: str
    true: Ints
    predicted: Ints
    place: Ints

    def __post_init__(self) -> None:
        for name in ("images", "classes", "groups"):
            self._set(name, tuple(getattr(self, name)))
        n, k = len(self.images), len(self.classes)
        if len(set(self.images)) != n:
            raise InvalidInput("an image name occurs twice", "Name each image once")
        if self.groups and len(self.groups) != n:
            raise InvalidInput(f"{len(self.groups)} groups for {n} images")
        for name in _COLUMNS:
            values = column(name, getattr(self, name), np.int32, n)
            if n and (values.min() < 0 or values.max() >= k):
                raise InvalidInput(f"column {name} has an index outside 0..{k - 1}")
            self._set(name, values)
        if ((self.place == 0) != (self.true == self.predicted)).any():
            raise InvalidInput("a predicted class contradicts the place of the true one")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # frozen for everybody but the constructor

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.images)

    @cached_property
    def n_truth(self) -> NDArray[np.int64]:
        """(k,) images per class."""
        return np.bincount(self.true, minlength=len(self.classes))

    @property
    def images_with_truth(self) -> NDArray[np.int64]:
        """(k,) images per class: each holds one object, its class."""
        return self.n_truth

    def accuracy(self, metric: str, weights: ArrayLike) -> Floats:
        """Return one of `ACCURACIES` (b,) under each row of `weights` (b, n); NaN without any.

        Raises
        ------
        InvalidInput
            Another metric, or weights of another shape.
        """
        if metric not in ACCURACIES:
            raise InvalidInput(f"no outcomes give {metric}", f"They give {', '.join(ACCURACIES)}")
        if metric in _TOP:
            w = self._rows(weights)
            return _ratio(w @ (self.place < _TOP[metric]), w.sum(axis=1))
        recall = self.recall(weights)
        known = ~np.isnan(recall)
        return _ratio(np.where(known, recall, 0.0).sum(axis=1), known.sum(axis=1))

    def recall(self, weights: ArrayLike) -> Floats:
        """Return the recall of each class (b, k), its share of hits; NaN without its images.

        Raises
        ------
        InvalidInput
            Weights of another shape.
        """
        w = self._rows(weights)
        return _ratio(self._by_class(w * (self.place == 0)), self._by_class(w))

    def _rows(self, weights: ArrayLike) -> Floats:
        w = np.asarray(weights, np.float64)
        if w.ndim != 2 or w.shape[1] != self.n_images:
            raise InvalidInput(f"weights have shape {w.shape}, expected (b, {self.n_images})")
        return w

    def _by_class(self, values: Floats) -> Floats:
        """Return the sums (b, k) over the images of each class."""
        sums = np.zeros((len(values), len(self.classes)))
        present = np.flatnonzero(self.n_truth)
        if len(present):
            order = np.argsort(self.true, kind="stable")
            starts = (np.cumsum(self.n_truth) - self.n_truth)[present]
            sums[:, present] = np.add.reduceat(values[:, order], starts, axis=1)
        return sums

    def to_bytes(self) -> bytes:
        """Return the outcomes as a compressed npz without pickle; equal outcomes, equal bytes."""
        header = {name: getattr(self, name) for name in _NAMES}
        return pack(_KIND, header, {name: getattr(self, name) for name in _COLUMNS})

    @classmethod
    def from_bytes(cls, data: bytes) -> Outcomes:
        """Return the outcomes that `to_bytes` wrote.

        Raises
        ------
        Damaged
            The bytes are not outcomes, or inconsistent ones.
        NewerFormat
            A newer version of Epochal wrote them.
        """
        header, arrays = unpack(data, _KIND)
        try:
            named: dict[str, Any] = {name: header[name] for name in _NAMES}
            columns: dict[str, Any] = {name: arrays[name] for name in _COLUMNS}
            return cls(**named, **columns)
        except (KeyError, TypeError, ValueError, InvalidInput) as error:
            raise Damaged(f"the outcomes archive is inconsistent ({error})") from error


def _ratio(part: Any, whole: Any) -> Floats:
    ratio: Floats = np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
    return ratio
