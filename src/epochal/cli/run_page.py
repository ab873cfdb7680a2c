"""How one run looks in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from epochal.analysis.config_difference import flatten
from epochal.analysis.metrics import Metric, Registry, format_value, guess_direction
from epochal.cli.common import age, duration, shortened
from epochal.cli.run_list_page import status_mark
from epochal.records import Alert, Artifact, Evaluated, Latency, Notice

if TYPE_CHECKING:
    from rich.console import Console

    from epochal.cli.run_shown import RunShown
    from epochal.decisions.charter import Charter
    from epochal.store.documents import RunDocument
    from epochal.store.points import SeriesSummary

__all__ = ["print_run"]

_ROWS = 16
"""Rows of a section before the rest is only counted."""


def print_run(out: Console, shown: RunShown, charter: Charter, *, everything: bool) -> None:
    """Print all about a run.

    Parameters
    ----------
    charter
        Says which metric comes first.
    everything
        Show also what a section leaves out for brevity.
    """
    run, rows = shown.run, None if everything else _ROWS
    _print_head(out, shown)
    _print_facts(out, _facts(shown))
    _print_metrics(out, run, charter, rows)
    _print_measured(out, run)
    _print_pairs(out, "summary", run.summary, rows)
    _print_pairs(out, "config", run.config, rows)
    changed = {k: v for k, v in flatten(run.effective).items() if k in flatten(run.config)}
    changed = {k: v for k, v in changed.items() if v != flatten(run.config)[k]}
    _print_pairs(out, "config as the trainer resolved it", changed, rows)
    _print_artifacts(out, run, rows)
    _print_lesson(out, run)
    _print_problems(out, run)


def _print_head(out: Console, shown: RunShown) -> None:
    run = shown.run
    head = Text.assemble(
        status_mark(shown.status),
        " ",
        (shortened(run.name, 120), "bold"),
        (f"  {run.project}  {run.id[:8]}", "dim"),
    )
    for alias in shown.aliases:
        head.append(f"  ★{alias}", style="bold yellow")
    if run.trashed:
        head.append("  in the trash", style="red")
    out.print(head)


def _facts(shown: RunShown) -> list[tuple[str, Text]]:
    run = shown.run
    last = run.attempts[-1] if run.attempts else None
    status = Text(shown.status)
    if last is not None and last.reason:
        status.append(f": {shortened(last.reason, 200)}", style="dim")
    opened = datetime.fromtimestamp(run.created / 1e6).astimezone()
    when = f"{opened:%Y-%m-%d %H:%M}, {age(run.created)}; took {duration(shown.duration)}"
    if len(run.attempts) > 1:
        when += f" in {len(run.attempts)} attempts"
    facts = [("status", status), ("opened", Text(when))]
    facts += [
        (name, Text(shortened(text, 400)))
        for name, text in (
            ("parent", run.parent or ""),
            ("group", run.group),
            ("tags", ", ".join(run.tags)),
            ("source", run.source),
            ("code", _code(run)),
            ("machine", _machine(run)),
        )
        if text
    ]
    facts.append(("data", _data(run)))
    facts.append(("folder", Text(shown.folder, style="dim", overflow="fold")))
    return facts


def _data(run: RunDocument) -> Text:
    pin = run.pin
    if pin is None:
        return Text(run.dataset or "not known", style="" if run.dataset else "yellow")
    style = {"verified": "green", "drifted": "bold red"}.get(pin.state, "yellow")
    found = Text.assemble(pin.dataset, " ", (pin.state, style))
    if pin.detail:
        found.append(f"  {shortened(pin.detail, 200)}", style="dim")
    return found


def _code(run: RunDocument) -> str:
    git = run.environment.get("git")
    if not isinstance(git, dict) or not git.get("commit"):
        return ""
    dirty = " with uncommitted changes" if git.get("dirty") else ""
    branch = f" on {git['branch']}" if git.get("branch") else ""
    return f"{str(git['commit'])[:12]}{branch}{dirty}"


def _machine(run: RunDocument) -> str:
    environment = run.environment
    gpus = environment.get("gpus")
    names = [str(g.get("name", "")) for g in gpus if isinstance(g, dict)] if gpus else []
    cpu = environment.get("cpu")
    processor = [str(cpu["model"])] if isinstance(cpu, dict) and cpu.get("model") else []
    python = environment.get("python")
    version = [f"Python {python['version']}"] if isinstance(python, dict) else []
    host = [str(environment["host"])] if environment.get("host") else []
    return ", ".join([*host, *(names or processor), *version])


def _print_facts(out: Console, facts: Iterable[tuple[str, Text]]) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in facts:
        table.add_row(name, text)
    out.print(table)


def _heading(out: Console, text: str, note: str = "") -> None:
    out.print()
    out.print(Text.assemble((text, "bold"), (f"  {note}" if note else "", "dim")))


def _sheet(*columns: tuple[str, bool]) -> Table:
    """Return a table with the columns (title, whether its numbers stand on the right)."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title, right in columns:
        table.add_column(
            title, justify="right" if right else "left", no_wrap=True, overflow="ellipsis"
        )
    return table


def _left_out(out: Console, total: int, rows: int | None) -> None:
    if rows is not None and total > rows:
        out.print(Text(f"{total - rows} more; --all shows them", style="dim"))


