"""Boxes in COCO JSON: annotations and results, also as Ultralytics writes ``predictions.json``."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import chain
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
import numpy as np

from epochal.errors import InvalidInput, NotFound
from epochal.evaluation.detections import Boxes, area_of
from epochal.evaluation.matching import match

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from epochal.evaluation.columns import Floats

__all__ = ["read_coco", "read_coco_predictions", "read_coco_truth"]

_TELLING, _TIMES = 5, 3  # matches, and how many times those of the other reading


_Side: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None


class _Image(msgspec.Struct, gc=False):
    id: int | str
    file_name: str = ""
    width: _Side = None
    height: _Side = None
    video_id: int | str | None = None


class _Category(msgspec.Struct, gc=False):
    id: int
    name: str


class _Annotation(msgspec.Struct, gc=False):
    image_id: int | str
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float | None = None
    iscrowd: int | bool = 0
    file_name: str = ""


class _Dataset(msgspec.Struct):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation] = []


class _Result(msgspec.Struct, gc=False):
    image_id: int | str
    category_id: int
    bbox: tuple[float, float, float, float]
    score: float
    file_name: str = ""


class _Results(msgspec.Struct):
    """Results inside a whole COCO file, as some tools export them."""

    annotations: list[_Result]
    categories: list[_Category] = []


_UNKNOWN, _SEVERAL = -2, -1


def read_coco(
    truth: str | Path, results: str | Path, *, first_category: int | None = None
) -> Boxes:
    """Return the boxes of a COCO ground-truth file and a results file.

    Entries name images and categories by the ids of the ground truth. Ultralytics does neither:
    it adds a ``file_name``, numbers images by their names and classes in their order. Where
    entries have a ``file_name`` that the ground truth has too, that is their image, and which ids
    the categories have is read as by `read_coco_predictions`.

    Raises
    ------
    NotFound, InvalidInput
        As `read_coco_truth` and `read_coco_predictions`.
    """
    dataset = _decode(Path(truth), _Dataset)
    boxes = _coco_truth(Path(truth), dataset)
    ids = {image.id: i for i, image in enumerate(_sorted_images(dataset))}
    path = Path(results)
    rows, named = _results(path)
    names = {category.id: category.name for category in dataset.categories}
    for category in named:
        if category.name != names.get(category.id, category.name):
            raise InvalidInput(
                f"{path}: category {category.id} is {category.name!r}, "
                f"in the ground truth {names[category.id]!r}",
                "Are these predictions for another class list?",
            )
    images = _by_name(boxes) | ids
    readings = {"those of the ground truth": _category_index(dataset)}
    if first_category is not None:
        readings = _counted(boxes, first_category)
    elif any(_column(rows, "file_name")):
        readings |= _counted(boxes, 0, 1)
    return _with_results(path, rows, boxes, images, _fitting(path, rows, boxes, images, readings))


def read_coco_truth(path: str | Path) -> Boxes:
    """Return the ground truth of a COCO JSON file.

    Images are ordered by id, as pycocotools does, and named by ``file_name`` (by id where that is
    missing); classes are the categories ordered by id. `area` is the annotation's, else the box's.
    Images with a ``video_id`` are grouped by it.

    Raises
    ------
    NotFound
        The file does not exist.
    InvalidInput
        Not such a file, an id that occurs twice, an annotation of an unknown image or category, or
        one whose box is not finite or lies outside its image; file and entry are named.
    """
    return _coco_truth(Path(path), _decode(Path(path), _Dataset))


def read_coco_predictions(
    path: str | Path,
    truth: Boxes,
    *,
    categories: Mapping[int, int] | None = None,
    first_category: int | None = None,
) -> Boxes:
    """Return `truth` with the predictions of a COCO results file.

    Parameters
    ----------
    truth
        Ground truth from anywhere. ``image_id`` is looked up among its image names: whole, then
        as a file name, then without suffix, which is what Ultralytics writes in
        ``predictions.json``.
    categories
        ``category_id`` -> class.
    first_category
        Without `categories`: the id of the first class, 0 or 1. Ultralytics counted custom
        classes from 0 and, since a release between 8.3.20 and 8.3.100, from 1. Default: what the
        file itself shows, by an id that only one reading allows, else by which one fits the
        ground truth.

    Raises
    ------
    NotFound
        The file does not exist.
    InvalidInput
        Not such a file; an entry of an unknown image or category, not finite, or outside its
        image: file and entry are named. Two images that could both be meant. Both readings of the
        categories fit alike.
    """
    path = Path(path)
    rows, named = _results(path)
    images = _by_name(truth)
    if categories is None and named and {c.name for c in named} <= set(truth.classes):
        categories = {category.id: truth.classes.index(category.name) for category in named}
    if categories is None:
        readings = _counted(truth, *((0, 1) if first_category is None else (first_category,)))
        categories = _fitting(path, rows, truth, images, readings)
    return _with_results(path, rows, truth, images, categories)


def _by_name(truth: Boxes) -> dict[int | str, int]:
    """Return the images by name, by file name and by name without suffix, if only one has it."""
    known: dict[int | str, int] = {}
    paths = [PurePosixPath(name) for name in truth.images]
    for texts in ([str(path) for path in paths], [p.name for p in paths], [p.stem for p in paths]):
        level: dict[int | str, int] = dict(zip(texts, range(len(texts)), strict=True))
        level |= {text: _SEVERAL for text, n in Counter(texts).items() if n > 1}
        known = {**level, **known}
    # Ultralytics writes a numeric stem as a number, without its leading zeros.
    numbers = [(int(text), text) for text in known if isinstance(text, str) and text.isdecimal()]
    for number, text in numbers:
        known[number] = known[text] if known.get(number, known[text]) == known[text] else _SEVERAL
    return known


def _counted(truth: Boxes, *firsts: int) -> dict[str, dict[int, int]]:
    """Return the readings in which the ids of the classes count up from 0 or 1."""
    k = len(truth.classes)
    return {f"counted from {first}": {i + first: i for i in range(k)} for first in firsts}


def _fitting(
    path: Path,
    rows: Sequence[_Result],
    truth: Boxes,
    images: Mapping[int | str, int],
    readings: Mapping[str, Mapping[int, int]],
) -> Mapping[int, int]:
    """Return the reading of the category ids that the file shows: id -> class.

    The one that has all ids; of several that differ, the one by which far more boxes match.
    """
    if len(readings) == 1:
        return next(iter(readings.values()))
    ids = sorted(set(_column(rows, "category_id")))
    possible: dict[tuple[int, ...], str] = {}
    for name, reading in readings.items():
        if all(id_ in reading for id_ in ids):
            possible.setdefault(tuple(reading[id_] for id_ in ids), name)
    if len(possible) < 2:
        # Where none has all ids, the first says which entry is wrong.
        return readings[next(iter(possible.values()), next(iter(readings)))]
    found = {
        name: int(
            match(
                _with_results(path, rows, truth, images, readings[name]),
                thresholds=(0.5,),
                agnostic_iou=0,
            ).tp.sum()
        )
        for name in possible.values()
    }
    best, second = sorted(found, key=lambda name: found[name], reverse=True)[:2]
    if found[best] < _TELLING or found[best] < _TIMES * found[second]:
        raise InvalidInput(
            f"{path}: category ids {ids[0]}..{ids[-1]} may be {best} ({found[best]} boxes then "
            f"match the ground truth) or {second} ({found[second]})",
            "State the id of the first class, 0 or 1 (--first-category)",
        )
    return readings[best]


def _results(path: Path) -> tuple[list[_Result], list[_Category]]:
    """Return the entries of a results file, and its categories where it has them."""
    decoded: Any = _decode(path, list[_Result] | _Results)
    if isinstance(decoded, _Results):
        return decoded.annotations, decoded.categories
    return decoded, []


def _decode(path: Path, kind: Any) -> Any:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror})") from error
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _refuse_nan(path, data)
        reason = str(error).replace("`$[", "`[").replace("`$.", "`")
        raise InvalidInput(f"{path} is not readable as COCO JSON ({reason})") from error


def _refuse_nan(path: Path, data: bytes) -> None:
    """Raise where the file is JSON but for NaN and infinity, which some writers let through."""
    try:
        decoded = json.loads(data)
    except ValueError:
        return
    rows = decoded.get("annotations", []) if isinstance(decoded, dict) else decoded
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        if not isinstance(row, dict):
            continue
        box = row.get("bbox")
        numbers = [*(box if isinstance(box, list) else []), row.get("score")]
        if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
            raise InvalidInput(
                f"{path}, entry {index}: a box or score is not finite",
                "A model that emits NaN is broken: predict again in full precision",
            )


def _sorted_images(dataset: _Dataset) -> list[_Image]:
    return sorted(dataset.images, key=lambda image: (isinstance(image.id, str), image.id))


def _category_index(dataset: _Dataset) -> dict[int, int]:
    return {id_: i for i, id_ in enumerate(sorted(c.id for c in dataset.categories))}


def _coco_truth(path: Path, dataset: _Dataset) -> Boxes:
    images = _sorted_images(dataset)
    categories = _category_index(dataset)
    where: dict[int | str, int] = {image.id: index for index, image in enumerate(images)}
    if len(where) < len(images) or len(categories) < len(dataset.categories):
        raise InvalidInput(f"{path}: an image or category id occurs twice")
    names = {category.id: category.name for category in dataset.categories}
    rows = dataset.annotations
    img, cls = _indices(path, "annotation", rows, where, categories)
    sizes = np.array([(i.width or 0, i.height or 0) for i in images], np.int32).reshape(-1, 2)
    xyxy = _corners(path, "annotation", rows, sizes, img)
    area = [a.area for a in rows]
    videos = [image.video_id for image in images]
    return Boxes(
        images=tuple(image.file_name or str(image.id) for image in images),
        sizes=sizes,
        classes=tuple(names[id_] for id_ in categories),
        truth_img=img,
        truth_cls=cls,
        truth_xyxy=xyxy,
        truth_crowd=np.array([bool(a.iscrowd) for a in rows], np.bool_),
        truth_area=np.where([a is None for a in area], area_of(xyxy), [a or 0.0 for a in area]),
        groups=() if None in videos else tuple(str(video) for video in videos),
    )


def _with_results(
    path: Path,
    rows: Sequence[_Result],
    truth: Boxes,
    images: Mapping[int | str, int],
    categories: Mapping[int, int],
) -> Boxes:
    img, cls = _indices(path, "entry", rows, images, categories)
    return truth.with_predictions(
        img=img,
        cls=cls,
        score=np.fromiter(_column(rows, "score"), np.float64, len(rows)),
        xyxy=_corners(path, "entry", rows, truth.sizes, img),
    )


def _indices(
    path: Path,
    what: str,
    rows: Sequence[_Annotation | _Result],
    images: Mapping[int | str, int],
    categories: Mapping[int, int],
) -> tuple[Any, Any]:
    """Return image and class of each row; the first that has none is named."""

    def looked_up(name: str, table: Mapping[Any, int]) -> Any:
        known = _OrUnknown(table)
        return np.fromiter(map(known.__getitem__, _column(rows, name)), np.int32, len(rows))

    img = looked_up("image_id", images)
    if any(_column(rows, "file_name")):
        named = looked_up("file_name", images)
        img = np.where(named >= 0, named, img)
    cls = looked_up("category_id", categories)
    bad = (img < 0) | (cls < 0)
    if bad.any():
        at = int(bad.argmax())
        row = rows[at]
        if img[at] == _SEVERAL:
            reason = f"image_id {row.image_id!r} fits several images"
            remedy = "Give the images of the split names of their own"
        elif img[at] < 0:
            reason = f"image_id {row.image_id!r} is not in the ground truth"
            remedy = "Is it the split that was predicted?"
        else:
            known = sorted(categories)
            reason = f"category_id {row.category_id} is not among the {len(known)} classes" + (
                f" ({known[0]}..{known[-1]})" if known else ""
            )
            remedy = "Are these predictions for another class list?"
        raise InvalidInput(f"{path}, {what} {at}: {reason}", remedy if what == "entry" else "")
    return img, cls


def _column(rows: Sequence[_Annotation | _Result], name: str) -> Iterator[Any]:
    """Return an attribute of each row, without a step of Python for each."""
    return map(attrgetter(name), rows)


class _OrUnknown(dict[Any, int]):
    """A table in which what is not there is `_UNKNOWN`."""

    def __missing__(self, key: Any) -> int:
        return _UNKNOWN


def _corners(
    path: Path, what: str, rows: Sequence[_Annotation | _Result], sizes: np.ndarray, img: Any
) -> Floats:
    """Return the boxes as corners; the first that no image can hold is named."""
    sides = chain.from_iterable(_column(rows, "bbox"))
    box = np.fromiter(sides, np.float64, 4 * len(rows)).reshape(-1, 4)
    width, height = box[:, 2], box[:, 3]
    negative = (width < 0) | (height < 0)
    box[:, 2:] += box[:, :2]
    size = sizes[img].astype(np.float64)
    known = (size > 0).all(axis=1)
    outside = known & ((box[:, :2] > size) | (box[:, 2:] < 0)).any(axis=1)
    bad = negative | outside
    if bad.any():
        at = int(bad.argmax())
        row = rows[at]
        shown = ", ".join(f"{value:g}" for value in row.bbox)
        if negative[at]:
            reason, remedy = "has a negative width or height", "A box is x, y, width, height"
        else:
            w, h = sizes[img[at]]
            reason = f"lies outside its image of {w} x {h} pixels"
            remedy = "Boxes are in pixels of the original image"
        raise InvalidInput(
            f"{path}, {what} {at} (image {row.image_id!r}): the box [{shown}] {reason}", remedy
        )
    return box
