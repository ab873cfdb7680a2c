"""COCO annotations: one JSON file a split, with the images beside it."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3

from epochal.datasets.coco_document import Annotation, Box, Document, flaw, is_inside, load
from epochal.datasets.labels import Labels
from epochal.datasets.layouts import ONE_SPLIT, Claim, Collection, annotation_files
from epochal.datasets.listing import Listed, Listing
from epochal.datasets.problems import Problem, Severity, printable
from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read_coco", "size_problems"]

_MAX_SHOWN = 50
_NOWHERE: Box = (0.0, 0.0, 0.0, 0.0)


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
    files = [place]
    if place.is_dir():
        files = annotation_files(place) or sorted(place.glob("*.json"))
    if not files:
        raise InvalidInput(f"{place}: no JSON files in it", "Name the annotation file")
    documents = {file: load(file) for file in files}
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
        split = _split_of(file, len(files), place)
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


def _split_of(file: Path, files: int, place: Path) -> str:
    """Return the split that a file's name says; below `place`, its folder's name too."""
    for split, word in (("train", "train"), ("val", "val"), ("test", "test")):
        if re.search(rf"(?<![a-z]){word}", file.stem.casefold()):
            return split
        if file.parent not in (place, place.parent) and re.search(rf"^{word}", file.parent.name):
            return split
    return ONE_SPLIT if files == 1 else file.stem


def _root(place: Path, files: list[Path], documents: dict[Path, Document], images: object) -> Path:
    """Return what all paths are relative to: the folder that holds annotations and images."""
    if images:
        return Path(os.path.commonpath([files[0].parent, Path(str(images)).absolute()]))
    folders = [_folder_of(file, document) for file, document in documents.items()]
    return Path(os.path.commonpath([files[0].parent, *folders]))


def _folder_of(file: Path, document: Document) -> Path:
    """Return the folder that a file's image names are relative to."""
    first = next((image.file_name for image in document.images), None)
    if first is None:
        return file.parent
    stem = file.stem.removeprefix("instances_").removeprefix("person_keypoints_")
    for base in (file.parent, file.parent.parent):
        split = _split_of(file, 2, file.parent)
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
    document: Document,
    split: str,
    number: dict[str, int],
    images: object,
) -> set[str]:
    """Put the images of a file and what their labels mean into `found`; return the forms."""
    folder = Path(str(images)).absolute() if images else _folder_of(file, document)
    category = {c.id: number[c.name] for c in document.categories}
    rows: defaultdict[int | str, list[str]] = defaultdict(list)
    objects: defaultdict[int | str, Counter[int]] = defaultdict(Counter)
    reach: dict[int | str, Box] = {}
    forms: set[str] = set()
    known = {image.id: image for image in document.images}
    problems = _Problems(str(file))
    for place, annotation in enumerate(document.annotations):
        what = flaw(annotation, known, category)
        if what:
            problems.add(f"annotation {place}: {what}")
            continue
        index = category[annotation.category_id]
        forms.add(_form(annotation))
        rows[annotation.image_id].append(_meaning(annotation, index))
        objects[annotation.image_id][index] += 1
        box = annotation.box
        if box is not None and known[annotation.image_id].size is None:
            reach[annotation.image_id] = _enclosing(reach.get(annotation.image_id, box), box)
    for image in document.images:
        path = str(folder / image.file_name)
        listed = Listed(split, os.path.relpath(path, found.root), path)
        found.listing.images[listed] += 1
        if image.size or image.id in reach:
            found.claims[path] = Claim(str(file), image.size, reach.get(image.id, _NOWHERE))
        if meaning := rows.get(image.id):
            found.labels[listed] = Labels(
                digest=blake3("\n".join(sorted(meaning)).encode()).hexdigest(),
                objects=tuple(sorted(objects[image.id].items())),
                form="boxes",
            )
    found.listing.problems.extend(problems.table())
    return forms


def _form(annotation: Annotation) -> str:
    if annotation.keypoints:
        return "keypoints"
    return "polygons" if annotation.segmentation else "boxes"


def _meaning(annotation: Annotation, index: int) -> str:
    """Return one annotation as a line: class, box, crowd, and the outline by its digest."""
    box = " ".join(repr(float(v) + 0.0) for v in annotation.bbox or [])
    line = f"{index} {box} {annotation.iscrowd}"
    for shape in (annotation.segmentation, annotation.keypoints):
        if shape:
            text = msgspec.json.encode(shape, order="sorted")
            line += f" {blake3(text).hexdigest(length=16)}"
    return line


def _enclosing(one: Box, other: Box) -> Box:
    (left, top, right, bottom), (x0, y0, x1, y1) = one, other
    return min(left, x0), min(top, y0), max(right, x1), max(bottom, y1)


def size_problems(
    claims: Mapping[str, Claim], sizes: Mapping[str, tuple[int, int]]
) -> list[Problem]:
    """Return rows for annotation files that do not fit the sizes of their images.

    Parameters
    ----------
    claims
        Image file -> what its annotations say.
    sizes
        Image file -> its width and height as shown; (0, 0) where that cannot be told.
    """
    other: defaultdict[str, list[str]] = defaultdict(list)
    outside: defaultdict[str, list[str]] = defaultdict(list)
    for file, claim in claims.items():
        width, height = sizes.get(file, (0, 0))
        if not (width and height):
            continue
        shown = f"{printable(os.path.basename(file))[:80]}, which is {width} x {height}"  # noqa: PTH119
        if claim.size is None:
            if not is_inside(claim.reach, (width, height)):
                outside[claim.source].append(f"a box outside its image {shown}")
        elif claim.size != (width, height):
            said = f"{claim.size[0]:g} x {claim.size[1]:g}"
            other[claim.source].append(f"gives {said} as the size of {shown}")
    return [
        *_first_of(other, "Correct it: boxes are taken as shares of that size", "warning"),
        *_first_of(outside, "Correct or remove the annotation", "error"),
    ]


def _first_of(found: Mapping[str, list[str]], remedy: str, severity: Severity) -> list[Problem]:
    rows = []
    for source, lines in found.items():
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        problem = lines[0] + more
        rows.append(
            Problem(file=printable(source), problem=problem, remedy=remedy, severity=severity)
        )
    return rows


class _Problems:
    """What is wrong in one annotation file: counted, the first ones listed."""

    def __init__(self, file: str) -> None:
        self.file = printable(file)
        self.found: list[str] = []

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
