"""After the command: was anything recorded, and if not, what is there to record?"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from epochal.integrations.intent import Intent
from epochal.integrations.launches import is_opened_by
from epochal.journal.folder import Folder

__all__ = ["new_output_folders", "record_failure", "was_recorded"]

_CLOCK_SLACK = 2.0  # seconds: file times are coarser than the clock


def was_recorded(folder: Folder, launch: str, since: float) -> bool:
    """Tell whether a run was opened by a process of the launch with this id.

    `since` (seconds since the Unix epoch) spares reading journals of earlier runs.
    """
    return any(
        journal.run_folder is not None
        and _is_newer(journal.path, since)
        and is_opened_by(journal.path, launch)
        for journal in folder.journals()
    )


def new_output_folders(argv: Sequence[str], since: float) -> list[Path]:
    """Return the folders that a YOLO trainer wrote since then, oldest first.

    Looked for below ``runs`` in the current folder and below the command's ``project=``.
    """
    found = {
        table.parent
        for root in _output_roots(argv)
        for table in root.rglob("results.csv")
        if _is_newer(table, since)
    }
    return sorted(found, key=lambda path: (path / "results.csv").stat().st_mtime)


def record_failure(
    folder: Folder, launch: str, intent: Intent, argv: Sequence[str], code: int
) -> None:
    """Record a run for a command that failed before anything in it could open one."""
    import epochal

    arguments = {"name": Path(argv[0]).name, **intent.arguments()}
    os.environ["EPOCHAL_LAUNCH"] = launch
    try:
        run = epochal.init(
            **arguments,
            config={"command": shlex.join(argv)},
            workspace=folder.root,
            capture=False,
        )
    finally:
        del os.environ["EPOCHAL_LAUNCH"]
    if code > 128:
        run.finish("killed", f"ended by signal {code - 128} before a training began")
    else:
        run.finish("failed", f"exit code {code} before a training began")


def _output_roots(argv: Sequence[str]) -> Iterator[Path]:
    yield Path("runs").absolute()
    for argument in argv:
        key, given, value = argument.partition("=")
        if key == "project" and given and value:
            yield Path(value).absolute()


def _is_newer(path: Path, since: float) -> bool:
    try:
        return path.stat().st_mtime >= since - _CLOCK_SLACK
    except FileNotFoundError:
        return False
