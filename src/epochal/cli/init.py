"""``epochal init``: a workspace and a commented ``epochal.toml``, and what to do next."""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec

from epochal.cli.common import json_option, print_json
from epochal.errors import InvalidInput
from epochal.journal.folder import FOLDER_NAME, Folder

__all__ = ["init_command"]


class InitReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a project has after `init`."""

    project: str
    workspace: str
    workspace_created: bool
    charter: str
    """Path of the ``epochal.toml``."""
    charter_created: bool


@click.command("init")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("-p", "--project", help="Name of the project; default: that of the folder.")
@json_option
def init_command(folder: Path | None, project: str | None, as_json: bool) -> None:
    """Set up a project in FOLDER (default: here, or the top of the git repository).

    Creates the workspace .epochal/ and epochal.toml, the project's rules with an explanation
    each. What is there already stays as it is.
    """
    report = _set_up(folder, project)
    if as_json:
        print_json(report)
        return
    _tell("workspace", report.workspace, report.workspace_created)
    _tell("charter  ", report.charter, report.charter_created)
    click.echo(f"{click.style('project  ', dim=True)} {report.project}")
    click.echo()
    click.echo(click.style("Next", bold=True))
    steps = [
        ("read the rules, set the metric", f"$EDITOR {Path(report.charter).name}"),
        ("tag the data", f"epochal dataset tag data.yaml {report.project}@v1"),
        (
            "train, unmodified",
            "epochal run --name v1_baseline -- yolo detect train data=data.yaml",
        ),
        ("or in a script of your own", "run = epochal.init(config={...}); run.log({...})"),
        ("look", "epochal runs"),
    ]
    home = Path(report.charter).parent
    if home != Path.cwd():
        steps.insert(0, ("go there", f"cd {_relative(home)}"))
    for text, command in steps:
        click.echo(f"  {text:<31} {click.style(command, fg='cyan')}")


def _set_up(folder: Path | None, project: str | None) -> InitReport:
    from epochal.decisions.charter_file import FILE_NAME, default_toml, find_toml, read_toml

    place = folder.expanduser().absolute() if folder else Path.cwd()
    toml = find_toml(place)
    found = read_toml(toml).project if toml is not None and _is_of(toml, place) else None
    if found is not None and project is not None and project != found:
        raise InvalidInput(
            f"{toml} is for project {found!r}, not {project!r}",
            "change `project` in it; one file holds the rules of one project",
        )
    if folder is not None:
        place.mkdir(parents=True, exist_ok=True)
        created = not (place / FOLDER_NAME / "format").is_file()
        workspace = Folder.create(place)
    else:
        workspace, created = Folder.find_or_create()
        if not os.environ.get("EPOCHAL_WORKSPACE"):
            place = workspace.root.parent
    if toml is not None and found is not None:
        return InitReport(
            project=found,
            workspace=str(workspace.root),
            workspace_created=created,
            charter=str(toml),
            charter_created=False,
        )
    toml = place / FILE_NAME
    name = project or place.name or "project"
    with toml.open("x", encoding="utf-8") as file:
        file.write(default_toml(name))
    return InitReport(
        project=name,
        workspace=str(workspace.root),
        workspace_created=created,
        charter=str(toml),
        charter_created=True,
    )


def _is_of(toml: Path, place: Path) -> bool:
    """Tell whether the rules in `toml` are those of a project at `place`.

    They are where both lie in one workspace: a project within a project has its own of each.
    """
    if toml.parent == place:
        return True
    workspace = Folder.find(place)
    return workspace is not None and workspace.root.parent in (toml.parent, *toml.parents)


def _tell(what: str, path: str, created: bool) -> None:
    state = (
        click.style("created", fg="green") if created else click.style("there already", dim=True)
    )
    click.echo(f"{click.style(what, dim=True)} {_relative(Path(path))}  {state}")


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
