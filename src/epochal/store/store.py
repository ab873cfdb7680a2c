"""The door for readers: one object that answers from the index and appends to the journals."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import msgspec

from epochal.errors import Ambiguous, Damaged, NotFound, Refused
from epochal.journal.author import author
from epochal.journal.folder import Folder, JournalFile
from epochal.journal.governance import append_governance
from epochal.journal.reader import read_journal
from epochal.journal.writer import Writer
from epochal.records import GOVERNANCE, AnyBody, Header, Opened, Purged, Status
from epochal.store.blobs import Blobs
from epochal.store.database import Database, index_path
from epochal.store.documents import Attempt, RunDocument, keep_foreign
from epochal.store.ingest import Ingest, IngestReport, decode_body, decode_header
from epochal.store.liveness import status_of
from epochal.store.points import PointStore

__all__ = ["ConsoleText", "FileHealth", "Governed", "Said", "Store"]

Said: TypeAlias = tuple[AnyBody, int | None]
"""A record and its time in microseconds since the Unix epoch; None: now."""

_OPEN_JOURNALS = 128
"""Journals that a store keeps open for writing."""

_decode_document = msgspec.json.Decoder(RunDocument).decode


class _Endings(msgspec.Struct):
    """The part of a document that says how its attempts ended: read without the rest."""

    attempts: list[Attempt] = []


_decode_endings = msgspec.json.Decoder(_Endings).decode


@dataclass(frozen=True, slots=True)
class Governed:
    """A governance record as the index holds it."""

    hash: str
    t: int
    writer: str
    body: Any


@dataclass(frozen=True, slots=True)
class ConsoleText:
    """A portion of what a run printed."""

    t: int
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class FileHealth:
    """What is wrong with one journal file."""

    path: str
    run: str | None
    damaged: int
    missing: int
    unknown: int
    torn: int
    """Bytes behind the last newline: a line that a crash tore, or one being written."""


class Store:
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
        self.folder = folder
        self.blobs = Blobs(folder.blobs)
        self._db = Database(index or index_path(folder.root))
        self.points = PointStore(self._db)
        self._ingest = Ingest(folder, self._db, self.points)
        self._writers: dict[str | None, Writer] = {}
        self._headers: dict[str, Header] = {}
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

    def purged(self) -> dict[str, str]:
        """Return id -> last name of all runs that were purged."""
        return {governed.body.run: governed.body.name for governed in self.governance("purged")}

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

    # --- runs ----------------------------------------------------------------------------------

    def projects(self) -> list[str]:
        """Return the names of all projects that have runs, sorted."""
        return [p for (p,) in self._db.rows("SELECT DISTINCT project FROM run ORDER BY project")]

    def run(self, run: str) -> RunDocument:
        """Return the run with exactly this id."""
        found = self._db.rows("SELECT document FROM run WHERE id = ?", (run,))
        if not found:
            raise NotFound(f"no run {run!r}", "`epochal runs` lists them")
        return _decode_document(found[0][0])

    def runs(self, project: str | None = None, *, trashed: bool = False) -> list[RunDocument]:
        """Return all runs of a project (None: of all), oldest first.

        Parameters
        ----------
        trashed
            Return those in the trash instead of those that are not.
        """
        of_project, parameters = _of_project(project)
        return [
            _decode_document(text)
            for (text,) in self._db.rows(
                f"SELECT document FROM run WHERE trashed = ?{of_project} ORDER BY created, id",
                (int(trashed), *parameters),
            )
        ]

    def newest(
        self, limit: int, project: str | None = None, *, trashed: bool = False
    ) -> list[RunDocument]:
        """Return the newest runs of a project (None: of all), newest first; see `runs`."""
        of_project, parameters = _of_project(project)
        return [
            _decode_document(text)
            for (text,) in self._db.rows(
                f"SELECT document FROM run WHERE trashed = ?{of_project}"
                " ORDER BY created DESC, id DESC LIMIT ?",
                (int(trashed), *parameters, limit),
            )
        ]

    def changed_since(
        self, change: int, project: str | None = None, limit: int | None = None
    ) -> tuple[list[RunDocument], int]:
        """Return the runs that changed after `change`, and the number to ask with next.

        Parameters
        ----------
        project
            Only of this project.
        limit
            At most so many, those first that changed first.
        """
        of_project, parameters = _of_project(project)
        rows = self._db.rows(
            f"SELECT document, change FROM run WHERE change > ?{of_project}"
            " ORDER BY change LIMIT ?",
            (change, *parameters, -1 if limit is None else limit),
        )
        return [_decode_document(text) for text, _ in rows], rows[-1][1] if rows else change

    def run_ids(self, project: str | None = None) -> set[str]:
        """Return the ids of all runs (of a project), those in the trash included."""
        of_project, parameters = _of_project(project)
        return {r for (r,) in self._db.rows(f"SELECT id FROM run WHERE 1{of_project}", parameters)}

    def count_runs(self, project: str | None = None, *, trashed: bool | None = None) -> int:
        """Return how many runs there are (in a project).

        Parameters
        ----------
        trashed
            Only those in the trash, or only those that are not; None: all.
        """
        of_project, parameters = _of_project(project)
        in_trash = "" if trashed is None else f" AND trashed = {int(trashed)}"
        found = self._db.rows(
            f"SELECT COUNT(*) FROM run WHERE 1{in_trash}{of_project}", parameters
        )
        return int(found[0][0])

    def unfinished(self) -> list[RunDocument]:
        """Return the runs whose last attempt has not said how it ended."""
        return [
            _decode_document(text)
            for (text,) in self._db.rows("SELECT document FROM run ORDER BY created, id")
            if not any(a.status for a in _decode_endings(text).attempts[-1:])
        ]

    @property
    def change(self) -> int:
        """The highest number that any run has: after it, `changed_since` has nothing yet."""
        return int(self._db.rows("SELECT COALESCE(MAX(change), 0) FROM run")[0][0])

    def find_run(self, text: str, project: str | None = None) -> RunDocument:
        """Return the run that `text` names: a name, ``project/name``, an id or its prefix.

        Raises
        ------
        NotFound
            If nothing fits; the message names what comes close.
        Ambiguous
            If several runs fit; the message lists their ids.
        """
        text = text.encode(errors="replace").decode()  # as typed in a locale that cannot say it
        in_project, _, name = text.rpartition("/")
        found = self._named(text, project)
        if not found and in_project:
            found = self._named(name, in_project)
        if not found:
            found = [
                (run, name, created)
                for run, name, created in self._db.rows(
                    "SELECT id, name, created FROM run WHERE substr(id, 1, ?) = ?"
                    " ORDER BY created",
                    (len(text), text.lower()),
                )
                if text
            ]
        documents = [self.run(run) for run, *_ in found]
        alive = [d for d in documents if not d.trashed] or documents
        if len(alive) == 1:
            return alive[0]
        if alive:
            ids = ", ".join(d.id[:8] for d in alive[:6])
            raise Ambiguous(f"{len(alive)} runs are named by {text!r}", f"use an id: {ids}")
        names = [n for (n,) in self._db.rows("SELECT DISTINCT name FROM run")]
        close = difflib.get_close_matches(text, names, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "`epochal runs` lists them"
        raise NotFound(f"no run {text!r} in {self.folder.root}", hint)

    def _named(self, name: str, project: str | None) -> list[tuple[str, str, int]]:
        if project is None:
            return self._db.rows(
                "SELECT id, name, created FROM run WHERE name = ? ORDER BY created", (name,)
            )
        return self._db.rows(
            "SELECT id, name, created FROM run WHERE name = ? AND project = ? ORDER BY created",
            (name, project),
        )

    def status(self, document: RunDocument) -> Status:
        """Return whether the run is running, finished, failed, killed or stale, as of now."""
        owner = None
        if document.attempts and document.attempts[-1].writer:
            owner = self.writer_header(document.attempts[-1].writer)
        return status_of(document, owner)

    def writer_header(self, writer: str) -> Header | None:
        """Return the header of a writer's journal, if it was intact."""
        if writer not in self._headers:
            found = self._db.rows("SELECT header FROM writer WHERE id = ?", (writer,))
            if not found or not found[0][0]:
                return None
            self._headers[writer] = decode_header(found[0][0])
        return self._headers[writer]

    def console(self, run: str, start: int = 0, limit: int | None = None) -> Iterator[ConsoleText]:
        """Yield what the run printed, in order: at most `limit` portions from place `start` on."""
        for t, stream, text in self._db.rows(
            "SELECT t, stream, text FROM console WHERE run = ? ORDER BY attempt, writer, seq"
            " LIMIT ? OFFSET ?",
            (run, -1 if limit is None else limit, start),
        ):
            yield ConsoleText(t, stream, text)

    def console_size(self, run: str) -> int:
        """Return how many portions `console` yields in all."""
        return int(self._db.rows("SELECT COUNT(*) FROM console WHERE run = ?", (run,))[0][0])

    # --- other systems ---------------------------------------------------------------------------

    def foreign(self, system: str) -> dict[str, dict[str, Any]]:
        """Return what a system's clients said about the workspace: type, key, value.

        What they said about a run stands in its document.
        """
        kept: dict[str, dict[str, Any]] = {}
        for governed in self.governance("foreign"):
            if governed.body.system == system:
                keep_foreign(kept, governed.body)
        return kept

    # --- governance and health -----------------------------------------------------------------

    def governance(self, kind: str) -> list[Governed]:
        """Return all governance records of a kind (``charter``, ``look`` ...), oldest first."""
        return [
            Governed(hash, t, writer, decode_body(body))
            for hash, t, writer, body in self._db.rows(
                "SELECT hash, t, writer, body FROM event WHERE kind = ? AND run IS NULL"
                " ORDER BY t, writer, seq",
                (kind,),
            )
        ]

    def journals(self) -> list[tuple[str, str | None]]:
        """Return path and run of every journal file that was taken in."""
        return self._db.rows("SELECT path, run FROM file ORDER BY path")

    def index_problems(self) -> list[str]:
        """Return what is wrong with the index file itself, one line each."""
        return self._db.problems()

    def health(self) -> list[FileHealth]:
        """Return the journal files with something wrong in them."""
        found = []
        for path, writer, run, damaged, consumed, next_seq, intact, unknown in self._db.rows(
            "SELECT f.path, f.writer, f.run, f.damaged, f.consumed, w.next_seq, w.intact,"
            " w.unknown FROM file f LEFT JOIN writer w ON w.id = f.writer ORDER BY f.path"
        ):
            try:
                torn = (self.folder.root / path).stat().st_size - consumed if writer else 0
            except FileNotFoundError:
                torn = 0
            missing = (next_seq or 0) - (intact or 0)
            if damaged or missing or unknown or torn:
                found.append(FileHealth(path, run, damaged, missing, unknown or 0, torn))
        return found


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


def _of_project(project: str | None) -> tuple[str, tuple[str, ...]]:
    return ("", ()) if project is None else (" AND project = ?", (project,))
