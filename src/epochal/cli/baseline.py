"""``epochal baseline``: the run that the project compares against."""

from __future__ import annotations

from pathlib import Path

import click

from epochal.cli.common import (
    age,
    console,
    default_project,
    json_option,
    open_store,
    print_json,
    project_option,
    run_argument,
    run_name,
    workspace_option,
)

__all__ = ["baseline_command"]


@click.command("baseline")
@run_argument(required=False)
@click.option("-m", "--reason", default="", help="Why; kept with the change.")
@click.option("--history", "with_history", is_flag=True, help="Show every change, oldest first.")
@project_option
@workspace_option
@json_option
def baseline_command(
    run: str | None,
    reason: str,
    with_history: bool,
    project: str | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Show what the project compares against, or make it RUN.

    \b
      epochal baseline                                 who it is, since when, and why
      epochal baseline v3_pallets_added -m "ships"     from now on
    """
    from epochal.registry import aliases, history, set_baseline

    with open_store(workspace) as store:
        if run is not None:
            document = store.find_run(run, project)
            set_baseline(store, document.project, document, reason)
            project = document.project
        project = default_project(store, project)
        current = aliases(store, project).get("baseline")
        changes = history(store, project, "baseline") if with_history else []
        if as_json:
            print_json(changes if with_history else current)
            return
        if current is None:
            click.echo(f"project {project} has no baseline yet: a decision is on a first version")
            click.echo("  `epochal baseline RUN` sets one")
            return
        documents = [*store.runs(project), *store.runs(project, trashed=True)]
        names = {document.id: run_name(document) for document in documents}
    from rich.text import Text

    for change in changes or [current]:
        name = names.get(change.run, f"{change.run[:8]} (not here)")
        why = f": {change.reason}" if change.reason else ""
        by = f"{age(change.t)} by {change.author.partition(' <')[0]}{why}"
        console().print(Text.assemble((name, "bold"), "  ", (by, "dim")))
