"""How lists of runs look in a terminal, from narrow to wide."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.table import Table
from rich.text import Text

from epochal.analysis.metrics import Metric, format_value
from epochal.cli.common import age, duration, shortened

if TYPE_CHECKING:
    from rich.console import Console

    from epochal.cli.run_list import RunLine, RunList
    from epochal.store.run_table import Group

__all__ = ["STATUS_MARKS", "draw_groups", "draw_runs", "status_mark"]

STATUS_MARKS = {
    # A shape of its own for each, so that nothing depends on colour.
    "running": ("▶", "bold cyan"),
    "finished": ("●", "green"),
    "failed": ("✗", "bold red"),
    "killed": ("■", "magenta"),
    "stale": ("○", "yellow"),
}

_GAP = 2
_NAME = 28
"""Columns that a name keeps before others are left out for it."""

_PINS = {"drifted": ("≠ drifted", "red"), "untagged": ("untagged", "yellow")}


class _Column(NamedTuple):
    title: str
    cell: Callable[[RunLine], Text]
    gives_way: int = 0
    """The higher, the sooner it is left out where the terminal is narrow; 0: never."""
    right: bool = False


def status_mark(status: str) -> Text:
    """Return the mark of a status."""
    mark, style = STATUS_MARKS[status]
    return Text(mark, style=style)


def draw_runs(out: Console, found: RunList, metric: Metric, hint: str = "") -> None:
    """Print the list.

    Parameters
    ----------
    metric
        The one that `found` is about.
    hint
        What to do where nothing is listed, or nothing of the metric.
    """
    out.print(_headline(found, metric))
    if not found.runs:
        out.print(Text(hint, style="dim"))
        return
    columns = _columns(found, metric)
    cells = [[column.cell(line) for line in found.runs] for column in columns]
    widths = _fitting(columns, cells, out.width)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for place, width in widths.items():
        table.add_column(
            columns[place].title,
            justify="right" if columns[place].right else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=width,
        )
    for row in zip(*(cells[place] for place in widths), strict=True):
        table.add_row(*row)
    out.print(table)
    _print_foot(out, found)
    if hint:
        out.print(Text(hint, style="yellow"))


def _width(column: _Column, cells: Sequence[Text]) -> int:
    return max(len(column.title), *(cell.cell_len for cell in cells))


def _fitting(
    columns: Sequence[_Column], cells: Sequence[Sequence[Text]], width: int
) -> dict[int, int]:
    """Return place -> width of the columns that fit; left out are those that give way first."""
    full = [_width(column, own) for column, own in zip(columns, cells, strict=True)]
    name = next(place for place, column in enumerate(columns) if column.title == "name")
    kept = {place: min(w, _NAME) if place == name else w for place, w in enumerate(full)}

    def left() -> int:
        return width - sum(kept.values()) - _GAP * (len(kept) - 1)

    for place in sorted(kept, key=lambda p: -columns[p].gives_way):
        if left() >= 0 or not columns[place].gives_way:
            break
        del kept[place]
    # The name takes what is left, or makes up for what is missing.
    kept[name] = max(8, min(full[name], kept[name] + left()))
    return kept


def _headline(found: RunList, metric: Metric) -> Text:
    better = {"max": ", more is better", "min": ", less is better"}.get(found.direction, "")
    count = f"{found.total} run{'' if found.total == 1 else 's'}"
    return Text.assemble(
        (found.project or "all projects", "bold"), (f"  {count}, {metric.name}{better}", "dim")
    )


def _print_foot(out: Console, found: RunList) -> None:
    if found.total > len(found.runs):
        out.print(Text(f"{found.total - len(found.runs)} more; --limit 0 lists all", style="dim"))
    for line in [line for line in found.runs if line.dropped][:3]:
        lost = f"{line.dropped:,} records of {shortened(line.name, 40)} were lost: "
        out.print(Text.assemble((lost, "bold red"), f"epochal show {line.id[:8]}"))
    here = {line.status for line in found.runs} - {"finished"}
    if here:
        legend = Text("")
        for status in ("running", "failed", "killed", "stale"):
            if status in here:
                legend.append_text(status_mark(status)).append(f" {status}  ", style="dim")
        out.print(legend)


def _columns(found: RunList, metric: Metric) -> list[_Column]:
    asked = list(dict.fromkeys(name for line in found.runs for name in line.columns))
    columns = [
        _Column("", lambda line: status_mark(line.status)),
        _Column("name", _name),
        _Column("id", lambda line: Text(line.id[:8], style="dim"), gives_way=4),
    ]
    if found.project is None:
        columns.append(_Column("project", lambda line: _plain(line.project, 20)))
    if metric.direction:
        columns.append(_Column("best", _number(metric, "best"), right=True))
    columns.append(_Column("last", _number(metric, "last"), gives_way=2, right=True))
    columns += [
        _Column(_title(name), _asked(name), right=_is_numeric(found, name)) for name in asked
    ]
    columns += [
        _Column("age", lambda line: Text(age(line.created), style="dim"), 1, right=True),
        _Column("took", lambda line: Text(duration(line.duration), style="dim"), 3, right=True),
        _Column("data", _data, 5),
        _Column("lesson", _lesson, 3),
    ]
    if any(line.tags for line in found.runs):
        columns.append(_Column("tags", lambda line: _plain(" ".join(line.tags), 30), 6))
    return columns


def _name(line: RunLine) -> Text:
    name = Text(shortened(line.name, 48))
    for alias in line.aliases:
        name.append(f" ★{alias}", style="bold yellow")
    return name


def _number(metric: Metric, field: str) -> Callable[[RunLine], Text]:
    def cell(line: RunLine) -> Text:
        value = getattr(line, field)
        style = "dim" if value is None else ("bold" if field == "best" else "")
        if field == "best" and value is None and line.metric:
            return Text("NaN", style="red")
        return Text(format_value(metric, value), style=style)

    return cell


def _data(line: RunLine) -> Text:
    if not line.dataset:
        return Text("–", style="dim")
    shown = line.dataset
    if os.sep in shown:
        shown = shown.rpartition(os.sep)[2]
    found = _plain(shown, 26)
    if line.pin in _PINS:
        text, style = _PINS[line.pin]
        found.append(f" {text}", style=style)
    return found


def _lesson(line: RunLine) -> Text:
    if line.lesson:
        return Text("✓", style="green")
    return Text("–" if line.status == "running" else "missing", style="dim")


def _asked(name: str) -> Callable[[RunLine], Text]:
    return lambda line: _plain(_shown(line.columns.get(name)), 32)


def _title(name: str) -> str:
    return shortened(name.removeprefix("config."), 28)


def _is_numeric(found: RunList, name: str) -> bool:
    values = [line.columns.get(name) for line in found.runs]
    return all(isinstance(v, (int, float)) for v in values if v is not None)


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (tuple, list)):
        return " ".join(map(_shown, value))
    return str(value)


def _plain(text: str, width: int) -> Text:
    return Text(shortened(text, width))


def draw_groups(
    out: Console,
    by: Sequence[str],
    groups: Sequence[Group],
    metric: Metric,
    statistic: str,
    names: Mapping[str, str],
) -> None:
    """Print groups of runs, each with the metric's mean and spread.

    Parameters
    ----------
    by
        The fields grouped by.
    statistic
        ``best`` or ``last``: which value of each run counts.
    names
        Run id -> name.
    """
    out.print(
        Text.assemble((f"{statistic} {metric.name}", "bold"), ("  mean ± sd over runs", "dim"))
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in by:
        table.add_column(_title(name), no_wrap=True)
    table.add_column("runs", justify="right")
    table.add_column("mean", justify="right", no_wrap=True)
    table.add_column("sd", justify="right", no_wrap=True)
    table.add_column("names", overflow="ellipsis", no_wrap=True)
    for group in groups:
        spread = group.std[0]
        shown = ", ".join(names.get(run, run[:8]) for run in group.ids[:6])
        table.add_row(
            *(_plain(_shown(value), 32) for value in group.by),
            str(group.n),
            Text(format_value(metric, group.mean[0]), style="bold"),
            Text(f"± {format_value(metric, spread)}" if spread is not None else "–", style="dim"),
            Text(shortened(shown, 200) + (" …" if group.n > 6 else ""), style="dim"),
        )
    out.print(table)
