"""Reading ground truth and predictions: YOLO label folders and COCO JSON."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from epochal.errors import InvalidInput, NotFound
from epochal.evaluation.detections import Boxes, area_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from epochal.evaluation.columns import Floats

__all__ = [
    "read_coco",
    "read_coco_predictions",
    "read_coco_truth",
    "read_yolo_predictions",
    "read_yolo_truth",
]

# --- YOLO ----------------------------------------------------------------------------------------


def read_yolo_truth(
    folder: str | Path, *, sizes: Mapping[str, tuple[int, int]], classes: Sequence[str]
) -> Boxes:
    """Return the ground truth of a YOLO label folder.

    One text file per image, ``class cx cy w h`` per line in shares of the image's sides; a longer
    line is a polygon and reduced to its box. A missing or empty file is an image without objects;
    an exact repetition of a line counts once, as Ultralytics reads it.

    Parameters
    ----------
    folder
        Where the text files lie, under the images' names with the suffix ``.txt``.
    sizes
        Image name (path below the image folder) -> width, height in pixels. Every image of the
        split is listed here, also those without objects; they are kept in sorted order.
    classes
        Class names by id.

    Raises
    ------
    NotFound
        The folder does not exist.
    InvalidInput
        A line cannot be read, has a class outside the list or a coordinate outside 0..1; file and
        line are named.
    """
    images = tuple(sorted(sizes))
    shapes = np.array([sizes[name] for name in images], np.int32).reshape(-1, 2)
    img, cls, xyxy = [], [], []
    for index, path in _label_files(Path(folder), images):
        seen = set()
        for where, numbers in _lines(path):
            if len(numbers) == 6:
                raise InvalidInput(
                    f"{where} has six numbers: a confidence has no place in ground truth",
                    "Is this a folder of predictions?",
                )
            if numbers in seen:
                continue
            seen.add(numbers)
            img.append(index)
            cls.append(_class_id(where, numbers[0], len(classes)))
            xyxy.append(_corners(where, numbers[1:], strict=True))
    return Boxes(
        images=images,
        sizes=shapes,
        classes=tuple(classes),
        truth_img=img,  # type: ignore[arg-type]  # Boxes converts its columns
        truth_cls=cls,  # type: ignore[arg-type]
        truth_xyxy=_pixels(xyxy, shapes, img),
    )


def read_yolo_predictions(folder: str | Path, truth: Boxes) -> Boxes:
    """Return `truth` with the predictions of a YOLO label folder.

    Each line is ``class cx cy w h confidence``, or a polygon followed by the confidence, as
    Ultralytics writes with ``save_txt=True save_conf=True``. Images without a file have none.

    Raises
    ------
    NotFound
        The folder does not exist.
    InvalidInput
        A line cannot be read, lacks the confidence, or has a class outside the list; or an image's
        size is unknown. File and line are named.
    """
    img, cls, score, xyxy = [], [], [], []
    for index, path in _label_files(Path(folder), truth.images):
        for where, numbers in _lines(path):
            if len(numbers) % 2:
                raise InvalidInput(
                    f"{where} has no confidence", "Write predictions with save_conf=True"
                )
            img.append(index)
            cls.append(_class_id(where, numbers[0], len(truth.classes)))
            score.append(numbers[-1])
            xyxy.append(_corners(where, numbers[1:-1], strict=False))
    return truth.with_predictions(
        img=img, cls=cls, score=score, xyxy=_pixels(xyxy, truth.sizes, img)
    )


def _label_files(folder: Path, images: Sequence[str]) -> Iterator[tuple[int, Path]]:
    if not folder.is_dir():
        raise NotFound(f"label folder {folder} does not exist")
    for index, name in enumerate(images):
        path = folder / PurePosixPath(name).with_suffix(".txt")
        if path.is_file():
            yield index, path


def _lines(path: Path) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yield the place and the numbers of each line that is not blank."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not a text file") from error
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{path}, line {number}"
        try:
            numbers = tuple(float(word) for word in line.split())
        except ValueError as error:
            raise InvalidInput(f"{where} holds something that is not a number") from error
        if not numbers:
            continue
        if len(numbers) < 5:
            raise InvalidInput(f"{where} has {len(numbers)} numbers, expected at least 5")
        if not all(map(math.isfinite, numbers)):
            raise InvalidInput(f"{where} holds a number that is not finite")
        yield where, numbers


def _class_id(where: str, value: float, n: int) -> int:
    if not value.is_integer() or not 0 <= value < n:
        raise InvalidInput(f"{where} has class {value:g}, expected 0..{n - 1}")
    return int(value)


def _corners(where: str, numbers: Sequence[float], *, strict: bool) -> tuple[float, ...]:
    """Return left, top, right, bottom in shares of the image, of a box or of a polygon's hull."""
    if len(numbers) == 4:
        cx, cy, w, h = numbers
        if w < 0 or h < 0:
            raise InvalidInput(f"{where} has a negative width or height")
        if strict and not all(0 <= value <= 1 for value in numbers):
            raise InvalidInput(f"{where} has a coordinate outside 0..1", "Normalise the labels")
        return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    if len(numbers) % 2 or len(numbers) < 6:
        raise InvalidInput(f"{where} has {len(numbers)} coordinates: neither box nor polygon")
    if strict and not all(0 <= value <= 1 for value in numbers):
        raise InvalidInput(f"{where} has a coordinate outside 0..1", "Normalise the labels")
    x, y = numbers[0::2], numbers[1::2]
    return min(x), min(y), max(x), max(y)


