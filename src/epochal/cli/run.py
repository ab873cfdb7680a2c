"""``epochal run -- CMD`` and ``epochal stop RUN``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from epochal.cli.common import (
    default_project,
    json_option,
    open_store,
    print_json,
    project_option,
    workspace_option,
)
from epochal.records import StopRequested

__all__ = ["run_command", "stop_command"]


@click.command(
    "run",
    # What stands behind the command's first word is the command's own, dashes included.
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option(
    "-p", "--project", default="", help="Project of the run; stronger than the script's."
)
@click.option("--name", default="", help="Name of the run: <version>_<what_changed>.")
@click.option("--parent", default="", help="The run this one is derived from.")
@click.option("--dataset", default="", help="name@tag of a tagged version.")
@click.option("--hypothesis", default="", help="What you expect, and why; pre-registered.")
@click.option("--tags", default="", help="Tags, separated by commas.")
@click.option("--group", default="", help="Group of runs, such as the seeds of one experiment.")
@workspace_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def run_command(
    project: str,
    name: str,
    parent: str,
    dataset: str,
    hypothesis: str,
    tags: str,
    group: str,
    workspace: Path | None,
    command: tuple[str, ...],
) -> None:
    """Run a training command, unmodified, and record what it trains.

    \b
      epochal run --name v2_imgsz_160 --parent v1_baseline -- \\
          yolo detect train model=yolov8n.pt data=pallets.yaml imgsz=160

    Signals and the exit code pass through. A command that fails before its training begins leaves
    a failed run. Where the command's Python has no Epochal, the trainer's output folder is
    imported when it is done.
    """
    from epochal.integrations.launcher import launch

    sys.exit(
        launch(
            command,
            workspace=workspace,
            project=project or None,
            name=name or None,
            parent=parent or None,
            dataset=dataset or None,
            hypothesis=hypothesis,
            tags=[tag for tag in (part.strip() for part in tags.split(",")) if tag],
            group=group,
            importer=_import,
        )
    )


def _import(path: Path, *, workspace: Path, **intent: Any) -> object:
    from epochal.interop.ultralytics import import_folder

    return import_folder(path, workspace=workspace, **intent)


@click.command("stop")
@click.argument("run")
@click.option("-m", "--reason", default="", help="Why; kept in the run.")
@project_option
@workspace_option
@json_option
def stop_command(
    run: str, reason: str, project: str | None, workspace: Path | None, as_json: bool
) -> None:
    """Ask a running training to end at its next epoch.

    The training keeps its best and last weights, evaluates the best ones, and ends as finished.
    """
    from epochal.errors import Refused

    with open_store(workspace) as store:
        document = store.find_run(run, default_project(store, project) if project else None)
        status = store.status(document)
        if status not in ("running", "stale"):
            raise Refused(f"{document.name} is not running: it is {status}")
        store.record(StopRequested(reason=reason), run=document.id)
    if as_json:
        print_json({"run": document.id, "name": document.name, "stop_requested": True})
    else:
        click.echo(f"{document.name} ({document.id[:8]}) ends at its next epoch")
