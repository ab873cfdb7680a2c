"""Boxes in YOLO label files: one text file per image, one object per line."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from epochal.errors import InvalidInput, NotFound
from epochal.evaluation.detections import Boxes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from epochal.evaluation.columns import Floats

__all__ = ["label_files", "read_yolo_predictions", "read_yolo_truth"]

_BEYOND = 1e-4  # shares of a side by which rounding may carry a box over the edge


def read_yolo_truth(
    labels: str | Path | Mapping[str, Path],
    *,
    sizes: Mapping[str, tuple[int, int]],
    classes: Sequence[str],
    keypoints: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Boxes:
    """Return the ground truth of YOLO label files.

    One text file per image, ``class cx cy w h`` per line in shares of the image's sides; a longer
    line is a polygon and reduced to its box. A missing or empty file is an image without objects;
    an exact repetition of a line counts once, as Ultralytics reads it.

    Parameters
    ----------
    labels
        The folder with the text files, under the images' names with the suffix ``.txt``; or the
        text file of each image by the image's name.
    sizes
        Image name (path below the image folder) -> width, height in pixels. Every image of the
        split is listed here, also those without objects; they are kept in sorted order.
    classes
        Class names by id.
    keypoints
        What follows the box are keypoints, not a polygon; they are left out.
    progress
        Called with (images read, images in all).

    Raises
    ------
    NotFound
        The folder does not exist.
    InvalidInput
        A line cannot be read, has a class outside the list or a coordinate outside 0..1; file and
        line are named. Or the folder holds a label file of no image.
    """
    images = tuple(sorted(sizes))
    shapes = np.array([sizes[name] for name in images], np.int32).reshape(-1, 2)
    files = labels if not isinstance(labels, str | Path) else label_files(Path(labels), images)
    img: list[int] = []
    cls: list[int] = []
    xyxy: list[tuple[float, ...]] = []
    for index, name in enumerate(images):
        seen = set()
        for where, numbers in _lines(files.get(name)):
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
            xyxy.append(_corners(where, numbers[1:5] if keypoints else numbers[1:], strict=True))
        if progress is not None:
            progress(index + 1, len(images))
    return Boxes(
        images=images,
        sizes=shapes,
        classes=tuple(classes),
        truth_img=img,  # type: ignore[arg-type]  # Boxes converts its columns
        truth_cls=cls,  # type: ignore[arg-type]
        truth_xyxy=_pixels(xyxy, shapes, img),
    )


def read_yolo_predictions(
    folder: str | Path,
    truth: Boxes,
    *,
    keypoints: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Boxes:
    """Return `truth` with the predictions of a YOLO label folder.

    Each line is ``class cx cy w h confidence``, or a polygon followed by the confidence, as
    Ultralytics writes with ``save_txt=True save_conf=True``. Images without a file have none.
    With `keypoints`, what stands between box and confidence is left out.

    Raises
    ------
    NotFound
        The folder does not exist.
    InvalidInput
        A line cannot be read, lacks the confidence, has a class outside the list or a box outside
        the image; a file belongs to no image, or an image's size is unknown. File and line are
        named.
    """
    files = label_files(Path(folder), truth.images)
    img: list[int] = []
    cls: list[int] = []
    score: list[float] = []
    xyxy: list[tuple[float, ...]] = []
    for index, name in enumerate(truth.images):
        for where, numbers in _lines(files.get(name)):
            if len(numbers) % 2 and not keypoints:
                raise InvalidInput(
                    f"{where} has no confidence", "Write predictions with save_conf=True"
                )
            img.append(index)
            cls.append(_class_id(where, numbers[0], len(truth.classes)))
            score.append(numbers[-1])
            box = numbers[1:5] if keypoints else numbers[1:-1]
            xyxy.append(_corners(where, box, strict=False))
        if progress is not None:
            progress(index + 1, len(truth.images))
    return truth.with_predictions(
        img=img, cls=cls, score=score, xyxy=_pixels(xyxy, truth.sizes, img)
    )


def label_files(folder: Path, images: Sequence[str]) -> dict[str, Path]:
    """Return the label file of each image that has one, by the image's name.

    A file belongs to the image with the same path and, where there is none, to the only one with
    the same name: Ultralytics writes predictions flat.

    Raises
    ------
    NotFound
        The folder does not exist.
    InvalidInput
        A label file belongs to no image or could belong to several.
    """
    if not folder.is_dir():
        raise NotFound(f"label folder {folder} does not exist")
    whole = {PurePosixPath(name).with_suffix("").as_posix(): name for name in images}
    stems = Counter(PurePosixPath(name).stem for name in images)
    by_stem = {PurePosixPath(name).stem: name for name in images}
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.txt")):
        relative = path.relative_to(folder).with_suffix("")
        name = whole.get(relative.as_posix()) or by_stem.get(relative.name)
        if name is None:
            if len(relative.parts) == 1 and relative.name == "classes":
                continue  # what annotation tools put beside the labels
            raise InvalidInput(
                f"{path} belongs to none of the {len(images)} images",
                "Is it the split that was predicted?",
            )
        if relative.as_posix() not in whole and stems[relative.name] > 1:
            raise InvalidInput(
                f"{path} could belong to {stems[relative.name]} images named {relative.name}",
                "Keep the images' folders in the label folder",
            )
        if name in found:
            raise InvalidInput(f"{path} and {found[name]} belong to the same image {name}")
        found[name] = path
    return found


def _lines(path: Path | None) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yield the place and the numbers of each line that is not blank."""
    if path is None:
        return
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
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
            raise InvalidInput(
                f"{where} holds a number that is not finite",
                "A model that emits NaN is broken: predict again in full precision",
            )
        yield where, numbers


def _class_id(where: str, value: float, n: int) -> int:
    if not value.is_integer() or not 0 <= value < n:
        raise InvalidInput(
            f"{where} has class {value:g}, expected 0..{n - 1}",
            "Are these labels of another dataset?",
        )
    return int(value)


def _corners(where: str, numbers: Sequence[float], *, strict: bool) -> tuple[float, ...]:
    """Return left, top, right, bottom in shares of the image, of a box or of a polygon's hull."""
    if strict and not all(0 <= value <= 1 for value in numbers):
        raise InvalidInput(f"{where} has a coordinate outside 0..1", "Normalise the labels")
    if len(numbers) == 4:
        cx, cy, w, h = numbers
        if w < 0 or h < 0:
            raise InvalidInput(f"{where} has a negative width or height")
        box = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    elif len(numbers) % 2 or len(numbers) < 6:
        raise InvalidInput(f"{where} has {len(numbers)} coordinates: neither box nor polygon")
    else:
        x, y = numbers[0::2], numbers[1::2]
        box = min(x), min(y), max(x), max(y)
    if min(box[2:]) < -_BEYOND or max(box[:2]) > 1 + _BEYOND:
        raise InvalidInput(
            f"{where} has a box outside the image",
            "Coordinates are shares of the image's sides, not pixels",
        )
    return box


def _pixels(shares: list[tuple[float, ...]], sizes: np.ndarray, img: list[int]) -> Floats:
    used = sizes[np.array(img, np.intp)]
    if (used <= 0).any():
        raise InvalidInput("an image with boxes has no size", "Give width and height in pixels")
    pixels: Floats = np.array(shares).reshape(-1, 4) * np.tile(used, 2)
    return pixels
