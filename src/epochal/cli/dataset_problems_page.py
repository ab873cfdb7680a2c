"""How what is wrong with a dataset looks in a terminal: problems and leaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from epochal.cli.common import console
from epochal.datasets.leaks import summarize_leaks
from epochal.datasets.problems import printable

if TYPE_CHECKING:
    from epochal.datasets import Leak, Problem, Scan

__all__ = ["print_leaks", "print_problems"]

_SHOWN = 20
_LEAKS_SHOWN = 40
_WIDE = 90
"""Columns from which a problem fits on a row of a table."""
_STYLES = {"fatal": "bold red", "error": "red", "warning": "yellow"}
"""Worst first."""


def print_problems(scan: Scan, *, stderr: bool = False) -> None:
    """Print what is wrong with the data, worst first."""
    out = console(stderr=stderr)
    order = list(_STYLES)
    problems = sorted(scan.problems, key=lambda p: order.index(p.severity))
    root = scan.data.root
    if problems and out.width >= _WIDE:
        out.print(_table(problems[:_SHOWN], root))
    else:
        for problem in problems[:_SHOWN]:
            where = Text(f" {_near(problem.place, root)}")
            out.print(Text(problem.severity, style=_STYLES[problem.severity]) + where)
            for line, style in ((problem.problem, ""), (problem.remedy, "dim")):
                if line:
                    out.print(Padding(Text(line, style=style), (0, 0, 0, 2), expand=False))
    if problems:
        counts = Counter(problem.severity for problem in problems)
        said = ", ".join(_counted(n, severity) for severity, n in counts.items())
        more = f", {_SHOWN} shown; --json has all" if len(problems) > _SHOWN else ""
        out.print(Text(f"{said}{more}", style="dim"))
    if scan.orphan_labels:
        n = len(scan.orphan_labels)
        first = _near(scan.orphan_labels[0], root)
        files = f"1 label file has no image: {first}" if n == 1 else ""
        said = files or f"{n} label files have no image, the first is {first}"
        out.print(Text(f"note: {said}", style="yellow"))


def _table(problems: Sequence[Problem], root: str) -> Table:
    table = _columns("", "where", "problem", "remedy")
    for problem in problems:
        table.add_row(
            Text(problem.severity, style=_STYLES[problem.severity]),
            Text(_near(problem.place, root)),
            Text(problem.problem),
            Text(problem.remedy, style="dim"),
        )
    return table


def _columns(*titles: str, header: bool = True) -> Table:
    table = Table(
        box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False, show_header=header
    )
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _counted(number: int, severity: str) -> str:
    word = "fatal problem" if severity == "fatal" else severity
    return f"{number} {word}{'' if number == 1 else 's'}"


def _near(file: str, root: str) -> str:
    return file.removeprefix(f"{root.rstrip('/')}/")


def print_leaks(leaks: Sequence[Leak], *, pixels: bool) -> None:
    """Print the images that are in more than one split: a line each, or one for each place."""
    out = console()
    if not leaks:
        how = "by their pixels" if pixels else "byte for byte; --pixels looks deeper"
        out.print(f"no image is in two splits, {how}")
        return
    out.print(Text(summarize_leaks(leaks), style="bold red"))
    shown = leaks[:_LEAKS_SHOWN]
    lines = [
        "  " + "  =  ".join(f"{split}: {printable(path)}" for split, path in leak.places)
        for leak in shown
    ]
    if all(len(line) <= out.width for line in lines):
        for line in lines:
            out.print(Text(line))
    else:
        out.print(_places(shown))
    if len(leaks) > _LEAKS_SHOWN:
        out.print(Text(f"and {len(leaks) - _LEAKS_SHOWN} more: --json", style="dim"))


def _places(leaks: Sequence[Leak]) -> Table:
    table = _columns("split", "path", header=False)
    for leak in leaks:
        for index, (split, path) in enumerate(leak.places):
            table.add_row(Text(f"{'=' if index else ' '} {split}"), Text(printable(path)))
    return table
