"""A version written out in a form that other tools read: YOLO, COCO JSON, Ultralytics NDJSON.

All three lay the images out as ``images/<split>/<name>``. What is written is verified against the
manifest as it is read, and the destination appears only when everything is in it.
"""

from __future__ import annotations

import io
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec
import yaml

from epochal.datasets.dimensions import shown_size
from epochal.errors import InvalidInput, NotFound, Refused

if TYPE_CHECKING:
    from epochal.datasets.content import Content
    from epochal.datasets.manifest import ManifestEntry

__all__ = ["Form", "export"]

Form: TypeAlias = Literal["yolo", "coco", "ndjson"]

_KEYS = {"detect": "boxes", "segment": "segments", "pose": "pose"}
_TRAINED = ("train", "val", "test")
_NEEDED: dict[Form, tuple[str, ...]] = {
    "yolo": ("train", "val"),
    "ndjson": ("train",),
    "coco": (),
}
"""Splits without which Ultralytics refuses data; of NDJSON it takes a tenth of train as val."""


def export(
    content: Content,
    destination: str | os.PathLike[str],
    form: Form,
    *,
    name: str = "dataset",
    train: str = "",
    val: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a version to `destination`, a folder that does not exist yet or is empty.

    Images whose labels have errors are left out, as a trainer leaves them out.

    Parameters
    ----------
    name
        What the dataset is called in the files.
    train, val
        The split to train on, or to validate on, of a version that has none of this name: a
        training by YOLO needs both. For ``yolo`` and ``ndjson``.
    progress
        Called with (images written, images in all).

    Returns
    -------
    The file to give to the other tool, or the folder that it is in.

    Raises
    ------
    Refused
        If there is something at the destination.
    NotFound
        If the content of an image or its labels is no longer to be had.
    InvalidInput
        If the version has no labels or splits that this form can say, or an image cannot be read.
    """
    header = content.manifest.header
    if header.task in ("files", "classify"):
        raise InvalidInput(
            f"a dataset for {header.task} has no boxes to export as {form}",
            "`epochal dataset restore` brings it back as it was",
        )
    entries = [entry for entry in content.manifest.entries if not entry.malformed]
    filled = {entry.split for entry in entries}
    roles = _roles([split for split in header.splits if split in filled], form, train, val)
    target = Path(os.path.abspath(destination))  # noqa: PTH100 - .. is folded, links are not followed
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Refused(f"{target} exists and is not empty", "name a folder that does not exist yet")
    work = target.with_name(f".{target.name}.exporting-{os.getpid()}")
    work.mkdir(parents=True)
    try:
        writer = _WRITERS[form](content, work, name, roles)
        total = len(entries)
        for done, (entry, file_name) in enumerate(_named(entries), 1):
            image, rows = _read(content, entry)
            for folder in writer.folders(entry.split):
                place = work / "images" / folder / file_name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(image)
            writer.add(entry, file_name, image, rows)
            if progress is not None:
                progress(done, total)
        made = writer.finish().relative_to(work)
        if target.exists():
            target.rmdir()
        work.rename(target)
    except BaseException:
        _remove(work)
        raise
    return target / made


def _roles(splits: Sequence[str], form: Form, train: str, val: str) -> dict[str, str]:
    """Return what splits are for: train, val, test ... -> the split of the version.

    Parameters
    ----------
    splits
        Those that have images.

    Raises
    ------
    InvalidInput
        If the form has to have one that is not there, or what was asked for makes no sense.
    """
    asked = {key: split for key, split in (("train", train), ("val", val)) if split}
    known = ", ".join(splits) or "none"
    for key, split in asked.items():
        if form == "coco":
            raise InvalidInput(f"COCO JSON has no {key} to set", f"leave --{key} out")
        if split not in splits:
            raise InvalidInput(f"no images in split {split[:80]!r}", f"there are in: {known}")
        if key in splits:
            raise InvalidInput(f"the version has a split {key} already", f"leave --{key} out")
    roles = {split: split for split in splits if split not in asked.values()}
    roles |= {split: split for split in splits if split in _TRAINED} | asked
    missing = [key for key in _NEEDED[form] if key not in roles]
    if missing:
        # never the test set by our advice: what is chosen on it is no test any more
        apt = next((split for split in (*_TRAINED[:2], *splits) if split in splits), "SPLIT")
        use = " ".join(f"--{key} {apt}" for key in missing)
        raise InvalidInput(
            f"the version has no images in {' and '.join(missing)}, which a training by "
            f"Ultralytics needs; it has some in: {known}",
            f"name the split to use, such as {use}, or tag data with {' and '.join(missing)}",
        )
    if form == "ndjson" and (other := [key for key in roles if key not in _TRAINED]):
        raise InvalidInput(
            f"NDJSON knows the splits train, val and test, not {', '.join(other)}",
            "export it as yolo or coco",
        )
    return {key: roles[key] for key in (*_TRAINED, *roles) if key in roles}


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _named(entries: list[ManifestEntry]) -> Iterator[tuple[ManifestEntry, str]]:
    """Yield each entry with a file name that is its own within the split, once."""
    taken: set[tuple[str, str]] = set()
    for entry in entries:
        name = entry.path.rpartition("/")[2]
        stem, dot, suffix = name.rpartition(".")
        number = 1
        # labels go by the stem: a.jpg and a.png would share theirs
        while (entry.split, name.rpartition(".")[0].casefold()) in taken:
            number += 1
            name = f"{stem}-{number}{dot}{suffix}"
        taken.add((entry.split, name.rpartition(".")[0].casefold()))
        yield entry, name


def _read(content: Content, entry: ManifestEntry) -> tuple[bytes, list[list[float]]]:
    image, rows = content.image(entry), content.rows(entry)
    if image is None or rows is None:
        what = "image" if image is None else "labels"
        raise NotFound(
            f"the {what} of {entry.path} as tagged are no longer to be had",
            "versions that were tagged with --snapshot can always be exported",
        )
    return image, rows


class _Yolo:
    """``images/``, ``labels/`` and a data.yaml."""

    def __init__(self, content: Content, root: Path, name: str, roles: dict[str, str]) -> None:
        self.header, self.root, self.roles = content.manifest.header, root, roles

    def folders(self, split: str) -> list[str]:
        return [split]

    def add(self, entry: ManifestEntry, name: str, image: bytes, rows: list[list[float]]) -> None:
        if not rows:
            return
        label = self.root / "labels" / entry.split / f"{name.rpartition('.')[0]}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("".join(f"{_line(row)}\n" for row in rows), encoding="utf-8")

    def finish(self) -> Path:
        header = self.header
        said: dict[str, Any] = {key: f"images/{split}" for key, split in self.roles.items()}
        if header.keypoints:
            said["kpt_shape"] = list(header.keypoints)
        said["names"] = dict(enumerate(header.classes))
        file = self.root / "data.yaml"
        file.write_text(
            yaml.safe_dump(said, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        return file


def _line(row: list[float]) -> str:
    return " ".join([str(int(row[0])), *(f"{value:.10g}" for value in row[1:])])


class _Ndjson:
    """One JSON record a line: the dataset, then its images, once for each use of their split."""

    def __init__(self, content: Content, root: Path, name: str, roles: dict[str, str]) -> None:
        header = content.manifest.header
        self.uses: defaultdict[str, list[str]] = defaultdict(list)
        for key, split in roles.items():
            self.uses[split].append(key)
        self.file = root / f"{name}.ndjson"
        self.key = _KEYS[header.task]
        first: dict[str, Any] = {
            "type": "dataset",
            "task": header.task,
            "name": name,
            "path": ".",
            "class_names": {str(i): name for i, name in enumerate(header.classes)},
        }
        if header.keypoints:
            first["kpt_shape"] = list(header.keypoints)
        self._write(first)

    def folders(self, split: str) -> list[str]:
        return self.uses[split]

    def add(self, entry: ManifestEntry, name: str, image: bytes, rows: list[list[float]]) -> None:
        width, height = _size(image, entry.path)
        record: dict[str, Any] = {
            "type": "image",
            "file": name,
            "width": width,
            "height": height,
        }
        if rows:
            record["annotations"] = {self.key: [[int(row[0]), *row[1:]] for row in rows]}
        for use in self.uses[entry.split]:
            self._write(record | {"split": use})

    def _write(self, record: dict[str, Any]) -> None:
        with self.file.open("ab") as out:
            out.write(msgspec.json.encode(record) + b"\n")

    def finish(self) -> Path:
        return self.file


class _Coco:
    """``annotations/instances_<split>.json`` with boxes in pixels."""

    def __init__(self, content: Content, root: Path, name: str, roles: dict[str, str]) -> None:
        self.header, self.root, self.name = content.manifest.header, root, name
        self.images: dict[str, list[dict[str, Any]]] = {split: [] for split in self.header.splits}
        self.annotations: dict[str, list[dict[str, Any]]] = {
            split: [] for split in self.header.splits
        }

    def folders(self, split: str) -> list[str]:
        return [split]

    def add(self, entry: ManifestEntry, name: str, image: bytes, rows: list[list[float]]) -> None:
        width, height = _size(image, entry.path)
        images, annotations = self.images[entry.split], self.annotations[entry.split]
        number = len(images) + 1
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for row in rows:
            box, extra = _in_pixels(row, width, height, self.header.keypoints)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(row[0]) + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                    **extra,
                }
            )

    def finish(self) -> Path:
        folder = self.root / "annotations"
        folder.mkdir()
        categories: list[dict[str, Any]] = [
            {"id": i + 1, "name": name} for i, name in enumerate(self.header.classes)
        ]
        for split, images in self.images.items():
            document = {
                "info": {"description": self.name},
                "images": images,
                "categories": categories,
                "annotations": self.annotations[split],
            }
            (folder / f"instances_{split}.json").write_bytes(msgspec.json.encode(document))
        return folder


_WRITERS: dict[Form, type[_Yolo] | type[_Ndjson] | type[_Coco]] = {
    "yolo": _Yolo,
    "coco": _Coco,
    "ndjson": _Ndjson,
}


def _in_pixels(
    row: list[float], width: int, height: int, keypoints: tuple[int, int] | None
) -> tuple[list[float], dict[str, Any]]:
    """Return COCO's box, and its outline or keypoints, of a YOLO row."""
    values = row[1:]
    if keypoints or len(values) == 4:
        x, y, w, h = values[:4]
        box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        if not keypoints:
            return box, {}
        points, numbers = keypoints
        flat: list[float] = []
        for i in range(points):
            point = values[4 + i * numbers : 4 + (i + 1) * numbers]
            flat += [point[0] * width, point[1] * height, point[2] if numbers == 3 else 2]
        return box, {"keypoints": flat, "num_keypoints": points}
    outline = [v * (height if i % 2 else width) for i, v in enumerate(values)]
    left, top = min(outline[::2]), min(outline[1::2])
    box = [left, top, max(outline[::2]) - left, max(outline[1::2]) - top]
    return box, {"segmentation": [outline]}


def _size(image: bytes, path: str) -> tuple[int, int]:
    """Return width and height as shown, in which labels are shares."""
    from PIL import Image  # a reader of many formats, needed here alone

    try:
        with Image.open(io.BytesIO(image)) as opened:
            return shown_size(opened)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidInput(
            f"{path} cannot be read as an image ({error})",
            "replace the file, and tag the data anew",
        ) from error
