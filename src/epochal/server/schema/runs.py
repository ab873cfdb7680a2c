"""The run table: rows, columns, groups."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from epochal.records import Status
from epochal.server.schema.common import Cell, RunId

__all__ = [
    "Column",
    "ColumnKind",
    "Columns",
    "ColumnsQuery",
    "FilterCheck",
    "FilterQuery",
    "GroupKey",
    "GroupRow",
    "GroupsPage",
    "GroupsQuery",
    "NoteState",
    "RunsCsvQuery",
    "RunsPage",
    "RunsQuery",
    "SortKey",
    "Statistic",
    "TableRow",
]

Filter: TypeAlias = Annotated[str, Meta(max_length=4096)]
ColumnId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1024)]
ColumnList: TypeAlias = Annotated[list[ColumnId], Meta(max_length=200)]
ColumnKind: TypeAlias = Literal["number", "text", "boolean", "time", "duration", "list", "mixed"]
NoteState: TypeAlias = Literal["missing", "partial", "written"]


class SortKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sort by a column; runs without a value stand last in both directions."""

    column: ColumnId
    descending: bool = False


class GroupKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One group of runs, as `GroupRow` gave it: the columns and their values."""

    by: Annotated[list[ColumnId], Meta(min_length=1, max_length=5)]
    key: Annotated[list[Cell], Meta(min_length=1, max_length=5)]


class RunsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs, in which order, with which columns."""

    project: str | None = None
    """None: of all projects."""
    filter: Filter = ""
    """In the filter language, e.g. ``metrics."mAP50-95" > 0.5 and config.imgsz = 640``."""
    ids: Annotated[list[RunId], Meta(max_length=1000)] | None = None
    """Only these of them."""
    within: GroupKey | None = None
    """Only the runs of this group."""
    trashed: bool = False
    """Those in the trash instead of those that are not."""
    sort: Annotated[list[SortKey], Meta(max_length=5)] = []
    """By default the newest first."""
    columns: ColumnList = []
    """Ids of `Column` whose values to return."""
    cursor: Annotated[str, Meta(max_length=4096)] | None = None
    """From the page before; the rest of the request must be the same."""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class TableRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run in the table."""

    id: str
    number: int
    """Which run of its project it is, by start: its colour follows."""
    name: str
    project: str
    status: Status
    created: int
    ended: int | None
    seconds: float | None
    """From the first opening to the end, or to the last record while it runs."""
    epoch: int | None
    """The last epoch that was logged."""
    epochs: int | None
    """How many are planned, if the config says so."""
    group: str
    tags: list[str]
    parent: str | None
    """As given when the run was opened."""
    dataset: str | None
    """The pinned version ``name@tag``, or the path of the data."""
    dataset_state: str
    """``verified``, ``drifted``, ``untagged``, ``unchecked``; empty without a pin."""
    note: NoteState
    aliases: list[str]
    """Names of the project that point here: ``baseline``, ``production``."""
    alerts: int
    notices: int
    trashed: bool
    stop_requested: bool
    cells: list[Cell]
    """Values of the columns asked for, in their order."""


class RunsPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the table."""

    columns: list[str]
    rows: list[TableRow]
    total: int
    """Runs on all pages."""
    cursor: str | None
    """For the next page; None: this is the last."""
    change: int


class ColumnsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which columns there are, over which runs."""

    project: str | None = None
    filter: Filter = ""
    ids: Annotated[list[RunId], Meta(max_length=1000)] | None = None
    trashed: bool = False


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """Something that runs have a value of."""

    id: str
    """As in filter and sort: ``name``, ``config.imgsz``, ``metrics."mAP50-95"``, ``best(...)``."""
    source: str
    """``run``, ``config``, ``metrics``, ``summary``, ``system``, ``latency`` ..."""
    key: str
    """The key within the source."""
    title: str
    kind: ColumnKind
    unit: str
    direction: Literal["max", "min"] | None
    """Which way is better, where that is known."""
    runs: int
    """How many of the runs have a value."""
    differs: bool
    """Whether the runs do not all have the same value; a missing one counts."""
    noise: bool
    """Paths, seeds, workers and the like: differs without changing what is learnt."""


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """All columns, grouped by source."""

    columns: list[Column]
    runs: int
    """How many runs were looked at."""


class GroupsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Group the runs by columns and summarise others."""

    by: Annotated[list[ColumnId], Meta(min_length=1, max_length=5)]
    columns: ColumnList = []
    project: str | None = None
    filter: Filter = ""
    trashed: bool = False
    sort: Annotated[list[SortKey], Meta(max_length=5)] = []
    """By a column of `by`, or by the mean of one of `columns`; by default by the key."""
    cursor: Annotated[str, Meta(max_length=4096)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Statistic(msgspec.Struct, frozen=True, kw_only=True):
    """A column within a group; numbers only, None where there are none."""

    n: int
    mean: float | None
    std: float | None
    """Sample standard deviation (n - 1); None for fewer than two."""
    min: float | None
    max: float | None
    value: Cell
    """The one value that all runs of the group share, None where they differ."""


class GroupRow(msgspec.Struct, frozen=True, kw_only=True):
    """One group."""

    key: list[Cell]
    n: int
    runs: list[str]
    """Ids of its runs, newest first, at most 1,000."""
    cells: list[Statistic]


class GroupsPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of groups; statistics are over all runs, whatever the page."""

    by: list[str]
    columns: list[str]
    rows: list[GroupRow]
    total: int
    cursor: str | None
    change: int


class RunsCsvQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table as CSV: these runs, or all that fit the filter."""

    columns: ColumnList = []
    project: str | None = None
    filter: Filter = ""
    ids: Annotated[list[RunId], Meta(max_length=1000)] | None = None
    trashed: bool = False
    sort: Annotated[list[SortKey], Meta(max_length=5)] = []


class FilterQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Check a filter while it is typed."""

    filter: Filter
    project: str | None = None


class FilterCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a filter can be used, and how many runs it leaves."""

    ok: bool
    problem: str
    remedy: str
    runs: int
