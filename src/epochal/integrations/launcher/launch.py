"""Start a command so that its trainings are recorded, and leave a trace of how it ended."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from epochal.errors import EpochalError, InvalidInput
from epochal.integrations.intent import Intent
from epochal.integrations.launcher.aftermath import (
    new_output_folders,
    record_failure,
    was_recorded,
)
from epochal.integrations.launcher.child import run_child
from epochal.journal.folder import Folder
from epochal.run.pinning import was_refused

__all__ = ["Importer", "launch"]

_SITE = Path(__file__).parent / "site"
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127  # as a shell has it


class Importer(Protocol):
    """Records a trainer's output folder; `epochal.interop.ultralytics.import_folder` is one."""

    def __call__(self, path: Path, *, workspace: Path, **intent: Any) -> object:
        """Import the folder at `path`; `intent` holds project, name, parent ... where given."""


def launch(
    argv: Sequence[str],
    *,
    workspace: Path | None = None,
    project: str | None = None,
    name: str | None = None,
    parent: str | None = None,
    dataset: str | None = None,
    hypothesis: str = "",
    tags: Sequence[str] = (),
    group: str = "",
    importer: Importer | None = None,
) -> int:
    """Run the command `argv` with the integrations armed and return its exit code.

    Parameters
    ----------
    argv
        The command and its arguments; not interpreted by a shell.
    workspace
        The workspace of its runs; by default the one found from here, created where missing.
    project, name, parent, dataset, hypothesis, tags, group
        Said by a person; stronger than what the script says.
    importer
        Called for every output folder that a trainer left when no run was recorded, because the
        command's Python has no Epochal.

    Returns
    -------
    int
        The command's exit code; 128 + n where signal n ended it; 127 and 126 where it was not
        found or cannot be executed.

    Raises
    ------
    InvalidInput
        If `argv` is empty.
    """
    if not argv:
        raise InvalidInput("no command was given", "write it behind two dashes: -- yolo train ...")
    intent = Intent(
        project=project or "",
        name=name or "",
        parent=parent or "",
        dataset=dataset or "",
        hypothesis=hypothesis,
        tags=tuple(tags),
        group=group,
    )
    folder = Folder.for_recording(workspace)
    launch_id = secrets.token_hex(8)
    started = time.time()
    try:
        code = run_child(argv, _environment(folder, launch_id, intent))
    except FileNotFoundError:
        sys.stderr.write(f"epochal: there is no command {argv[0]!r}\n")
        return _NOT_FOUND
    except PermissionError:
        sys.stderr.write(f"epochal: {argv[0]!r} cannot be executed\n")
        return _NOT_EXECUTABLE
    if was_refused(folder, launch_id) or was_recorded(folder, launch_id, started):
        return code
    outputs = new_output_folders(argv, started)
    if outputs and importer:
        for output in outputs:
            _import(importer, output, folder, intent)
    elif code:
        _record_failure(folder, launch_id, intent, argv, code)
    return code


def _import(importer: Importer, output: Path, folder: Folder, intent: Intent) -> None:
    try:
        importer(output, workspace=folder.root, **intent.arguments())
    except (EpochalError, OSError) as error:  # the exit code is the command's, whatever happens
        sys.stderr.write(f"epochal: {output} could not be taken in: {error}\n")
    else:
        sys.stderr.write(f"epochal: took in {output}; the command's Python has no epochal\n")


def _record_failure(
    folder: Folder, launch_id: str, intent: Intent, argv: Sequence[str], code: int
) -> None:
    try:
        record_failure(folder, launch_id, intent, argv, code)
    except EpochalError as error:  # what was said about the run is refused: then there is none
        sys.stderr.write(f"epochal: the failure is not recorded: {error}\n")


def _environment(folder: Folder, launch_id: str, intent: Intent) -> dict[str, str]:
    env = dict(os.environ)
    env.update(intent.environment())
    env["EPOCHAL_WORKSPACE"] = str(folder.root)
    env["EPOCHAL_LAUNCH"] = launch_id
    # Not `site:` with nothing behind it: an empty entry is the current folder.
    env["PYTHONPATH"] = os.pathsep.join(p for p in (str(_SITE), env.get("PYTHONPATH")) if p)
    return env