def _print_metrics(out: Console, run: RunDocument, charter: Charter, rows: int | None) -> None:
    if not run.metrics:
        _heading(out, "metrics", "none were logged")
        return
    registry = charter.registry()
    decisive = registry.find_key(charter.metric, run.metrics)
    keys = sorted(run.metrics, key=lambda key: (key != decisive, _rank(registry, key), key))
    _heading(out, "metrics", "* decides" if decisive else f"{charter.metric} was not logged")
    table = _sheet(
        ("", False), ("first", True), ("best", True), ("at step", True), ("last", True),
        ("points", True),
    )  # fmt: skip
    for key in keys[:rows]:
        curve = run.metrics[key]
        metric = registry.resolve(key)
        table.add_row(
            Text(f"{shortened(key, 48)}{' *' if key == decisive else ''}"),
            _value(metric, curve.first[1]),
            *_best(metric, key, curve),
            _value(metric, curve.last[1]),
            Text(f"{curve.n:,}" + (f" ({curve.nan} NaN)" if curve.nan else ""), style="dim"),
        )
    out.print(table)
    _left_out(out, len(keys), rows)


def _rank(registry: Registry, key: str) -> int:
    metric = registry.resolve(key)
    return 0 if metric.unit == "ratio" else 1 if metric.direction else 2


def _best(metric: Metric, key: str, curve: SeriesSummary) -> tuple[Text, Text]:
    direction = metric.direction or guess_direction(key)
    found = {"max": curve.max, "min": curve.min}.get(direction or "")
    if found is None:
        return Text("–", style="dim"), Text("")
    return _value(metric, found[1], "bold"), Text(str(found[0]), style="dim")


def _value(metric: Metric, value: float | str, style: str = "") -> Text:
    number = float(value)
    return Text(format_value(metric, number), style="red" if number != number else style)


def _print_measured(out: Console, run: RunDocument) -> None:
    evaluations = [s.body for s in run.evaluations if isinstance(s.body, Evaluated)]
    if evaluations:
        _heading(out, "evaluations")
        for body in evaluations:
            numbers = ", ".join(
                f"{name} {float(value):.3f}" for name, value in list(body.metrics.items())[:4]
            )
            where = Text(f"{body.split}", style="bold")
            where.append(
                f"  {numbers or 'numbers not shown: `epochal decide` tells the verdict'}  "
            )
            counted = f"{body.images} images, " if body.images else ""  # not every client says
            where.append(counted + body.evaluator, style="dim")
            out.print(where)
    latencies = [s.body for s in run.latencies if isinstance(s.body, Latency)]
    if latencies:
        _heading(out, "latency")
        for one in latencies:
            out.print(
                f"{one.measure} on {one.device}: p50 {one.p50:.2f} ms, p95 {one.p95:.2f} ms "
                f"(up to {one.p95_upper:.2f}), n {one.n}",
                markup=False,
            )


def _print_pairs(out: Console, title: str, values: dict[str, Any], rows: int | None) -> None:
    pairs = list(flatten(values).items())
    if not pairs:
        return
    _heading(out, title)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for key, value in pairs[:rows]:
        table.add_row(shortened(key, 48), Text(shortened(str(value), 300)))
    out.print(table)
    _left_out(out, len(pairs), rows)


def _print_artifacts(out: Console, run: RunDocument, rows: int | None) -> None:
    bodies = [s.body for s in run.artifacts.values() if isinstance(s.body, Artifact)]
    if not bodies:
        return
    _heading(out, "artifacts", f"{len(bodies)}")
    table = _sheet(("", False), ("size", True), ("digest", False))
    for body in sorted(bodies, key=lambda body: body.key)[:rows]:
        table.add_row(
            Text(shortened(body.key, 60)), _size(body.size), Text(body.digest[:12], style="dim")
        )
    out.print(table)
    _left_out(out, len(bodies), rows)


def _size(count: int) -> str:
    return format_value(Metric(name="size", unit="bytes"), count)


def _print_lesson(out: Console, run: RunDocument) -> None:
    lesson = run.lesson
    lines: Sequence[tuple[str, str]] = [
        ("hypothesis", (lesson.hypothesis if lesson else "") or run.hypothesis),
        ("change", lesson.change if lesson else ""),
        ("result", lesson.result if lesson else ""),
        ("next", lesson.next if lesson else ""),
        ("", lesson.text if lesson else ""),
    ]
    _heading(out, "lesson", "" if lesson else f"nobody has written one: epochal lesson {run.name}")
    _print_facts(out, [(name, Text(text)) for name, text in lines if text.strip()])


def _print_problems(out: Console, run: RunDocument) -> None:
    said = [*run.alerts, *run.notices]
    if not said and not run.dropped:
        return
    _heading(out, "notices")
    if run.dropped:
        why = ", ".join(
            f"{reason or 'the disk refused them'} ({count:,})"
            for reason, count in run.dropped_reasons.items()
        )
        lost = f"{run.dropped:,} records were lost: {why or 'the disk refused them'}"
        out.print(Text(lost, style="bold red"))
    for stamped in sorted(said, key=lambda s: s.t)[-_ROWS:]:
        match stamped.body:
            case Alert(title=title, text=text, level=level):
                style = {"error": "bold red", "warning": "yellow"}.get(level, "")
                whole = f"{title}: {text}" if text else title
            case Notice(text=whole):
                style = ""
            case _:
                continue
        out.print(Text.assemble((f"{age(stamped.t):<12} ", "dim"), (shortened(whole, 400), style)))
