"""``epochal doctor``: whether the workspace is in order, and what to do where it is not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from epochal.cli.common import (
    folder_of,
    json_option,
    open_store,
    print_json,
    progress,
    workspace_option,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from epochal.store.checkup import Checkup, Finding
    from epochal.store.store import Store

__all__ = ["doctor_command"]


@click.command("doctor")
@click.option("--quick", is_flag=True, help="Do not read the blobs' content.")
@click.option("--rebuild", is_flag=True, help="First throw the index away and build it again.")
@workspace_option
@json_option
def doctor_command(quick: bool, rebuild: bool, workspace: Path | None, as_json: bool) -> None:
    """Check journals, their links, the index, blobs and dataset manifests.

    Exit code 0: in order (notes may remain). 1: something is wrong. 2: an error.
    """
    from epochal.store.checkup import Checkup, check_blobs, check_journals

    if rebuild:
        _throw_index_away(workspace)
    with open_store(workspace) as store:
        checkup = Checkup(
            workspace=str(store.folder.root),
            runs=store.count_runs(),
            journals=len(store.journals()),
        )
        checkup.findings += check_journals(store)
        checkup.findings += _check_index(store)
        checkup.findings += _check_manifests(store, checkup)
        if not quick:
            with progress("reading blobs", unit="bytes") as advance:
                checkup.findings += check_blobs(store, checkup, advance)
    if as_json:
        print_json(checkup)
    else:
        _print(checkup, quick)
    sys.exit(1 if checkup.problems else 0)


def _throw_index_away(workspace: Path | None) -> None:
    from epochal.store.database import index_path

    root = folder_of(workspace).root
    index = index_path(root)
    # Those of other versions too: each version reads its own and none is needed.
    for path in (*index.parent.glob("index-*.sqlite*"), *root.glob("index-*.sqlite*")):
        path.unlink(missing_ok=True)


def _check_index(store: Store) -> Iterator[Finding]:
    from epochal.store.checkup import Finding

    for text in store.index_problems():
        yield Finding(
            severity="problem",
            place="index",
            text=text,
            remedy="`epochal doctor --rebuild` builds it again from the journals",
        )


def _check_manifests(store: Store, checkup: Checkup) -> Iterator[Finding]:
    from epochal.datasets.versions import load_manifest
    from epochal.errors import EpochalError
    from epochal.store.checkup import Finding

    for governed in store.governance("dataset"):
        version = governed.body
        try:
            load_manifest(store.folder.datasets, version.digest)
            checkup.manifests += 1
        except EpochalError as error:
            yield Finding(
                severity="problem",
                place=f"dataset {version.name}@{version.tag}",
                text=error.message,
                remedy=error.remedy,
            )


def _print(checkup: Checkup, quick: bool) -> None:
    from rich.markup import escape

    from epochal.analysis.metrics import Metric, format_value
    from epochal.cli.common import console

    out = console()
    size = format_value(Metric(name="size", unit="bytes"), checkup.blob_bytes)
    blobs = "blobs not read" if quick else f"{checkup.blobs:,} blobs verified ({size})"
    out.print(
        f"[bold]{escape(checkup.workspace)}[/]\n[dim]{checkup.runs:,} runs, "
        f"{checkup.journals:,} journals, {blobs}, {checkup.manifests:,} dataset manifests[/]"
    )
    for finding in sorted(checkup.findings, key=lambda f: (f.severity != "problem", f.place)):
        wrong = finding.severity == "problem"
        mark = "[bold red]✗[/]" if wrong else "[yellow]·[/]"
        out.print(f"{mark} {escape(finding.place)}: {escape(finding.text)}")
        if finding.remedy:
            out.print(f"  [dim]{escape(finding.remedy)}[/]")
    left = len(checkup.findings) - checkup.problems
    notes = f"{left} note{'' if left == 1 else 's'}"
    if checkup.problems:
        noun = "problem" if checkup.problems == 1 else "problems"
        said = f"[bold red]{checkup.problems} {noun}[/]"
        out.print(f"{said}, {notes}" if left else said)
    else:
        out.print(f"[green]in order[/]; {notes}" if left else "[green]in order[/]")
