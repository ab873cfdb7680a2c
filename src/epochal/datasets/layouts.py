"""Datasets that have no data.yaml: folders of classes, COCO annotations, plain files.

Each is read into the same form: which files there are, in which split, and what their labels
mean. `epochal.datasets.scanning` hashes them as it does a YOLO dataset.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import msgspec
from blake3 import blake3

from epochal.datasets.labels import LabelRules, Labels
from epochal.datasets.listing import Listed, Listing, is_image, walk
from epochal.datasets.problems import Problem
from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from epochal.datasets.manifest import Task

__all__ = [
    "Claim",
    "Collection",
    "Layout",
    "annotation_files",
    "layout_of",
    "read_classes",
    "read_files",
]

Layout: TypeAlias = Literal["yolo", "coco", "classify", "files"]
"""How a dataset lies on disk."""

ONE_SPLIT = "all"
"""The split of a dataset that names none."""

_SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_CACHES = (".cache", ".npy", ".pyc", ".tmp", ".part")


class Claim(NamedTuple):
    """What annotations say of an image's size, in pixels."""

    source: str
    """Absolute: the file that says it."""
    size: tuple[float, float] | None
    """Width and height; None where they are not given."""
    reach: tuple[float, float, float, float]
    """Left, top, right, bottom of all boxes, where no size is given."""


class Collection(msgspec.Struct, kw_only=True):
    """A dataset without a data.yaml, listed."""

    file: str
    """Absolute: what was named."""
    root: str
    """Absolute: what paths are relative to."""
    layout: Layout
    task: Task
    classes: tuple[str, ...]
    splits: tuple[str, ...]
    listing: Listing
    labels: dict[Listed, Labels] = {}
    """Image -> what its labels mean, where it has any: each split says its own."""
    label_files: dict[str, str] = {}
    """Split -> the file its labels are in, relative to the root."""
    claims: dict[str, Claim] = {}
    """File -> what its annotations say of its size, where they do."""
    sources: tuple[str, ...] = ()
    """Absolute: files that hold the labels."""

    @property
    def rules(self) -> LabelRules:
        """What labels have to obey; nothing here is checked by lines."""
        return LabelRules(len(self.classes))


def layout_of(path: str | os.PathLike[str]) -> Layout:
    """Return how the dataset at `path` lies there.

    A .yaml file, or a folder with a data.yaml: YOLO. A .json file, or a folder with annotation
    files: COCO. A folder with split folders of class folders: classification. Any other folder or
    file: files.
    """
    place = Path(path)
    if place.suffix.lower() in (".yaml", ".yml"):
        return "yolo"
    if place.suffix.lower() == ".json":
        return "coco"
    if place.is_dir():
        if data_yaml_in(place) is not None:
            return "yolo"
        if annotation_files(place):
            return "coco"
        if _split_folders(place):
            return "classify"
    return "files"


def data_yaml_in(folder: Path) -> Path | None:
    """Return the data.yaml of a folder; None where there is none, or more than one candidate."""
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (folder / name).is_file():
            return folder / name
    return None


def annotation_files(folder: Path) -> list[Path]:
    """Return the COCO annotation files of a folder, sorted; none where it does not look like COCO.

    All JSON files of a folder without images; else what the tools that write COCO call theirs: in
    the folder itself, in ``annotations/``, or one in each split's folder. Of COCO's own files
    those with the instances, where they are among them.
    """
    files = sorted(folder.glob("*.json"))
    if files and any(is_image(entry.name) for entry in folder.iterdir()):
        files = [file for file in files if _COCO.search(file.name)]
    if not files:
        files = [f for f in sorted(folder.glob("annotations/*.json")) if _COCO.search(f.name)]
    if not files:
        files = sorted(folder.glob("*/*.coco.json"))
    instances = [file for file in files if file.name.startswith("instances_")]
    return instances or files


_COCO = re.compile(r"^instances_|\.coco\.json$")


