"""The run table: pages, columns, groups, CSV."""

from __future__ import annotations

import base64
import csv
import functools
import io
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from epochal.analysis.config_difference import DEFAULT_NOISE
from epochal.analysis.metrics import Registry
from epochal.errors import InvalidInput
from epochal.records import to_wire
from epochal.server.answering import Payload
from epochal.server.context import Context, last_epoch, note_state, planned_epochs
from epochal.server.schema.common import Cell
from epochal.server.schema.runs import (
    Column,
    ColumnKind,
    Columns,
    ColumnsQuery,
    FilterCheck,
    FilterQuery,
    GroupKey,
    GroupRow,
    GroupsPage,
    GroupsQuery,
    RunsCsvQuery,
    RunsPage,
    RunsQuery,
    SortKey,
    Statistic,
    TableRow,
)
from epochal.store.documents import RunDocument
from epochal.store.filter_language import FilterError, parse_field
from epochal.store.run_table import Described, Group, RunTable

__all__ = ["check_filter", "group_runs", "query_runs", "run_columns", "runs_csv"]

_LISTED = 1000
"""Runs of a group that are named."""
_TIMES = frozenset({"created"})
_DURATIONS = frozenset({"age", "duration"})
_SEEDS = ("seed", "*_seed", "random_state", "*.seed")


def query_runs(context: Context, body: RunsQuery) -> RunsPage:
    """Return a page of the table."""
    change = context.change
    table = context.table(body.project)
    cursor = _read_cursor(body.cursor)
    narrowed = body.ids is not None or body.within is not None
    if narrowed or cursor is not None:
        ids = _selected(table, body)
        start = _after(ids, cursor)
        page, total = ids[start : start + body.limit], len(ids)
    else:
        found = table.select(
            body.filter, _order(body.sort), trashed=body.trashed, limit=body.limit
        )
        start, page, total = 0, found.ids, found.total
    end = start + len(page)
    return RunsPage(
        columns=body.columns,
        rows=_rows(context, table, page, body.columns),
        total=total,
        cursor=_write_cursor(end, page[-1]) if page and end < total else None,
        change=change,
    )


def _selected(table: RunTable, query: RunsQuery | RunsCsvQuery) -> tuple[str, ...]:
    """Return the ids of all runs that a query means, in its order."""
    ids = table.select(query.filter, _order(query.sort), trashed=query.trashed).ids
    if query.ids is not None:
        wanted = set(query.ids)
        ids = tuple(id for id in ids if id in wanted)
    if isinstance(query, RunsQuery) and query.within is not None:
        ids = _within(table, ids, query.within)
    return ids


def _within(table: RunTable, ids: tuple[str, ...], group: GroupKey) -> tuple[str, ...]:
    if len(group.by) != len(group.key):
        raise InvalidInput("a group has one value for each column it is by")
    for column, wanted in zip(group.by, group.key, strict=True):
        cells = table.values(ids, column)
        ids = tuple(id for id, cell in zip(ids, cells, strict=True) if _same(_cell(cell), wanted))
    return ids


def _same(cell: Cell, wanted: Cell) -> bool:
    # True is 1 to Python; to whoever grouped by it, it is not.
    return isinstance(cell, bool) == isinstance(wanted, bool) and bool(cell == wanted)


def _order(keys: Sequence[SortKey]) -> str:
    """Return sort keys in the filter language; each must be one column."""
    for key in keys:
        parse_field(key.column)
    return ", ".join(f"{key.column} {'desc' if key.descending else 'asc'}" for key in keys)


class _Cursor(msgspec.Struct, array_like=True):
    """Where a page ended: behind how many runs, and which was the last."""

    place: int
    last: str


def _write_cursor(place: int, last: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(_Cursor(place, last))).decode()


def _read_cursor(text: str | None) -> _Cursor | None:
    if text is None:
        return None
    try:
        cursor = msgspec.json.decode(base64.urlsafe_b64decode(text), type=_Cursor)
    except (ValueError, msgspec.MsgspecError):
        raise InvalidInput("this cursor is not one of ours", "begin again without it") from None
    if not 0 <= cursor.place < 1 << 40:
        raise InvalidInput("this cursor is not one of ours", "begin again without it")
    return cursor


