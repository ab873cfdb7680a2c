"""Which runs a launch of ``epochal run`` has opened, told by their journals alone."""

from __future__ import annotations

from pathlib import Path

from epochal.journal.folder import Folder, slug

__all__ = ["is_opened_by", "numbered"]

_HEAD = 64 * 1024  # the opening record is the second line of a journal


def is_opened_by(journal: Path, launch: str) -> bool:
    """Tell whether a process of the launch with this id opened the journal's run."""
    with journal.open("rb") as file:
        return b'"launch":"%b"' % launch.encode() in file.read(_HEAD)


def numbered(folder: Folder, name: str, launch: str) -> str:
    """Return `name` for the first training of a launch, ``name_2`` for its second, and so on.

    A command can train more than once (a tuner, a loop over seeds); its name was given once.
    """
    journals = (
        journal
        for run_folder in folder.runs.glob(f"*-{slug(name)}*-*")
        for journal in run_folder.glob("journal/*.jsonl")
    )
    earlier = sum(is_opened_by(journal, launch) for journal in journals) if launch else 0
    return f"{name}_{earlier + 1}" if earlier else name
