"""Which workspaces this user has, so that a search can go over all of them.

A plain text file in the user's state folder, one path a line. Losing it loses nothing: a
workspace is on it again once a lesson is written or searched for there.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from epochal.journal.folder import Folder

__all__ = ["known_workspaces", "remember_workspace"]


def _file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "epochal" / "workspaces"


def known_workspaces() -> list[Path]:
    """Return the workspaces on the list that are there at present, in the order of the list."""
    return [path for path in _listed() if (path / "format").is_file()]


def remember_workspace(folder: Folder) -> None:
    """Put a workspace on the list; a list that cannot be written stays as it is."""
    root = folder.root.resolve()
    listed = _listed()
    if root in listed or "\n" in str(root):
        return
    # a folder that is not mounted today is kept: it may be again tomorrow
    try:
        file = _file()
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".workspaces-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as temporary:
                temporary.writelines(f"{path}\n" for path in (*listed, root))
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError:
        pass  # a home that cannot be written: searches everywhere will not know this workspace


def _listed() -> list[Path]:
    try:
        text = _file().read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    return [Path(line) for line in text.splitlines() if line.strip()]
