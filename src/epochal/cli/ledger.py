"""``epochal ledger``: every look at test images, and whether the record of them is whole."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from epochal.cli.common import (
    console,
    json_option,
    open_store,
    print_json,
    project_option,
    workspace_option,
)
from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from epochal.decisions.ledger_report import LedgerReport, TestSet

__all__ = ["ledger_command"]


@click.group("ledger", invoke_without_command=True)
@project_option
@workspace_option
@json_option
@click.pass_context
def ledger_command(
    ctx: click.Context, project: str | None, workspace: Path | None, as_json: bool
) -> None:
    """Show and verify every look at test images. Without a subcommand: show."""
    if ctx.invoked_subcommand is None:
        _show(project, workspace, as_json)


@ledger_command.command("show")
@project_option
@workspace_option
@json_option
def show_command(project: str | None, workspace: Path | None, as_json: bool) -> None:
    """Show the looks by test set, and how much of each set is left."""
    _show(project, workspace, as_json)


@ledger_command.command("verify")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="An earlier export: also detects that newer records were cut off since.",
)
@workspace_option
@json_option
def verify_command(against: Path | None, workspace: Path | None, as_json: bool) -> None:
    """Check that no record of the ledger was edited, removed or reordered.

    Exit code 0: whole. 2: something is wrong.
    """
    from epochal.decisions.ledger_report import heads_of_export, verify

    expected = heads_of_export(against) if against is not None else ()
    with open_store(workspace) as store:
        found = verify(store, expected)
    if as_json:
        print_json(found)
    else:
        out = console()
        for problem in found.problems:
            out.print(f"[red]✘[/red] {problem}", highlight=False)
        for note in found.notes:
            out.print(f"[yellow]?[/yellow] {note}", highlight=False)
        if not found.problems:
            out.print(
                f"[green]✔[/green] {found.records} governance records link; {found.looks} looks"
            )
        for head in found.heads:
            out.print(f"  head {head}", style="dim")
        if against is None:
            out.print(
                "keep `epochal ledger export` outside this folder: against it a rollback shows",
                style="dim",
                markup=False,
            )
    sys.exit(2 if found.problems else 0)


@ledger_command.command("export")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File; default: stdout.")
@workspace_option
@json_option
def export_command(output: Path | None, workspace: Path | None, as_json: bool) -> None:
    """Write all looks, decisions and charters with their hashes as one JSON document."""
    from epochal.decisions.ledger_report import export

    with open_store(workspace) as store:
        data = export(store)
    if output is None:
        click.echo(data.decode())
        return
    if output.exists():
        raise InvalidInput(f"{output} exists", "name another file: exports are kept, not replaced")
    output.write_bytes(data)
    if as_json:
        print_json({"file": str(output), "bytes": len(data)})
        return
    click.echo(f"wrote {output}", err=True)


def _show(project: str | None, workspace: Path | None, as_json: bool) -> None:
    from epochal.decisions.ledger_report import report

    with open_store(workspace) as store:
        found = report(store, project)
        names = {run.id: run.name for run in (*store.runs(), *store.runs(trashed=True))}
    if as_json:
        print_json(found)
    else:
        _draw(found, names)


def _draw(found: LedgerReport, names: Mapping[str, str]) -> None:
    out = console()
    if not found.sets:
        out.print("nobody has looked at test images yet")
    for one in found.sets:
        _draw_set(one, names)
    for note in found.notes:
        out.print(f"[yellow]?[/yellow] {note}", highlight=False)


def _draw_set(one: TestSet, names: Mapping[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    budget = one.budget
    style = {"open": "green", "amber": "yellow", "spent": "red"}[budget.state]
    bar = "●" * min(budget.used, budget.budget) + "○" * budget.left
    out.print(
        Text.assemble(
            (f"{one.project}  {budget.dataset} {budget.split}", "bold"),
            f"  {budget.n_images} images  ",
            (f"{bar} {budget.used} of {budget.budget} looks, {budget.state}", style),
        )
    )
    advice = "look" if budget.advice == 1 else "looks"
    out.print(
        Text(
            f"a set of this size bears about {budget.advice} {advice} for gains of "
            f"{one.min_gain}; the next challenger is judged at {budget.next_level:.2g}",
            "dim",
        )
    )
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("look", "when", "run", "purpose", "shown", "counts", "by"):
        table.add_column(column, no_wrap=column in ("look", "when"))
    for line in one.looks:
        look = line.look
        table.add_row(
            look.id[:8],
            time.strftime("%Y-%m-%d %H:%M", time.gmtime(look.opened / 1e6)),
            names.get(look.run) or look.run_name or look.run[:8] or "unknown",
            look.purpose,
            look.revealed if look.completed else "unknown: never completed",
            str(line.number) if line.number else "free",
            look.author.partition(" <")[0],
        )
    out.print(table)
    out.print()
