"""Bringing foreign streams in, exactly once.

Ids are derived from what the source says of itself, and a record's position from its position in
the stream. So importing twice changes nothing, and importing again later adds what is new.
"""

from __future__ import annotations

import hashlib
from types import TracebackType
from typing import Self

import msgspec

from epochal.journal.folder import Folder
from epochal.journal.governance import read_governance
from epochal.journal.writer import TooLong, Writer
from epochal.records import Alert, AnyBody, Purged

__all__ = ["NO_PROCESS", "ImportReport", "ImportedRun", "Stream", "derived_id", "purged_runs"]

NO_PROCESS = "imported"
"""As `Opened.owner`: the run does not live and die with the process that imports it."""


def derived_id(*identity: str) -> str:
    """Return 32 hex digits that depend on `identity` alone: system, source, stream ..."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in identity:
        data = part.encode("utf-8", "surrogatepass")
        hasher.update(len(data).to_bytes(8, "little") + data)
    return hasher.hexdigest()


def purged_runs(folder: Folder) -> frozenset[str]:
    """Return the runs that were purged: no import brings them back."""
    bodies = (record.body for record in read_governance(folder).records)
    return frozenset(body.run for body in bodies if isinstance(body, Purged))


class ImportedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as an import left it."""

    id: str
    name: str
    project: str
    source: str
    new: int
    """Records that were brought in this time."""
    known: int
    """Records that an earlier import had brought in."""


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did, and what it could not do."""

    system: str
    source: str
    runs: tuple[ImportedRun, ...] = ()
    problems: tuple[str, ...] = ()
    """What is damaged or unreadable in the source, with its place."""
    left_out: tuple[str, ...] = ()
    """What the source holds and Epochal has no place for."""


class Stream:
    """One stream of a source, as a journal of the run it belongs to.

    Parameters
    ----------
    folder
        The workspace.
    run, name
        Id of the run, and the name for its folder where it has none yet.
    identity
        What the stream is called in its source; with `run` it gives the writer's id.
    """

    def __init__(
        self, folder: Folder, run: str, name: str, identity: str, *, attempt: int = 1
    ) -> None:
        place = folder.run_folder(run) or folder.new_run_folder(run, name)
        self._writer = Writer(
            place / "journal",
            run=run,
            attempt=attempt,
            writer=derived_id("stream", run, identity),
        )
        self._position = 1  # the header stands at 0
        self.new = 0
        self.known = 0

    @property
    def writer(self) -> str:
        """Id of the journal's writer."""
        return self._writer.id

    def say(self, body: AnyBody, t: int) -> None:
        """Append the stream's next record, unless an earlier import already did.

        Parameters
        ----------
        t
            Microseconds since the Unix epoch, as the source has it.
        """
        if self._position < self._writer.seq:
            self.known += 1
        else:
            try:
                self._writer.append(body, t)
            except TooLong as error:  # its place in the stream is kept
                said = Alert(title="Left out by the import", text=str(error), level="warning")
                self._writer.append(said, t)
            self.new += 1
        self._position += 1

    def close(self) -> None:
        """Make everything durable."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
