"""What one transaction adds to the index."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from epochal.journal.governance import record_hash
from epochal.journal.reader import Line
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
from epochal.store.database import Database
from epochal.store.documents import Event, fold
from epochal.store.points import SYSTEM, PointStore

__all__ = ["Batch", "IngestReport", "WriterState", "decode_body", "decode_header", "forget"]

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
class WriterState:
    """Where the index stands with one writer."""

    id: str
    run: str | None = None
    attempt: int = 1
    next_seq: int = 0
    intact: int = 0
    unknown: int = 0
    last_t: int = 0
    header: str = ""


def forget(database: Database, points: PointStore, run: str | None) -> None:
    """Delete all rows of `run` (None: of the workspace itself), but not its files' names."""
    if run is not None:
        points.delete(run)
        database.execute("DELETE FROM console WHERE run = ?", (run,))
        database.execute("DELETE FROM run WHERE id = ?", (run,))
    database.execute("DELETE FROM event WHERE run IS ?", (run,))
    database.execute("DELETE FROM writer WHERE run IS ?", (run,))


class Batch:
    """Records on their way into the index, with all that depends on them."""

    def __init__(self, database: Database, points: PointStore, report: IngestReport) -> None:
        self._db = database
        self._points = points
        self.report = report
        self.touched: set[str] = set()
        self._purged = self.purged()
        self._clear()

    def _clear(self) -> None:
        self._states: dict[str, WriterState] = {}
        self._columns: dict[str, _Columns] = {}
        self._events: list[tuple[object, ...]] = []
        self._console: list[tuple[object, ...]] = []
        self.touched.clear()

    def purged(self) -> set[str]:
        """Return the runs that the index knows to be purged."""
        return {
            decode_body(body).run
            for (body,) in self._db.rows("SELECT body FROM event WHERE kind = 'purged'")
        }

    def is_purged(self, run: str) -> bool:
        """Tell whether the run was purged, as far as this batch has read."""
        return run in self._purged

    def state(self, writer: str) -> WriterState:
        """Return the state of a writer, as it is in the index or new."""
        if writer not in self._states:
            found = self._db.rows("SELECT * FROM writer WHERE id = ?", (writer,))
            self._states[writer] = WriterState(*found[0]) if found else WriterState(writer)
        return self._states[writer]

    def add(self, state: WriterState, lines: Iterable[Line]) -> None:
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

    def _points_of(self, state: WriterState) -> _Columns:
        columns = self._columns.get(state.id)
        if columns is None:
            columns = self._columns[state.id] = _Columns()
        return columns

    def _add_other(self, state: WriterState, line: Line, body: AnyBody) -> None:
        match body:
            case Heartbeat():
                return
            case Header():
                state.attempt = body.attempt
                state.header = _encode(body).decode()
                return
            case Opened() if not state.header:
                state.attempt = body.attempt  # the header is damaged
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
                "INSERT OR REPLACE INTO writer VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    state.id,
                    state.run,
                    state.attempt,
                    state.next_seq,
                    state.intact,
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
                self._db.execute("UPDATE file SET damaged = 0 WHERE run = ?", (run,))
            else:
                self._fold(run)
        self.report.runs |= self.touched
        self._clear()
        self._purged = self.purged()

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
