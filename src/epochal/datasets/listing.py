"""Which files a dataset consists of: every image of every split, and where its labels are."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from epochal.datasets.problems import Problem, printable
from epochal.datasets.yolo import IMAGE_SUFFIXES, label_file
from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from epochal.datasets.yolo import DataYaml, Source

__all__ = ["Listed", "Listing", "is_image", "list_files", "orphan_labels", "walk"]

_MAX_LIST_BYTES = 1 << 30


class Listed(NamedTuple):
    """An image of a split."""

    split: str
    path: str
    """Relative to the dataset's root, with ``/``: its name in the manifest."""
    file: str
    """What to open."""


class Listing(NamedTuple):
    """The images of all splits, and what was odd on the way."""

    images: Counter[Listed]
    """How often the split names the image: a list may repeat one to train on it more often."""
    problems: list[Problem]


def list_files(data: DataYaml) -> Listing:
    """List the images of every split, unsorted.

    A folder is searched recursively and symbolic links in it are followed, except back into a
    folder that is being searched. Trainers' caches (``*.cache``, ``*.npy``) are no images.

    Raises
    ------
    InvalidInput
        A split has no images, or a list is not text.
    """
    listing = Listing(Counter(), [])
    found: set[str] = set()
    names = _Names(data.root)
    for source in data.sources:
        listed = (
            _folder(source, names, listing) if source.is_folder else _list(source, names, listing)
        )
        for image in listed:
            listing.images[image] += 1
            found.add(image.split)
    for split in data.splits:
        if split not in found:
            where = ", ".join(source.file for source in data.sources if source.split == split)
            raise InvalidInput(
                f"{data.file}: {split}: no images in {where}",
                f"Images end in {', '.join(sorted(IMAGE_SUFFIXES))}",
            )
    return listing


class _Names:
    """Turns absolute paths into names relative to a dataset's root."""

    def __init__(self, root: str) -> None:
        self.root = root
        resolved = os.path.realpath(root)
        self.prefixes = (root.rstrip("/") + "/", resolved.rstrip("/") + "/")

    def of(self, path: str) -> str:
        for prefix in self.prefixes:
            if path.startswith(prefix):
                return path[len(prefix) :]
        return os.path.relpath(path, self.root)


def is_image(name: str) -> bool:
    """Whether a file name ends like an image that a trainer opens."""
    return name.rpartition(".")[2].lower() in IMAGE_SUFFIXES and "." in name


def _folder(source: Source, names: _Names, listing: Listing) -> Iterator[Listed]:
    base = names.of(source.name)
    prefix = "" if base in ("", ".") or source.name == names.root else f"{base}/"
    for rest in walk(source.file, listing.problems):
        if is_image(rest):
            yield Listed(source.split, prefix + rest, f"{source.file}/{rest}")


def walk(base: str, problems: list[Problem]) -> Iterator[str]:
    """Yield the paths, relative to `base`, of all entries below it that are not folders."""
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while pending:
        rest, above = pending.pop()
        try:
            status = os.stat(f"{base}/{rest}")  # noqa: PTH116 - this runs once per folder
            here = (status.st_dev, status.st_ino)
            if here in above:
                problem = "a link back into a folder above it, not followed"
                problems.append(
                    Problem(file=printable(f"{base}/{rest}"), problem=problem, severity="warning")
                )
                continue
            entries = list(os.scandir(f"{base}/{rest}"))
        except OSError as error:
            problem = f"the folder cannot be read ({error.strerror})"
            remedy = "Check its permissions"
            problems.append(
                Problem(
                    file=printable(f"{base}/{rest}"[:500]),
                    problem=problem,
                    remedy=remedy,
                    severity="fatal",
                )
            )
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = f"{rest}/{entry.name}" if rest else entry.name
            try:
                is_folder = entry.is_dir()
            except OSError:
                is_folder = False  # a loop of links: opening it will say so
            if is_folder:
                pending.append((path, above | {here}))
            else:
                yield path


def _list(source: Source, names: _Names, listing: Listing) -> Iterator[Listed]:
    file = Path(source.file)
    try:
        if file.stat().st_size > _MAX_LIST_BYTES:
            raise InvalidInput(f"{file}: too large for a list of images")
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        remedy = "A split is a folder or a text file with one image path a line"
        raise InvalidInput(f"{file}: not a text file", remedy) from None
    except OSError as error:
        raise InvalidInput(f"{file}: cannot be read ({error.strerror})") from error
    parent, logical = str(file.parent), os.path.dirname(source.name)  # noqa: PTH120 - text stays text
    here = os.getcwd()  # noqa: PTH109 - as above
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if not is_image(line):
            listing.problems.append(
                Problem(
                    file=printable(str(file)),
                    line=number,
                    problem=f"{line[:80]!r} does not end like an image, and is ignored",
                    remedy="Remove the line, or the spaces at its end",
                    severity="warning",
                )
            )
        elif line.startswith("./"):
            name = os.path.normpath(f"{logical}/{line[2:]}")
            yield Listed(source.split, names.of(name), f"{parent}/{line[2:]}")
        else:
            opened = line if line.startswith("/") else f"{here}/{line}"
            yield Listed(source.split, names.of(os.path.normpath(opened)), opened)


def orphan_labels(data: DataYaml, files: set[str]) -> list[str]:
    """Return the label files in the dataset's label folders that no image file belongs to, sorted.

    Parameters
    ----------
    files
        The image files of all splits, as `list_files` names them.
    """
    stems: dict[str, set[str]] = {}
    for file in files:
        folder, _, name = file.rpartition("/")
        stems.setdefault(folder, set()).add(name.rpartition(".")[0])
    label_folders: dict[str, list[str]] = {}
    for folder in stems:
        beside = label_file(f"{folder}/x.x").rpartition("/")[0]
        label_folders.setdefault(beside, []).append(folder)
    lists = {source.file for source in data.sources}
    orphans: list[str] = []
    for beside, folders in label_folders.items():
        named = set().union(*(stems[folder] for folder in folders))
        candidates = {
            name
            for name in _names_in(beside)
            if name.endswith(".txt")
            and name[:-4] not in named
            and not name.startswith(".")
            and name != "classes.txt"
            and f"{beside}/{name}" not in lists
        }
        if candidates:
            # A list may leave images out: their labels are not orphans.
            unlisted = {
                f"{name.rpartition('.')[0]}.txt"
                for folder in folders
                for name in _names_in(folder)
                if is_image(name)
            }
            orphans.extend(f"{beside}/{name}" for name in candidates - unlisted)
    return sorted(orphans)


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names only, a hundred thousand of them
    except OSError:
        return []  # no label folder: every image in it is background
