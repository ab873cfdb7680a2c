"""What ``epochal latency`` prints: a table, the conditions, the ratio, the budget."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import msgspec

from epochal.cli.common import console
from epochal.latency import LatencyDocument

if TYPE_CHECKING:
    from epochal.decisions.charter import Charter

__all__ = ["Outcome", "draw"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the command prints as JSON."""

    candidate: LatencyDocument
    baseline: LatencyDocument | None = None
    recorded: tuple[str, ...] = ()
    """Ids of the runs that hold it now."""
    budget_ms: float | None = None


def draw(outcome: Outcome, charter: Charter | None) -> None:
    """Print what was measured, how the two compare, and what the budget says."""
    from rich.markup import escape
    from rich.table import Table

    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", overflow="fold")
    for title in ("p50", "p95", "p95 at most", "p99", "medians", "calls"):
        table.add_column(title, justify="right")
    documents = [outcome.candidate, *([outcome.baseline] if outcome.baseline else [])]
    for document in documents:
        found = document.summary
        medians = sorted(_median(launch.samples) for launch in document.launches)
        table.add_row(
            escape(document.name or "model"),
            _ms(found.p50),
            _ms(found.p95),
            f"[bold]{_ms(found.p95_upper)}[/bold]",
            _ms(found.p99),
            f"{_ms(medians[0])} - {_ms(medians[-1])}",
            f"{found.n}",
        )
    out.print(table)
    candidate = outcome.candidate
    out.print(f"[dim]milliseconds; {escape(_conditions(candidate))}[/dim]")
    if outcome.baseline is not None:
        out.print(escape(_ratio(candidate, outcome.baseline)))
    if candidate.throttled:
        out.print("[yellow]the device slowed itself down meanwhile: this counts for no gate[/]")
    elif candidate.conditions.get("nms") == "in" and candidate.conditions["input"] == "random":
        out.print(
            "[dim]random images give non-maximum suppression little to do: --images FOLDER[/dim]"
        )
    if charter is not None and charter.latency_budget_ms is not None:
        _draw_budget(outcome, charter)
    for run in outcome.recorded:
        out.print(f"[dim]recorded in {run[:8]}[/dim]")


def _draw_budget(outcome: Outcome, charter: Charter) -> None:
    out = console()
    found, budget = outcome.candidate, charter.latency_budget_ms
    assert budget is not None
    named = charter.latency_device
    if named and named.casefold() != found.device.casefold():
        out.print(
            f"the charter's device is {named}, this is {found.device}: "
            f"if they are the same, --device {named}",
            markup=False,
        )
        return
    if found.summary.p95_upper <= budget:
        style, text = "green", f"within the budget of {budget:g} ms"
    elif found.summary.p95 <= budget:
        style, text = "yellow", f"p95 is within the budget of {budget:g} ms, its bound is not"
        text += f": measure more, --runs {2 * len(found.launches[0].samples)}"
    else:
        style, text = "red", f"over the budget of {budget:g} ms"
    out.print(f"[{style}]{text}[/{style}]")


def _ratio(a: LatencyDocument, b: LatencyDocument) -> str:
    """Return how the candidate compares, launch by launch: each pair took turns."""
    from epochal.latency.document import KEY_CONDITIONS

    ratios = sorted(
        _median(x.samples) / max(_median(y.samples), 1e-9)
        for x, y in zip(a.launches, b.launches, strict=False)
    )
    middle = statistics.median(ratios)
    word = "slower" if middle > 1 else "faster"
    spread = f"{ratios[0] - 1:+.1%} to {ratios[-1] - 1:+.1%} over the launches"
    differing = [
        f"{key} {a.conditions.get(key)} against {b.conditions.get(key)}"
        for key in KEY_CONDITIONS
        if a.conditions.get(key) != b.conditions.get(key)
    ]
    at = f", with {', '.join(differing)}" if differing else ""
    return f"{abs(middle - 1):.1%} {word} than the baseline ({spread}){at}"


def _conditions(document: LatencyDocument) -> str:
    known = document.conditions
    parts: list[Any] = [
        document.device,
        known.get("hardware") if known.get("hardware") != document.device else None,
        " ".join(str(known[k]) for k in ("runtime", "runtime_version") if known.get(k)),
        known.get("precision"),
        f"batch {known.get('batch')}",
        f"{known.get('imgsz')} px" if known.get("imgsz") else None,
        {"e2e": "end to end", "infer": "network alone"}.get(str(known.get("stage"))),
        f"{known.get('input')} input" if known.get("input") else None,
        _threads(known.get("threads")),
    ]
    return ", ".join(str(part) for part in parts if part)


def _threads(n: object) -> str | None:
    if not isinstance(n, int):
        return None
    return f"{n} thread" if n == 1 else f"{n} threads"


def _median(samples: tuple[float, ...]) -> float:
    from epochal.latency import percentile

    return percentile(samples, 0.5)


def _ms(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
