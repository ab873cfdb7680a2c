"""One line of a journal: its header, everything that it may say, and its place."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from epochal.records.body import Body
from epochal.records.edits import LessonWritten, Renamed, StopRequested, Tagged, Trashed
from epochal.records.foreign import Foreign
from epochal.records.governance import (
    Alias,
    CharterChanged,
    DatasetTagged,
    DecisionMade,
    Look,
    Purged,
)
from epochal.records.training import (
    Alert,
    Artifact,
    Config,
    Console,
    Dropped,
    Environment,
    Evaluated,
    Finished,
    Heartbeat,
    ImageLogged,
    Latency,
    Metrics,
    Notice,
    Opened,
    Pinned,
    Summary,
    System,
)

__all__ = ["FORMAT", "MAX_LINE", "AnyBody", "Entry", "Header"]

FORMAT = 1
"""The journal format this version writes. A reader refuses a workspace with a higher one."""

MAX_LINE = 64 * 1024
"""Bytes a line may have. What is larger becomes a blob, and the record carries its digest."""


class Header(Body, tag="header", frozen=True, kw_only=True):
    """The first record (seq 0) of every journal file: who writes, and in which format."""

    format: int
    epochal: str
    writer: str
    run: str | None = None
    """32 hex digits, or None in a journal of the workspace."""
    attempt: int = 1
    rank: int = 0
    host: str = ""
    pid: int = 0
    boot: str = ""
    """The machine's boot id: with `pid` and `started` it tells whether the process still lives."""
    started: float = 0.0
    """Start of the writing process, seconds since the Unix epoch; 0 where unknown."""
    author: str = ""


AnyBody: TypeAlias = (
    Header
    | Opened
    | Metrics
    | System
    | Console
    | Config
    | Summary
    | Environment
    | Pinned
    | Artifact
    | ImageLogged
    | Evaluated
    | Latency
    | Alert
    | Notice
    | Dropped
    | Heartbeat
    | Finished
    | Foreign
    | Renamed
    | Tagged
    | LessonWritten
    | Trashed
    | StopRequested
    | CharterChanged
    | DatasetTagged
    | Look
    | DecisionMade
    | Alias
    | Purged
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One record as it stands in a journal."""

    seq: int
    """0, 1, 2 ... within its writer."""
    t: int
    """Microseconds since the Unix epoch, UTC: wall clock at opening plus monotonic time since."""
    body: AnyBody
