"""``epochal handoff``: the winner as a folder, verified where it arrives."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from epochal.cli.common import (
    json_option,
    open_store,
    print_json,
    progress,
    project_option,
    workspace_option,
)
from epochal.errors import InvalidInput

__all__ = ["handoff_command"]


@click.command("handoff")
@click.argument("run", required=False)
@click.argument("dest", required=False, type=click.Path(path_type=Path))
@click.option("--override", default="", metavar="REASON", help="Hand off without a `ship`.")
@click.option(
    "--verify",
    "arrived",
    type=click.Path(path_type=Path),
    metavar="DEST",
    help="Check a bundle where it arrived; needs no workspace.",
)
@project_option
@workspace_option
@json_option
def handoff_command(
    run: str | None,
    dest: Path | None,
    override: str,
    arrived: Path | None,
    project: str | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Write RUN, which a decision must let ship, into the new folder DEST.

    \b
      epochal handoff v3_pallets_added ship/v3
      epochal handoff --verify ship/v3          0: as it was sent; 1: it is not
      sha256sum -c SHA256SUMS                   the same without Epochal

    Weights, config, dataset version, evaluations, decision, lesson, model card, checksums.
    """
    if arrived is not None:
        if run is not None:
            raise InvalidInput("--verify takes the folder and nothing else")
        _verify(arrived, as_json)
        return
    if run is None or dest is None:
        raise InvalidInput(
            "a hand-off takes a run and a folder", "`epochal handoff v3_pallets_added ship/v3`"
        )
    from epochal.registry.handoff import hand_off

    with open_store(workspace) as store:
        bundle = hand_off(store, store.find_run(run, project), dest, override=override)
    if as_json:
        print_json(bundle)
        return
    count = sum(path.is_file() for path in dest.rglob("*"))
    click.echo(f"{bundle.name} is in {dest}: {count} files, {bundle.weights}")
    if bundle.override:
        click.echo(click.style(f"  against the gates: {bundle.override}", fg="yellow"))
    for text in bundle.missing:
        click.echo(click.style(f"  without {text}", fg="yellow"))
    click.echo(f"  `epochal handoff --verify {dest}` checks it where it arrives")


def _verify(folder: Path, as_json: bool) -> None:
    from epochal.registry.handoff import verify_bundle

    with progress("reading") as advance:
        found = verify_bundle(folder, advance)
    if as_json:
        print_json(found)
    else:
        name = f"{found.bundle.project}/{found.bundle.name}" if found.bundle else str(folder)
        for problem in found.problems:
            click.echo(click.style("✗ ", fg="red") + problem)
        if found.problems:
            click.echo(f"{name}: do not deploy this")
        else:
            click.echo(f"{name}: {found.files} files as they were sent")
    sys.exit(1 if found.problems else 0)
