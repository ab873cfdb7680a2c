"""``results.csv``, in the forms that Ultralytics 8.0 to 8.4 and what came after crashes give it.

Older releases pad names with spaces; the first ones count epochs from 0; columns differ between
models and tasks; a resumed training's time starts again; a crash tears the last line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Row", "Table", "read_table"]

_MOST = 256 << 20
"""Bytes that are read: a million epochs have less."""
_CENTURY = 100 * 365.25 * 86_400.0
_LONGEST = 250
"""Bytes of a metric's name."""


@dataclass(frozen=True, slots=True)
class Row:
    """One epoch."""

    epoch: int
    """Counted from 1."""
    time: float
    """Seconds since the attempt began; NaN where the release did not write it."""
    values: dict[str, float]


@dataclass(slots=True)
class Table:
    """The rows, and what could not be read."""

    attempts: list[list[Row]] = field(default_factory=list)
    """The rows of each start: a resumed training goes on in the same file."""
    final: Row | None = None
    """A last row that is no epoch but the evaluation of the best weights."""
    problems: list[str] = field(default_factory=list)
    first_line: str = ""
    """The first row as it stands, without padding."""

    @property
    def epochs(self) -> int:
        """The last epoch there is."""
        return max((row.epoch for rows in self.attempts for row in rows), default=0)


def read_table(path: Path, epochs: int | None = None) -> Table:
    """Read a ``results.csv``. What cannot be read is left out and named.

    Parameters
    ----------
    epochs
        How many were asked for: a row behind them is the final evaluation.

    Raises
    ------
    OSError
        If the file cannot be read at all.
    """
    with path.open("rb") as file:
        data = file.read(_MOST)
    table = Table()
    if len(data) == _MOST:
        table.problems.append(f"{path}: only the first {_MOST >> 20} MiB were read")
    lines = data.decode("utf-8-sig", "replace").splitlines()
    names = [name.strip() for name in lines[0].split(",")] if lines else []
    if "epoch" not in names:
        table.problems.append(f"{path}: line 1 names no column 'epoch'; nothing was read")
        return table
    table.problems += [
        f"{path}: a column's name of {len(name)} characters" for name in names if _is_long(name)
    ]
    is_torn = not data.endswith(b"\n")
    rows: list[Row] = []
    for number, line in enumerate(lines[1:], start=2):
        cells = [cell.strip() for cell in line.split(",")]
        if not line.strip() or cells == names:
            continue
        if is_torn and number == len(lines):
            table.problems.append(f"{path}: line {number} is being written, or torn")
            continue
        row = _row(names, cells)
        if isinstance(row, str):
            table.problems.append(f"{path}: line {number} {row}")
            continue
        table.first_line = table.first_line or ",".join(cells)
        rows.append(row)
    if rows and rows[0].epoch == 0:  # the first releases counted so
        rows = [Row(row.epoch + 1, row.time, row.values) for row in rows]
    _divide(table, rows, epochs)
    return table


def _is_long(name: str) -> bool:
    return len(name.encode()) > _LONGEST


def _row(names: list[str], cells: list[str]) -> Row | str:
    """Return the row, or what is wrong with it."""
    if len(cells) != len(names):
        return f"has {len(cells)} of {len(names)} columns"
    values: dict[str, float] = {}
    for name, cell in zip(names, cells, strict=True):
        if not cell or _is_long(name):
            continue
        try:
            values[name] = float(cell)
        except ValueError:
            return f"holds {cell[:40]!r} as {name}"
    epoch = values.pop("epoch", math.nan)
    if not epoch.is_integer() or not 0 <= epoch < 1 << 53:
        return f"has no epoch: {cells[names.index('epoch')][:40]!r}"
    time = values.pop("time", math.nan)
    return Row(int(epoch), time if 0 <= time < _CENTURY else math.nan, values)


def _divide(table: Table, rows: list[Row], epochs: int | None) -> None:
    """Divide the rows into attempts, and take a final evaluation off the end."""
    if len(rows) > 1:
        before, last = rows[-2:]
        is_later = not last.time < before.time
        beyond = epochs is not None and before.epoch == epochs and last.epoch > epochs
        if is_later and (beyond or last.epoch == before.epoch):
            table.final = rows.pop()
    for row in rows:
        earlier = table.attempts[-1][-1] if table.attempts else None
        if earlier is None or row.epoch <= earlier.epoch or row.time < earlier.time:
            table.attempts.append([])
        table.attempts[-1].append(row)
