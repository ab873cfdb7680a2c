"""Garbage collection: what an interrupted snapshot left, and nothing that anybody refers to.

What is kept is found from the truth: every digest that stands in any journal, in any document
that such a digest names, and in the snapshots and manifests of tagged versions. Anything young
stays as well, because its record may still be on the way. The worst mistake is to keep too much.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from epochal.datasets.snapshots import load_snapshot, snapshot_path
from epochal.errors import EpochalError, Refused

if TYPE_CHECKING:
    from epochal.journal.folder import Folder
    from epochal.store.blobs import Blobs

__all__ = ["MIN_AGE", "Collected", "collect"]

MIN_AGE = 14 * 86400.0
"""Seconds for which what nobody refers to is left alone."""

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_MANIFEST, _SNAPSHOT = ".jsonl.zst", ".snapshot.zst"
_DOCUMENT = 64 << 20
"""Blobs up to this size are searched for digests; what refers to others is a small document."""
_PIECE = 8 << 20


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed, or would be."""

    blobs: int
    manifests: int
    snapshots: int
    leftovers: int
    """Temporary files of writers that were killed."""
    size: int
    """Bytes of all of them."""
    kept: int
    """Blobs that stay."""


def collect(
    folder: Folder,
    blobs: Blobs,
    *,
    dry_run: bool = False,
    min_age: float = MIN_AGE,
    now: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Collected:
    """Remove blobs, manifests and snapshots that nothing refers to and that are old enough.

    Parameters
    ----------
    dry_run
        Remove nothing, and return what would be.
    min_age
        Seconds since a file was written, or last kept again.
    now
        Seconds since the Unix epoch; default: the clock.
    progress
        Called with (bytes of journals read, bytes in all).

    Raises
    ------
    Refused
        If a snapshot that is needed cannot be read: what it needs is not known then.
    """
    named = _named_in_journals(folder, progress)
    removal = _Removal(min_age, time.time() if now is None else now, dry_run=dry_run)
    unnamed = {
        suffix: [
            path
            for path in sorted(folder.datasets.glob(f"*{suffix}"))
            if path.name.removesuffix(suffix).encode() not in named
        ]
        for suffix in (_MANIFEST, _SNAPSHOT)
    }
    # all that is needed is known before anything goes
    for path in sorted(folder.datasets.glob(f"*{_SNAPSHOT}")):
        if path not in unnamed[_SNAPSHOT] or removal.is_young(path):
            named |= _needed(folder, blobs, path.name.removesuffix(_SNAPSHOT))
    _follow(blobs, named)
    manifests = sum(removal.remove(path) for path in unnamed[_MANIFEST])
    snapshots = sum(removal.remove(path) for path in unnamed[_SNAPSHOT])
    found = kept = 0
    for path in _files(blobs.folder):
        if path.name.startswith(".part-"):
            continue
        if f"{path.parent.name}{path.name}".encode() in named or not removal.remove(path):
            kept += 1
        else:
            found += 1
    leftovers = sum(removal.remove(path) for path in _leftovers(folder))
    return Collected(
        blobs=found,
        manifests=manifests,
        snapshots=snapshots,
        leftovers=leftovers,
        size=removal.size,
        kept=kept,
    )


def _named_in_journals(folder: Folder, progress: Callable[[int, int], None] | None) -> set[bytes]:
    """Return every digest that stands in any journal, whatever the record that says it."""
    files = [journal.path for journal in folder.journals()]
    total = sum(path.stat().st_size for path in files)
    named: set[bytes] = set()
    done = 0
    for path in files:
        with path.open("rb") as file:
            rest = b""
            while piece := file.read(_PIECE):
                named.update(_DIGEST.findall(rest + piece))
                rest = piece[-130:]  # a digest may lie across two pieces
                done += len(piece)
                if progress is not None:
                    progress(done, total)
    return named


def _needed(folder: Folder, blobs: Blobs, digest: str) -> set[bytes]:
    try:
        snapshot = load_snapshot(folder.datasets, blobs, digest)
    except EpochalError as error:
        raise Refused(
            f"the snapshot of version {digest[:12]} cannot be read: what it needs is not known, "
            "so nothing was removed",
            f"restore {snapshot_path(folder.datasets, digest)} from a backup, or remove it",
        ) from error
    return {blob.encode() for blob in snapshot.blobs()}


def _follow(blobs: Blobs, named: set[bytes]) -> None:
    """Add what the named documents name in turn: an evaluation its matches, for one."""
    pending = list(named)
    while pending:
        path = blobs.path(pending.pop().decode())
        try:
            if path.stat().st_size > _DOCUMENT:
                continue
            with path.open("rb") as file:
                first = file.read(1)
                if first not in (b"{", b"["):
                    continue
                content = first + file.read()
        except FileNotFoundError:
            continue
        new = set(_DIGEST.findall(content)) - named
        named |= new
        pending.extend(new)


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        for place in sorted(folder.iterdir()):
            if place.is_dir():
                yield from sorted(place.iterdir())
            else:
                yield place


def _leftovers(folder: Folder) -> Iterator[Path]:
    yield from folder.blobs.glob(".part-*")
    for prefix in (".manifest-*", ".snapshot-*"):
        yield from folder.datasets.glob(prefix)
    yield from (folder.datasets / "scans").glob(".scan-*")


class _Removal:
    """Removes files that are old enough, and counts what that frees."""

    def __init__(self, min_age: float, now: float, *, dry_run: bool) -> None:
        self.before = now - min_age
        self.dry_run = dry_run
        self.size = 0

    def is_young(self, path: Path) -> bool:
        """Return whether a file was written, or last kept again, too lately."""
        status = path.stat()
        return max(status.st_mtime, status.st_ctime) > self.before

    def remove(self, path: Path) -> bool:
        """Remove a file unless it is young; return whether it is gone, or would be."""
        try:
            if self.is_young(path):
                return False
            size = path.stat().st_size
            if not self.dry_run:
                path.unlink()
        except FileNotFoundError:
            return False
        self.size += size
        return True
