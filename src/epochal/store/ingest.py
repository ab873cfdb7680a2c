"""From journals into the index: what is new, exactly once, in any order.

A reader takes each file from the offset it holds up to the last newline; offset and data are
committed together. A record is known by (writer, seq). What is unusual (a file that shrank, a
second file of one writer) makes the run's rows be built afresh from all its files, so that the
index stays a function of the journals' bytes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from epochal.journal.folder import Folder, JournalFile
from epochal.journal.governance import record_hash
from epochal.journal.reader import Line, LineReader, read_journal, writer_of
from epochal.records import (
    GOVERNANCE,
    AnyBody,
    Console,
    Finished,
    Header,
    Heartbeat,
    Metrics,
    Opened,
    Purged,
    System,
)
from epochal.store.chunks import NO_EPOCH, Points
from epochal.store.database import Busy, Database
from epochal.store.documents import Event, fold
from epochal.store.points import SYSTEM, PointStore

__all__ = ["Ingest", "IngestReport", "decode_body", "decode_header"]

_PORTION = 8 << 20
"""Bytes that one transaction takes at most."""

_ALIVE = (Opened, Metrics, System, Console, Heartbeat, Finished)
"""What only a training's own processes say; a person's edit is no sign that they live."""

_encode = msgspec.json.Encoder().encode
decode_body = msgspec.json.Decoder(AnyBody).decode
decode_header = msgspec.json.Decoder(Header).decode


@dataclass(slots=True)
class IngestReport:
    """What a refresh did."""

    lines: int = 0
    files: int = 0
    runs: set[str] = field(default_factory=set)
    busy: str = ""
    """Why the index could not be written: what is newest may be missing. Empty: it was."""


@dataclass(slots=True)
class _Columns:
    """Points of one writer on their way into the store: rows once, values by key."""

    step: list[int] = field(default_factory=list)
    epoch: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    values: dict[str, tuple[list[int], list[float | str]]] = field(default_factory=dict)

    def add(self, step: int, epoch: int | None, t: int, values: dict[str, float | str]) -> None:
        row = len(self.step)
        self.step.append(step)
        self.epoch.append(NO_EPOCH if epoch is None else epoch)
        self.time.append(t)
        for key, value in values.items():
            found = self.values.get(key)
            if found is None:
                found = self.values[key] = ([], [])
            found[0].append(row)
            found[1].append(value)

    def series(self) -> Iterable[tuple[str, Points]]:
        step, epoch, time = (np.array(c, np.int64) for c in (self.step, self.epoch, self.time))
        for key, (rows, values) in self.values.items():
            yield key, Points(step[rows], epoch[rows], time[rows], np.array(values, np.float64))


@dataclass(slots=True)
class _WriterState:
    id: str
    run: str | None = None
    attempt: int = 1
    next_seq: int = 0
    intact: int = 0
    damaged: int = 0
    unknown: int = 0
    last_t: int = 0
    header: str = ""


class Ingest:
    """Brings an index up to date with the journals of a workspace."""

    def __init__(self, folder: Folder, database: Database, points: PointStore) -> None:
        self._folder = folder
        self._db = database
        self._points = points

    def refresh(self, progress: Callable[[int, int], None] | None = None) -> IngestReport:
        """Take in everything that is new.

        Parameters
        ----------
        progress
            Called with (bytes done, bytes in all) after each portion.
        """
        report = IngestReport()
        known = dict(self._db.rows("SELECT path, consumed FROM file"))
        pending: list[tuple[JournalFile, int]] = []
        for file in self._folder.journals():
            try:
                size = file.path.stat().st_size
            except FileNotFoundError:
                continue  # purged between the listing and now
            if size != known.get(self._relative(file.path), 0):
                pending.append((file, size))
        pending.reverse()  # taken from the end: the workspace's own journals come first
        total = sum(size - known.get(self._relative(f.path), 0) for f, size in pending)
        done = 0
        while pending:
            try:
                with self._db.transaction():
                    batch = _Batch(self._db, self._points, report)
                    room = _PORTION
                    while pending and room > 0:
                        file, _ = pending[-1]
                        took, more = self._take(file, batch, room)
                        room -= max(took, 1)
                        done += took
                        if not more:
                            pending.pop()
                    batch.write()
            except Busy as error:
                report.busy = error.message
                break
            if progress:
                progress(done, max(total, done))
        return report

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._folder.root).as_posix()

    def _take(self, file: JournalFile, batch: _Batch, room: int) -> tuple[int, bool]:
        """Take up to `room` bytes of `file`; return how many, and whether there are more."""
        name = self._relative(file.path)
        found = self._db.rows("SELECT writer, run, consumed FROM file WHERE path = ?", (name,))
        try:
            with file.path.open("rb") as stream:
                size = stream.seek(0, 2)
                consumed = found[0][2] if found else 0
                if size < consumed:
                    self._afresh(found[0][1], batch)
                    return size, False
                stream.seek(consumed)
                data = stream.read(min(room, size - consumed))
                if b"\n" not in data:
                    data += stream.read()
                    size = consumed + len(data)
        except FileNotFoundError:
            return 0, False
        end = data.rfind(b"\n") + 1
        if not end:
            return 0, False
        if not found:
            writer = writer_of(file.path, data[: data.find(b"\n")])
            if self._db.rows("SELECT 1 FROM file WHERE writer = ?", (writer,)):
                batch.write()  # the writer may have come with this very batch
                run = self._db.rows("SELECT run FROM writer WHERE id = ?", (writer,))[0][0]
                self._register(name, writer, run)
                self._afresh(run, batch)
                return end, False
        else:
            writer = found[0][0]
            if len(self._db.rows("SELECT 1 FROM file WHERE writer = ?", (writer,))) > 1:
                self._afresh(found[0][1], batch)
                return end, False
        reader = LineReader(writer)
        state = batch.state(writer)
        lines = list(reader.lines(data[:end]))
        if file.run_folder and not state.run and not _has_header(lines):
            state.run = self._run_of_folder(file.run_folder, lines)
            if state.run is None:
                # Nothing in the folder says whose records these are: they count as damaged.
                reader.damaged += len(lines)
                lines = []
        batch.add(state, lines)
        state.damaged += reader.damaged
        state.unknown += reader.unknown
        if not found:
            self._register(name, writer, state.run)
            batch.report.files += 1
        self._db.execute(
            "UPDATE file SET consumed = ?, damaged = damaged + ?, run = ? WHERE path = ?",
            (consumed + end, reader.damaged, state.run, name),
        )
        # Behind the last newline of the file there is only a line in the making.
        return end, consumed + len(data) < size

    def _run_of_folder(self, folder: Path, lines: list[Line]) -> str | None:
        """Return the run of a journal whose header is damaged, from what else says it."""
        for line in lines:
            if line.entry is not None and isinstance(line.entry.body, Opened):
                return line.entry.body.run
        for path in sorted((folder / "journal").glob("*.jsonl")):
            header = read_journal(path).header
            if header is not None and header.run:
                return header.run
        return None

    def _register(self, name: str, writer: str, run: str | None) -> None:
        self._db.execute("INSERT INTO file VALUES (?, ?, ?, 0, 0)", (name, writer, run))

    def _afresh(self, run: str | None, batch: _Batch) -> None:
        """Build all rows of `run` (None: of the workspace) again from all its files."""
        batch.write()
        forget(self._db, self._points, run)
        files = self._db.rows("SELECT path, writer FROM file WHERE run IS ?", (run,))
        by_writer: dict[str, list[str]] = {}
        for name, writer in sorted(files):
            by_writer.setdefault(writer, []).append(name)
        for writer, names in by_writer.items():
            lines: dict[int, Line] = {}
            state = batch.state(writer)
            for name in names:
                try:
                    data = (self._folder.root / name).read_bytes()
                except FileNotFoundError:
                    self._db.execute("DELETE FROM file WHERE path = ?", (name,))
                    continue
                end = data.rfind(b"\n") + 1
                reader = LineReader(writer)
                for line in reader.lines(data[:end]):
                    lines.setdefault(line.seq, line)
                state.damaged += reader.damaged
                state.unknown += reader.unknown
                self._db.execute(
                    "UPDATE file SET consumed = ?, damaged = ? WHERE path = ?",
                    (end, reader.damaged, name),
                )
            batch.add(state, (lines[seq] for seq in sorted(lines)))
        if run is not None:
            batch.touched.add(run)
        batch.write()


def _has_header(lines: list[Line]) -> bool:
    return bool(lines) and lines[0].entry is not None and isinstance(lines[0].entry.body, Header)


def forget(database: Database, points: PointStore, run: str | None) -> None:
    """Delete all rows of `run` (None: of the workspace itself), but not its files' names."""
    if run is not None:
        points.delete(run)
        database.execute("DELETE FROM console WHERE run = ?", (run,))
        database.execute("DELETE FROM run WHERE id = ?", (run,))
    database.execute("DELETE FROM event WHERE run IS ?", (run,))
    database.execute("DELETE FROM writer WHERE run IS ?", (run,))


