"""Taking in CSV: one row a step, or the long form that `export_csv` writes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from epochal.errors import InvalidInput
from epochal.interop.facts import Facts
from epochal.interop.importing import (
    NO_PROCESS,
    ImportedRun,
    ImportReport,
    derived_id,
    purged_runs,
)
from epochal.interop.tables.points import COLUMNS, FORMULA
from epochal.journal.folder import Folder
from epochal.journal.reader import read_journal
from epochal.journal.writer import Writer
from epochal.records import Finished, Metrics, Number, Opened, to_wire

__all__ = ["import_csv"]

_SYSTEM = "csv"
_STEPS = ("step", "global_step", "iteration", "epoch")
"""Columns that are taken for the step, the first that is there."""
_TOO_GENERAL = ("results", "metrics", "log", "history")
_MOST_COLUMNS, _MOST_RUNS, _MOST_LINE = 10_000, 500, 1 << 20
_MOST_NAME = 250
_TOLD = 5


class _Point(NamedTuple):
    key: str
    step: int
    epoch: int | None
    t: int
    """Microseconds since the Unix epoch."""
    value: Number


def import_csv(
    path: Path,
    *,
    workspace: Folder,
    project: str,
    name: str = "",
    step: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Take in a CSV file as one run, or the runs that `export_csv` wrote as what they were.

    A file is known by its project, name, header and first row. So a file that grew brings in only
    its new rows.

    Parameters
    ----------
    name
        Name of the run; by default the file's, or its folder's where the file is called
        ``results.csv`` or the like.
    step
        Column that holds the step; by default the first there is of step, global_step, iteration
        and epoch, else rows are counted from 0.
    progress
        Called with (bytes done, bytes in all).

    Raises
    ------
    InvalidInput
        If the file is no table of numbers.
    """
    if not path.is_file():
        raise InvalidInput(f"{path} is not a file", "name a CSV file with a header")
    return _Import(path, workspace, project, name, step, progress).run()


