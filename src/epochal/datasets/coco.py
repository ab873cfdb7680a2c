"""COCO annotations: one JSON file a split, with the images beside it."""

from __future__ import annotations

import math
import os
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from epochal.datasets.labels import Labels
from epochal.datasets.layouts import ONE_SPLIT, Collection
from epochal.datasets.listing import Listed, Listing
from epochal.datasets.problems import Problem, printable
from epochal.datasets.shapes import Shape
from epochal.errors import InvalidInput

__all__ = ["coco_shapes", "read_coco"]

_MAX_BYTES = 4 << 30
_MAX_SHOWN = 50
_REMEDY = "A COCO annotation file has the keys images, annotations and categories"


class _Image(msgspec.Struct):
    id: int | str
    file_name: str
    width: float | None = None
    height: float | None = None


class _Category(msgspec.Struct):
    id: int
    name: str


class _Annotation(msgspec.Struct):
    image_id: int | str
    category_id: int
    bbox: list[float] | None = None
    segmentation: Any = None
    keypoints: list[float] | None = None
    iscrowd: int = 0


class _Document(msgspec.Struct):
    images: list[_Image]
    categories: list[_Category] = []
    annotations: list[_Annotation] = []


_decode = msgspec.json.Decoder(_Document, strict=False).decode


def read_coco(path: str | os.PathLike[str], images: str | os.PathLike[str] = "") -> Collection:
    """List a COCO dataset: a JSON file, or a folder of them, each a split.

    Parameters
    ----------
    images
        Folder that the file names are relative to. Default: looked for beside the JSON.

    Raises
    ------
    InvalidInput
        A file is no COCO JSON, or its images are nowhere to be found.
    """
    place = Path(path).absolute()
    files = sorted(place.glob("*.json")) if place.is_dir() else [place]
    if not files:
        raise InvalidInput(f"{place}: no JSON files in it", "Name the annotation file")
    documents = {file: _load(file) for file in files}
    names = sorted({c.name for d in documents.values() for c in d.categories})
    # the order of ids is the order of classes, where all files agree on it
    ids = [{c.id: c.name for c in d.categories} for d in documents.values()]
    if all(one == ids[0] for one in ids):
        names = [ids[0][i] for i in sorted(ids[0])]
    if len(set(names)) != len(names):
        raise InvalidInput(f"{files[0]}: two categories have one name", "Rename one of them")
    number = {name: i for i, name in enumerate(names)}
    root = _root(place, files, documents, images)
    listing = Listing(Counter(), [])
    found = Collection(
        file=str(place),
        root=str(root),
        layout="coco",
        task="detect",
        classes=tuple(names),
        splits=(),
        listing=listing,
        sources=tuple(map(str, files)),
    )
    splits = []
    for file, document in documents.items():
        split = _split_of(file, len(files))
        if split in splits:
            raise InvalidInput(
                f"{file}: a second file for split {split}", "Name the files after their splits"
            )
        splits.append(split)
        found.label_files[split] = os.path.relpath(file, root)
        forms = _read_document(found, file, document, split, number, images)
        if "polygons" in forms and found.task == "detect":
            found.task = "segment"
        if "keypoints" in forms:
            found.task = "pose"
    found.splits = tuple(splits)
    return found


def coco_shapes(content: bytes, name: str) -> dict[str, list[Shape]]:
    """Return file name -> its shapes, in shares of the image; without sizes, in pixels.

    Parameters
    ----------
    content
        Of a COCO JSON called `name`.

    Raises
    ------
    InvalidInput
        It is no COCO JSON.
    """
    document = _parse(content, name)
    names = [c.name for c in sorted(document.categories, key=lambda c: c.id)]
    number = {c.id: names.index(c.name) for c in document.categories}
    images = {image.id: image for image in document.images}
    shapes: dict[str, list[Shape]] = {image.file_name: [] for image in document.images}
    for annotation in document.annotations:
        image, box = images.get(annotation.image_id), annotation.bbox
        if image is None or box is None or len(box) != 4 or annotation.category_id not in number:
            continue
        w, h = image.width or 1.0, image.height or 1.0
        x, y, width, height = box
        shapes[image.file_name].append(
            Shape(
                category=number[annotation.category_id],
                box=(x / w, y / h, (x + width) / w, (y + height) / h),
                points=tuple((x / w, y / h) for x, y in _joined(annotation.segmentation)),
            )
        )
    return shapes


def _joined(segmentation: Any) -> list[tuple[float, float]]:
    """Return one outline of polygons that are parts of an object; none of a run-length mask.

    Each part is entered and left where it is closest to those before it, so that the way there
    and back encloses nothing.
    """
    outline: list[tuple[float, float]] = []
    for part in segmentation if isinstance(segmentation, list) else ():
        if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
            continue
        try:
            numbers = [float(value) for value in part]
        except (TypeError, ValueError):
            continue
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        if not outline:
            outline = points
            continue
        pairs = (
            (math.dist(a, b), i, j) for i, a in enumerate(outline) for j, b in enumerate(points)
        )
        _, here, there = min(pairs)
        there_and_back = [*points[there:], *points[: there + 1]]
        outline = [*outline[: here + 1], *there_and_back, *outline[here:]]
    return outline


def _load(file: Path) -> _Document:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise InvalidInput(f"{file}: too large for an annotation file", _REMEDY)
        content = file.read_bytes()
    except FileNotFoundError:
        raise InvalidInput(f"{file}: does not exist", "Check the path") from None
    except OSError as error:
        raise InvalidInput(f"{file}: cannot be read ({error.strerror})") from error
    return _parse(content, str(file))


