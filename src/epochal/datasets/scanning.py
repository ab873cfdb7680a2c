"""The scan: from a dataset to a manifest, reading only what has changed since the last one."""

from __future__ import annotations

import os
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from epochal.datasets.cache import LabelKnown, ScanCache
from epochal.datasets.coco import read_coco, size_problems
from epochal.datasets.labels import LabelRules
from epochal.datasets.layouts import (
    Collection,
    Layout,
    data_yaml_in,
    layout_of,
    read_classes,
    read_files,
)
from epochal.datasets.listing import Listed, list_files, orphan_labels
from epochal.datasets.manifest import Manifest, ManifestEntry, ManifestHeader, Task
from epochal.datasets.problems import Problem, printable
from epochal.datasets.reading import Reader, Reading
from epochal.datasets.yolo import DataYaml, label_file, read_data_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Scan", "scan"]

_BATCH = 64
"""Files a thread takes at once: handing over a single small file costs more than reading it."""


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset as it was found."""

    data: DataYaml | Collection
    manifest: Manifest
    problems: tuple[Problem, ...]
    """Sorted by file and line."""
    orphan_labels: tuple[str, ...]
    """Label files without an image."""
    cache: ScanCache
    """What the next scan of the same dataset should be given."""
    read: int
    """How many files had to be read; the others were known."""
    files: dict[str, str]
    """Path in the manifest -> the file that was opened for it."""


def scan(
    path: str | os.PathLike[str],
    *,
    previous: ScanCache | None = None,
    progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], int] = time.time_ns,
    layout: Layout | None = None,
    images: str | os.PathLike[str] = "",
) -> Scan:
    """Read a dataset: hash its images, parse its labels.

    Images that cannot be read are left out of the manifest and are among the problems, as are
    files that change each time they are read.

    Parameters
    ----------
    path
        What a training is given: a data.yaml, a COCO JSON or a folder of them, a folder of
        classes; or any other folder or file.
    previous
        The cache of an earlier scan; files that it knows and that have not changed are not read.
    progress
        Called with (images done, images in all), from the calling thread.
    clock
        Nanoseconds since the Unix epoch, by the clock that stamps the files.
    layout
        How the dataset lies there; by default `layout_of` tells.
    images
        Folder of the images of a COCO JSON, where they are not beside it.

    Raises
    ------
    InvalidInput
        The dataset cannot be used, or a split has no images.
    """
    started = clock()
    data = _open(path, layout or layout_of(path), images)
    listing = list_files(data) if isinstance(data, DataYaml) else data.listing
    files = sorted({image.file for image in listing.images})
    reader = Reader(data.rules, previous, label_files=isinstance(data, DataYaml))
    readings: dict[str, Reading] = {}
    parts = [files[i : i + _BATCH] for i in range(0, len(files), _BATCH)]
    with ThreadPoolExecutor(max_workers=min(16, 2 * (os.cpu_count() or 1))) as pool:
        try:
            read = pool.map(reader.read_all, parts)
        except RuntimeError:  # an interpreter that ends, where runs end too, starts no thread
            read = map(reader.read_all, parts)
        for part in read:
            readings.update(part)
            if progress is not None:
                progress(len(readings), len(files))
    entries, problems = _entries(data, listing.images, readings)
    problems += [*listing.problems, *_alike(listing.images)]
    if isinstance(data, Collection) and data.claims:
        found = {f: (r.image.width, r.image.height) for f, r in readings.items() if r.image}
        problems += size_problems(data.claims, found)
    if isinstance(data, DataYaml) or data.task != "files":
        problems += _empty(readings)
    return Scan(
        data=data,
        manifest=Manifest(_header(data, readings), entries),
        problems=tuple(sorted(problems, key=lambda p: (p.file, p.line, p.problem))),
        orphan_labels=(
            tuple(orphan_labels(data, set(files))) if isinstance(data, DataYaml) else ()
        ),
        cache=_remember(data.rules, readings, started, previous),
        files={listed.path: listed.file for listed in listing.images},
        read=sum(reading.files_read for reading in readings.values()),
    )


def _open(
    path: str | os.PathLike[str], layout: Layout, images: str | os.PathLike[str]
) -> DataYaml | Collection:
    match layout:
        case "coco":
            return read_coco(path, images)
        case "classify":
            return read_classes(path)
        case "files":
            return read_files(path)
        case _:
            place = Path(path)
            return read_data_yaml((data_yaml_in(place) if place.is_dir() else None) or place)


def _entries(
    data: DataYaml | Collection, images: Mapping[Listed, int], readings: Mapping[str, Reading]
) -> tuple[list[ManifestEntry], list[Problem]]:
    entries: list[ManifestEntry] = []
    problems: dict[str, list[Problem]] = {}
    for listed, repeats in images.items():
        file = listed.file
        reading = readings[file]
        if reading.image is None:
            problems[file] = [reading.problem] if reading.problem else []
            continue
        if not _is_utf8(listed.path):
            remedy = "Rename the file with UTF-8 or plain ASCII characters"
            problem = "the file's name is not UTF-8"
            problems[file] = [
                Problem(file=printable(file), problem=problem, remedy=remedy, severity="fatal")
            ]
            continue
        labels = reading.labels
        if isinstance(data, DataYaml):
            has_label = reading.label_state is not None
            label_name = _label_name(data.root, listed.path) if has_label else ""
        else:
            labels = data.labels.get(listed, labels)
            label_name = data.label_files.get(listed.split, "") if labels.objects else ""
        if labels.flaws and file not in problems:
            label = printable(label_file(file))
            problems[file] = [
                Problem(file=label, line=line, problem=problem, remedy=remedy, severity=severity)
                for line, problem, remedy, severity in labels.flaws
            ]
        entries.append(
            ManifestEntry(
                split=listed.split,
                path=listed.path,
                size=reading.image.state.size,
                image=reading.image.digest,
                label=label_name,
                label_digest=labels.digest,
                objects=labels.objects,
                malformed=labels.malformed,
                repeats=repeats,
                width=reading.image.width,
                height=reading.image.height,
            )
        )
    return entries, [problem for found in problems.values() for problem in found]


def _label_name(root: str, image: str) -> str:
    """Return where the labels of an image belong, relative to the root."""
    if "/images/" in f"/{image}":
        return label_file(f"/{image}")[1:]
    return os.path.relpath(label_file(f"{root}/{image}"), root)


def _empty(readings: Mapping[str, Reading]) -> Iterator[Problem]:
    """Yield a row for each image file without a byte in it."""
    for file, reading in readings.items():
        if reading.image is not None and reading.image.state.size == 0:
            yield Problem(
                file=printable(file),
                problem="the image file is empty: a trainer ignores it",
                remedy="Copy the image again, or remove it",
            )


def _alike(images: Mapping[Listed, int]) -> Iterator[Problem]:
    """Yield a row for each image whose name another one has after Unicode normalisation."""
    seen: dict[tuple[str, str], str] = {}
    for listed in images:
        if listed.path.isascii():
            continue
        key = listed.split, unicodedata.normalize("NFC", listed.path)
        other = seen.setdefault(key, listed.path)
        if other != listed.path:
            yield Problem(
                file=printable(listed.file),
                problem="another image has the same name but for its Unicode form",
                remedy="Rename one of the two: some file systems cannot hold both",
                severity="warning",
            )


def _header(data: DataYaml | Collection, readings: Mapping[str, Reading]) -> ManifestHeader:
    if not isinstance(data, DataYaml):
        return ManifestHeader(task=data.task, classes=data.classes, splits=data.splits)
    task: Task = "detect"
    if data.keypoints:
        task = "pose"
    elif any(reading.labels.form == "polygons" for reading in readings.values()):
        task = "segment"
    return ManifestHeader(
        task=task, classes=data.classes, keypoints=data.keypoints, splits=data.splits
    )


def _remember(
    rules: LabelRules,
    readings: Mapping[str, Reading],
    started: int,
    previous: ScanCache | None,
) -> ScanCache:
    if (
        previous is not None
        and previous.rules == rules
        and len(previous.images) == len(readings)
        and not any(reading.files_read or reading.problem for reading in readings.values())
    ):
        return previous  # all was known, and nothing else was: it stays true as it is
    cache = ScanCache(rules=rules)
    for file, reading in readings.items():
        if reading.image is None or not _is_utf8(file):
            continue
        if reading.image.state.settled(started):
            cache.images[file] = reading.image
        labels, state = reading.labels, reading.label_state
        if state is not None and not labels.flaws and state.settled(started):
            cache.labels[label_file(file)] = LabelKnown(
                state, labels.digest, labels.objects, labels.form
            )
    return cache


def _is_utf8(text: str) -> bool:
    # ASCII first: it is free, and nearly every path is
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
