"""``epochal import SYSTEM ...``: take in what another tool recorded."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from epochal.cli.common import (
    console,
    json_option,
    needing,
    print_json,
    progress,
    workspace_option,
)
from epochal.errors import EpochalError, InvalidInput
from epochal.journal.folder import Folder

if TYPE_CHECKING:
    from epochal.interop.importing import ImportReport
    from epochal.interop.tensorboard import Logdir

__all__ = ["draw_reports", "import_command"]


@click.group("import")
def import_command() -> None:
    """Take in finished runs of another tool.

    Importing twice changes nothing; importing again later brings in what is new.
    """


@import_command.command("ultralytics")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-p", "--project", default="", help="Default: that of the training or of epochal.toml."
)
@click.option("--parent", default="", help="The run they were derived from.")
@click.option("--dataset", default="", help="name@tag of the version they were trained on.")
@click.option("--tags", default="", help="Tags, separated by commas.")
@click.option("--group", default="", help="Group of the runs.")
@workspace_option
@json_option
def import_ultralytics(
    folders: tuple[Path, ...],
    project: str,
    parent: str,
    dataset: str,
    tags: str,
    group: str,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Take in the folders that YOLO trainings left.

    \b
      epochal import ultralytics runs/detect/*

    Epochs, arguments, weights, plots and, where the data is still here, predictions. Nothing is
    unpickled. A folder given as runs/detect stands for those in it. Exit code 2 where none of
    them is a training's.
    """
    from epochal.interop.importing import ImportReport
    from epochal.interop.ultralytics import import_folder

    root = Folder.for_recording(workspace).root
    intent = {"project": project, "parent": parent, "dataset": dataset, "group": group}
    named = tuple(tag for tag in (part.strip() for part in tags.split(",")) if tag)
    reports: list[ImportReport] = []
    refused = 0
    places = list(dict.fromkeys(place for folder in folders for place in _trainings(folder)))
    if not places:
        raise _other_than_training(folders[0]) or InvalidInput(
            f"no training's folder in {', '.join(map(str, folders))}",
            "name one such as runs/detect/train",
        )
    with progress("importing", unit="") as advance:
        for done, place in enumerate(places, start=1):
            try:
                reports.append(import_folder(place, workspace=root, tags=named, **intent))
            except EpochalError as refusal:
                error = _other_than_training(place) or refusal
                if len(places) == 1:
                    raise error from refusal
                refused += 1
                left_out = (f"{error.message}. {error.remedy}",)
                reports.append(
                    ImportReport(system="ultralytics", source=str(place), left_out=left_out)
                )
            advance(done, len(places))
    _tell(reports, as_json)
    if refused == len(places):
        sys.exit(2)


@import_command.command("tensorboard")
@click.argument("logdir", type=click.Path(path_type=Path))
@click.option("-p", "--project", default="", help="Default: the directory's name.")
@click.option("--follow", is_flag=True, help="Go on taking in what trainings write; Ctrl-C ends.")
@workspace_option
@json_option
def import_tensorboard(
    logdir: Path, project: str, follow: bool, workspace: Path | None, as_json: bool
) -> None:
    """Take in a TensorBoard log directory: each folder with event files is a run.

    Scalars, hyper-parameters, text, images, histograms and PR curves.
    """
    with needing("tensorboard", "reading event files"):
        from epochal.interop.tensorboard import Logdir
    folder = Folder.for_recording(workspace)
    source = Logdir(logdir, workspace=folder, project=project)
    try:
        with progress("importing", unit="bytes") as advance:
            source.poll(advance)
        if follow:
            click.echo(f"following {source.path}; Ctrl-C ends", err=True)
            _follow(source)
        report = source.report()
    finally:
        source.close()
    _tell([report], as_json)


@import_command.command("wandb")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-p", "--project", default="", help="Default: each run's own.")
@workspace_option
@json_option
def import_wandb_command(
    folder: Path, project: str, workspace: Path | None, as_json: bool
) -> None:
    """Take in the folders that W&B's client left: wandb/offline-run-*, wandb/run-*.

    A folder given as wandb stands for all runs in it.
    """
    with needing("wandb", "reading W&B's logs"):
        from epochal.interop.wandb import import_wandb
    target = Folder.for_recording(workspace)
    with progress("importing runs") as advance:
        report = import_wandb(folder, workspace=target, project=project, progress=advance)
    _tell([report], as_json)


@import_command.command("csv")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-p", "--project", required=True, help="Project of the run.")
@click.option("--name", default="", help="Default: the file's, or its folder's for results.csv.")
@click.option("--step", default="", help="Column of the step; default: step, iteration or epoch.")
@workspace_option
@json_option
def import_csv_command(
    file: Path, project: str, name: str, step: str, workspace: Path | None, as_json: bool
) -> None:
    """Take in a CSV file: one row a step, or what `epochal export --to csv` wrote.

    \b
      epochal import csv metrics.csv --project pallets --name v1_baseline --step iteration
    """
    from epochal.interop.tables import import_csv

    folder = Folder.for_recording(workspace)
    with progress("importing", unit="bytes") as advance:
        report = import_csv(
            file, workspace=folder, project=project, name=name, step=step, progress=advance
        )
    _tell([report], as_json)


