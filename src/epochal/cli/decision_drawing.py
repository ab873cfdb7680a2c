"""A decision on the terminal: the verdict, four gates, what next."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from epochal.decisions.decision import Decision, Made
    from epochal.decisions.gates.gate import Gate

__all__ = ["draw_decision", "draw_decisions"]

_STYLES = {"pass": "green", "fail": "red", "unknown": "yellow", "not applicable": "dim"}
_TONES = {"": "green", "no win": "red", "invalid": "red", "inconclusive": "yellow"}


def draw_decision(console: Console, decision: Decision, *, explain: bool = False) -> None:
    """Draw the decision; with `explain`, also what each gate asks and rests on."""
    from rich.padding import Padding
    from rich.text import Text

    from epochal.decisions.explain import headline, preregistered, provenance

    tone = "yellow" if decision.override else _TONES[decision.kind]
    against = f" against {decision.baseline.name}" if decision.baseline else ", first version"
    console.print()
    console.print(
        Text.assemble(
            (f" {headline(decision).upper()} ", f"bold reverse {tone}"),
            "  ",
            (decision.candidate.name, "bold"),
            (against, ""),
        )
    )
    if decision.rule_set == "literal":
        console.print(Text("literal rules: bare numbers are compared, noise is not", "yellow"))
    if decision.change:
        console.print(Text(decision.change, "dim"))
    if decision.override:
        console.print(Text.assemble(("override: ", "bold yellow"), decision.override))
    console.print()
    for gate in decision.gates:
        _draw_gate(console, gate, decision, explain)
    if decision.next:
        console.print(Text("next", "bold"))
        for line in decision.next:
            console.print(Padding(Text(line, "cyan"), (0, 0, 0, 2)))
        console.print()
    if explain:
        for line in preregistered(decision):
            console.print(Text(line, "dim"))
    console.print(Text(provenance(decision), "dim"))


def _draw_gate(console: Console, gate: Gate, decision: Decision, explain: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from epochal.decisions.explain import MARKS, asks, facts, interval_of, interval_text

    style = _STYLES[gate.outcome]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(width=1)
    grid.add_column(width=18, no_wrap=True)
    grid.add_column(overflow="fold")
    quiet = gate.outcome == "not applicable"
    grid.add_row(
        Text(MARKS[gate.outcome], f"bold {style}"),
        Text(str(gate.number), style),
        Text(gate.name, "dim" if quiet else "bold"),
        Text(gate.sentence, "dim" if quiet else ""),
    )
    if interval := interval_of(decision, gate):
        width = max(20, min(56, console.width - 32))
        line, labels = interval_text(interval, width)
        grid.add_row("", "", "", Text(line, style))
        grid.add_row("", "", "", Text(labels, "dim"))
    if explain:
        grid.add_row("", "", "", Text(asks(gate, decision), "italic"))
        for fact in facts(gate, decision):
            grid.add_row("", "", "", Text(fact, "dim"))
    details = gate.details if explain or gate.outcome == "fail" else gate.details[:4]
    for detail in details:
        grid.add_row("", "", "", Text(detail, "dim"))
    if len(details) < len(gate.details):
        more = len(gate.details) - len(details)
        lines = "line" if more == 1 else "lines"
        grid.add_row("", "", "", Text(f"and {more} more {lines} with --explain", "dim"))
    console.print(grid)
    console.print()


def draw_decisions(console: Console, made: Sequence[Made], names: Mapping[str, str]) -> None:
    """Draw a table of stored decisions, newest first."""
    import time

    from rich.table import Table
    from rich.text import Text

    if not made:
        console.print("no decisions yet: `epochal decide RUN` makes one")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("decision", "when", "verdict", "candidate", "baseline", "charter", "by"):
        table.add_column(column)
    for one in reversed(made):
        verdict = one.verdict + (" (override)" if one.override else "")
        table.add_row(
            one.id[:8],
            time.strftime("%Y-%m-%d %H:%M", time.gmtime(one.t / 1e6)),
            Text(verdict, "green" if one.verdict == "ship" else "yellow"),
            names.get(one.candidate, one.candidate[:8]),
            names.get(one.baseline or "", (one.baseline or "–")[:8]),
            str(one.charter or "–"),
            one.author.partition(" <")[0],
        )
    console.print(table)
