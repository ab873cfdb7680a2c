"""The scan: from a dataset to a manifest, reading only what has changed since the last one."""

from __future__ import annotations

import os
import stat
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
from blake3 import blake3

from epochal.datasets.cache import FileState, ImageKnown, LabelKnown, ScanCache
from epochal.datasets.coco import read_coco
from epochal.datasets.labels import MAX_LABEL_BYTES, LabelRules, Labels, parse_labels
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
from epochal.datasets.yolo import DataYaml, label_file, read_data_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Scan", "scan"]

_T = TypeVar("_T")

_READ = 1 << 20
_BATCH = 64
"""Files a thread takes at once: handing over a single small file costs more than reading it."""

_ATTEMPTS = 3

_local = threading.local()


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
    reader = _Reader(data.rules, previous, None if isinstance(data, DataYaml) else data.labels)
    readings: dict[str, _Reading] = {}
    with ThreadPoolExecutor(max_workers=min(16, 2 * (os.cpu_count() or 1))) as pool:
        parts = (files[i : i + _BATCH] for i in range(0, len(files), _BATCH))
        for part in pool.map(reader.read_all, parts):
            readings.update(part)
            if progress is not None:
                progress(len(readings), len(files))
    entries, problems = _entries(data, listing.images, readings)
    problems += [*listing.problems, *_alike(listing.images)]
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


class _Reading(NamedTuple):
    """What is known of an image file and its labels."""

    image: ImageKnown | None = None
    label_state: FileState | None = None
    """None: there is no label file."""
    labels: Labels = Labels()
    files_read: int = 0
    problem: Problem | None = None
    """Why the image cannot be part of a version."""


class _Unreadable(Exception):
    def __init__(self, file: str, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = Problem(
            file=printable(file), problem=problem, remedy=remedy, severity="fatal"
        )


class _Reader:
    """Reads images and labels that the cache does not know. Used by several threads at once."""

    def __init__(
        self,
        rules: LabelRules,
        previous: ScanCache | None,
        given: Mapping[str, Labels] | None = None,
    ) -> None:
        self.rules = rules
        self.given = given
        self.images = previous.images if previous else {}
        # What a label means depends on the class count: under other rules all are parsed again.
        self.labels = previous.labels if previous and previous.rules == rules else {}

    def read_all(self, files: list[str]) -> dict[str, _Reading]:
        return {file: self.read(file) for file in files}

    def read(self, file: str) -> _Reading:
        try:
            image, images_read = self._image(file)
            if self.given is not None:
                return _Reading(image, None, self.given.get(file, Labels()), images_read)
            state, labels, labels_read = self._labels(label_file(file))
        except _Unreadable as error:
            return _Reading(problem=error.problem)
        return _Reading(image, state, labels, images_read + labels_read)

    def _image(self, file: str) -> tuple[ImageKnown, int]:
        known = self.images.get(file)
        if known is not None and known.state == _state(file):
            return known, 0
        state, digest = _read_settled(file, _hash)
        return ImageKnown(state, digest), 1

    def _labels(self, file: str) -> tuple[FileState | None, Labels, int]:
        state = _state(file)
        if state is None:
            return None, Labels(), 0
        known = self.labels.get(file)
        if known is not None and known.state == state:
            labels = Labels(digest=known.digest, objects=known.objects, form=known.form)
            return state, labels, 0
        if state.size > MAX_LABEL_BYTES:
            raise _Unreadable(file, "too large for a label file", "Export the labels again")
        state, content = _read_settled(file, _content)
        return state, parse_labels(content, self.rules), 1


def _state(file: str) -> FileState | None:
    """Return the state of a file, None where there is no such file."""
    try:
        status = os.stat(file)  # noqa: PTH116 - twice per image: pathlib would cost more than stat
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _cannot_read(file, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise _Unreadable(file, "not a regular file", "Remove it from the dataset")
    return FileState.of(status)


def _read_settled(file: str, read: Callable[[int], _T]) -> tuple[FileState, _T]:
    """Read a regular file that does not change meanwhile; try again when it does."""
    try:
        for _ in range(_ATTEMPTS):
            # non-blocking: opening a pipe that nobody writes to must not hang
            handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                before = os.fstat(handle)
                if not stat.S_ISREG(before.st_mode):
                    raise _Unreadable(file, "not a regular file", "Remove it from the dataset")
                result = read(handle)
            finally:
                os.close(handle)
            state = FileState.of(before)
            # by path: a file that was replaced is another one now
            if FileState.of(os.stat(file)) == state:  # noqa: PTH116
                return state, result
    except (OSError, ValueError) as error:
        raise _cannot_read(file, error) from error
    remedy = "Wait until nothing writes to the dataset, then scan again"
    raise _Unreadable(file, f"changed while it was read, {_ATTEMPTS} times", remedy)


def _cannot_read(file: str, error: OSError | ValueError) -> _Unreadable:
    reason = getattr(error, "strerror", None) or str(error)
    remedy = "Check that the file exists and can be read, or take it out of the dataset"
    return _Unreadable(file, f"cannot be read ({reason})", remedy)


def _hash(handle: int) -> str:
    # one buffer a thread: a fresh megabyte for each file would cost more than hashing it
    buffer: memoryview | None = getattr(_local, "buffer", None)
    if buffer is None:
        buffer = _local.buffer = memoryview(bytearray(_READ))
    hasher = blake3()
    while size := os.readv(handle, [buffer]):
        hasher.update(buffer[:size])
    return hasher.hexdigest()


def _content(handle: int) -> bytes:
    blocks = []
    while block := os.read(handle, _READ):
        blocks.append(block)
    return b"".join(blocks)


def _entries(
    data: DataYaml | Collection, images: Mapping[Listed, int], readings: Mapping[str, _Reading]
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
        if isinstance(data, DataYaml):
            has_label = reading.label_state is not None
            label_name = _label_name(data.root, listed.path) if has_label else ""
        else:
            label_name = data.label_files.get(listed.split, "") if reading.labels.objects else ""
        if reading.labels.flaws and file not in problems:
            label = printable(label_file(file))
            problems[file] = [
                Problem(file=label, line=line, problem=problem, remedy=remedy, severity=severity)
                for line, problem, remedy, severity in reading.labels.flaws
            ]
        entries.append(
            ManifestEntry(
                split=listed.split,
                path=listed.path,
                size=reading.image.state.size,
                image=reading.image.digest,
                label=label_name,
                label_digest=reading.labels.digest,
                objects=reading.labels.objects,
                malformed=reading.labels.malformed,
                repeats=repeats,
            )
        )
    return entries, [problem for found in problems.values() for problem in found]


def _label_name(root: str, image: str) -> str:
    """Return where the labels of an image belong, relative to the root."""
    if "/images/" in f"/{image}":
        return label_file(f"/{image}")[1:]
    return os.path.relpath(label_file(f"{root}/{image}"), root)


def _empty(readings: Mapping[str, _Reading]) -> Iterator[Problem]:
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


def _header(data: DataYaml | Collection, readings: Mapping[str, _Reading]) -> ManifestHeader:
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
    readings: Mapping[str, _Reading],
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
