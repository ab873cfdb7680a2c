"""``epochal charter``: the rules in force, what the file proposes, how they came about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from epochal.cli.common import (
    console,
    default_project,
    json_option,
    open_store,
    print_json,
    project_option,
    workspace_option,
)
from epochal.errors import NotFound

if TYPE_CHECKING:
    from epochal.decisions.charter_in_force import CharterState

__all__ = ["charter_command"]


@click.group("charter", invoke_without_command=True)
@project_option
@workspace_option
@json_option
@click.pass_context
def charter_command(
    ctx: click.Context, project: str | None, workspace: Path | None, as_json: bool
) -> None:
    """Show, change and look back at the project's rules.

    epochal.toml proposes; in force is what was recorded last. Without a subcommand: show.
    """
    if ctx.invoked_subcommand is None:
        _show(project, workspace, as_json)


@charter_command.command("show")
@project_option
@workspace_option
@json_option
def show_command(project: str | None, workspace: Path | None, as_json: bool) -> None:
    """Show the rules in force, and where epochal.toml proposes others."""
    _show(project, workspace, as_json)


@charter_command.command("apply")
@click.option("-m", "--message", "reason", required=True, help="Why the rules change.")
@click.option(
    "--file", type=click.Path(path_type=Path), help="Default: epochal.toml, found upwards."
)
@project_option
@workspace_option
@json_option
def apply_command(
    reason: str,
    file: Path | None,
    project: str | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Put what epochal.toml proposes in force, with a reason that stays."""
    from epochal.decisions.charter_file import find_toml, read_toml
    from epochal.decisions.charter_in_force import apply, history

    file = file or find_toml(Path.cwd())
    if file is None:
        raise NotFound(f"no epochal.toml in {Path.cwd()} or above it", "`epochal init` writes one")
    proposed = read_toml(file)
    with open_store(workspace) as store:
        name = project or proposed.project
        state = apply(store, name, proposed, reason)
        changed = history(store, name)[-1].changes
    if as_json:
        print_json(state)
        return
    out = console()
    out.print(f"version {state.version} of the charter of {name} is in force")
    for line in changed:
        out.print(f"  {line}", markup=False)


@charter_command.command("history")
@project_option
@workspace_option
@json_option
def history_command(project: str | None, workspace: Path | None, as_json: bool) -> None:
    """Show every version of the rules: when, who, why, what changed."""
    from epochal.decisions.charter_in_force import history

    with open_store(workspace) as store:
        versions = history(store, _project(store, project))
    if as_json:
        print_json(versions)
        return
    import time

    from rich.text import Text

    out = console()
    if not versions:
        out.print("no charter is recorded yet: the defaults apply")
    for one in versions:
        when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(one.t / 1e6))
        out.print(
            Text.assemble((f"version {one.version}", "bold"), f"  {when}  {one.author}"),
        )
        out.print(Text(f"  {one.reason}"))
        for line in one.changes:
            out.print(Text(f"  {line}", "dim"))


def _project(store: Any, given: str | None) -> str:
    """Return the project meant; one that has only a file so far, too."""
    if given is not None:
        return given
    return default_project(store, None)


def _show(project: str | None, workspace: Path | None, as_json: bool) -> None:
    from epochal.decisions.charter_file import find_toml
    from epochal.decisions.charter_in_force import sync_charter

    file = find_toml(Path.cwd())
    with open_store(workspace) as store:
        state = sync_charter(store, _project(store, project), file)
    if as_json:
        print_json(state)
    else:
        _draw(state, file)


def _draw(state: CharterState, file: Path | None) -> None:
    import msgspec
    from rich.table import Table
    from rich.text import Text

    from epochal.decisions.charter import Charter

    out = console()
    out.print(
        Text.assemble(
            ("charter of ", ""), (state.charter.project, "bold"), f", version {state.version}"
        )
    )
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("rule", style="bold", no_wrap=True)
    table.add_column("value")
    defaults = Charter(project=state.charter.project)
    for field in Charter.__struct_fields__:
        value = getattr(state.charter, field)
        shown = "none" if value is None else msgspec.json.encode(value).decode()
        style = "" if value != getattr(defaults, field) else "dim"
        table.add_row(field, Text(shown, style))
    out.print(table)
    out.print(Text("dim: the default", "dim"))
    if state.differences:
        out.print()
        out.print(
            Text(
                f"{file} proposes otherwise, and `epochal decide` refuses until it is settled:",
                "yellow",
            )
        )
        for line in state.differences:
            out.print(Text(f"  {line}", "yellow"))
        out.print("`epochal charter apply -m REASON` puts the file in force", markup=False)
