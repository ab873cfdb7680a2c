"""``epochal show``: all that is known about one run."""

from __future__ import annotations

from pathlib import Path

import click

from epochal.cli.common import (
    console,
    json_option,
    open_store,
    print_json,
    project_option,
    run_argument,
    workspace_option,
)

__all__ = ["show_command"]


@click.command("show")
@run_argument()
@click.option("--console", "with_console", is_flag=True, help="Only what the run printed.")
@click.option("--all", "everything", is_flag=True, help="Every parameter, metric and artifact.")
@project_option
@workspace_option
@json_option
def show_command(
    run: str,
    with_console: bool,
    everything: bool,
    project: str | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Show one run: what it was, what it measured, what it taught.

    RUN is a name, project/name, an id, or the beginning of an id.
    """
    from epochal.cli.run_shown import show_run
    from epochal.decisions.charter_in_force import charter_for_training

    with open_store(workspace) as store:
        document = store.find_run(run, project)
        if with_console:
            parts = list(store.console(document.id))
            if as_json:
                print_json(parts)
                return
            for part in parts:
                click.echo(part.text, nl=False, err=part.stream == "stderr")
            return
        charter = charter_for_training(store.folder, document.project, Path.cwd())
        shown = show_run(store, document, charter.split)
        if as_json:
            print_json(shown)
            return
        from epochal.cli.run_page import print_run

        print_run(console(), shown, charter, everything=everything)