def _pixels(shares: list[tuple[float, ...]], sizes: np.ndarray, img: list[int]) -> Floats:
    used = sizes[np.array(img, np.intp)]
    if (used <= 0).any():
        raise InvalidInput("an image with boxes has no size", "Give width and height in pixels")
    pixels: Floats = np.array(shares).reshape(-1, 4) * np.tile(used, 2)
    return pixels


# --- COCO ----------------------------------------------------------------------------------------


class _Image(msgspec.Struct):
    id: int | str
    file_name: str = ""
    width: int = 0
    height: int = 0


class _Category(msgspec.Struct):
    id: int
    name: str


class _Annotation(msgspec.Struct):
    image_id: int | str
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float | None = None
    iscrowd: int | bool = 0


class _Dataset(msgspec.Struct):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation] = []


class _Result(msgspec.Struct):
    image_id: int | str
    category_id: int
    bbox: tuple[float, float, float, float]
    score: float


_Kind = TypeVar("_Kind")
_UNKNOWN, _SEVERAL = -2, -1


def read_coco(truth: str | Path, results: str | Path) -> Boxes:
    """Return the boxes of a COCO ground-truth file and a results file.

    Raises
    ------
    NotFound, InvalidInput
        As `read_coco_truth` and `read_coco_predictions`.
    """
    dataset = _decode(Path(truth), _Dataset)
    boxes = _coco_truth(Path(truth), dataset)
    images = {image.id: i for i, image in enumerate(_sorted_images(dataset))}
    return _coco_results(Path(results), boxes, images, _category_index(dataset))


def read_coco_truth(path: str | Path) -> Boxes:
    """Return the ground truth of a COCO JSON file.

    Images are ordered by id, as pycocotools does, and named by ``file_name`` (by id where that is
    missing); classes are the categories ordered by id. `area` is the annotation's, else the box's.

    Raises
    ------
    NotFound
        The file does not exist.
    InvalidInput
        Not such a file, an id that occurs twice, or an annotation of an unknown image or category;
        file and entry are named.
    """
    return _coco_truth(Path(path), _decode(Path(path), _Dataset))


