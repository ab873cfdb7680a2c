"""Match records: what stays of boxes once they are matched, enough for every metric."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from epochal.errors import Damaged, InvalidInput
from epochal.evaluation.columns import Bools, Floats, Ints, column, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["COCO_THRESHOLDS", "MatchRecords"]

COCO_THRESHOLDS = tuple(float(t) for t in np.linspace(0.5, 0.95, 10))
"""IoU .50, .55 ... .95 as pycocotools computes them."""

_KIND = "match-records"
_NAMES = ("images", "classes", "groups", "evaluator")
_NUMBERS = ("thresholds", "max_detections", "agnostic_iou")


def _none() -> Any:
    return ()


@dataclass(frozen=True, eq=False, kw_only=True)
class MatchRecords:
    """Detections of `n` images and `k` classes, matched at `t` IoU thresholds.

    Detections are sorted by class, then by falling score; equal scores keep the order of the
    images, then the detector's. Replicating image i w times equals weighting its rows by w, so any
    resample of the images is computed from here without matching again.

    Parameters
    ----------
    images, classes, groups
        As in `Boxes`.
    evaluator
        Id of who matched, e.g. ``epochal/coco101``.
    thresholds
        (t,) IoU thresholds.
    img, cls, score
        (p,) image, class and score of each detection.
    tp, ignored
        (p, t) whether the detection is a true positive, or counts for nothing (matched to a crowd,
        beyond `max_detections`), at each threshold.
    truth_img, truth_cls, truth_count, truth_ignored
        (g,) each (image, class) pair with truth, once: objects that count, and that do not.
    gt_class, iou
        (p,) the class-agnostic match at `agnostic_iou` (see `confusion_matrix`): class of the
        true object, -1 for background, and the IoU. Empty where the evaluator gave none.
    agnostic_iou
        IoU which a class-agnostic match must exceed; 0 where there are none.
    max_detections
        Cut per image and class; 0 for none.

    Raises
    ------
    InvalidInput
        Columns that do not fit each other, or indices out of range.
    """

    images: tuple[str, ...]
    classes: tuple[str, ...]
    groups: tuple[str, ...] = ()
    evaluator: str
    thresholds: tuple[float, ...] = COCO_THRESHOLDS
    img: Ints
    cls: Ints
    score: Floats
    tp: Bools
    ignored: Bools
    truth_img: Ints
    truth_cls: Ints
    truth_count: Ints
    truth_ignored: Ints
    gt_class: Ints = field(default_factory=_none)
    iou: Floats = field(default_factory=_none)
    agnostic_iou: float = 0.0
    max_detections: int = 0

    def __post_init__(self) -> None:
        for name in ("images", "classes", "groups"):
            self._set(name, tuple(getattr(self, name)))
        self._set("thresholds", tuple(float(t) for t in self.thresholds))
        if self.groups and len(self.groups) != len(self.images):
            raise InvalidInput(f"{len(self.groups)} groups for {len(self.images)} images")
        p, g, t = len(self.img), len(self.truth_img), len(self.thresholds)
        matched = p if self.agnostic_iou else 0
        columns = {
            "img": column("img", self.img, np.int32, p),
            "cls": column("cls", self.cls, np.int32, p),
            "score": column("score", self.score, np.float64, p),
            "tp": column("tp", self.tp, np.bool_, p, t),
            "ignored": column("ignored", self.ignored, np.bool_, p, t),
            "gt_class": column("gt_class", self.gt_class, np.int32, matched),
            "iou": column("iou", self.iou, np.float64, matched),
        }
        order = _order(columns["img"], columns["cls"], columns["score"])
        for name, values in columns.items():
            if order is not None and len(values):
                values = values[order]
                values.flags.writeable = False
            self._set(name, values)
        for name in ("truth_img", "truth_cls", "truth_count", "truth_ignored"):
            self._set(name, column(name, getattr(self, name), np.int32, g))
        self._check_range("img", self.img, len(self.images))
        self._check_range("cls", self.cls, len(self.classes))
        self._check_range("truth_img", self.truth_img, len(self.images))
        self._check_range("truth_cls", self.truth_cls, len(self.classes))
        if not np.isfinite(self.score).all():
            raise InvalidInput("a detection's score is not finite")
        if (self.tp & self.ignored).any():
            raise InvalidInput("a detection is both a true positive and ignored")

    @staticmethod
    def _check_range(name: str, values: Ints, size: int) -> None:
        if len(values) and (values.min() < 0 or values.max() >= size):
            raise InvalidInput(f"column {name} has an index outside 0..{size - 1}")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # frozen for everybody but the constructor

    @classmethod
    def from_arrays(
        cls,
        *,
        images: Sequence[str],
        classes: Sequence[str],
        evaluator: str,
        tp: ArrayLike,
        score: ArrayLike,
        pred_cls: ArrayLike,
        pred_img: ArrayLike,
        target_cls: ArrayLike,
        target_img: ArrayLike,
        thresholds: Sequence[float] = COCO_THRESHOLDS,
        groups: Sequence[str] = (),
    ) -> MatchRecords:
        """Return records of matches that another evaluator made.

        The columns are those an Ultralytics validator keeps per detection and per target:

        Parameters
        ----------
        tp
            (p, t) true positive flags.
        score, pred_cls, pred_img
            (p,) confidence, class and image of each detection; classes may be float.
        target_cls, target_img
            (m,) class and image of each true object.
        evaluator
            Id of the other evaluator, see `ultralytics_evaluator`.

        Raises
        ------
        InvalidInput
            Columns that do not fit each other, or indices out of range.
        """
        flags = np.asarray(tp, np.bool_).reshape(-1, len(thresholds))
        truth = count_truth(
            column("target_img", target_img, np.int32, -1),
            column("target_cls", target_cls, np.int32, -1),
        )
        return cls(
            images=tuple(images),
            classes=tuple(classes),
            groups=tuple(groups),
            evaluator=evaluator,
            thresholds=tuple(thresholds),
            img=column("pred_img", pred_img, np.int32, -1),
            cls=column("pred_cls", pred_cls, np.int32, -1),
            score=column("score", score, np.float64, -1),
            tp=flags,
            ignored=np.zeros_like(flags),
            **truth,
        )

    @property
    def n_images(self) -> int:
        """Number of images, with and without objects."""
        return len(self.images)

    @cached_property
    def n_truth(self) -> NDArray[np.int64]:
        """(k,) true objects per class that count."""
        return _sum(self.truth_cls, self.truth_count, len(self.classes))

    @cached_property
    def n_ignored(self) -> NDArray[np.int64]:
        """(k,) true objects per class that count for nothing (crowds)."""
        return _sum(self.truth_cls, self.truth_ignored, len(self.classes))

    @cached_property
    def images_with_truth(self) -> NDArray[np.int64]:
        """(k,) images that hold at least one counting object of the class."""
        return _sum(self.truth_cls, (self.truth_count > 0).astype(np.int32), len(self.classes))

    @cached_property
    def class_bounds(self) -> NDArray[np.int64]:
        """(k + 1,) the detections of class c are rows ``class_bounds[c]:class_bounds[c + 1]``."""
        return np.searchsorted(self.cls, np.arange(len(self.classes) + 1)).astype(np.int64)

    def threshold_index(self, iou: float) -> int:
        """Return the position of `iou` among the thresholds.

        Raises
        ------
        InvalidInput
            Nothing was matched at that IoU.
        """
        for index, threshold in enumerate(self.thresholds):
            if abs(threshold - iou) < 1e-9:
                return index
        known = ", ".join(f"{t:g}" for t in self.thresholds)
        raise InvalidInput(f"no matches at IoU {iou:g}", f"Matched were {known}")

    def to_bytes(self) -> bytes:
        """Return the records as a compressed npz without pickle; equal records, equal bytes."""
        header = {name: getattr(self, name) for name in (*_NAMES, *_NUMBERS)}
        return pack(
            _KIND,
            header,
            {
                "img": self.img,
                "cls": self.cls,
                "score": self.score,
                "tp": np.packbits(self.tp, axis=1),
                "ignored": np.packbits(self.ignored, axis=1),
                "truth_img": self.truth_img,
                "truth_cls": self.truth_cls,
                "truth_count": self.truth_count,
                "truth_ignored": self.truth_ignored,
                "gt_class": self.gt_class,
                "iou": self.iou,
            },
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> MatchRecords:
        """Return the records that `to_bytes` wrote.

        Raises
        ------
        Damaged
            The bytes are not match records, or inconsistent ones.
        NewerFormat
            A newer version of Epochal wrote them.
        """
        header, arrays = unpack(data, _KIND)
        try:
            columns: dict[str, Any] = dict(arrays)
            for name in ("tp", "ignored"):
                bits = np.unpackbits(columns[name], axis=1, count=len(header["thresholds"]))
                columns[name] = bits.astype(np.bool_)
            named: dict[str, Any] = {name: header[name] for name in (*_NAMES, *_NUMBERS)}
            return cls(**named, **columns)
        except (KeyError, TypeError, ValueError) as error:
            raise Damaged(f"the match-records archive is inconsistent ({error})") from error


def _order(img: Ints, cls: Ints, score: Floats) -> NDArray[np.int64] | None:
    """Return the rows sorted by class, falling score, image; None where they already are."""
    same_cls, same_score = cls[1:] == cls[:-1], score[1:] == score[:-1]
    later_img = same_score & (img[1:] >= img[:-1])
    if ((cls[1:] > cls[:-1]) | (same_cls & ((score[1:] < score[:-1]) | later_img))).all():
        return None
    return np.lexsort((img, -score, cls))


def count_truth(img: Ints, cls: Ints, ignored: Bools | None = None) -> dict[str, Any]:
    """Return the truth columns of `MatchRecords` for objects given one by one.

    Parameters
    ----------
    img, cls, ignored
        (m,) image, class, and whether the object counts for nothing.
    """
    if len(img) != len(cls):
        raise InvalidInput(f"{len(cls)} true classes for {len(img)} true images")
    if (cls < 0).any():
        raise InvalidInput("a true object has a negative class")
    width = int(cls.max()) + 1 if len(cls) else 1
    key = img.astype(np.int64) * width + cls
    pairs, where = np.unique(key, return_inverse=True)
    total = np.bincount(where, minlength=len(pairs))
    out = np.bincount(where[ignored], minlength=len(pairs)) if ignored is not None else 0 * total
    return {
        "truth_img": (pairs // width).astype(np.int32),
        "truth_cls": (pairs % width).astype(np.int32),
        "truth_count": (total - out).astype(np.int32),
        "truth_ignored": out.astype(np.int32),
    }


def _sum(cls: Ints, count: Ints, size: int) -> NDArray[np.int64]:
    total = np.zeros(size, np.int64)
    np.add.at(total, cls, count)
    return total
