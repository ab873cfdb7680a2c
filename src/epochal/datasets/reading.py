"""Reading the files of a dataset: each opened once, and only where the cache does not know it."""

from __future__ import annotations

import os
import stat
import threading
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
from blake3 import blake3

from epochal.datasets.cache import FileState, ImageKnown, ScanCache
from epochal.datasets.dimensions import UNKNOWN, dimensions
from epochal.datasets.labels import MAX_LABEL_BYTES, LabelRules, Labels, parse_labels
from epochal.datasets.listing import is_image
from epochal.datasets.problems import Problem, printable
from epochal.datasets.yolo import label_file

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Reader", "Reading"]

_T = TypeVar("_T")

_READ = 1 << 20
_HEAD = 1 << 16
"""Bytes in which the header of nearly every image ends."""

_ATTEMPTS = 3

_local = threading.local()


class Reading(NamedTuple):
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


class Reader:
    """Reads images and labels that the cache does not know. Used by several threads at once.

    Parameters
    ----------
    label_files
        Whether images have label files of their own.
    """

    def __init__(
        self,
        rules: LabelRules,
        previous: ScanCache | None,
        *,
        label_files: bool = True,
    ) -> None:
        self.rules = rules
        self.label_files = label_files
        self.images = previous.images if previous else {}
        self.counts: dict[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]] = {}
        # What a label means depends on the class count: under other rules all are parsed again.
        self.labels = previous.labels if previous and previous.rules == rules else {}

    def read_all(self, files: list[str]) -> dict[str, Reading]:
        """Return what is known of each image file."""
        return {file: self.read(file) for file in files}

    def read(self, file: str) -> Reading:
        """Return what is known of an image file; what is wrong is returned, not raised."""
        try:
            image, images_read = self._image(file)
            if not self.label_files:
                return Reading(image, files_read=images_read)
            state, labels, labels_read = self._labels(label_file(file))
        except _Unreadable as error:
            return Reading(problem=error.problem)
        return Reading(image, state, labels, images_read + labels_read)

    def _image(self, file: str) -> tuple[ImageKnown, int]:
        known = self.images.get(file)
        if known is not None and known.state == _state(file):
            return known, 0
        state, (digest, size) = _read_settled(file, _image if is_image(file) else _file)
        return ImageKnown(state, digest, *size), 1

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
        labels = parse_labels(content, self.rules)
        # Many images have the same counts: one tuple of them all is a sixth of a scan's memory.
        objects = self.counts.setdefault(labels.objects, labels.objects)
        return state, msgspec.structs.replace(labels, objects=objects), 1


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


def _image(handle: int) -> tuple[str, tuple[int, int]]:
    return _hash(handle, dimensions)


def _file(handle: int) -> tuple[str, tuple[int, int]]:
    return _hash(handle, lambda head, handle: UNKNOWN)


def _hash(
    handle: int, measure: Callable[[bytes, int], tuple[int, int]]
) -> tuple[str, tuple[int, int]]:
    # one buffer a thread: a fresh megabyte for each file would cost more than hashing it
    buffer: memoryview | None = getattr(_local, "buffer", None)
    if buffer is None:
        buffer = _local.buffer = memoryview(bytearray(_READ))
    hasher = blake3()
    head = b""
    while size := os.readv(handle, [buffer]):
        head = head or bytes(buffer[: min(size, _HEAD)])
        hasher.update(buffer[:size])
    return hasher.hexdigest(), measure(head, handle)


def _content(handle: int) -> bytes:
    blocks = []
    while block := os.read(handle, _READ):
        blocks.append(block)
    return b"".join(blocks)
