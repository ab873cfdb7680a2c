"""``epochal show``: all that is known about one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from epochal.cli.common import (
    console,
    json_option,
    open_store,
    print_json,
    project_option,
    run_argument,
    workspace_option,
)
from epochal.records import Evaluated, Status
from epochal.store.documents import RunDocument

if TYPE_CHECKING:
    from epochal.store.store import Store

__all__ = ["RunShown", "show_command"]


class RunShown(msgspec.Struct, frozen=True, kw_only=True):
    """A run and what is derived when it is read."""

    status: Status
    duration: float
    """Seconds that its attempts took."""
    aliases: tuple[str, ...]
    """``baseline``, ``production`` ..., where they point at it."""
    folder: str
    run: RunDocument


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
    from epochal.decisions.charter import charter_for_training
    from epochal.registry import aliases

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
        _hide_test_numbers(store, document, charter.split)
        shown = RunShown(
            status=store.status(document),
            duration=document.duration,
            aliases=tuple(
                name
                for name, change in aliases(store, document.project).items()
                if change.run == document.id
            ),
            folder=str(store.folder.run_folder(document.id) or ""),
            run=document,
        )
        if as_json:
            print_json(shown)
            return
        from epochal.cli.run_page import print_run

        print_run(console(), shown, charter, everything=everything)


def _hide_test_numbers(store: Store, document: RunDocument, split: str) -> None:
    """Take out the numbers of looks at the test split that showed a verdict only, or nothing."""
    from epochal.decisions.ledger import ledger

    bodies = [s.body for s in document.evaluations]
    if not any(isinstance(body, Evaluated) and body.split == split for body in bodies):
        return
    looks = ledger(store)
    for place, stamped in enumerate(document.evaluations):
        body = stamped.body
        if isinstance(body, Evaluated) and body.split == split:
            look = looks.look(body.look)
            if look is None or look.revealed != "number":
                hidden = msgspec.structs.replace(body, metrics={})
                document.evaluations[place] = msgspec.structs.replace(stamped, body=hidden)
