"""``epochal export``: give runs back to other tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from epochal.cli.common import (
    json_option,
    needing,
    open_store,
    print_json,
    progress,
    project_option,
    workspace_option,
)
from epochal.errors import Refused

if TYPE_CHECKING:
    from epochal.store.documents import RunDocument
    from epochal.store.store import Store

__all__ = ["export_command"]

_FILES = ("csv", "parquet")


@click.command("export")
@click.argument("runs", nargs=-1, required=True)
@click.option(
    "--to",
    "target",
    type=click.Choice(["csv", "parquet", "tensorboard", "results-csv", "mlflow"]),
    required=True,
    help="One file (csv, parquet), one folder a run (tensorboard), one file a run "
    "(results-csv), or a server (mlflow).",
)
@click.option(
    "--out", "destination", required=True, help="File, folder, or an MLflow server's address."
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@workspace_option
@project_option
@json_option
def export_command(
    runs: tuple[str, ...],
    target: str,
    destination: str,
    force: bool,
    workspace: Path | None,
    project: str | None,
    as_json: bool,
) -> None:
    """Give RUNS out as files of other tools, or to an MLflow server.

    \b
      epochal export v1_baseline v2_imgsz_960 --to parquet --out points.parquet
      epochal export v2_imgsz_960 --to tensorboard --out logs/
      epochal export v2_imgsz_960 --to mlflow --out http://mlflow.example:5000
    """
    with open_store(workspace) as store:
        documents = [store.find_run(run, project) for run in runs]
        if target in _FILES and Path(destination).exists() and not force:
            raise Refused(f"{destination} is there already", "replace it with --force")
        with progress(f"exporting to {target}") as advance:
            written = _export(store, documents, target, destination, advance)
    if as_json:
        print_json({"to": target, "runs": [d.id for d in documents], "written": written})
    else:
        for place in written:
            click.echo(place)


def _export(
    store: Store,
    documents: Sequence[RunDocument],
    target: str,
    destination: str,
    advance: Callable[[int, int], None],
) -> list[str]:
    match target:
        case "csv":
            from epochal.interop.tables import export_csv

            return [str(export_csv(store, documents, Path(destination), advance))]
        case "parquet":
            from epochal.interop.tables import export_parquet

            return [str(export_parquet(store, documents, Path(destination), advance))]
        case "results-csv":
            from epochal.interop.ultralytics import export_results

            return [str(export_results(store, d, Path(destination))) for d in documents]
        case "mlflow":
            from epochal.interop.mlflow.exporting import export_to_server

            return [export_to_server(store, d, destination, advance) for d in documents]
        case _:
            return [_to_tensorboard(store, d, Path(destination), advance) for d in documents]


def _to_tensorboard(
    store: Store, document: RunDocument, destination: Path, advance: Callable[[int, int], None]
) -> str:
    with needing("tensorboard", "writing event files"):
        from epochal.interop.tensorboard import export_run
    return str(export_run(store, document, destination, advance))
