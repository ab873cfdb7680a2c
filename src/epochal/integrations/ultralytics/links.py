"""From a weights file to the run that made it, without a database.

A training's journal records the digests of the weights it left. The marker beside the weights
leads to the journal at once; weights that were moved or copied are found by going through all
journals, newest first.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from epochal.interop.ultralytics.marker import MARKER, read_marker
from epochal.journal.folder import Folder
from epochal.journal.reader import read_journal
from epochal.records import Opened
from epochal.store.blobs import digest_of_file

__all__ = ["Origin", "Weights", "find_origin"]

_CHECKPOINTS = (".pt", ".pth")


class Weights(NamedTuple):
    """A weights file and its digest, taken before it is evaluated."""

    path: Path
    digest: str
    """BLAKE3; empty for an export that is a folder."""

    @classmethod
    def of(cls, path: Path) -> Weights:
        """Return the weights at `path` with their digest."""
        return cls(path, digest_of_file(path) if path.is_file() else "")

    @property
    def name(self) -> str:
        """A name for people: ``train-3-best`` for ``train-3/weights/best.pt``."""
        if self.path.parent.name == "weights":
            return f"{self.path.parent.parent.name}-{self.path.stem}"
        return self.path.stem


class Origin(NamedTuple):
    """The run that made some weights."""

    run: str
    project: str
    name: str
    attempt: int


def find_origin(folder: Folder, weights: Weights) -> Origin | None:
    """Return the run of `weights` in the workspace; None where there is none."""
    digests = [weights.digest] if weights.digest else []
    # An exported model (best.onnx beside best.pt) is the same training's.
    siblings = (weights.path.with_suffix(suffix) for suffix in _CHECKPOINTS)
    digests += [digest_of_file(p) for p in siblings if p != weights.path and p.is_file()]
    if found := _beside(folder, weights.path, digests):
        return found
    newest_first = sorted(folder.run_folders(), key=lambda path: path.name, reverse=True)
    for run_folder in newest_first:
        if _records_one_of(run_folder, digests) and (found := _opened(run_folder)):
            return found
    return None


def _beside(folder: Folder, path: Path, digests: list[str]) -> Origin | None:
    """Follow the marker of the output folder that the weights lie in."""
    output = path.parent.parent
    marker = read_marker(output) if path.parent.name == "weights" else None
    run_folder = folder.run_folder(marker.run) if marker else None
    if run_folder is None:
        return None
    # A checkpoint that was not recorded (epoch10.pt, or a training under way) is this run's
    # unless it is older than the run: exist_ok=True leaves another one's files behind.
    try:
        is_younger = path.stat().st_mtime >= (output / MARKER).stat().st_mtime
    except OSError:
        is_younger = False
    return _opened(run_folder) if is_younger or _records_one_of(run_folder, digests) else None


def _records_one_of(run_folder: Path, digests: list[str]) -> bool:
    needles = [b'"digest":"%b"' % digest.encode() for digest in digests]
    for path in (run_folder / "journal").glob("*.jsonl"):
        data = path.read_bytes()
        if any(needle in data for needle in needles):
            return True
    return False


def _opened(run_folder: Path) -> Origin | None:
    """Return what the newest attempt of the run said when it was opened."""
    newest: Opened | None = None
    for path in (run_folder / "journal").glob("*.jsonl"):
        for line in read_journal(path).lines:
            body = line.entry.body if line.entry else None
            if isinstance(body, Opened) and (newest is None or body.attempt > newest.attempt):
                newest = body
    if newest is None:
        return None
    return Origin(newest.run, newest.project, newest.name, newest.attempt)
