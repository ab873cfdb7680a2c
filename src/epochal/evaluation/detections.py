"""Ground truth and predictions of one evaluation, as columns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from epochal.errors import Damaged, InvalidInput
from epochal.evaluation.columns import Bools, Floats, Ints, column, pack, unpack

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Boxes", "area_of", "sides"]

_KIND = "boxes"
_ARRAYS = (
    "sizes",
    "truth_img",
    "truth_cls",
    "truth_xyxy",
    "truth_crowd",
    "truth_area",
    "pred_img",
    "pred_cls",
    "pred_score",
    "pred_xyxy",
)
_NAMES = ("images", "classes", "digests", "groups")


def _none() -> Any:
    return ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Boxes:
    """Boxes of `n` images with `m` true objects and `p` predictions.

    Columns may be given as any sequence; they are converted, checked and made read-only. A box or
    score that is NaN or infinite is refused rather than dropped: a model that emits one is broken,
    and a dropped detection would show only as a slightly lower number.

    Parameters
    ----------
    images
        Names of the images, each once. Their order decides between equal scores (as it does for
        COCO), so readers sort them.
    classes
        Names; a class id is the position here.
    sizes
        (n, 2) width and height of the original images in pixels; default: zeros, unknown.
    truth_img, truth_cls
        (m,) image and class of each true object.
    truth_xyxy
        (m, 4) left, top, right, bottom in pixels of the original image.
    truth_crowd
        (m,) COCO's ``iscrowd``: a region that may be matched any number of times and counts for
        nothing. Default: none is.
    truth_area
        (m,) area in square pixels, for AP by size (COCO: of the mask). Default: of the box.
    pred_img, pred_cls, pred_score, pred_xyxy
        (p,), (p,), (p,), (p, 4) the same for predictions, in the detector's order.
    digests
        Content digests of the images, or empty.
    groups
        What each image was sampled with (its video clip, its site), or empty. Resampling draws
        groups.

    Raises
    ------
    InvalidInput
        A column has another length, an index is out of range, a box is not finite or has a
        negative width or height, a score is not finite. The image is named.
    """

    images: tuple[str, ...]
    classes: tuple[str, ...]
    sizes: Ints = field(default_factory=_none)
    truth_img: Ints = field(default_factory=_none)
    truth_cls: Ints = field(default_factory=_none)
    truth_xyxy: Floats = field(default_factory=_none)
    truth_crowd: Bools = field(default_factory=_none)
    truth_area: Floats = field(default_factory=_none)
    pred_img: Ints = field(default_factory=_none)
    pred_cls: Ints = field(default_factory=_none)
    pred_score: Floats = field(default_factory=_none)
    pred_xyxy: Floats = field(default_factory=_none)
    digests: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _NAMES:
            self._set(name, tuple(getattr(self, name)))
        n = len(self.images)
        if len(set(self.images)) != n:
            raise InvalidInput("an image name occurs twice", "Name each image once")
        if len(set(self.classes)) != len(self.classes):
            raise InvalidInput("a class name occurs twice", "Name each class once")
        for name in ("digests", "groups"):
            if getattr(self, name) and len(getattr(self, name)) != n:
                raise InvalidInput(f"{len(getattr(self, name))} {name} for {n} images")
        sizes = self.sizes if len(self.sizes) else np.zeros((n, 2))
        self._set("sizes", column("sizes", sizes, np.int32, n, 2))
        self._columns("truth")
        self._columns("pred")
        m = len(self.truth_img)
        crowd = self.truth_crowd if len(self.truth_crowd) else np.zeros(m, np.bool_)
        area = self.truth_area if len(self.truth_area) else area_of(self.truth_xyxy)
        self._set("truth_crowd", column("truth_crowd", crowd, np.bool_, m))
        self._set("truth_area", column("truth_area", area, np.float64, m))
        score = column("pred_score", self.pred_score, np.float64, len(self.pred_img))
        self._set("pred_score", score)
        self._refuse(~np.isfinite(score), self.pred_img, "a prediction's score is not finite")

    def _columns(self, side: str) -> None:
        """Convert and check image, class and box of one side."""
        what = {"truth": "a true object", "pred": "a prediction"}[side]
        img = column(f"{side}_img", getattr(self, f"{side}_img"), np.int32, -1)
        cls = column(f"{side}_cls", getattr(self, f"{side}_cls"), np.int32, len(img))
        xyxy = column(f"{side}_xyxy", getattr(self, f"{side}_xyxy"), np.float64, len(img), 4)
        n, k = len(self.images), len(self.classes)
        if len(img) and (img.min() < 0 or img.max() >= n):
            raise InvalidInput(f"{what} has an image index outside 0..{n - 1}")
        self._refuse((cls < 0) | (cls >= k), img, f"{what} has a class outside 0..{k - 1}")
        # Side by side: to reduce over four columns takes NumPy several times as long.
        left, top, right, bottom = xyxy.T
        finite = np.isfinite(left) & np.isfinite(top) & np.isfinite(right) & np.isfinite(bottom)
        self._refuse(~finite, img, f"the box of {what} is not finite")
        negative = (right < left) | (bottom < top)
        self._refuse(negative, img, f"the box of {what} has a negative width or height")
        for name, values in (("img", img), ("cls", cls), ("xyxy", xyxy)):
            self._set(f"{side}_{name}", values)

    def _refuse(self, bad: NDArray[np.bool_], img: Ints, what: str) -> None:
        if bad.any():
            raise InvalidInput(f"image {self.images[img[int(bad.argmax())]]}: {what}")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # frozen for everybody but the constructor

    @cached_property
    def pred_area(self) -> Floats:
        """(p,) area of each predicted box, in square pixels."""
        return area_of(self.pred_xyxy)

    def with_predictions(
        self, *, img: ArrayLike, cls: ArrayLike, score: ArrayLike, xyxy: ArrayLike
    ) -> Boxes:
        """Return the same ground truth with these predictions (columns as for the class).

        Raises
        ------
        InvalidInput
            As for the class.
        """
        given: dict[str, Any] = {"img": img, "cls": cls, "score": score, "xyxy": xyxy}
        return replace(self, **{f"pred_{name}": values for name, values in given.items()})

    def to_bytes(self) -> bytes:
        """Return the columns as a compressed npz without pickle; equal boxes, equal bytes."""
        header = {name: getattr(self, name) for name in _NAMES}
        return pack(_KIND, header, {name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def from_bytes(cls, data: bytes) -> Boxes:
        """Return the boxes that `to_bytes` wrote.

        Raises
        ------
        Damaged
            The bytes are not boxes, or boxes that the class refuses.
        NewerFormat
            A newer version of Epochal wrote them.
        """
        header, arrays = unpack(data, _KIND)
        try:
            names: dict[str, Any] = {name: tuple(header[name]) for name in _NAMES}
            columns: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
            return cls(**names, **columns)
        except (KeyError, TypeError, InvalidInput) as error:
            raise Damaged(f"the boxes archive is inconsistent ({error})") from error

    def save(self, file: str | Path | IO[bytes]) -> None:
        """Write `to_bytes` to a path or an open binary file."""
        if isinstance(file, str | Path):
            Path(file).write_bytes(self.to_bytes())
        else:
            file.write(self.to_bytes())

    @classmethod
    def load(cls, file: str | Path | IO[bytes]) -> Boxes:
        """Read what `save` wrote.

        Raises
        ------
        Damaged, NewerFormat
            As `from_bytes`.
        """
        data = Path(file).read_bytes() if isinstance(file, str | Path) else file.read()
        return cls.from_bytes(data)


def area_of(xyxy: Floats) -> Floats:
    """Return the areas (n,) of boxes (n, 4), in square pixels."""
    area: Floats = sides(xyxy[:, 0], xyxy[:, 2]) * sides(xyxy[:, 1], xyxy[:, 3])
    return area


def sides(low: Floats, high: Floats) -> Floats:
    """Return ``high - low`` as the file that gave a box by its size had it.

    COCO files hold x, y, width, height, and pycocotools computes areas from those. The corner
    ``x + width`` is rounded, so the difference can miss the width by one unit in the last place:
    enough to move an IoU across a threshold it meets exactly. A width of at most six decimals is
    recovered where it explains the corner; elsewhere the plain difference stays.
    """
    plain = high - low
    decimal = np.round(plain, 6)
    side: Floats = np.where(low + decimal == high, decimal, plain)
    return side
