"""Dataset commands about content: verify, leakage, restore, export, gc."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from epochal.cli.common import json_option, open_store, print_json, progress, workspace_option
from epochal.cli.dataset_access import content_at, find_version, version_content
from epochal.errors import EpochalError, InvalidInput

if TYPE_CHECKING:
    from epochal.records import DatasetTagged
    from epochal.store.store import Store

__all__ = [
    "export_command",
    "gc_command",
    "leakage_command",
    "restore_command",
    "verify_command",
]


@click.command("verify")
@click.argument("ref", metavar="NAME@TAG")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@workspace_option
@json_option
def verify_command(ref: str, path: Path | None, *, workspace: Path | None, as_json: bool) -> None:
    """Read every byte of a version again: the data at PATH, and its snapshot.

    PATH is by default where the version was tagged. Exit code 1 if anything differs.
    """
    import sys

    from epochal.datasets import check_pin, load_manifest, load_snapshot
    from epochal.datasets.snapshots import snapshot_path

    store = open_store(workspace)
    folder, version = store.folder, find_version(store, ref)
    load_manifest(folder.datasets, version.digest)  # damage in it is found even if nothing differs
    place = path or Path(version.path)
    state, detail = "unchecked", f"{place} is not on this machine"
    if place.exists():
        with progress("reading the data") as advance:
            found = check_pin(
                place, folder.datasets, version.digest, progress=advance, images=version.images
            )
        state, detail = found.state, found.detail
    damaged: list[str] = []
    has_snapshot = snapshot_path(folder.datasets, version.digest).exists()
    if has_snapshot:
        snapshot = load_snapshot(folder.datasets, store.blobs, version.digest)
        done = 0
        with progress("reading the snapshot", unit="bytes") as advance:
            for file in snapshot.files:
                try:
                    snapshot.read(file)
                except EpochalError as error:
                    damaged.append(f"{file.path}: {error.message}")
                done += file.size
                advance(done, snapshot.header.size)
    if as_json:
        print_json(
            {
                "dataset": f"{version.name}@{version.tag}",
                "digest": version.digest,
                "path": str(place),
                "state": state,
                "detail": detail,
                "snapshot": ("damaged" if damaged else "intact") if has_snapshot else "none",
                "damaged": damaged,
            }
        )
    else:
        from epochal.cli.dataset_page import print_verified

        print_verified(version, place, state, detail, damaged, has_snapshot=has_snapshot)
    if state == "drifted" or damaged:
        sys.exit(1)


@click.command("leakage")
@click.argument("ref", metavar="NAME@TAG | PATH")
@click.option("--pixels", is_flag=True, help="Compare pixels, not only bytes: decodes all images.")
@workspace_option
@json_option
def leakage_command(ref: str, *, pixels: bool, workspace: Path | None, as_json: bool) -> None:
    """List images that are in more than one split, byte for byte or by their pixels."""
    from epochal.datasets import leakage, pixel_leakage

    store = open_store(workspace)
    content = content_at(store, ref)
    if pixels:
        with progress("decoding images") as advance:
            leaks = pixel_leakage(content, progress=advance)
    else:
        leaks = leakage(content.manifest)
    if as_json:
        print_json(leaks)
        return
    from epochal.cli.dataset_problems_page import print_leaks

    print_leaks(leaks, pixels=pixels)


@click.command("restore")
@click.argument("ref", metavar="NAME@TAG")
@click.argument("destination", type=click.Path(path_type=Path))
@workspace_option
@json_option
def restore_command(ref: str, destination: Path, *, workspace: Path | None, as_json: bool) -> None:
    """Bring a version back into DESTINATION from its snapshot, every byte verified.

    An interrupted restore goes on where it was when it is called again.
    """
    from epochal.datasets import load_manifest, load_snapshot, restore

    store = open_store(workspace)
    version = find_version(store, ref)
    snapshot = load_snapshot(store.folder.datasets, store.blobs, version.digest)
    manifest = load_manifest(store.folder.datasets, version.digest)
    with progress("restoring", unit="bytes") as advance:
        given = restore(snapshot, manifest, destination, progress=advance)
    if as_json:
        print_json({"path": str(given), "digest": version.digest, "files": len(snapshot.files)})
        return
    click.echo(
        f"{version.name}@{version.tag} is in {given}: {len(snapshot.files)} files, verified"
    )


@click.command("export")
@click.argument("ref", metavar="NAME@TAG")
@click.argument("destination", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["yolo", "coco", "ndjson", "parquet"]),
    default="yolo",
    show_default=True,
    help="YOLO labels, COCO JSON, Ultralytics NDJSON, or the list of files as Parquet.",
)
@click.option(
    "--train", metavar="SPLIT", default="", help="Split to train on, where there is no train."
)
@click.option(
    "--val", metavar="SPLIT", default="", help="Split to validate on, where there is no val."
)
@workspace_option
@json_option
def export_command(
    ref: str,
    destination: Path,
    form: Any,
    *,
    train: str,
    val: str,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Write a version into DESTINATION in a form that other tools read.

    DESTINATION is a folder that does not exist yet; for parquet a file: one row an image, with
    split, path, size, digests, width, height and objects per class.

    A training by YOLO needs the splits train and val. Of a version that has none of one, say which
    other split to use: `--val train` validates on what was trained on.
    """
    from epochal.datasets import export

    store = open_store(workspace)
    if form == "parquet":
        if train or val:
            raise InvalidInput("a list of files has no train or val to set", "leave it out")
        _export_parquet(store, find_version(store, ref), destination, as_json=as_json)
        return
    version, content = version_content(store, ref)
    with progress("writing images") as advance:
        made = export(
            content, destination, form, name=version.name, train=train, val=val, progress=advance
        )
    if as_json:
        print_json({"path": str(made), "digest": version.digest, "format": form})
        return
    left_out = sum(entry.malformed for entry in content.manifest.entries)
    images = len(content.manifest.entries) - left_out
    click.echo(f"wrote {images} images of {version.name}@{version.tag} as {form}: {made}")
    if left_out:
        click.echo(f"note: {left_out} left out, because their labels have errors", err=True)
    if form == "ndjson" and not val and "val" not in content.manifest.header.splits:
        click.echo("note: no val in it: Ultralytics sets a tenth of train aside", err=True)