def _after(ids: Sequence[str], cursor: _Cursor | None) -> int:
    """Return where the next page begins: behind the last run shown, wherever it is by now."""
    if cursor is None:
        return 0
    if cursor.place <= len(ids) and cursor.place and ids[cursor.place - 1] == cursor.last:
        return cursor.place
    try:
        return ids.index(cursor.last) + 1
    except ValueError:
        return min(cursor.place, len(ids))


# --- rows ---------------------------------------------------------------------------------------


def _rows(
    context: Context, table: RunTable, ids: Sequence[str], columns: Sequence[str]
) -> list[TableRow]:
    cells = [_cells(table, ids, column) for column in columns]
    aliases: dict[str, dict[str, list[str]]] = {}
    rows = []
    for place, document in enumerate(context.runs(list(ids))):
        if document.project not in aliases:
            aliases[document.project] = context.aliases(document.project)
        named = aliases[document.project].get(document.id, [])
        rows.append(_row(context, document, named, [column[place] for column in cells]))
    return rows


def _cells(table: RunTable, ids: Sequence[str], column: str) -> list[Cell]:
    """Return a column's values; all missing where no run has the field (any more)."""
    field = parse_field(column)
    try:
        return [_cell(value) for value in table.values(ids, column)]
    except FilterError:
        if len(field.path) < 2:
            raise
        return [None] * len(ids)


def _cell(value: Any) -> Cell:
    if isinstance(value, float):
        return to_wire(value)
    return [_cell(part) for part in value] if isinstance(value, tuple) else value


def _row(
    context: Context, document: RunDocument, aliases: list[str], cells: list[Cell]
) -> TableRow:
    pin = document.pin
    last = document.attempts[-1] if document.attempts else None
    return TableRow(
        id=document.id,
        number=context.number(document),
        name=document.name,
        project=document.project,
        status=context.store.status(document),
        created=document.created,
        ended=last.ended if last is not None else None,
        seconds=document.duration,
        epoch=last_epoch(document),
        epochs=planned_epochs(document),
        group=document.group,
        tags=list(document.tags),
        parent=document.parent,
        dataset=pin.dataset if pin is not None else document.dataset,
        dataset_state=pin.state if pin is not None else "",
        note=note_state(document),
        aliases=aliases,
        alerts=len(document.alerts),
        notices=len(document.notices),
        trashed=document.trashed,
        stop_requested=document.stop_requested,
        cells=cells,
    )


# --- columns ------------------------------------------------------------------------------------


def run_columns(context: Context, body: ColumnsQuery) -> Columns:
    """Return the columns that any of the runs has a value of."""
    table = context.table(body.project)
    ids = table.select(body.filter, trashed=body.trashed).ids
    if body.ids is not None:
        wanted = set(body.ids)
        ids = tuple(id for id in ids if id in wanted)
    registry = context.registry(body.project or "")
    columns = []
    for found in table.describe(ids):
        columns.append(_column(found, registry))
        if found.space == "metrics" and columns[-1].direction is not None:
            columns.append(_best(columns[-1]))
    order = ("run", "config", "metrics", "summary", "evaluation", "latency", "environment")
    columns.sort(key=lambda c: (order.index(c.source) if c.source in order else 9, c.key.lower()))
    return Columns(columns=columns, runs=len(ids))


def _column(found: Described, registry: Registry) -> Column:
    measured = found.space in ("metrics", "evaluation")
    metric = registry.resolve(found.key) if measured else None
    return Column(
        id=found.field,
        source=found.space or "run",
        key=found.key,
        title=(metric.title if metric is not None and metric.known else "") or found.key,
        kind=_kind(found),
        unit=metric.unit if metric is not None else _unit(found),
        direction=metric.direction if metric is not None else _direction(found),
        runs=found.n,
        differs=found.differs,
        noise=found.space == "config" and _is_noise(found.key),
    )


def _unit(found: Described) -> str:
    return "ms" if found.space == "latency" and "number" in found.kinds else ""


def _direction(found: Described) -> Literal["min"] | None:
    return "min" if found.space == "latency" and "number" in found.kinds else None


def _best(column: Column) -> Column:
    return msgspec.structs.replace(column, id=f"best({column.id})", title=f"best {column.title}")


def _kind(found: Described) -> ColumnKind:
    if not found.space and found.key in _TIMES:
        return "time"
    if not found.space and found.key in _DURATIONS:
        return "duration"
    if len(found.kinds) > 1:
        return "mixed"
    return found.kinds[0]  # type: ignore[return-value] # the table's kinds are ours