def read_coco_predictions(
    path: str | Path, truth: Boxes, *, categories: Mapping[int, int] | None = None
) -> Boxes:
    """Return `truth` with the predictions of a COCO results file.

    Parameters
    ----------
    truth
        Ground truth from anywhere. ``image_id`` is looked up among its image names: whole, then
        as a file name, then without suffix, which is what Ultralytics writes in
        ``predictions.json``.
    categories
        ``category_id`` -> class. Default: ids 1..k in the order of the classes, as Ultralytics
        since 8.3.100 writes for custom data.

    Raises
    ------
    NotFound
        The file does not exist.
    InvalidInput
        Not such a file, or an entry of an unknown image or category; file and entry are named.
        Two images that could both be meant.
    """
    known: dict[int | str, int] = {}
    for key in (PurePosixPath.as_posix, _name, _stem):
        texts = [key(PurePosixPath(name)) for name in truth.images]
        level: dict[int | str, int] = dict(zip(texts, range(len(texts)), strict=True))
        level |= {text: _SEVERAL for text, n in Counter(texts).items() if n > 1}
        known = {**level, **known}
    # Ultralytics writes a numeric stem as a number, without its leading zeros.
    numbers = [(int(text), text) for text in known if isinstance(text, str) and text.isdecimal()]
    for number, text in numbers:
        known[number] = known[text] if known.get(number, known[text]) == known[text] else _SEVERAL
    default = {index + 1: index for index in range(len(truth.classes))}
    return _coco_results(Path(path), truth, known, categories or default)


def _name(path: PurePosixPath) -> str:
    return path.name


def _stem(path: PurePosixPath) -> str:
    return path.stem


def _decode(path: Path, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not readable as COCO JSON ({error})") from error


def _sorted_images(dataset: _Dataset) -> list[_Image]:
    return sorted(dataset.images, key=lambda image: (isinstance(image.id, str), image.id))


def _category_index(dataset: _Dataset) -> dict[int, int]:
    return {id_: i for i, id_ in enumerate(sorted(c.id for c in dataset.categories))}


def _coco_truth(path: Path, dataset: _Dataset) -> Boxes:
    images = _sorted_images(dataset)
    categories = _category_index(dataset)
    where = {image.id: index for index, image in enumerate(images)}
    if len(where) < len(images) or len(categories) < len(dataset.categories):
        raise InvalidInput(f"{path}: an image or category id occurs twice")
    names = {category.id: category.name for category in dataset.categories}
    img, cls = _indices(path, "annotation", dataset.annotations, where, categories)
    xyxy = _from_xywh([a.bbox for a in dataset.annotations])
    area = [a.area for a in dataset.annotations]
    return Boxes(
        images=tuple(image.file_name or str(image.id) for image in images),
        sizes=np.array([(i.width, i.height) for i in images], np.int32).reshape(-1, 2),
        classes=tuple(names[id_] for id_ in categories),
        truth_img=img,
        truth_cls=cls,
        truth_xyxy=xyxy,
        truth_crowd=np.array([bool(a.iscrowd) for a in dataset.annotations], np.bool_),
        truth_area=np.where([a is None for a in area], area_of(xyxy), [a or 0.0 for a in area]),
    )


def _coco_results(
    path: Path, truth: Boxes, images: Mapping[int | str, int], categories: Mapping[int, int]
) -> Boxes:
    results = _decode(path, list[_Result])
    img, cls = _indices(path, "entry", results, images, categories)
    return truth.with_predictions(
        img=img,
        cls=cls,
        score=[result.score for result in results],
        xyxy=_from_xywh([result.bbox for result in results]),
    )


def _indices(
    path: Path,
    what: str,
    rows: Sequence[_Annotation | _Result],
    images: Mapping[int | str, int],
    categories: Mapping[int, int],
) -> tuple[Any, Any]:
    """Return image and class of each row; the first that has none is named."""
    img = np.array([images.get(row.image_id, _UNKNOWN) for row in rows], np.int32)
    cls = np.array([categories.get(row.category_id, -1) for row in rows], np.int32)
    bad = (img < 0) | (cls < 0)
    if bad.any():
        at = int(bad.argmax())
        row = rows[at]
        if img[at] == _SEVERAL:
            reason = f"image_id {row.image_id!r} fits several images"
        elif img[at] < 0:
            reason = f"image_id {row.image_id!r} is not in the ground truth"
        else:
            reason = f"category_id {row.category_id} is not among the classes"
        raise InvalidInput(f"{path}, {what} {at}: {reason}")
    return img, cls


def _from_xywh(boxes: Sequence[tuple[float, float, float, float]]) -> Floats:
    xywh = np.array(boxes, np.float64).reshape(-1, 4)
    xywh[:, 2:] += xywh[:, :2]
    return xywh
