"""Dataset versions: tagging one, keeping its manifest, checking a training's data against it."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from epochal.datasets.differences import difference
from epochal.datasets.manifest import Manifest, read_manifest, write_manifest
from epochal.datasets.problems import printable, refuse
from epochal.datasets.scanning import Scan, scan
from epochal.errors import InvalidInput, NotFound, Refused
from epochal.records import DatasetTagged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from epochal.datasets.cache import ScanCache

__all__ = [
    "DatasetRef",
    "PinCheck",
    "Tagging",
    "check_pin",
    "find_version",
    "load_manifest",
    "manifest_path",
    "parse_ref",
    "save_manifest",
    "tag",
]

_PART = re.compile(r"\w[\w.+-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_MESSAGE = 8_000
_MAX_CLASSES = 40_000


class DatasetRef(NamedTuple):
    """The name of a dataset version: ``pallets@v3``."""

    name: str
    tag: str

    def __str__(self) -> str:
        return f"{self.name}@{self.tag}"


def parse_ref(text: str) -> DatasetRef:
    """Parse ``name@tag``: each letters, digits and ``_ . + -``, up to 100.

    Raises
    ------
    InvalidInput
        The text is something else.
    """
    name, at, tag_name = text.partition("@")
    if not at or not _PART.fullmatch(name) or not _PART.fullmatch(tag_name):
        raise InvalidInput(
            f"{text[:120]!r} does not name a dataset version",
            "Write name@tag with letters, digits and _ . + -, such as pallets@v3",
        )
    return DatasetRef(name, tag_name)


class Tagging(NamedTuple):
    """The outcome of `tag`."""

    manifest: Manifest
    record: DatasetTagged
    """To be recorded, or the record that is there already."""
    is_new: bool
    scan: Scan


def tag(
    data_yaml: str | os.PathLike[str],
    ref: str,
    message: str = "",
    *,
    existing: Mapping[str, DatasetTagged],
    author: str = "",
    previous: ScanCache | None = None,
    progress: Callable[[int, int], None] | None = None,
    allow_label_errors: bool = False,
) -> Tagging:
    """Scan the data and say what has to be recorded to tag it. Nothing is written.

    Parameters
    ----------
    ref
        ``name@tag``.
    existing
        The tags there are, by ``name@tag``.
    previous, progress
        As in `scan`.
    allow_label_errors
        Tag the data although the trainer will ignore images whose labels are malformed.

    Raises
    ------
    InvalidInput
        The reference or the data.yaml cannot be used, a file cannot be read, or labels are
        malformed (naming the first one's file and line).
    Refused
        The tag exists with other content.
    """
    name = parse_ref(ref)
    if len(message) > _MAX_MESSAGE:
        raise InvalidInput(f"the message has more than {_MAX_MESSAGE} characters", "Shorten it")
    found = scan(data_yaml, previous=previous, progress=progress)
    refuse(found.problems, "fatal")
    if not allow_label_errors:
        refuse(found.problems, "error")
    manifest = found.manifest
    there = existing.get(str(name))
    if there is not None:
        if there.digest == manifest.digest:
            return Tagging(manifest, there, False, found)
        raise Refused(
            f"{name} is version {there.digest[:12]}, and this data is {manifest.digest[:12]}",
            "Choose another tag: a tag never changes",
        )
    classes = manifest.header.classes
    record = DatasetTagged(
        name=name.name,
        tag=name.tag,
        digest=manifest.digest,
        splits=manifest.splits,
        # a record is one line of at most 64 KiB; the manifest has them all
        classes=classes if sum(len(c.encode()) + 3 for c in classes) < _MAX_CLASSES else (),
        message=message,
        path=printable(os.path.realpath(data_yaml)),
        author=author,
    )
    return Tagging(manifest, record, True, found)


def find_version(digest: str, tagged: Iterable[DatasetTagged]) -> DatasetTagged | None:
    """Return the first of the tags that points at this version, or None."""
    return next((record for record in tagged if record.digest == digest), None)


def manifest_path(datasets_folder: Path, digest: str) -> Path:
    """Return where a workspace keeps the manifest of a version.

    Raises
    ------
    InvalidInput
        The digest is not 64 hex digits, so that no record can name a path outside.
    """
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput(f"{digest[:80]!r} is not the digest of a dataset version")
    return datasets_folder / f"{digest}.jsonl.zst"


def save_manifest(datasets_folder: Path, manifest: Manifest) -> Path:
    """Store a manifest under its digest, durably; an intact one that is there already stays.

    Raises
    ------
    OSError
        The folder cannot be written to.
    """
    file = manifest_path(datasets_folder, manifest.digest)
    datasets_folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=datasets_folder, prefix=".manifest-")
    try:
        with os.fdopen(handle, "wb") as temporary:
            write_manifest(temporary, manifest.header, manifest.entries)
            temporary.flush()
            os.fsync(temporary.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(datasets_folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return file


def load_manifest(datasets_folder: Path, digest: str) -> Manifest:
    """Read a stored manifest and verify it.

    Raises
    ------
    NotFound
        There is none for this digest.
    Damaged
        The file is not what was written, or holds another version.
    NewerFormat
        A newer version of Epochal wrote it.
    """
    file = manifest_path(datasets_folder, digest)
    try:
        with file.open("rb") as opened:
            header, entries = read_manifest(opened, digest)
            return Manifest(header, entries)
    except FileNotFoundError:
        raise NotFound(
            f"no manifest of dataset version {digest[:12]} in {datasets_folder}",
            "Copy it from the workspace in which the version was tagged",
        ) from None


class PinCheck(NamedTuple):
    """What was found when a training's data was compared with the version it names."""

    state: Literal["verified", "drifted", "unchecked"]
    detail: str
    """One line: the difference, or why nothing could be checked; empty when verified."""
    scan: Scan | None
    """None when unchecked; its cache makes the next check fast."""


def check_pin(
    data_yaml: str | os.PathLike[str], manifest: Manifest, cache: ScanCache | None = None
) -> PinCheck:
    """Compare working data with a version: the check that a starting training makes.

    Never raises for the data's sake: data that cannot be read is ``unchecked``, with the reason.
    """
    try:
        found = scan(data_yaml, previous=cache)
    except InvalidInput as error:
        return PinCheck("unchecked", str(error), None)
    if found.manifest.digest == manifest.digest:
        return PinCheck("verified", "", found)
    return PinCheck("drifted", difference(manifest, found.manifest).summary(), found)
