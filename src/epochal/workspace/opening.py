"""Finding the workspace that ``epochal.open()`` means."""

from __future__ import annotations

import os
from pathlib import Path

from epochal.errors import InvalidInput, NotFound
from epochal.journal.folder import Folder
from epochal.workspace.workspace import Workspace

__all__ = ["open_workspace"]


def open_workspace(path: str | os.PathLike[str] | None = None) -> Workspace:
    """Open a workspace for reading, and for what people say about runs.

    Parameters
    ----------
    path
        The ``.epochal`` folder or the one that holds it. Default: EPOCHAL_WORKSPACE, else the
        nearest one from here upwards.

    Raises
    ------
    NotFound
        If there is none.
    InvalidInput
        If `path` is the address of a server: this version opens folders only.
    """
    if path is not None and "://" in os.fspath(path):
        raise InvalidInput(
            f"{os.fspath(path)} is a server's address, and this version opens folders only",
            "give the path of a workspace; opening a server comes with a later version",
        )
    folder = Folder.at(Path(path)) if path is not None else Folder.find()
    if folder is None:
        raise NotFound(
            f"no workspace in {Path.cwd()} or above it",
            "give its path, set EPOCHAL_WORKSPACE, or create one with `epochal init`",
        )
    return Workspace(folder)