@import_command.command("mlflow")
@click.argument("source")
@click.option("-p", "--project", default="", help="Default: each run's experiment.")
@workspace_option
@json_option
def import_mlflow_command(
    source: str, project: str, workspace: Path | None, as_json: bool
) -> None:
    """Take in the runs of an MLflow store: mlflow.db, an mlruns folder, or http://server:port.

    \b
      epochal import mlflow mlflow.db
      epochal import mlflow mlruns --project pallets
    """
    from epochal.interop.mlflow.importing import import_mlflow

    folder = Folder.for_recording(workspace)
    with progress("importing runs") as advance:
        report = import_mlflow(source, workspace=folder, project=project, progress=advance)
    _tell([report], as_json)


def _tell(reports: list[ImportReport], as_json: bool) -> None:
    if as_json:
        print_json(reports)
    else:
        draw_reports(reports)


def _follow(source: Logdir) -> None:
    import time

    try:
        while True:
            time.sleep(_FOLLOW_INTERVAL)
            if new := source.poll():
                click.echo(f"{new} new record{'s' * (new != 1)}", err=True)
    except KeyboardInterrupt:
        click.echo(err=True)


_FOLLOW_INTERVAL = 2.0


def _trainings(folder: Path) -> Iterator[Path]:
    """Yield the folder itself, or the trainings below it; files among a shell's ``*`` are none."""
    if folder.is_file():
        return
    if not folder.is_dir() or (folder / "args.yaml").exists() or (folder / "results.csv").exists():
        yield folder
        return
    below = sorted(table.parent for table in folder.glob("**/results.csv"))
    yield from below or [folder]


def _other_than_training(place: Path) -> InvalidInput | None:
    """Return what to say of a place that is known to be no training's, if it looks like something.

    Often it does: a dataset lies beside the runs, and other tools leave folders.
    """
    named = shlex.quote(str(place))
    if place.name in ("args.yaml", "results.csv"):
        return InvalidInput(
            f"{place} is a file of a training's folder", f"name the folder: {place.parent}"
        )
    if place.suffix in (".pt", ".onnx", ".engine"):
        return InvalidInput(
            f"{place} holds weights, not a training", "name the folder of the training they are of"
        )
    if place.suffix == ".csv" and place.is_file():
        return InvalidInput(
            f"{place} is a table, not a training's folder",
            f"`epochal import csv {named} --project NAME` takes it in",
        )
    if _is_dataset(place):
        return InvalidInput(
            f"{place} is a dataset, not a training's folder",
            f"`epochal dataset tag {named} NAME@TAG` makes a version of it",
        )
    if place.is_dir():
        for pattern, what, system in _LEFT_BY:
            if next(place.glob(pattern), None) is not None:
                return InvalidInput(
                    f"{place} holds {what}, not a training's folder",
                    f"`epochal import {system} {named}` takes it in",
                )
    return None


_LEFT_BY = (
    ("**/events.out.tfevents.*", "event files of TensorBoard", "tensorboard"),
    ("**/*.wandb", "runs of W&B", "wandb"),
    ("mlflow.db", "an MLflow store", "mlflow"),
    ("*/meta.yaml", "an MLflow store", "mlflow"),
)
"""Pattern, what it is and the command that takes it in."""


def _is_dataset(place: Path) -> bool:
    from epochal.datasets import layout_of, read_data_yaml
    from epochal.datasets.coco import read_coco

    try:
        match layout_of(place):
            case "yolo":
                return place.is_dir() or bool(read_data_yaml(place))
            case "coco":
                return bool(read_coco(place))
            case "classify":
                return True
            case _:
                return (place / "images").is_dir() and (place / "labels").is_dir()
    except (EpochalError, OSError):
        return False


def draw_reports(reports: list[ImportReport]) -> None:
    """Print what imports did: the runs, then what could not be taken in."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    table = Table(box=None, pad_edge=False)
    for title in ("run", "id", "project", "new", "known", "from"):
        table.add_column(
            title,
            justify="right" if title in ("new", "known") else "left",
            no_wrap=title in ("run", "id"),
            overflow="fold",
        )
    for report in reports:
        for run in report.runs:
            cells = (run.name, run.id[:8], run.project, str(run.new), str(run.known))
            table.add_row(*map(Text, cells), Text(run.source.partition(":")[2]))
    if table.row_count:
        out.print(table)
    for title, lines in (
        ("damaged", [line for report in reports for line in report.problems]),
        ("left out", [line for report in reports for line in report.left_out]),
    ):
        for line in lines:
            out.print(Text(f"{title}: {line}"), style="yellow" if title == "damaged" else "dim")
    runs = [run for report in reports for run in report.runs]
    new = sum(run.new for run in runs)
    out.print(f"{len(runs)} run{'s' * (len(runs) != 1)}, {new} new record{'s' * (new != 1)}")
