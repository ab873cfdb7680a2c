"""Whether a workspace is in order: its journals, their links, the index, the blobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

import msgspec

from epochal.errors import EpochalError
from epochal.journal.governance import read_governance
from epochal.journal.process import boot_id, host, is_alive
from epochal.records import Artifact, Evaluated, ImageLogged, Latency
from epochal.store.blobs import digest_of_file
from epochal.store.documents import RunDocument
from epochal.store.index_reader import FileHealth
from epochal.store.store import Store

__all__ = ["Checkup", "Finding", "check_blobs", "check_journals"]

Severity: TypeAlias = Literal["problem", "note"]

_LEFTOVER_AFTER = 24 * 3600.0
"""Seconds after which a half-written blob is a crash's, and no longer somebody's work."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it should be."""

    severity: Severity
    """A ``note`` loses nothing: a line that a crash tore, a record of a newer version."""
    place: str
    """File or thing, relative to the workspace."""
    text: str
    remedy: str = ""


class Checkup(msgspec.Struct, kw_only=True):
    """The state of a workspace."""

    workspace: str
    runs: int = 0
    journals: int = 0
    blobs: int = 0
    """Blobs whose content was verified."""
    blob_bytes: int = 0
    manifests: int = 0
    findings: list[Finding] = []

    @property
    def problems(self) -> int:
        """How many findings are problems."""
        return sum(finding.severity == "problem" for finding in self.findings)


def check_journals(store: Store) -> Iterator[Finding]:
    """Yield what is wrong with the journal files and the links between decisions."""
    for file in store.health():
        yield from _journal(store, file)
    for text in read_governance(store.folder).verify():
        place, _, what = text.partition(": ")
        yield Finding(
            severity="problem",
            place="journal",
            text=(what and f"{place}: {what}") or text,
            remedy="`epochal ledger verify` tells more; restore the file from a backup",
        )
    purged = store.purged()
    for path, run in store.journals():
        if run in purged and (store.folder.root / path).exists():
            yield Finding(
                severity="note",
                place=path,
                text=f"is left over from the purged run {purged[run]} and not read",
                remedy="delete its folder",
            )
    for document in (*store.runs(), *store.runs(trashed=True)):
        if document.dropped:
            yield Finding(
                severity="note",
                place=f"run {document.name} ({document.id[:8]})",
                text=f"{_count(document.dropped, 'record')} could not be written while it trained",
                remedy="they are lost; look at the disk of the machine it trained on",
            )


def _journal(store: Store, file: FileHealth) -> Iterator[Finding]:
    damaged = "restore it from a backup; what is intact is used"
    for count, what, severity, remedy in (
        (file.damaged, "damaged line", "problem", damaged),
        (file.missing, "missing line", "problem", damaged),
        (file.unknown, "line of a kind this version does not know", "note", "upgrade epochal"),
    ):
        if count:
            yield Finding(
                severity=severity,  # type: ignore[arg-type] # one of the two in each row
                place=file.path,
                text=_count(count, what),
                remedy=remedy,
            )
    if file.torn and not _is_being_written(store, file):
        yield Finding(
            severity="note",
            place=file.path,
            text=f"ends in a torn line of {_count(file.torn, 'byte')}, as a crash leaves it",
            remedy="nothing to do: it was never acknowledged",
        )


def _is_being_written(store: Store, file: FileHealth) -> bool:
    header = store.writer_header(file.path.rpartition("/")[2].removesuffix(".jsonl"))
    if header is None or header.host != host() or header.boot != boot_id():
        return False
    return bool(header.pid) and is_alive(header.pid, header.started)


def check_blobs(
    store: Store, checkup: Checkup, progress: Callable[[int, int], None] | None = None
) -> Iterator[Finding]:
    """Yield blobs whose bytes do not have their digest, and those that records name in vain.

    Parameters
    ----------
    checkup
        Counts what was verified.
    progress
        Called with (bytes done, bytes in all).
    """
    files = [
        (path, path.stat().st_size)
        for folder in sorted(store.folder.blobs.glob("[0-9a-f]" * 2))
        for path in sorted(folder.iterdir())
        if path.is_file()
    ]
    total, done = sum(size for _, size in files), 0
    for path, size in files:
        try:
            found = digest_of_file(path)
        except OSError as error:
            found = error.strerror or str(error)
        digest = path.parent.name + path.name
        if found != digest:
            yield Finding(
                severity="problem",
                place=path.relative_to(store.folder.root).as_posix(),
                text="does not hold what was stored" if len(found) == 64 else found,
                remedy="restore it from a backup; " + _users(store, digest),
            )
        checkup.blobs += 1
        checkup.blob_bytes += size
        done += size
        if progress:
            progress(done, total)
    for digest, user in _named(store):
        try:
            missing = digest not in store.blobs
        except EpochalError:
            missing = True  # no digest at all: it comes from a foreign journal
        if missing:
            yield Finding(
                severity="problem",
                place=f"blobs/{digest[:2]}/{digest[2:14]}",
                text=f"is missing; {user} names it",
                remedy="copy the blobs folder along with the runs, or restore it from a backup",
            )
    for path in store.folder.blobs.glob(".part-*"):
        if time.time() - path.stat().st_mtime > _LEFTOVER_AFTER:
            yield Finding(
                severity="note",
                place=path.relative_to(store.folder.root).as_posix(),
                text="was never finished, as a crash leaves it",
                remedy="delete it",
            )


def _named(store: Store) -> Iterator[tuple[str, str]]:
    """Yield each blob that a record names, and who names it."""
    for document in (*store.runs(), *store.runs(trashed=True)):
        for digest, what in _of_run(document):
            yield digest, f"{what} of run {document.name}"
    for governed in store.governance("decision"):
        yield governed.body.digest, "a decision"
    for governed in store.governance("look"):
        if governed.body.images:
            yield governed.body.images, "a look in the ledger"


def _of_run(document: RunDocument) -> Iterator[tuple[str, str]]:
    for stamped in (
        *document.artifacts.values(),
        *document.evaluations,
        *document.latencies,
        *document.images,
    ):
        match stamped.body:
            case Artifact(key=key, digest=digest):
                yield digest, f"artifact {key}"
            case Evaluated(digest=digest, split=split):
                yield digest, f"the evaluation on {split}"
            case Latency(digest=digest):
                yield digest, "a latency record"
            case ImageLogged(digest=digest, key=key):
                yield digest, f"image {key}"


def _users(store: Store, digest: str) -> str:
    users = [user for named, user in _named(store) if named == digest]
    return f"it is {', '.join(users[:3])}" if users else "no record names it"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
