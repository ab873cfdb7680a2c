"""From journals into the index: what is new, exactly once, in any order.

A reader takes each file from the offset it holds up to the last newline; offset and data are
committed together. A record is known by (writer, seq). What is unusual (a file that shrank or is
gone, a second file of one writer) makes the run's rows be built afresh from all its files, so
that the index stays a function of the journals' bytes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from epochal.journal.folder import Folder, JournalFile
from epochal.journal.reader import Line, LineReader, read_journal, writer_of
from epochal.records import MAX_LINE, Header, Opened
from epochal.store.batch import Batch, IngestReport, WriterState, forget
from epochal.store.database import Busy, Database
from epochal.store.points import PointStore

__all__ = ["Ingest"]

_PORTION = 8 << 20
"""Bytes that one transaction takes at most."""


class _Known(NamedTuple):
    """What the index holds about a file."""

    writer: str
    run: str | None
    consumed: int


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
        known = dict(self._db.rows("SELECT path, consumed FROM file"))
        gone = set(known)
        pending: list[tuple[JournalFile, int]] = []
        for file in self._folder.journals():
            name = self._relative(file.path)
            try:
                size = file.path.stat().st_size
            except FileNotFoundError:
                continue  # deleted between the listing and now
            gone.discard(name)
            if size != known.get(name, 0):
                pending.append((file, size))
        pending.reverse()  # taken from the end: the workspace's own journals come first
        report = IngestReport()
        total = sum(size - known.get(self._relative(f.path), 0) for f, size in pending)
        try:
            if gone:
                self._forget_files(gone, report)
            self._take_all([file for file, _ in pending], total, report, progress)
        except Busy as error:
            report.busy = error.message
        return report

    def take(self, file: JournalFile) -> IngestReport:
        """Take in what is new in one journal: whoever has just written it need not look at all."""
        report = IngestReport()
        try:
            self._take_all([file], 0, report, None)
        except Busy as error:
            report.busy = error.message
        return report

    def _take_all(
        self,
        pending: list[JournalFile],
        total: int,
        report: IngestReport,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        """Take in files from the end of `pending`, of `total` bytes, in portions."""
        done = 0
        while pending:
            with self._db.transaction():
                batch = Batch(self._db, self._points, report)
                room = _PORTION
                while pending and room > 0:
                    took, more = self._take(pending[-1], batch, room)
                    room -= max(took, 1)
                    done += took
                    if not more:
                        pending.pop()
                batch.write()
            if progress:
                progress(done, max(total, done))

    def _forget_files(self, names: set[str], report: IngestReport) -> None:
        """Build afresh what files that are gone belonged to."""
        with self._db.transaction():
            batch = Batch(self._db, self._points, report)
            runs = {known.run for name in names if (known := self._known(name)) is not None}
            for name in names:
                if not (self._folder.root / name).exists():
                    self._db.execute("DELETE FROM file WHERE path = ?", (name,))
            for run in sorted(runs, key=lambda run: run or ""):
                self._afresh(run, batch)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._folder.root).as_posix()

    def _known(self, name: str) -> _Known | None:
        """Return what is held about a file; None also where nothing said yet whose it is."""
        found = self._db.rows("SELECT writer, run, consumed FROM file WHERE path = ?", (name,))
        return _Known(*found[0]) if found and found[0][0] else None

    def _take(self, file: JournalFile, batch: Batch, room: int) -> tuple[int, bool]:
        """Take up to `room` bytes of `file`; return how many, and whether there are more."""
        name = self._relative(file.path)
        known = self._known(name)
        consumed = known.consumed if known is not None else 0
        try:
            with file.path.open("rb") as stream:
                size = stream.seek(0, 2)
                if known is not None and size < consumed:
                    self._afresh(known.run, batch)
                    return size, False
                stream.seek(consumed)
                data = stream.read(min(room, size - consumed))
                # A line is taken whole, also where the room ends within it.
                while b"\n" not in data[-MAX_LINE:] and (more := stream.read(MAX_LINE)):
                    data += more
        except FileNotFoundError:
            return 0, False
        end = data.rfind(b"\n") + 1
        if not end:
            return 0, False
        if known is None:
            known = self._register(file, name, data[:end])
            batch.report.files += 1
            if known is None:
                return 0, False
        if self._has_twin(name, known.writer):
            self._afresh(known.run, batch)
            return end, False
        reader = LineReader(known.writer)
        if known.run is None or not batch.is_purged(known.run):
            state = batch.state(known.writer)
            state.run = known.run
            batch.add(state, reader.lines(data[:end]))
            state.unknown += reader.unknown
        self._db.execute(
            "UPDATE file SET consumed = ?, damaged = damaged + ? WHERE path = ?",
            (consumed + end, reader.damaged, name),
        )
        # Behind the last newline of the file there is only a line in the making.
        return end, consumed + len(data) < size

    def _has_twin(self, name: str, writer: str) -> bool:
        return bool(
            self._db.rows("SELECT 1 FROM file WHERE writer = ? AND path <> ?", (writer, name))
        )

    def _register(self, file: JournalFile, name: str, data: bytes) -> _Known | None:
        """Make a new file known; return None where nothing says whose records it holds.

        Its first lines are `data`. It is asked again whenever it or its neighbours grow.
        """
        writer = writer_of(file.path, data[: data.find(b"\n")])
        reader = LineReader(writer)
        told, run = self._run_of(file, reader, data)
        twins = self._db.rows("SELECT run FROM file WHERE writer = ?", (writer,))
        if twins:
            told, run = True, twins[0][0]
        if not told:
            count = data.count(b"\n")
            self._db.execute(
                "INSERT OR REPLACE INTO file VALUES (?, '', NULL, 0, ?)", (name, count)
            )
            return None
        self._db.execute("INSERT OR REPLACE INTO file VALUES (?, ?, ?, 0, 0)", (name, writer, run))
        return _Known(writer, run, 0)

    @staticmethod
    def _run_of(file: JournalFile, reader: LineReader, data: bytes) -> tuple[bool, str | None]:
        """Tell whether it is known whose records a journal holds, and which run's.

        Its header says it. Where that is damaged, the opening does, or another journal of the
        run's folder.
        """
        first = next(reader.lines(data[: data.find(b"\n") + 1]), None)
        if first is not None and first.entry is not None and isinstance(first.entry.body, Header):
            return True, first.entry.body.run
        if file.run_folder is None:
            return True, None
        for line in reader.lines(data):
            if line.entry is not None and isinstance(line.entry.body, Opened):
                return True, line.entry.body.run
        for path in sorted((file.run_folder / "journal").glob("*.jsonl")):
            header = read_journal(path).header
            if header is not None and header.run:
                return True, header.run
        return False, None

    def _afresh(self, run: str | None, batch: Batch) -> None:
        """Build all rows of `run` (None: of the workspace) again from all its files."""
        batch.write()
        before = batch.purged()
        forget(self._db, self._points, run)
        files = self._db.rows(
            "SELECT path, writer FROM file WHERE run IS ? AND writer <> ''", (run,)
        )
        by_writer: dict[str, list[str]] = {}
        for name, writer in sorted(files):
            by_writer.setdefault(writer, []).append(name)
        for writer, names in by_writer.items():
            state = batch.state(writer)
            state.run = run
            batch.add(state, self._merged(state, names))
        batch.write()
        if run is not None:
            batch.report.runs.add(run)
        else:
            for back in sorted(before - batch.purged()):
                self._afresh(back, batch)

    def _merged(self, state: WriterState, names: list[str]) -> list[Line]:
        """Return the lines of one writer from all its files, each position once."""
        lines: dict[int, Line] = {}
        for name in names:
            try:
                data = (self._folder.root / name).read_bytes()
            except FileNotFoundError:
                self._db.execute("DELETE FROM file WHERE path = ?", (name,))
                continue
            end = data.rfind(b"\n") + 1
            reader = LineReader(state.id)
            last = -1
            for line in reader.lines(data[:end]):
                if line.seq > last:
                    last = line.seq
                    lines.setdefault(line.seq, line)
            state.unknown += reader.unknown
            self._db.execute(
                "UPDATE file SET consumed = ?, damaged = ? WHERE path = ?",
                (end, reader.damaged, name),
            )
        return [lines[seq] for seq in sorted(lines)]