def _export_parquet(
    store: Store, version: DatasetTagged, destination: Path, *, as_json: bool
) -> None:
    from epochal.datasets import load_manifest
    from epochal.datasets.parquet import write_parquet

    manifest = load_manifest(store.folder.datasets, version.digest)
    write_parquet(manifest, destination)
    if as_json:
        print_json({"path": str(destination), "digest": version.digest, "format": "parquet"})
        return
    rows = len(manifest.entries)
    click.echo(f"wrote {rows} rows of {version.name}@{version.tag} as parquet: {destination}")


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would be.")
@click.option(
    "--days",
    type=click.FloatRange(min=0),
    default=14.0,
    show_default=True,
    help="Leave alone what is younger.",
)
@workspace_option
@json_option
def gc_command(*, dry_run: bool, days: float, workspace: Path | None, as_json: bool) -> None:
    """Remove files of the workspace that nothing refers to, such as of interrupted snapshots.

    What a tagged version, a run, an evaluation or a decision needs is never touched.
    """
    from epochal.datasets import collect

    store = open_store(workspace)
    with progress("reading journals", unit="bytes") as advance:
        found = collect(
            store.folder, store.blobs, dry_run=dry_run, min_age=days * 86400, progress=advance
        )
    if as_json:
        print_json(found)
        return
    from epochal.cli.dataset_page import size_text

    word = "would remove" if dry_run else "removed"
    click.echo(
        f"{word} {found.blobs} blobs, {found.snapshots} snapshots, {found.manifests} manifests "
        f"and {found.leftovers} leftovers: {size_text(found.size)}; {found.kept} blobs stay"
    )
