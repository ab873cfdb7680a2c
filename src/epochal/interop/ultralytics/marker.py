"""The file in a trainer's output folder that says which run it is.

A resumed training writes into the folder it started in: the file makes it the same run again.
It also leads from weights to their run without a search.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

__all__ = ["MARKER", "Marker", "read_marker", "write_marker"]

MARKER = "epochal_run.json"


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds."""

    run: str
    """Id of the run, 32 hex digits."""
    workspace: str
    """The workspace folder at that time. For people: the run is looked for where we are."""


def write_marker(folder: Path, marker: Marker) -> None:
    """Write the marker into `folder`, replacing another run's."""
    temporary = folder / f".{MARKER}.part"
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(marker), indent=1) + b"\n")
    temporary.replace(folder / MARKER)


def read_marker(folder: Path) -> Marker | None:
    """Return the marker in `folder`; None where there is none that can be read."""
    try:
        return msgspec.json.decode((folder / MARKER).read_bytes(), type=Marker)
    except (OSError, msgspec.DecodeError):
        return None
