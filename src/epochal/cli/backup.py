"""``epochal backup`` and ``restore``: a workspace as one file, and back."""

from __future__ import annotations

import time
from pathlib import Path

import click

from epochal.cli.common import (
    folder_of,
    json_option,
    print_json,
    progress,
    workspace_option,
)
from epochal.errors import NotFound

__all__ = ["backup_command", "restore_command"]


@click.command("backup")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@workspace_option
@json_option
def backup_command(file: Path | None, workspace: Path | None, as_json: bool) -> None:
    """Write the whole workspace into FILE (default: epochal-<time>.tar.zst), bit for bit.

    Trainings may go on meanwhile. The index is left out: it is rebuilt from the journals.
    """
    from epochal.store.backup import back_up

    folder = folder_of(workspace)
    target = file or Path(time.strftime("epochal-%Y%m%d-%H%M%S.tar.zst"))
    with progress("backing up", unit="bytes") as advance:
        found = back_up(folder, target, advance)
    if as_json:
        print_json({"file": str(target), "files": len(found.files), "bytes": found.bytes})
        return
    click.echo(f"{target}: {len(found.files):,} files, {target.stat().st_size:,} bytes")
    click.echo(f"  `epochal restore {target} FOLDER` unpacks and verifies it")


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@json_option
def restore_command(file: Path, folder: Path, as_json: bool) -> None:
    """Unpack a backup as the workspace of FOLDER (default: here), every file verified.

    A workspace that is there already is never touched.
    """
    from epochal.store.backup import restore

    if not file.is_file():
        raise NotFound(f"no file {file}", "give what `epochal backup` wrote")
    with progress("restoring", unit="bytes") as advance:
        restored, found = restore(file, folder, advance)
    if as_json:
        print_json({"workspace": str(restored.root), "files": len(found.files)})
        return
    click.echo(f"{restored.root}: {len(found.files):,} files, each verified")