def _split_folders(root: Path) -> dict[str, Path]:
    """Return split -> folder, of a root whose split folders hold folders of images."""
    found = {}
    for entry in os.scandir(root):
        split = _SPLIT_FOLDERS.get(entry.name.casefold())
        if split is None or not entry.is_dir():
            continue
        inner = [one for one in os.scandir(entry.path) if not one.name.startswith(".")]
        if any(one.is_dir() for one in inner) and not any(is_image(one.name) for one in inner):
            found[split] = Path(entry.path)
    return found


def read_classes(path: str | os.PathLike[str]) -> Collection:
    """List a folder of classes: ``root/<split>/<class>/image``, or ``root/<class>/image``.

    A class is a folder of images; its label is its name.

    Raises
    ------
    InvalidInput
        There are no folders with images.
    """
    root = Path(path).absolute()
    if not root.is_dir():
        raise InvalidInput(f"{root}: not a folder of classes", "Name the folder that holds them")
    listing = Listing(Counter(), [])
    splits = _split_folders(root) or {ONE_SPLIT: root}
    members: list[tuple[Listed, str]] = []
    for split, folder in splits.items():
        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            if not entry.is_dir() or entry.name.startswith("."):
                continue
            for rest in walk(entry.path, listing.problems):
                if is_image(rest):
                    file = f"{entry.path}/{rest}"
                    members.append((Listed(split, os.path.relpath(file, root), file), entry.name))
    if not members:
        raise InvalidInput(
            f"{root}: no folders of images", "A classification dataset is <split>/<class>/image"
        )
    classes = tuple(sorted({name for _, name in members}))
    number = {name: i for i, name in enumerate(classes)}
    found = Collection(
        file=str(root),
        root=str(root),
        layout="classify",
        task="classify",
        classes=classes,
        splits=tuple(split for split in (*_ordered(splits),)),
        listing=listing,
    )
    for listed, name in members:
        listing.images[listed] += 1
        found.labels[listed] = Labels(
            digest=blake3(b"class\0" + name.encode(errors="surrogateescape")).hexdigest(),
            objects=((number[name], 1),),
            form="class",
        )
    missing = _classes_without_images(members, splits)
    listing.problems.extend(missing)
    return found


def _ordered(splits: dict[str, Path]) -> list[str]:
    order = [name for name in ("train", "val", "test") if name in splits]
    return order + [name for name in splits if name not in order]


def _classes_without_images(
    members: list[tuple[Listed, str]], splits: dict[str, Path]
) -> list[Problem]:
    """Return a warning for each class that one split has and another has not."""
    by_split = {split: {n for listed, n in members if listed.split == split} for split in splits}
    everywhere = set().union(*by_split.values())
    return [
        Problem(
            file=str(folder),
            problem=f"no images of class {name}",
            remedy="Add some, or take the class out of the other splits",
            severity="warning",
        )
        for split, folder in splits.items()
        for name in sorted(everywhere - by_split[split])
    ]


def read_files(path: str | os.PathLike[str]) -> Collection:
    """List a plain folder, or one file: all files below it but hidden ones and caches.

    Raises
    ------
    InvalidInput
        There is nothing there.
    """
    place = Path(path).absolute()
    listing = Listing(Counter(), [])
    if place.is_dir():
        root = place
        for rest in walk(str(place), listing.problems):
            if not rest.endswith(_CACHES):
                listing.images[Listed(ONE_SPLIT, rest, f"{place}/{rest}")] += 1
    elif place.exists():
        root = place.parent
        listing.images[Listed(ONE_SPLIT, place.name, str(place))] += 1
    else:
        raise InvalidInput(f"{place}: does not exist", "Check the path of the dataset")
    if not listing.images:
        raise InvalidInput(f"{place}: no files in it", "Name the folder that holds the data")
    return Collection(
        file=str(place),
        root=str(root),
        layout="files",
        task="files",
        classes=(),
        splits=(ONE_SPLIT,),
        listing=listing,
    )
