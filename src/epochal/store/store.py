"""The door for readers: one object that answers from the index and appends to the journals."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import msgspec

from epochal.errors import Damaged, NotFound, Refused
from epochal.journal.author import author
from epochal.journal.folder import Folder, JournalFile
from epochal.journal.governance import append_governance
from epochal.journal.reader import read_journal
from epochal.journal.writer import Writer
from epochal.records import GOVERNANCE, AnyBody, Opened, Purged
from epochal.store.batch import IngestReport
from epochal.store.blobs import Blobs
from epochal.store.database import Database, index_path
from epochal.store.documents import RunDocument
from epochal.store.index_reader import IndexReader
from epochal.store.ingest import Ingest
from epochal.store.points import PointStore

__all__ = ["Said", "Store"]

Said: TypeAlias = tuple[AnyBody, int | None]
"""A record and its time in microseconds since the Unix epoch; None: now."""

_OPEN_JOURNALS = 128
"""Journals that a store keeps open for writing."""


class Store(IndexReader):
    """A workspace, read and appended to.

    Whoever opens one first takes in what is new; `refresh` does so again. Not for training
    processes: they write their journal and nothing else.

    Parameters
    ----------
    folder
        The workspace.
    index
        Where the index lies; by default `epochal.store.database.index_path` decides.
    refresh
        Take in what is new at once, and with every record. Without it the index is read as it
        stands and only own records are taken in, by a thread of a process in which another one
        keeps it fresh.
    """

    def __init__(
        self,
        folder: Folder,
        *,
        index: Path | None = None,
        progress: Callable[[int, int], None] | None = None,
        refresh: bool = True,
    ) -> None:
        super().__init__(folder, Database(index or index_path(folder.root)))
        self.blobs = Blobs(folder.blobs)
        self.points = PointStore(self._db)
        self._ingest = Ingest(folder, self._db, self.points)
        self._writers: dict[str | None, Writer] = {}
        self._refreshes = refresh
        if refresh:
            self.refresh(progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the journals this store opened, and the index."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        self._db.close()

    def refresh(self, progress: Callable[[int, int], None] | None = None) -> IngestReport:
        """Take in what was appended since, by anybody; a damaged index is built again."""
        try:
            return self._ingest.refresh(progress)
        except Damaged:
            self._db.start_afresh()
            return self._ingest.refresh(progress)

    # --- writing -------------------------------------------------------------------------------

    def record(self, body: AnyBody, run: str | None = None) -> str:
        """Append one record by a person, make it durable, take it in.

        Edits get their revision and governance records their links here.

        Parameters
        ----------
        run
            Id of the run it is about; None for a record of the workspace.

        Returns
        -------
        str
            The hash of a governance record, else ``writer:seq``.

        Raises
        ------
        NotFound
            If there is no such run.
        """
        writer = self._writer(run)
        if isinstance(body, GOVERNANCE):
            name = append_governance(writer, self.folder, body)
        else:
            if run is not None and "rev" in body.__struct_fields__:
                body = msgspec.structs.replace(body, rev=self.run(run).rev + 1)
            seq = writer.append(body)
            writer.sync()
            name = f"{writer.id}:{seq}"
        self._take_in(run)
        return name

    def record_all(self, said: Iterable[Said], run: str | None = None) -> None:
        """Append what another system's client said; return once it is durable and taken in.

        One sync and one ingest for all of it. Not for edits and governance: see `record`.

        Parameters
        ----------
        said
            Records with their times in microseconds since the Unix epoch; None: now.
        """
        writer = self._writer(run)
        for body, t in said:
            writer.append(body, t)
        writer.sync()
        self._take_in(run)

    def open_run(self, opened: Opened, said: Iterable[Said] = (), t: int | None = None) -> None:
        """Begin a run on behalf of a client that does not write journals itself.

        Parameters
        ----------
        said
            Further records, as in `record_all`.
        t
            When it was opened, microseconds since the Unix epoch; None: now.
        """
        folder = self.folder.new_run_folder(opened.run, opened.name)
        self._keep(opened.run, Writer(folder / "journal", run=opened.run, author=author()))
        self._writers[opened.run].append(opened, t)
        self._take_in(opened.run)
        self.record_all(said, opened.run)

    def _take_in(self, run: str | None) -> None:
        """Take in what this store has just written about `run`, and what is new besides."""
        if self._refreshes:
            self.refresh()
            return
        path = self._writers[run].path
        self._ingest.take(JournalFile(path, path.parent.parent if run is not None else None))

    def purge(self, document: RunDocument) -> None:
        """Delete a run with all that it recorded; what others say of it stays.

        A tombstone is recorded first: no late client, import or copy brings the run back. Looks
        and decisions are of the workspace and stay; blobs go with the garbage collection, because
        other runs may share them.

        Raises
        ------
        Refused
            If the run is still running.
        """
        if self.status(document) == "running":
            raise Refused(f"run {document.name} is running", f"`epochal stop {document.name}`")
        if document.id in self._writers:
            self._writers.pop(document.id).close()
        self.record(Purged(run=document.id, name=document.name, author=author()))
        for folder in self.folder.runs.glob(f"*-{document.id[:8]}"):
            _delete_run(folder, document.id)

    def _writer(self, run: str | None) -> Writer:
        if run not in self._writers:
            if run is None:
                self._keep(None, Writer(self.folder.journal, author=author()))
            else:
                document = self.run(run)
                folder = self.folder.run_folder(run)
                if folder is None:
                    raise NotFound(f"the folder of run {document.name} is gone")
                attempt = document.attempts[-1].number if document.attempts else 1
                self._keep(
                    run, Writer(folder / "journal", run=run, attempt=attempt, author=author())
                )
        return self._writers[run]

    def _keep(self, run: str | None, writer: Writer) -> None:
        """Keep a journal open for what follows, but not thousands of them."""
        while len(self._writers) >= _OPEN_JOURNALS:
            self._writers.pop(next(iter(self._writers))).close()
        self._writers[run] = writer


def _delete_run(folder: Path, run: str) -> None:
    """Delete the run's folder; where another run's journals are in it too, only its own ones."""
    others = False
    for path in (folder / "journal").glob("*.jsonl"):
        header = read_journal(path).header
        if header is not None and header.run not in (None, run):
            others = True
        else:
            path.unlink()
    if not others:
        shutil.rmtree(folder)
