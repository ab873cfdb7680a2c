"""Curves drawn in characters: dots in braille where the terminal can, plain letters where not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["COLOURS", "Line", "chart"]

COLOURS = (
    "blue",
    "yellow",
    "green",
    "magenta",
    "cyan",
    "red",
    "bright_blue",
    "bright_green",
    "bright_magenta",
    "bright_yellow",
)
"""Of the lines in their order; again from the first after the last."""

_DOT = (0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80)
"""Bit of the braille dot at (row, column) of a cell of 4 x 2, by row * 2 + column."""
_BLANK = 0x2800
_LARGEST = 1e300
"""What is larger is drawn as a gap, like NaN and infinity: differences of it overflow."""


class Line(NamedTuple):
    """One curve: finite or not, x ascending; a value that is not finite is a gap."""

    letter: str
    x: Sequence[float]
    y: Sequence[float]


def chart(
    lines: Sequence[Line],
    *,
    width: int,
    height: int = 14,
    dots: bool = True,
    title: str = "",
    x_title: str = "",
    y_text: Callable[[float], str] = "{:.3g}".format,
) -> list[Text]:
    """Return the rows of a chart of `lines`, later ones on top; none where there is no point.

    Parameters
    ----------
    width, height
        Characters of the whole chart with its axes; rows of the plotting area.
    dots
        Draw in braille; else each line is drawn with its letter, on a frame of ASCII.
    y_text
        How a value on the axis is written.
    """
    from rich.text import Text

    points = [
        [
            (x, y) if abs(x) < _LARGEST and abs(y) < _LARGEST else None
            for x, y in zip(a, b, strict=True)
        ]
        for _, a, b in lines
    ]
    finite = [p for line in points for p in line if p is not None]
    if not finite:
        return []
    left, right = _range(x for x, _ in finite)
    low, high = _range(y for _, y in finite)
    ticks = _ticks(low, high, max(2, height // 3))
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    labels = {_place(tick, low, high, height): y_text(tick) for tick in ticks}
    margin = max(map(len, labels.values())) + 1
    columns = max(8, width - margin - 2)
    grid = _Grid(columns, height, dots)
    for place, line in enumerate(points):
        mark = lines[place].letter
        before: tuple[float, float] | None = None
        for point in line:
            if point is None:
                before = None
                continue
            here = (
                (point[0] - left) / (right - left),
                (high - point[1]) / (high - low),
            )
            grid.stroke(before or here, here, place, mark)
            before = here
    edge, corner, floor = ("┤", "└", "─") if dots else ("|", "+", "-")
    rows = [Text(" " * margin + f" {title}", style="dim")] if title else []
    for row in range(height):
        label = labels.get(row, "")
        side = edge if label or not dots else "│"
        rows.append(Text.assemble((f"{label:>{margin}}{side}", "dim"), *grid.row(row)))
    rows.append(Text(" " * margin + corner + floor * columns, style="dim"))
    rows.append(Text(" " * (margin + 1) + _x_labels(left, right, columns, x_title), style="dim"))
    return rows


class _Grid:
    """The plotting area: what stands in each cell, and whose it is."""

    def __init__(self, columns: int, rows: int, dots: bool) -> None:
        self.columns, self.rows, self.dots = columns, rows, dots
        self.bits = [[0] * columns for _ in range(rows)]
        self.owner = [[-1] * columns for _ in range(rows)]
        self.mark = [[" "] * columns for _ in range(rows)]

    def stroke(
        self, start: tuple[float, float], end: tuple[float, float], owner: int, mark: str
    ) -> None:
        """Draw from `start` to `end`, each (right, down) as shares of the area."""
        across, down = (2, 4) if self.dots else (1, 1)
        width, height = self.columns * across - 1, self.rows * down - 1
        x0, y0 = round(start[0] * width), round(start[1] * height)
        x1, y1 = round(end[0] * width), round(end[1] * height)
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(steps + 1):
            x, y = round(x0 + (x1 - x0) * i / steps), round(y0 + (y1 - y0) * i / steps)
            row, column = y // down, x // across
            self.bits[row][column] |= _DOT[(y % down) * 2 + x % across] if self.dots else 1
            self.owner[row][column] = owner
            self.mark[row][column] = mark

    def row(self, row: int) -> list[tuple[str, str]]:
        """Return the cells of a row, each with its colour."""
        return [
            (self._cell(row, column), COLOURS[owner % len(COLOURS)] if owner >= 0 else "")
            for column, owner in enumerate(self.owner[row])
        ]

    def _cell(self, row: int, column: int) -> str:
        bits = self.bits[row][column]
        if not bits:
            return " "
        return chr(_BLANK + bits) if self.dots else self.mark[row][column]


def _range(values: object) -> tuple[float, float]:
    found: list[float] = list(values)  # type: ignore[call-overload] # any iterable of floats
    low, high = min(found), max(found)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-290):
        pad = max(abs(low) * 0.05, 1e-280) if low else 0.5
        return low - pad, high + pad
    return low, high


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    """Return round values from at or below `low` to at or above `high`, about `wanted` of them."""
    span = (high - low) / wanted
    if not math.isfinite(span) or span <= 0:
        return [low, high]
    size = 10.0 ** math.floor(math.log10(span))
    step = next((m * size for m in (1, 2, 2.5, 5, 10) if m * size >= span), 10 * size)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [i * step for i in range(first, last + 1)]


def _place(value: float, low: float, high: float, height: int) -> int:
    return round((high - value) / (high - low) * (height - 1))


def _x_labels(left: float, right: float, columns: int, title: str) -> str:
    """Return first, middle and last x, with what they count behind the first."""
    first, last = f"{left:g}", f"{right:g}"
    middle = f"{title}"
    line = [" "] * columns
    for text, at in (
        (first, 0),
        (middle, (columns - len(middle)) // 2),
        (last, columns - len(last)),
    ):
        if at >= 0:
            line[at : at + len(text)] = text
    return "".join(line)