class _Batch:
    """What one transaction adds."""

    def __init__(self, database: Database, points: PointStore, report: IngestReport) -> None:
        self._db = database
        self._points = points
        self.report = report
        self.touched: set[str] = set()
        self._purged = {
            run
            for (body,) in database.rows("SELECT body FROM event WHERE kind = 'purged'")
            for run in [decode_body(body).run]
        }
        self._clear()

    def _clear(self) -> None:
        self._states: dict[str, _WriterState] = {}
        self._columns: dict[str, _Columns] = {}
        self._events: list[tuple[object, ...]] = []
        self._console: list[tuple[object, ...]] = []
        self.touched.clear()

    def state(self, writer: str) -> _WriterState:
        """Return the state of a writer, as it is in the index or new."""
        if writer not in self._states:
            found = self._db.rows("SELECT * FROM writer WHERE id = ?", (writer,))
            self._states[writer] = _WriterState(*found[0]) if found else _WriterState(writer)
        return self._states[writer]

    def add(self, state: _WriterState, lines: Iterable[Line]) -> None:
        """Add the lines of one writer; those that are already in are passed over."""
        for line in lines:
            if line.seq < state.next_seq:
                continue
            state.next_seq = line.seq + 1
            state.intact += 1
            self.report.lines += 1
            if line.entry is None:
                continue
            body = line.entry.body
            if isinstance(body, _ALIVE):
                state.last_t = max(state.last_t, line.t)
            if type(body) is Metrics:
                self._points_of(state).add(body.step, body.epoch, line.t, body.values)
            elif type(body) is System:
                values = {SYSTEM + key: value for key, value in body.values.items()}
                self._points_of(state).add(line.t // 1_000_000, None, line.t, values)
            else:
                self._add_other(state, line, body)
        if state.run is not None:
            self.touched.add(state.run)

    def _points_of(self, state: _WriterState) -> _Columns:
        columns = self._columns.get(state.id)
        if columns is None:
            columns = self._columns[state.id] = _Columns()
        return columns

    def _add_other(self, state: _WriterState, line: Line, body: AnyBody) -> None:
        match body:
            case Heartbeat():
                return
            case Header():
                state.run, state.attempt = body.run, body.attempt
                state.header = _encode(body).decode()
                return
            case Console():
                self._console.append(
                    (state.run, state.attempt, state.id, line.seq, line.t, body.stream, body.text)
                )
                return
            case Purged():
                self._purged.add(body.run)
                self.touched.add(body.run)
        self._events.append(
            (
                state.id,
                line.seq,
                state.run,
                state.attempt,
                line.t,
                str(body.__struct_config__.tag),
                _encode(body).decode(),
                record_hash(line.raw) if isinstance(body, GOVERNANCE) else None,
            )
        )

    def write(self) -> None:
        """Write everything collected, then fold the runs that were touched."""
        self._db.execute_many("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)", self._events)
        self._db.execute_many("INSERT INTO console VALUES (?, ?, ?, ?, ?, ?, ?)", self._console)
        for state in self._states.values():
            self._db.execute(
                "INSERT OR REPLACE INTO writer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    state.id,
                    state.run,
                    state.attempt,
                    state.next_seq,
                    state.intact,
                    state.damaged,
                    state.unknown,
                    state.last_t,
                    state.header,
                ),
            )
            columns = self._columns.get(state.id)
            if columns and state.run is not None:
                for key, points in columns.series():
                    self._points.append(state.run, key, state.id, state.attempt, points)
        for run in sorted(self.touched):
            if run in self._purged:
                forget(self._db, self._points, run)
            else:
                self._fold(run)
        self.report.runs |= self.touched
        self._clear()

    def _fold(self, run: str) -> None:
        events = [
            Event(attempt, writer, seq, t, decode_body(body))
            for attempt, writer, seq, t, body in self._db.rows(
                "SELECT attempt, writer, seq, t, body FROM event WHERE run = ?", (run,)
            )
        ]
        last = dict(
            self._db.rows(
                "SELECT attempt, MAX(last_t) FROM writer WHERE run = ? GROUP BY attempt", (run,)
            )
        )
        doc = fold(run, events, self._points.summaries(run), last)
        self._db.execute(
            "INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                run,
                doc.project,
                doc.name,
                doc.created,
                self._db.next_change(),
                int(doc.trashed),
                _encode(doc).decode(),
            ),
        )
