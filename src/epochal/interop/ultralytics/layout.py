"""The folder that a training leaves: what lies in it, and whether a person named it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["given_name", "given_project", "output_files"]

_PLOTS = {".png", ".jpg", ".jpeg"}
_FILES = {
    "results.csv": "table",
    "args.yaml": "config",
    "weights/best.pt": "weights",
    "weights/last.pt": "weights",
}
# Folders of Ultralytics' own layout: as the name of a project they say nothing.
_LAYOUT = re.compile(
    r"runs|detect|segment|semantic|pose|obb|classify|(train|val|tune|multitrain)-?\d*"
)
_TRIALS = re.compile(r"(tune|multitrain)-?\d*")
"""Projects in which ``model.tune()`` names the trainings itself, after the dataset."""
_DEFAULT_NAME = re.compile(r"(train|exp)-?\d*")
"""What Ultralytics calls a folder that nobody named."""


def output_files(folder: Path, since: float = 0.0) -> Iterator[tuple[str, Path, str]]:
    """Yield (key, path, role) of the files below `folder` that are to be kept.

    Parameters
    ----------
    since
        Seconds since the Unix epoch: with ``exist_ok=True`` a folder can hold older files, which
        belong to another training.
    """
    candidates = [(key, folder / key, role) for key, role in _FILES.items()]
    plots = sorted(path for path in folder.glob("*") if path.suffix.lower() in _PLOTS)
    candidates += [(path.name, path, "plot") for path in plots]
    for key, path, role in candidates:
        if path.is_file() and path.stat().st_mtime >= since:
            yield key, path, role


def given_name(name: str, project: str) -> str | None:
    """Return the name of the output folder where a person gave it, else None.

    Of ``name=v2`` a second time Ultralytics makes ``v2-2``, and so the run is called.

    Parameters
    ----------
    name, project
        The trainer's arguments of these names; the project may be a path.
    """
    is_generated = _DEFAULT_NAME.fullmatch(name) or _TRIALS.fullmatch(Path(project).name)
    return None if is_generated else name or None


def given_project(project: str) -> str | None:
    """Return the last component of ``project=`` where it can be the name of a project."""
    name = Path(project).name
    return None if _LAYOUT.fullmatch(name) else name or None
