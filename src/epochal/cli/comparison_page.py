"""How a comparison looks in a terminal: sentences, curves, tables; runs go by letters."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from epochal.analysis.curve_comparison import flag_words
from epochal.analysis.metrics import Metric, format_value
from epochal.cli.chart import COLOURS, Line, chart

if TYPE_CHECKING:
    from rich.console import Console

    from epochal.comparison import ClassRow, Comparison, PointRow, SplitTable
    from epochal.decisions.charter import Charter

__all__ = ["print_comparison"]

_WIDE = 110
_CHANGES = 10
_SAID = 5
"""Changes that the sentence about a run names itself."""
_SPOKEN = 3
"""Up to so many runs each curve gets its sentence; of more only what is odd is said."""


def print_comparison(
    out: Console, comparison: Comparison, metric: Metric, charter: Charter, *, classes: int
) -> None:
    """Print all of a comparison.

    Parameters
    ----------
    metric
        What was compared on.
    charter
        Says which share of its AP a class has to keep.
    classes
        How many classes to list per split; those that changed most come first.
    """
    letters = _letters(len(comparison.runs))
    _print_head(out, comparison, metric)
    _print_verdicts(out, comparison, letters)
    _print_curves(out, comparison, metric, letters)
    _print_stability(out, comparison, metric, letters)
    _print_changes(out, comparison)
    for table in comparison.splits:
        _print_split(out, table, charter, letters, classes)
    _print_lessons(out, comparison, letters)


def _letters(count: int) -> list[str]:
    alphabet = string.ascii_uppercase + string.ascii_lowercase
    return [alphabet[i % len(alphabet)] for i in range(count)]


def _heading(out: Console, text: str, note: str = "") -> None:
    out.print()
    out.print(Text.assemble((text, "bold"), (f"  {note}" if note else "", "dim")))


def _letter(letters: list[str], place: int) -> Text:
    return Text(letters[place], style=f"bold {COLOURS[place % len(COLOURS)]}")


def _print_head(out: Console, comparison: Comparison, metric: Metric) -> None:
    better = "more is better" if comparison.direction == "max" else "less is better"
    unit = "0-1" if metric.unit == "ratio" else metric.unit
    said = ", ".join(filter(None, (unit, better, f"against {comparison.runs[0].name}")))
    out.print(Text.assemble((metric.name, "bold"), (f"  {said}", "dim")))


def _print_verdicts(out: Console, comparison: Comparison, letters: list[str]) -> None:
    for place, sentences in enumerate(comparison.verdicts, 1):
        for i, sentence in enumerate(sentences):
            mark = _letter(letters, place) if i == 0 else Text(" ")
            out.print(_hanging(mark, Text(sentence, style=_tone(sentence, first=i == 0))))
    for table in comparison.splits:
        for name, reasons in table.not_comparable.items():
            for reason in reasons:
                said = f"NOT COMPARABLE on {table.split}: {name}: {reason}"
                out.print(Text(said, style="bold red"))
    for note in comparison.notes:
        out.print(Text(f"note: {note}", style="yellow"))


def _hanging(mark: Text, text: Text) -> Table:
    """Return a paragraph that hangs behind its mark."""
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_column(width=mark.cell_len, no_wrap=True)
    row.add_column(overflow="fold")
    row.add_row(mark, text)
    return row


def _tone(sentence: str, *, first: bool) -> str:
    if sentence.startswith("CONFOUNDED"):
        return "bold red"
    return "bold" if first else ""


def _print_curves(
    out: Console, comparison: Comparison, metric: Metric, letters: list[str]
) -> None:
    lines = [
        Line(letter, [x for x, _ in points], [float(y) for _, y in points])
        for letter, points in zip(letters, comparison.curves.values(), strict=True)
    ]
    rows = chart(
        lines,
        width=min(out.width, 140),
        height=14 if out.width < _WIDE else 18,
        dots=out.encoding.lower().startswith("utf") and out.color_system is not None,
        x_title=comparison.x,
        y_text=lambda value: format_value(metric, value),
    )
    if not rows:
        return
    out.print()
    for row in rows:
        out.print(row, no_wrap=True, overflow="crop")


def _print_stability(
    out: Console, comparison: Comparison, metric: Metric, letters: list[str]
) -> None:
    """Print level, speed and steadiness of every curve: three families, never added up."""
    out.print()
    _print_fitting(
        out,
        [partial(_curves_table, comparison, metric, letters, tight) for tight in (0, 1)],
    )
    first = comparison.runs[0].name
    out.print(
        Text(
            f"90 %: of {first}'s level, where the curve stays. End: mean of the last evaluations. "
            "Noise: sd between evaluations; between seeds it is larger.",
            style="dim",
        )
    )
    if len(comparison.runs) <= _SPOKEN:
        for place, row in enumerate(comparison.runs):
            out.print(_hanging(_letter(letters, place), Text(row.verdict)))
        return
    for place, row in enumerate(comparison.runs):
        said = flag_words(row.curve.stats) if row.key else (row.verdict,)
        if said:
            out.print(_hanging(_letter(letters, place), Text(", ".join(said))))


def _curves_table(comparison: Comparison, metric: Metric, letters: list[str], tight: int) -> Table:
    """Return one row a run; `tight` leaves out what can be done without."""
    table = Table(
        box=None, padding=(0, 1 if tight else 2, 0, 0), header_style="dim", pad_edge=False
    )
    table.add_column("", width=1, no_wrap=True)
    table.add_column("run", overflow="ellipsis", no_wrap=True, max_width=22 if tight else 44)
    columns = ["best", f"at {comparison.x}", "last", "end", "90 % at"]
    columns += ["noise"] if tight else ["after", "noise", "drawdown"]
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for place, row in enumerate(comparison.runs):
        stats = row.curve.stats
        reach = next((r for r in stats.reach if r.share == 0.9), None)
        reached = "–" if reach is None else "never" if reach.x is None else f"{math.ceil(reach.x)}"
        seconds = reach.seconds if reach is not None else None
        cells = [
            format_value(metric, stats.best),
            "–" if stats.best_x is None else f"{stats.best_x:g}",
            format_value(metric, stats.last),
            format_value(metric, stats.last_k_mean),
            reached,
            *([] if tight else ["–" if seconds is None else _clock(seconds)]),
            _small(metric, stats.noise_mad),
            *([] if tight else [_small(metric, stats.max_drawdown)]),
        ]
        # a run that ended as it should needs no word
        status = "" if row.status == "finished" else row.status
        table.add_row(_letter(letters, place), row.name, *cells, Text(status, style="red"))
    return table


def _small(metric: Metric, value: float | None) -> str:
    """Return a spread: of a ratio in points, as differences are."""
    if value is None:
        return "–"
    return f"{value * 100:.2f} pt" if metric.unit == "ratio" else format_value(metric, value)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _print_changes(out: Console, comparison: Comparison) -> None:
    """Print what the sentences at the top had no room for: many changes, data, resolved values."""
    listed = [
        d
        for d in comparison.differences
        if d.count > _SAID or d.config.effective or (d.dataset and not d.unpinned)
    ]
    unpinned = list(dict.fromkeys(name for d in comparison.differences for name in d.unpinned))
    if listed or unpinned:
        _heading(out, "What changed", f"against {comparison.runs[0].name}")
    for difference in listed:
        count = f"{difference.count} change{'' if difference.count == 1 else 's'}"
        word = ", confounded" if difference.confounded else ""
        out.print(Text.assemble((difference.after, "bold"), f"  {count}", (word, "bold red")))
        for change in difference.config.changes[:_CHANGES]:
            out.print(Text(f"  {change}"))
        if difference.count > _CHANGES:
            out.print(Text(f"  and {difference.count - _CHANGES} more: --json", style="dim"))
        if difference.dataset and not difference.unpinned:
            out.print(Text(f"  data: {difference.dataset}"))
        if effective := difference.config.effective:
            shown = ", ".join(map(str, effective[:4]))
            out.print(Text(f"  the trainer resolved differently: {shown}", style="dim"))
    if unpinned:
        who = "any of these runs" if len(unpinned) == len(comparison.runs) else ", ".join(unpinned)
        out.print(Text(f"data: no dataset is pinned for {who}", style="yellow"))


def _print_split(
    out: Console, table: SplitTable, charter: Charter, letters: list[str], classes: int
) -> None:
    counted = f"{table.images} images, " if table.images else ""  # not every client says
    _heading(out, f"On {table.split}", counted + table.evaluator)
    for condition in table.conditions:
        out.print(Text(f"measured with {condition}", style="dim"))
    if table.not_comparable:
        who = ", ".join(letters[table.runs.index(name)] for name in table.not_comparable)
        out.print(Text(f"not comparable with {letters[0]}: {who}", style="bold red"))
    if table.missing:
        who = ", ".join(letters[place] for place in table.missing)
        out.print(Text(f"not measured by this evaluator: {who}", style="yellow"))
    shown = [place for place in range(len(letters)) if place not in table.missing]
    _print_columns(out, shown, partial(_metrics_table, table, letters))
    if table.classes:
        out.print()
        _print_columns(out, shown, partial(_class_table, table, charter, letters, classes))
        if len(table.classes) > classes:
            out.print(
                Text(
                    f"{classes} of {len(table.classes)} classes, the largest drops first; "
                    "--classes N lists more",
                    style="dim",
                )
            )
    if table.operating_points:
        out.print()
        points = table.operating_points
        _print_columns(out, shown, partial(_points_table, points, letters))


def _print_columns(
    out: Console, places: list[int], build: Callable[[list[int], int], Table]
) -> None:
    """Print a table with a column a run, as tight as it must be, in parts where it must be."""
    part = list(places)
    while len(part) > 1 and _width(out, build(part, 2)) > out.width:
        part = part[: -(-len(part) // 2)]
    for start in range(0, len(places), len(part)):
        some = places[start : start + len(part)]
        _print_fitting(out, [partial(build, some, tight) for tight in range(3)])


def _print_fitting(out: Console, tables: Sequence[Callable[[], Table]]) -> None:
    """Print the first of the tables that fits the terminal, else the last."""
    for build in tables[:-1]:
        table = build()
        if _width(out, table) <= out.width:
            out.print(table)
            return
    out.print(tables[-1]())


def _width(out: Console, table: Table) -> int:
    return Measurement.get(out, out.options.update(max_width=10_000), table).maximum


def _grid(letters: list[str], places: list[int], tight: int, *first: str) -> Table:
    table = Table(
        box=None, padding=(0, 1 if tight else 2, 0, 0), header_style="dim", pad_edge=False
    )
    for i, title in enumerate(first):
        table.add_column(
            title,
            justify="right" if i else "left",
            overflow="ellipsis",
            no_wrap=True,
            max_width=(40, 24, 18)[tight] if i == 0 else None,
        )
    for place in places:
        table.add_column(_letter(letters, place), justify="right", no_wrap=True)
    return table


def _metrics_table(table: SplitTable, letters: list[str], places: list[int], tight: int) -> Table:
    grid = _grid(letters, places, tight, "metric")
    for name, values in table.metrics.items():
        if any(value is not None for value in values):
            shown = (values[place] for place in places)
            grid.add_row(name, *("–" if v is None else f"{v:.3f}" for v in shown))
    return grid


def _class_table(
    table: SplitTable,
    charter: Charter,
    letters: list[str],
    classes: int,
    places: list[int],
    tight: int,
) -> Table:
    support = ("obj",) if tight == 2 else ("objects", "images")
    grid = _grid(letters, places, tight, f"{table.class_noun} per class", *support)
    rows = table.classes
    if len(rows) > classes:
        rows = tuple(sorted(rows, key=_largest_change))[:classes]
    for row in rows:
        rare = row.instances < charter.min_instances or row.images < charter.min_images
        counts = [Text(f"{row.instances}", style="yellow" if rare else "")]
        counts += [] if tight == 2 else [Text(f"{row.images}")]
        cells = [
            _ap(
                row,
                place,
                charter.keep_share,
                comparable=table.comparable(place),
                share_too=not tight,
            )
            for place in places
        ]
        grid.add_row(row.name, *counts, *cells)
    return grid


def _largest_change(row: ClassRow) -> float:
    return min((share for share in row.retention if share is not None), default=1.0)


def _ap(
    row: ClassRow, place: int, keep_share: float, *, comparable: bool, share_too: bool
) -> Text:
    """Return an AP with its share of the first run's; one below what is to be kept stands out."""
    value, share = row.ap[place], row.retention[place]
    if value is None:
        return Text("–", style="dim")
    if place == 0 or share is None or not comparable:
        return Text(f"{value:.3f}" + (" " if place else ""))
    below = share < keep_share
    mark, style = ("!", "bold red") if below else (" ", "dim")
    if share_too:
        return Text.assemble(f"{value:.3f} ", (f"{share * 100:3.0f} %{mark}", style))
    return Text.assemble((f"{value:.3f}", style if below else ""), (mark, style))


def _points_table(
    points: tuple[PointRow, ...], letters: list[str], places: list[int], tight: int
) -> Table:
    """Return recall at a precision, F1 at its best; with their thresholds where there is room."""
    grid = _grid(letters, places, tight, "operating point")
    for row in points:
        best = row.name == "best-f1"
        cells = []
        for point in (row.points[place] for place in places):
            value = None if point is None else point.f1 if best else point.recall
            threshold = None if point is None else point.threshold
            at = f" @{threshold:.2f}" if threshold is not None and tight < 2 else ""
            cells.append("–" if value is None else f"{value:.3f}{at}")
        name = row.name.replace("recall@precision=", "R@P") if tight else row.name
        grid.add_row(f"{name} {row.scope}", *cells)
    return grid


def _print_lessons(out: Console, comparison: Comparison, letters: list[str]) -> None:
    told = [(place, row) for place, row in enumerate(comparison.runs) if row.lesson]
    if not told:
        return
    _heading(out, "Lessons")
    for place, row in told:
        out.print(_hanging(_letter(letters, place), Text(" ".join(row.lesson.split()))))
