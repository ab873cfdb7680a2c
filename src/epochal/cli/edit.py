"""``epochal rename``, ``tag``, ``trash`` and ``purge``: what people change about runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from epochal.cli.common import (
    json_option,
    open_store,
    print_json,
    project_option,
    run_argument,
    run_name,
    workspace_option,
)
from epochal.errors import InvalidInput, Refused
from epochal.records import Renamed, Tagged, Trashed

if TYPE_CHECKING:
    from epochal.store.documents import RunDocument
    from epochal.store.store import Store

__all__ = ["purge_command", "rename_command", "tag_command", "trash_command"]


@click.command("rename")
@run_argument()
@click.argument("name")
@project_option
@workspace_option
@json_option
def rename_command(
    run: str, name: str, project: str | None, workspace: Path | None, as_json: bool
) -> None:
    """Give RUN another NAME. Its id and folder stay; the old name is in its history."""
    from epochal.analysis.naming import check
    from epochal.decisions.charter_in_force import charter_for_training
    from epochal.workspace.run_view import checked_name

    name = checked_name(name)
    with open_store(workspace) as store:
        document = store.find_run(run, project)
        charter = charter_for_training(store.folder, document.project, Path.cwd())
        verdict = check(name, charter.naming_pattern)
        if not verdict.ok and charter.naming_policy == "refuse":
            raise Refused(verdict.problem, verdict.remedy)
        if name != document.name:
            store.record(Renamed(name=name), document.id)
        _tell(store.run(document.id), f"{document.name} is now {name}", as_json)
    if not verdict.ok:
        click.echo(f"note: {verdict.problem}. {verdict.remedy}", err=True)


@click.command("tag")
@run_argument()
@click.argument("tags", nargs=-1)
@click.option("--remove", multiple=True, metavar="TAG", help="Take a tag away; repeatable.")
@project_option
@workspace_option
@json_option
def tag_command(
    run: str,
    tags: tuple[str, ...],
    remove: tuple[str, ...],
    project: str | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Add TAGS to RUN, or take some away; without any, show them."""
    from epochal.workspace.run_view import checked_name

    with open_store(workspace) as store:
        document = store.find_run(run, project)
        added = map(checked_name, tags)
        wanted = tuple(t for t in dict.fromkeys((*document.tags, *added)) if t not in remove)
        if missing := [tag for tag in remove if tag not in document.tags]:
            raise InvalidInput(
                f"run {document.name} has no tag {missing[0]!r}",
                f"it has: {', '.join(document.tags) or 'none'}",
            )
        if wanted != document.tags:
            store.record(Tagged(tags=wanted), document.id)
        _tell(
            store.run(document.id), f"{document.name}: {', '.join(wanted) or 'no tags'}", as_json
        )


@click.command("trash")
@run_argument(many=True)
@click.option("--undo", "--restore", "undo", is_flag=True, help="Bring the runs back.")
@project_option
@workspace_option
@json_option
def trash_command(
    runs: tuple[str, ...], undo: bool, project: str | None, workspace: Path | None, as_json: bool
) -> None:
    """Hide each RUN from lists; nothing is deleted, and --undo brings it back.

    `epochal runs --trashed` lists what is in the trash; `epochal purge` deletes.
    """
    with open_store(workspace) as store:
        documents = [store.find_run(run, project) for run in runs]
        for document in documents:
            if document.trashed == undo:
                store.record(Trashed(on=not undo), document.id)
        changed = [store.run(document.id) for document in documents]
        if as_json:
            print_json(changed)
            return
        for document in changed:
            where = "is back" if undo else "is in the trash; `epochal trash --undo` brings it back"
            click.echo(f"{run_name(document)} {where}")


@click.command("purge")
@run_argument(many=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@project_option
@workspace_option
@json_option
def purge_command(
    runs: tuple[str, ...], yes: bool, project: str | None, workspace: Path | None, as_json: bool
) -> None:
    """Delete each RUN with its folder, for good. Looks and decisions stay on record.

    A tombstone keeps late clients, imports and copies from bringing it back. Files that other
    runs may share stay in the workspace; `epochal dataset gc` frees those that none needs.
    """
    with open_store(workspace) as store:
        documents = list({d.id: d for d in (store.find_run(r, project) for r in runs)}.values())
        for document in documents:
            _refuse_if_named(store, document)
        if not yes:
            _confirm(documents)
        for document in documents:
            store.purge(document)
            if not as_json:
                click.echo(f"{run_name(document)} is deleted")
        if as_json:
            print_json([document.id for document in documents])


def _refuse_if_named(store: Store, document: RunDocument) -> None:
    from epochal.registry import aliases_of

    for name in aliases_of(store, document):
        raise Refused(
            f"run {document.name} is the {name} of project {document.project}",
            f"point {name} at another run first",
        )


def _confirm(documents: list[RunDocument]) -> None:
    names = ", ".join(map(run_name, documents))
    if not sys.stdin.isatty():
        raise Refused(f"deleting {names} cannot be undone", "say --yes where nobody can be asked")
    click.confirm(f"Delete {names} for good?", abort=True, err=True)


def _tell(document: RunDocument, text: str, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        click.echo(text)
