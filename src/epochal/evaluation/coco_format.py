"""Boxes in COCO JSON: annotations and results, also as Ultralytics writes ``predictions.json``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from epochal.errors import InvalidInput
from epochal.evaluation.coco_entries import Dataset, Entries, Image, read_dataset, read_results
from epochal.evaluation.detections import Boxes, area_of
from epochal.evaluation.matching import match

if TYPE_CHECKING:
    from collections.abc import Mapping

    from epochal.evaluation.columns import Floats

__all__ = ["read_coco", "read_coco_predictions", "read_coco_truth"]

_TELLING, _TIMES = 5, 3  # matches, and how many times those of the other reading


_SEVERAL = -1


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
    dataset, annotations = read_dataset(Path(truth))
    boxes = _coco_truth(Path(truth), dataset, annotations)
    ids = {image.id: i for i, image in enumerate(_sorted_images(dataset))}
    path = Path(results)
    entries, named = read_results(path)
    names = {category.id: category.name for category in dataset.categories}
    for category in named:
        if category.name != names.get(category.id, category.name):
            raise InvalidInput(
                f"{path}: category {category.id} is {category.name!r}, "
                f"in the ground truth {names[category.id]!r}",
                "Are these predictions for another class list?",
            )
    images: dict[int | str, int] = ids
    if entries.named or not ids.keys() >= set(entries.image_id.values):
        images = _by_name(boxes) | ids
    readings = {"those of the ground truth": _category_index(dataset)}
    if first_category is not None:
        readings = _counted(boxes, first_category)
    elif entries.named:
        readings |= _counted(boxes, 0, 1)
    return _with_results(
        path, entries, boxes, images, _fitting(path, entries, boxes, images, readings)
    )


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
    return _coco_truth(Path(path), *read_dataset(Path(path)))


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
    entries, named = read_results(path)
    images = _by_name(truth)
    if categories is None and named and {c.name for c in named} <= set(truth.classes):
        categories = {category.id: truth.classes.index(category.name) for category in named}
    if categories is None:
        readings = _counted(truth, *((0, 1) if first_category is None else (first_category,)))
        categories = _fitting(path, entries, truth, images, readings)
    return _with_results(path, entries, truth, images, categories)


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
    entries: Entries,
    truth: Boxes,
    images: Mapping[int | str, int],
    readings: Mapping[str, Mapping[int, int]],
) -> Mapping[int, int]:
    """Return the reading of the category ids that the file shows: id -> class.

    The one that has all ids; of several that differ, the one by which far more boxes match.
    """
    if len(readings) == 1:
        return next(iter(readings.values()))
    ids = sorted(entries.category_id.values)
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
                _with_results(path, entries, truth, images, readings[name]),
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


def _sorted_images(dataset: Dataset) -> list[Image]:
    return sorted(dataset.images, key=lambda image: (isinstance(image.id, str), image.id))


def _category_index(dataset: Dataset) -> dict[int, int]:
    return {id_: i for i, id_ in enumerate(sorted(c.id for c in dataset.categories))}


def _coco_truth(path: Path, dataset: Dataset, annotations: Entries) -> Boxes:
    images = _sorted_images(dataset)
    categories = _category_index(dataset)
    where: dict[int | str, int] = {image.id: index for index, image in enumerate(images)}
    if len(where) < len(images) or len(categories) < len(dataset.categories):
        raise InvalidInput(f"{path}: an image or category id occurs twice")
    names = {category.id: category.name for category in dataset.categories}
    rows = dataset.annotations
    img, cls = _indices(path, "annotation", annotations, where, categories)
    sizes = np.array([(i.width or 0, i.height or 0) for i in images], np.int32).reshape(-1, 2)
    xyxy = _corners(path, "annotation", annotations, sizes, img)
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
    entries: Entries,
    truth: Boxes,
    images: Mapping[int | str, int],
    categories: Mapping[int, int],
) -> Boxes:
    img, cls = _indices(path, "entry", entries, images, categories)
    return truth.with_predictions(
        img=img,
        cls=cls,
        score=entries.score,
        xyxy=_corners(path, "entry", entries, truth.sizes, img),
    )


def _indices(
    path: Path,
    what: str,
    entries: Entries,
    images: Mapping[int | str, int],
    categories: Mapping[int, int],
) -> tuple[Any, Any]:
    """Return image and class of each row; the first that has none is named."""
    img = entries.image_id.looked_up(images)
    if entries.named:
        named = entries.file_name.looked_up(images)
        img = np.where(named >= 0, named, img)
    cls = entries.category_id.looked_up(categories)
    bad = (img < 0) | (cls < 0)
    if bad.any():
        at = int(bad.argmax())
        image_id = entries.image_id[at]
        if img[at] == _SEVERAL:
            reason = f"image_id {image_id!r} fits several images"
            remedy = "Give the images of the split names of their own"
        elif img[at] < 0:
            reason = f"image_id {image_id!r} is not in the ground truth"
            remedy = "Is it the split that was predicted?"
        else:
            known = sorted(categories)
            reason = (
                f"category_id {entries.category_id[at]} is not among the {len(known)} classes"
                + (f" ({known[0]}..{known[-1]})" if known else "")
            )
            remedy = "Are these predictions for another class list?"
        raise InvalidInput(f"{path}, {what} {at}: {reason}", remedy if what == "entry" else "")
    return img, cls


def _corners(path: Path, what: str, entries: Entries, sizes: np.ndarray, img: Any) -> Floats:
    """Return the boxes as corners; the first that no image can hold is named."""
    box = entries.bbox.copy()
    negative = (box[:, 2] < 0) | (box[:, 3] < 0)
    box[:, 2:] += box[:, :2]
    left, top, right, bottom = box.T
    known = (sizes > 0).all(axis=1)
    width, height = (np.where(known, side, np.inf).take(img) for side in sizes.T)
    outside = (left > width) | (top > height) | known.take(img) & ((right < 0) | (bottom < 0))
    bad = negative | outside
    if bad.any():
        at = int(bad.argmax())
        shown = ", ".join(f"{value:g}" for value in entries.bbox[at])
        if negative[at]:
            reason, remedy = "has a negative width or height", "A box is x, y, width, height"
        else:
            w, h = sizes[img[at]]
            reason = f"lies outside its image of {w} x {h} pixels"
            remedy = "Boxes are in pixels of the original image"
        raise InvalidInput(
            f"{path}, {what} {at} (image {entries.image_id[at]!r}): the box [{shown}] {reason}",
            remedy,
        )
    return box
