"""What the index answers: runs, what they printed, what was said of the workspace, its health."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from epochal.errors import Ambiguous, NotFound
from epochal.journal.folder import Folder
from epochal.records import Header, Status
from epochal.store.batch import decode_body, decode_header
from epochal.store.database import Database
from epochal.store.documents import Attempt, RunDocument, keep_foreign
from epochal.store.liveness import status_of

__all__ = ["ConsoleText", "FileHealth", "Governed", "IndexReader"]

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


class IndexReader:
    """A workspace as its index knows it. Nothing is written here, and nothing taken in.

    Parameters
    ----------
    folder
        The workspace.
    db
        Its index.
    """

    def __init__(self, folder: Folder, db: Database) -> None:
        self.folder = folder
        self._db = db
        self._headers: dict[str, Header] = {}

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

    def run_numbers(self, project: str) -> dict[str, int]:
        """Return each run's number in its project by start, from 1; those in the trash count.

        It changes only where an earlier run is brought in, or purged.
        """
        found = self._db.rows(
            "SELECT id FROM run WHERE project = ? ORDER BY created, id", (project,)
        )
        return {run: number for number, (run,) in enumerate(found, 1)}

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

    def purged(self) -> dict[str, str]:
        """Return id -> last name of all runs that were purged."""
        return {governed.body.run: governed.body.name for governed in self.governance("purged")}

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


def _of_project(project: str | None) -> tuple[str, tuple[str, ...]]:
    return ("", ()) if project is None else (" AND project = ?", (project,))
