"""Dataset versions: tagging one, keeping its manifest, checking a training's data against it."""

from __future__ import annotations

import difflib
import os
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple

from epochal.datasets.differences import Difference, stream_difference
from epochal.datasets.manifest import Manifest, read_manifest, write_manifest
from epochal.datasets.problems import printable, refuse
from epochal.datasets.scanning import Scan, scan
from epochal.errors import Ambiguous, EpochalError, InvalidInput, NotFound, Refused
from epochal.records import DatasetTagged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from epochal.datasets.cache import ScanCache
    from epochal.datasets.layouts import Layout

__all__ = [
    "DatasetRef",
    "PinCheck",
    "Tagging",
    "check_pin",
    "find_version",
    "layout_in",
    "load_manifest",
    "manifest_path",
    "parse_ref",
    "resolve_version",
    "save_manifest",
    "tag",
    "version_difference",
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
    path: str | os.PathLike[str],
    ref: str,
    message: str = "",
    *,
    existing: Mapping[str, DatasetTagged],
    author: str = "",
    previous: ScanCache | None = None,
    progress: Callable[[int, int], None] | None = None,
    allow_label_errors: bool = False,
    scanned: Scan | None = None,
    images: str | os.PathLike[str] = "",
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
    scanned
        The scan, where it was made already.
    images
        As in `scan`; the version remembers it.

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
    found = scanned or scan(path, previous=previous, progress=progress, images=images)
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
        path=printable(os.path.realpath(found.data.file)),
        images=printable(os.path.realpath(images)) if images else "",
        author=author,
    )
    return Tagging(manifest, record, True, found)


def find_version(digest: str, tagged: Iterable[DatasetTagged]) -> DatasetTagged | None:
    """Return the first of the tags that points at this version, or None."""
    return next((record for record in tagged if record.digest == digest), None)


def resolve_version(text: str, tagged: Mapping[str, DatasetTagged]) -> DatasetTagged:
    """Return the version that `text` names: ``name@tag``, a name's newest tag, or a digest.

    Parameters
    ----------
    text
        A digest may be abbreviated to six digits or more.
    tagged
        Versions by ``name@tag``, oldest first.

    Raises
    ------
    NotFound
        If nothing fits; the message names what there is.
    Ambiguous
        If the digits fit several versions.
    """
    if text in tagged:
        return tagged[text]
    newest = [record for record in tagged.values() if record.name == text]
    if newest:
        return newest[-1]
    if re.fullmatch(r"[0-9a-f]{6,64}", text):
        fitting = {r.digest: r for r in tagged.values() if r.digest.startswith(text)}
        if len(fitting) > 1:
            raise Ambiguous(f"{len(fitting)} dataset versions begin with {text}", "add digits")
        if fitting:
            return next(iter(fitting.values()))
    close = difflib.get_close_matches(text, [*tagged, *{r.name for r in tagged.values()}], n=3)
    known = ", ".join(close or list(tagged)[-5:]) or "none"
    raise NotFound(
        f"no dataset version {text[:120]!r}; there are: {known}",
        "`epochal dataset list` lists all",
    )


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
    with _open_manifest(datasets_folder, digest) as opened:
        header, entries = read_manifest(opened, digest)
        return Manifest(header, entries)


def version_difference(
    datasets_folder: Path, old: str | Manifest, new: str | Manifest
) -> Difference:
    """Compare two versions; of stored ones, given by their digests, only what differs is held.

    Raises
    ------
    NotFound, Damaged, NewerFormat
        As `load_manifest`.
    """
    with ExitStack() as stack:
        before, after = (
            (side.header, side.entries)
            if isinstance(side, Manifest)
            else read_manifest(stack.enter_context(_open_manifest(datasets_folder, side)), side)
            for side in (old, new)
        )
        return stream_difference(before, after)


def _open_manifest(datasets_folder: Path, digest: str) -> BinaryIO:
    try:
        return manifest_path(datasets_folder, digest).open("rb")
    except FileNotFoundError:
        raise NotFound(
            f"no manifest of dataset version {digest[:12]} in {datasets_folder}",
            "Copy it from the workspace in which the version was tagged",
        ) from None


def layout_in(datasets_folder: Path, digest: str) -> Layout | None:
    """Return how the data of a stored version has to be read; None: as `layout_of` tells.

    A folder that was tagged as plain files stays that, whatever it looks like.
    """
    try:
        with _open_manifest(datasets_folder, digest) as opened:
            header, _ = read_manifest(opened)
    except EpochalError:
        return None
    return header.task if header.task in ("files", "classify") else None


class PinCheck(NamedTuple):
    """What was found when a training's data was compared with the version it names."""

    state: Literal["verified", "drifted", "unchecked"]
    detail: str
    """One line: the difference, or why nothing could be checked; empty when verified."""
    scan: Scan | None
    """None when unchecked; its cache makes the next check fast."""


def check_pin(
    path: str | os.PathLike[str],
    datasets_folder: Path,
    digest: str,
    cache: ScanCache | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    images: str | os.PathLike[str] = "",
) -> PinCheck:
    """Compare working data with a version: the check that a starting training makes.

    Never raises for the data's sake: data that cannot be read is ``unchecked``, with the reason.

    Parameters
    ----------
    digest
        Of the version, whose manifest is in `datasets_folder`; it is read if the data differs.
    cache
        Of an earlier scan; without one every byte is read.
    progress, images
        As in `scan`.
    """
    try:
        layout = layout_in(datasets_folder, digest)
        found = scan(path, previous=cache, progress=progress, layout=layout, images=images)
    except InvalidInput as error:
        return PinCheck("unchecked", str(error), None)
    if found.manifest.digest == digest:
        return PinCheck("verified", "", found)
    try:
        detail = version_difference(datasets_folder, digest, found.manifest).summary()
    except EpochalError as error:
        return PinCheck("drifted", f"it is another version: {error}", found)
    unreadable = [problem for problem in found.problems if problem.severity == "fatal"]
    if unreadable:
        files = "1 file" if len(unreadable) == 1 else f"{len(unreadable)} files"
        detail += f"; {files} cannot be read: {unreadable[0].place}"
    return PinCheck("drifted", detail, found)
