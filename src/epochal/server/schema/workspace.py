"""The workspace: its projects, search across everything, live updates."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from epochal.server.schema.common import RunRef

__all__ = [
    "ChangeEvent",
    "EventsQuery",
    "ProjectRow",
    "SearchHit",
    "SearchQuery",
    "SearchResult",
    "WorkspaceInfo",
]


class ProjectRow(msgspec.Struct, frozen=True, kw_only=True):
    """One project at a glance."""

    name: str
    runs: int
    """Not counting those in the trash."""
    running: int
    trashed: int
    undocumented: int
    """Finished runs without a lesson."""
    decisions: int
    last_t: int
    """Time of the newest record of its runs."""
    baseline: RunRef | None
    charter_version: int
    """0: none is recorded, the defaults hold."""
    metric: str
    """The metric that decides, by its canonical name."""


class WorkspaceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is being looked at."""

    name: str
    """Name of the folder that the workspace lies in."""
    path: str
    version: str
    """Of Epochal."""
    author: str
    """Under which name edits are recorded."""
    change: int
    """The change counter; `events` goes on from here."""
    projects: list[ProjectRow]
    problems: list[str]
    """What is wrong with the files, one line each; `epochal doctor` tells more."""


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Search everything by name, as in a palette."""

    q: Annotated[str, Meta(max_length=500)]
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was found."""

    kind: Literal["run", "project", "dataset", "decision"]
    id: str
    """Run id, project name, or digest of the dataset version or decision."""
    title: str
    detail: str
    project: str


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, best first."""

    hits: list[SearchHit]


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to go on listening; the header ``Last-Event-ID`` wins."""

    since: int | None = None


class ChangeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The data of an event ``change``: what is different since the last one.

    The event's id is `change`; a stream that is opened again with it as ``Last-Event-ID`` misses
    nothing. Between events the stream carries comments as heartbeats.
    """

    change: int
    runs: list[str]
    """Ids of runs that changed, at most 1,000."""
    projects: list[str]
    """Projects that these runs belong to."""
    all: bool
    """More runs changed than are listed: read everything again."""
    governance: bool
    """Charter, dataset versions, looks, decisions or aliases changed."""