@functools.lru_cache(4096)
def _is_noise(key: str) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in (*DEFAULT_NOISE, *_SEEDS))


# --- groups -------------------------------------------------------------------------------------


def group_runs(context: Context, body: GroupsQuery) -> GroupsPage:
    """Return groups with mean and spread of the columns, over all their runs."""
    change = context.change
    table = context.table(body.project)
    groups = table.group(body.by, body.columns, body.filter, trashed=body.trashed)
    for key in reversed(body.sort):
        groups = _sorted(groups, key, body)
    cursor = _read_cursor(body.cursor)
    start = 0 if cursor is None else min(cursor.place, len(groups))
    page = groups[start : start + body.limit]
    end = start + len(page)
    return GroupsPage(
        by=body.by,
        columns=body.columns,
        rows=[_group(table, group, body.columns) for group in page],
        total=len(groups),
        cursor=_write_cursor(end, "") if end < len(groups) else None,
        change=change,
    )


def _sorted(groups: list[Group], key: SortKey, query: GroupsQuery) -> list[Group]:
    """Return groups by one key; those without a value stand last in both directions."""
    if key.column in query.by:
        place = query.by.index(key.column)
        there = [g for g in groups if g.by[place] is not None]
        lacking = [g for g in groups if g.by[place] is None]
        # `RunTable.group` returns them in the order of their keys, whatever their types.
        ranks = {value: i for i, value in enumerate(dict.fromkeys(g.by[place] for g in there))}
        there.sort(key=lambda g: ranks[g.by[place]], reverse=key.descending)
    elif key.column in query.columns:
        place = query.columns.index(key.column)
        there = [g for g in groups if g.mean[place] is not None]
        lacking = [g for g in groups if g.mean[place] is None]
        there.sort(key=lambda g: g.mean[place] or 0.0, reverse=key.descending)
    else:
        raise InvalidInput(
            f"groups cannot be sorted by {key.column!r}", "choose one of their columns"
        )
    return there + lacking


def _group(table: RunTable, group: Group, columns: Sequence[str]) -> GroupRow:
    return GroupRow(
        key=[_cell(value) for value in group.by],
        n=group.n,
        runs=list(group.ids[:_LISTED]),
        cells=[
            Statistic(
                n=group.count[place],
                mean=group.mean[place],
                std=group.std[place],
                min=group.min[place],
                max=group.max[place],
                value=_shared(table, group, column),
            )
            for place, column in enumerate(columns)
        ],
    )


def _shared(table: RunTable, group: Group, column: str) -> Cell:
    """Return the one value that all runs of a group have; None where they differ."""
    ids = group.ids
    # The ends first: where they differ, as they mostly do, the others need not be asked.
    if len(ids) > 1 and not _equal(table.values((ids[0], ids[-1]), column)):
        return None
    values = table.values(ids, column)
    return _cell(values[0]) if _equal(values) else None


def _equal(values: list[Any]) -> bool:
    return all(_same(value, values[0]) for value in values[1:])


# --- filter and CSV -----------------------------------------------------------------------------


def check_filter(context: Context, body: FilterQuery) -> FilterCheck:
    """Return whether a filter can be used, and how many runs it leaves."""
    try:
        total = context.table(body.project).select(body.filter, limit=0).total
    except FilterError as error:
        return FilterCheck(ok=False, problem=error.message, remedy=error.remedy, runs=0)
    return FilterCheck(ok=True, problem="", remedy="", runs=total)


_HEAD = ("name", "project", "status", "id")


def runs_csv(context: Context, body: RunsCsvQuery) -> Payload:
    """Return the table as CSV, with numbers in full."""
    table = context.table(body.project)
    ids = _selected(table, body)
    names = [*_HEAD, *(column for column in body.columns if column not in _HEAD)]
    cells = [_cells(table, ids, name) for name in names]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([_harmless(name) for name in names])
    writer.writerows([_harmless(column[place]) for column in cells] for place in range(len(ids)))
    return Payload(
        text.getvalue().encode("utf-8", "backslashreplace"),
        "text/csv; charset=utf-8",
        {"content-disposition": 'attachment; filename="runs.csv"'},
    )


def _harmless(cell: Cell) -> str:
    """Return a cell's text, such that no spreadsheet takes it for a formula.

    Only text can be one: a number keeps its sign.
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, (int, float)):
        return f"{cell:.17g}"
    if isinstance(cell, list):
        cell = ", ".join(str(part) for part in cell)
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else cell