def _parse(content: bytes, name: str) -> _Document:
    try:
        return _decode(content.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{name}: not a COCO annotation file ({error})", _REMEDY) from error


def _split_of(file: Path, files: int) -> str:
    for split, word in (("train", "train"), ("val", "val"), ("test", "test")):
        if re.search(rf"(?<![a-z]){word}", file.stem.casefold()):
            return split
    return ONE_SPLIT if files == 1 else file.stem


def _root(
    place: Path, files: list[Path], documents: dict[Path, _Document], images: object
) -> Path:
    """Return what all paths are relative to: the folder that holds annotations and images."""
    if images:
        return Path(os.path.commonpath([files[0].parent, Path(str(images)).absolute()]))
    folders = [_folder_of(file, document) for file, document in documents.items()]
    return Path(os.path.commonpath([files[0].parent, *folders]))


def _folder_of(file: Path, document: _Document) -> Path:
    """Return the folder that a file's image names are relative to."""
    first = next((image.file_name for image in document.images), None)
    if first is None:
        return file.parent
    stem = file.stem.removeprefix("instances_").removeprefix("person_keypoints_")
    for base in (file.parent, file.parent.parent):
        split = _split_of(file, 2)
        for inside in ("", stem, split, "images", f"images/{stem}", f"images/{split}", "data"):
            if (base / inside / first).is_file():
                return base / inside
    raise InvalidInput(
        f"{file}: its first image {first[:120]!r} is not beside it",
        "Name the folder of the images with --images",
    )


def _read_document(
    found: Collection,
    file: Path,
    document: _Document,
    split: str,
    number: dict[str, int],
    images: object,
) -> set[str]:
    """Put the images of a file and what their labels mean into `found`; return the forms."""
    folder = Path(str(images)).absolute() if images else _folder_of(file, document)
    category = {c.id: number[c.name] for c in document.categories}
    rows: defaultdict[int | str, list[str]] = defaultdict(list)
    objects: defaultdict[int | str, Counter[int]] = defaultdict(Counter)
    forms: set[str] = set()
    known = {image.id: image for image in document.images}
    problems = _Problems(str(file))
    for place, annotation in enumerate(document.annotations):
        what = problems.of(annotation, known, category)
        if what:
            problems.add(f"annotation {place}: {what}")
            continue
        index = category[annotation.category_id]
        forms.add(_form(annotation))
        rows[annotation.image_id].append(_meaning(annotation, index))
        objects[annotation.image_id][index] += 1
    for image in document.images:
        path = str(folder / image.file_name)
        listed = Listed(split, os.path.relpath(path, found.root), path)
        found.listing.images[listed] += 1
        if meaning := rows.get(image.id):
            found.labels[path] = Labels(
                digest=blake3("\n".join(sorted(meaning)).encode()).hexdigest(),
                objects=tuple(sorted(objects[image.id].items())),
                form="boxes",
            )
    found.listing.problems.extend(problems.table())
    return forms


def _form(annotation: _Annotation) -> str:
    if annotation.keypoints:
        return "keypoints"
    return "polygons" if annotation.segmentation else "boxes"


def _meaning(annotation: _Annotation, index: int) -> str:
    """Return one annotation as a line: class, box, crowd, and the outline by its digest."""
    box = " ".join(repr(float(v) + 0.0) for v in annotation.bbox or [])
    line = f"{index} {box} {annotation.iscrowd}"
    for shape in (annotation.segmentation, annotation.keypoints):
        if shape:
            text = msgspec.json.encode(shape, order="sorted")
            line += f" {blake3(text).hexdigest(length=16)}"
    return line


class _Problems:
    """What is wrong in one annotation file: counted, the first ones listed."""

    def __init__(self, file: str) -> None:
        self.file = printable(file)
        self.found: list[str] = []

    def of(
        self,
        annotation: _Annotation,
        images: dict[int | str, _Image],
        categories: dict[int, int],
    ) -> str:
        """Return what is wrong with an annotation; empty where nothing is."""
        image = images.get(annotation.image_id)
        if image is None:
            return f"image {annotation.image_id} is not in images"
        if annotation.category_id not in categories:
            return f"category {annotation.category_id} is not in categories"
        box = annotation.bbox
        if box is None:
            return "" if annotation.segmentation or annotation.keypoints else "no box"
        if len(box) != 4:
            return f"a box of {len(box)} numbers, 4 expected"
        x, y, width, height = box
        # written so that NaN, which fails every comparison, is wrong
        if not (width > 0 and height > 0):
            return f"a box of width {width:g} and height {height:g}"
        if image.width and image.height:
            slack = 1.0
            inside = x >= -slack and y >= -slack
            inside = inside and x + width <= image.width + slack
            if not (inside and y + height <= image.height + slack):
                return f"a box outside its image {image.file_name[:80]}"
        return ""

    def add(self, problem: str) -> None:
        self.found.append(problem)

    def table(self) -> list[Problem]:
        """Return a row for each of the first problems, and one for how many more there are."""
        remedy = "Correct or remove the annotation: it is left out"
        rows = [
            Problem(file=self.file, problem=problem, remedy=remedy, severity="error")
            for problem in self.found[:_MAX_SHOWN]
        ]
        if len(self.found) > _MAX_SHOWN:
            more = f"{len(self.found) - _MAX_SHOWN} more annotations with problems"
            rows.append(Problem(file=self.file, problem=more, severity="error"))
        return rows