class _Import:
    def __init__(
        self,
        path: Path,
        workspace: Folder,
        project: str,
        name: str,
        step: str,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._path, self._workspace, self._project = path, workspace, project
        self._name, self._step, self._progress = name, step, progress
        self._modified = path.stat().st_mtime_ns // 1000
        self._size = path.stat().st_size
        self._problems: list[str] = []
        self._unread = 0
        self._left_out: dict[str, int] = {}
        self._runs: dict[str, _Run | None] = {}
        self._purged = purged_runs(workspace)

    def run(self) -> ImportReport:
        rows = self._rows()
        header = [_unescaped(cell).strip() for cell in next(rows, (0, []))[1]]
        if not any(header):
            raise self._unusable("it has no header")
        if len(header) > _MOST_COLUMNS:
            raise self._unusable(f"it has {len(header)} columns")
        try:
            if tuple(header) == COLUMNS:
                self._take_long(rows)
            else:
                self._take_wide(header, rows)
        finally:
            for run in self._runs.values():
                if run is not None:
                    run.close()
        if self._unread > _TOLD:
            self._problems.append(f"and {self._unread - _TOLD} more")
        return ImportReport(
            system=_SYSTEM,
            source=str(self._path),
            runs=tuple(run.imported() for run in self._runs.values() if run is not None),
            problems=tuple(self._problems),
            left_out=tuple(
                f"{what}{f': {count} cells that are no numbers' if count else ''}"
                for what, count in self._left_out.items()
            ),
        )

    def _unusable(self, why: str) -> InvalidInput:
        return InvalidInput(
            f"{self._path} is no table of numbers: {why}",
            "give a CSV file with a header and a row a step",
        )

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number of each row's last line, and its cells."""
        with self._path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(())
            try:
                dialect = _dialect(file.readline(_MOST_LINE))
                file.seek(0)
                reader = csv.reader(self._lines(file), dialect)
                for cells in reader:
                    if cells:
                        yield reader.line_num, cells
            except csv.Error as error:
                self._problem(reader.line_num, f"{error}; what follows was not read")
            except UnicodeDecodeError:
                raise self._unusable("it is not UTF-8 text") from None

    def _lines(self, file: Any) -> Iterator[str]:
        done = told = 0
        while line := file.readline(_MOST_LINE):
            if "\0" in line:
                raise self._unusable("it holds bytes that are no text")
            done += len(line)
            if self._progress and done - told > 1 << 20:
                told = done
                self._progress(min(done, self._size), self._size)
            yield line
        if self._progress:
            self._progress(self._size, self._size)

    def _problem(self, line: int, what: str) -> None:
        self._unread += 1
        if self._unread <= _TOLD:
            self._problems.append(f"{self._path}:{line}: {what}")

    # --- one row a step --------------------------------------------------------------------------

    def _take_wide(self, header: list[str], rows: Iterator[tuple[int, list[str]]]) -> None:
        lowered = [column.lower() for column in header]
        if self._step and self._step not in header:
            raise InvalidInput(
                f"{self._path} has no column {self._step}", f"columns: {', '.join(header[:20])}"
            )
        at = next((lowered.index(column) for column in _STEPS if column in lowered), None)
        if self._step:
            at = header.index(self._step)
        epoch_at = lowered.index("epoch") if "epoch" in lowered else None
        columns: dict[str, int] = {}
        for index, column in enumerate(header):
            if index in (at, epoch_at) or not column:
                continue
            if column in columns or len(column.encode("utf-8", "replace")) > _MOST_NAME:
                why = "its name is too long"
                if column in columns:
                    why = "there is one of that name before it"
                self._left_out[f"column {column[:40]}: {why}"] = 0
            else:
                columns[column] = index
        run: _Run | None = None
        for count, (line, cells) in enumerate(rows):
            if run is None:
                run = self._run_of(header, cells)
                if run is None:
                    return
            if len(cells) != len(header):
                self._problem(line, f"{len(cells)} cells under {len(header)} columns")
                if len(cells) < len(header):
                    continue
            step = count if at is None else _whole(cells[at])
            if step is None:
                self._problem(line, f"{cells[at or 0][:40]!r} is no step")
                continue
            epoch = None if epoch_at is None else _whole(cells[epoch_at])
            points = []
            for column, index in columns.items():
                cell = cells[index].strip()
                value = _number(cell)
                if value is not None:
                    points.append(_Point(column, step, epoch, self._modified, value))
                elif cell:
                    self._left_out[column] = self._left_out.get(column, 0) + 1
            run.say(points, timed=False)
        if run is None:
            raise self._unusable("it has no rows")

    def _run_of(self, header: list[str], first: list[str]) -> _Run | None:
        stem = self._path.stem
        name = self._name or (
            self._path.resolve().parent.name if stem.lower() in _TOO_GENERAL else stem
        )
        content = [str(len(header)), *header, *first]
        return self._open(derived_id(_SYSTEM, self._project, name, *content), name)

    def _open(self, id: str, name: str) -> _Run | None:
        if id not in self._runs:
            if id in self._purged:
                self._left_out[f"{name}: it was purged here"] = 0
                self._runs[id] = None
            elif len(self._runs) >= _MOST_RUNS:
                raise self._unusable(f"it names more than {_MOST_RUNS} runs")
            else:
                self._runs[id] = _Run(
                    self._workspace, id, name, self._project, self._path, self._modified
                )
        return self._runs[id]

    # --- one row a point -------------------------------------------------------------------------

    def _take_long(self, rows: Iterator[tuple[int, list[str]]]) -> None:
        for line, cells in rows:
            if len(cells) != len(COLUMNS):
                self._problem(line, f"{len(cells)} cells under {len(COLUMNS)} columns")
                continue
            given, name, key, step_text, epoch_text, time_text, value_text = map(_unescaped, cells)
            step, t, value = _whole(step_text), _time(time_text), _number(value_text)
            if step is None or t is None or value is None or len(key) > _MOST_NAME:
                self._problem(line, "step, time or value cannot be read")
                continue
            run = self._open(derived_id(_SYSTEM, self._project, given), self._name or name)
            if run is not None:
                run.say([_Point(key, step, _whole(epoch_text), t, value)], timed=True)
        if not self._runs and not self._problems:
            raise self._unusable("it has no rows")


class _Run:
    """A run, and which of its points earlier imports brought."""

    def __init__(
        self, workspace: Folder, id: str, name: str, project: str, source: Path, modified: int
    ) -> None:
        place = workspace.run_folder(id) or workspace.new_run_folder(id, name)
        self._opened = Opened(
            run=id,
            attempt=1,
            project=project,
            name=name[:_MOST_NAME],
            source=f"{_SYSTEM}:{source.name}",
            owner=NO_PROCESS,
        )
        facts = Facts(workspace, id, 1, derived_id("stream", id, "facts"))
        facts.say(self._opened, modified)
        facts.say(Finished(status="finished"), modified)
        facts.close()
        self._new, self._known = facts.new, facts.known
        writer = derived_id("stream", id, "points")
        path = place / "journal" / f"{writer}.jsonl"
        self._there: set[tuple[str, int, Number, int]] = set()
        if path.exists():
            for line in read_journal(path).lines:
                body = line.entry.body if line.entry is not None else None
                if line.entry is not None and isinstance(body, Metrics) and body.step is not None:
                    for key, value in body.values.items():
                        self._there |= {
                            (key, body.step, value, line.entry.t),
                            (key, body.step, value, 0),
                        }
        self._writer = Writer(place / "journal", run=id, writer=writer)

    def say(self, points: list[_Point], *, timed: bool) -> None:
        """Record the points of one step, without those that are there.

        Parameters
        ----------
        timed
            Whether each point's time is its own, and tells it from others.
        """
        new = {
            p.key: p
            for p in points
            if (p.key, p.step, p.value, p.t if timed else 0) not in self._there
        }
        self._known += len(points) - len(new)
        for part in _parts(list(new.values())):
            first = part[0]
            body = Metrics(
                values={p.key: p.value for p in part}, step=first.step, epoch=first.epoch
            )
            self._writer.append(body, first.t)
            self._new += len(part)

    def imported(self) -> ImportedRun:
        return ImportedRun(
            id=self._opened.run,
            name=self._opened.name,
            project=self._opened.project,
            source=self._opened.source,
            new=self._new,
            known=self._known,
        )

    def close(self) -> None:
        self._writer.close()


def _parts(points: list[_Point], most: int = 100) -> Iterator[list[_Point]]:
    for at in range(0, len(points), most):
        yield points[at : at + most]


def _dialect(header: str) -> type[csv.Dialect] | csv.Dialect:
    """Return how the file separates cells: as its header does, by comma, semicolon or tab."""

    class Dialect(csv.excel):
        delimiter = max(",;\t", key=header.count)
        skipinitialspace = True

    return Dialect


def _unescaped(cell: str) -> str:
    """Take back what keeps a name from being a formula in a spreadsheet."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in FORMULA else cell


def _number(cell: str) -> Number | None:
    try:
        return None if "_" in cell else to_wire(float(cell))
    except ValueError:
        return None


def _whole(cell: str) -> int | None:
    try:
        value = float(cell)
        whole = int(cell) if cell.strip().lstrip("+-").isdecimal() else int(value)
    except (ValueError, OverflowError):
        return None
    return whole if whole == value and abs(whole) < 2**63 else None


def _time(cell: str) -> int | None:
    try:
        moment = datetime.fromisoformat(cell)
        return round(moment.timestamp() * 1e6) if moment.tzinfo else None
    except (ValueError, OverflowError, OSError):
        return None
