"""All runs as columns in memory: filter, sort and group them by whatever they carry.

The columns are a copy of the run documents, brought up to date by the index's change counter.
Fields are the plain names of `epochal.store.run_cells.FIELDS`, and ``config.KEY``,
``summary.KEY``, ``environment.KEY``, ``metrics.KEY`` (the last value; ``best(metrics.KEY)`` and
others for the rest of a curve). A nested mapping is named with dots. The language is
`epochal.store.filter_language`'s.
"""

from __future__ import annotations

import difflib
import math
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from epochal.store.columns import BOOL, LIST, MISSING, NUMBER, TEXT, Column
from epochal.store.documents import RunDocument
from epochal.store.filter_language import FilterError, parse_field, parse_filter, parse_sort
from epochal.store.filter_tree import And, Comparison, Field, Filter, Not, Or, SortKey, quoted
from epochal.store.run_cells import FIELDS, SPACES, CellName, cells
from epochal.store.store import Store

__all__ = ["Described", "Group", "MetricNames", "RunTable", "Selection"]

_PORTION = 2000
"""Documents that are taken in at once: many live objects make Python's collector slow."""

Rows: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]


class MetricName(Protocol):
    """What a metric key means."""

    @property
    def name(self) -> str:
        """The canonical name."""

    @property
    def direction(self) -> str | None:
        """``max``, ``min`` or None: which way is better."""


class MetricNames(Protocol):
    """Which keys are the same metric (see `epochal.analysis.metrics.Registry`)."""

    def resolve(self, key: str, /) -> MetricName:
        """Return what `key` means."""

    def find_key(self, canonical: str, available_keys: Iterable[str], /) -> str | None:
        """Return the one of the keys that means `canonical`, or None."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the runs that fit."""

    ids: tuple[str, ...]
    total: int
    """How many fit, on this page or not."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that share the values of the fields grouped by."""

    by: tuple[Any, ...]
    n: int
    mean: tuple[float | None, ...]
    """Of each field asked for, over the runs that have a number there; None where none has."""
    std: tuple[float | None, ...]
    """Sample standard deviation (n - 1); None with fewer than two numbers."""
    min: tuple[float | None, ...]
    max: tuple[float | None, ...]
    count: tuple[int, ...]
    """How many runs have a number there."""
    ids: tuple[str, ...]


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What a field holds over some runs."""

    field: str
    """As it is written in a filter."""
    space: str
    """``config``, ``metrics``, ``summary``, ``environment``; empty for a plain field."""
    key: str
    """The key within the space, or the plain field."""
    kinds: tuple[str, ...]
    """Of ``number``, ``boolean``, ``text`` and ``list`` those that occur."""
    n: int
    """How many of the runs have it."""
    differs: bool
    """Whether not all of the runs have the same; lacking it counts."""


class RunTable:
    """The columns of one project's runs, or of all. Thread-safe.

    Parameters
    ----------
    store
        Where the documents are.
    names
        Tells which metric keys are the same and which way is better; without it a key is only
        itself and ``best`` cannot be asked.
    project
        None takes in every project.
    """

    def __init__(
        self, store: Store, names: MetricNames | None = None, project: str | None = None
    ) -> None:
        self._store = store
        self._names = names
        self._project = project
        self._lock = threading.RLock()
        self._change = 0
        self._capacity = 64
        self._used = 0
        self._row_of: dict[str, int] = {}
        self._free: list[int] = []
        self._columns: dict[CellName, Column] = {
            (name,): Column(self._capacity) for name in FIELDS
        }
        self._ids: list[str] = []
        self._id_order = np.zeros(self._capacity, np.uint64)
        self._shown = np.zeros(self._capacity, np.bool_)
        self._trashed = np.zeros(self._capacity, np.bool_)
        self._open: dict[str, RunDocument] = {}
        self._combined: dict[tuple[str, str], Column] = {}
        self._statuses_at = 0.0

    def __len__(self) -> int:
        return len(self._row_of)

    # --- taking in -----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Take in the runs that changed since, and forget those that are gone."""
        with self._lock:
            while True:
                changed, self._change = self._store.changed_since(
                    self._change, self._project, _PORTION
                )
                if not changed:
                    break
                self._take(changed)
            if self._store.count_runs(self._project) != len(self._row_of):
                self._forget_missing()
            self._refresh_statuses()

    def _take(self, documents: list[RunDocument]) -> None:
        rows = [self._row(document.id) for document in documents]
        at = np.asarray(rows, np.int64)
        for column in self._columns.values():
            column.clear(at)
        collected: dict[CellName, tuple[list[int], list[Any]]] = {}
        for row, document in zip(rows, documents, strict=True):
            for name, value in cells(document):
                found = collected.get(name)
                if found is None:
                    found = collected[name] = ([], [])
                found[0].append(row)
                found[1].append(value)
            self._shown[row] = not document.trashed
            self._trashed[row] = document.trashed
            last = document.attempts[-1] if document.attempts else None
            if last is None or not last.status:
                self._open[document.id] = document
            else:
                self._open.pop(document.id, None)
        for name, (where, values) in collected.items():
            self._column(name).put(where, values)
        self._combined.clear()
        self._statuses_at = 0.0

    def _row(self, run: str) -> int:
        row = self._row_of.get(run)
        if row is not None:
            return row
        if self._free:
            row = self._free.pop()
        else:
            row = self._used
            self._used += 1
            self._ids.append("")
            if self._used > self._capacity:
                self._grow()
        self._row_of[run] = row
        self._ids[row] = run
        self._id_order[row] = _order_of(run)
        return row

    def _grow(self) -> None:
        added = self._capacity
        self._capacity += added
        for column in self._columns.values():
            column.grow(self._capacity)
        self._id_order = np.concatenate([self._id_order, np.zeros(added, np.uint64)])
        self._shown = np.concatenate([self._shown, np.zeros(added, np.bool_)])
        self._trashed = np.concatenate([self._trashed, np.zeros(added, np.bool_)])

    def _column(self, name: CellName) -> Column:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = Column(self._capacity)
        return column

    def _forget_missing(self) -> None:
        here = self._store.run_ids(self._project)
        gone = [run for run in self._row_of if run not in here]
        rows = [self._row_of.pop(run) for run in gone]
        at = np.asarray(rows, np.int64)
        self._shown[at] = self._trashed[at] = False
        for column in self._columns.values():
            column.clear(at)
        self._free += rows
        for run in gone:
            self._open.pop(run, None)
        self._combined.clear()

    def _refresh_statuses(self) -> None:
        # Looking for a process costs a system call; asked again and again, once a second will do.
        if time.monotonic() - self._statuses_at < 1.0:
            return
        self._statuses_at = time.monotonic()
        rows = [self._row_of[run] for run in self._open]
        statuses = [self._store.status(document) for document in self._open.values()]
        if rows:
            self._columns["status",].put(rows, statuses)

    # --- asking --------------------------------------------------------------------------------

    def select(
        self,
        where: str = "",
        sort: str = "",
        *,
        trashed: bool = False,
        limit: int | None = None,
        offset: int = 0,
    ) -> Selection:
        """Return the runs that fit `where`, in the order of `sort`, else the newest first.

        Parameters
        ----------
        trashed
            Choose among the runs in the trash instead of those that are not.

        Raises
        ------
        FilterError
            If `where` or `sort` cannot be read or names a key that no run has.
        """
        with self._lock:
            rows = self._select(where, trashed)
            ordered = self._sorted(rows, sort)
            end = None if limit is None else offset + limit
            page = ordered[offset:end]
            return Selection(ids=tuple(self._ids[row] for row in page), total=len(rows))

    def group(
        self, by: Sequence[str], of: Sequence[str], where: str = "", *, trashed: bool = False
    ) -> list[Group]:
        """Return mean, standard deviation and n of the fields `of` for each value of `by`.

        Groups are ordered by those values; runs without one form a group of their own.

        Raises
        ------
        FilterError
            If a field or `where` cannot be read or names a key that no run has.
        """
        with self._lock:
            rows = self._select(where, trashed)
            if not len(rows):
                return []
            columns = [self._resolve(parse_field(text), text) for text in by]
            keys = [key for c in reversed(columns) for key in c.order(rows, descending=False)]
            order = np.lexsort(keys) if keys else np.arange(len(rows))
            changed = np.zeros(len(rows), np.bool_)
            changed[0] = True
            for key in keys:
                changed[1:] |= np.diff(key[order]) != 0
            rows = rows[order]
            starts = np.flatnonzero(changed)
            measured = [self._numbers(parse_field(text), text, rows) for text in of]
            ends = np.append(starts[1:], len(rows))
            return [
                Group(
                    by=tuple(column.get(rows[start]) for column in columns),
                    n=int(end - start),
                    mean=tuple(_mean(numbers[start:end]) for numbers in measured),
                    std=tuple(_std(numbers[start:end]) for numbers in measured),
                    min=tuple(_extreme(np.fmin, numbers[start:end]) for numbers in measured),
                    max=tuple(_extreme(np.fmax, numbers[start:end]) for numbers in measured),
                    count=tuple(int((~np.isnan(m[start:end])).sum()) for m in measured),
                    ids=tuple(self._ids[row] for row in rows[start:end]),
                )
                for start, end in zip(starts, ends, strict=True)
            ]

    def values(self, ids: Sequence[str], field: str) -> list[Any]:
        """Return the value of `field` for each run: number, bool, text, tuple, or None.

        Raises
        ------
        FilterError
            If the field cannot be read or no run has it.
        """
        with self._lock:
            column = self._resolve(parse_field(field), field)
            return [
                None if (row := self._row_of.get(run)) is None else column.get(row) for run in ids
            ]

    def fields(self) -> dict[str, int]:
        """Return every field as it is written in a filter, and how many runs have it."""
        with self._lock:
            found: dict[str, int] = {}
            for name, column in self._columns.items():
                # A curve counts once, not for each of its numbers.
                if name[0] != "metrics" or name[-1] == "count":
                    found[_written(name)] = int((column.kind[: self._used] != MISSING).sum())
            return {**found, "age": found["created"]}

    def describe(self, ids: Sequence[str]) -> list[Described]:
        """Return what each field holds over the runs named, of the fields that any of them has.

        Of a curve that is its last value. Ids that are not in the table are passed over.
        """
        with self._lock:
            found = [self._row_of[run] for run in ids if run in self._row_of]
            rows = np.asarray(found, np.int64)
            return [
                described
                for name, column in self._columns.items()
                if name[0] != "metrics" or name[-1] == "last"
                if (described := _described(name, column, rows)) is not None
            ]

    # --- evaluation ----------------------------------------------------------------------------

    def _select(self, where: str, trashed: bool) -> Rows:
        mask = self._trashed if trashed else self._shown
        fits = self._evaluate(parse_filter(where), where)
        return np.flatnonzero(mask & fits)

    def _evaluate(self, tree: Filter, text: str) -> Mask:
        match tree:
            case Comparison(field=field):
                return self._resolve(field, text).fits(tree)
            case Not(term):
                return ~self._evaluate(term, text)
            case And(terms):
                found = np.ones(self._capacity, np.bool_)
                for term in terms:
                    found &= self._evaluate(term, text)
                return found
            case Or(terms):
                found = np.zeros(self._capacity, np.bool_)
                for term in terms:
                    found |= self._evaluate(term, text)
                return found

    def _sorted(self, rows: Rows, sort: str) -> Rows:
        keys = parse_sort(sort) if sort.strip() else ()
        newest = SortKey(field=Field(path=("created",)), descending=True)
        # `numpy.lexsort` takes the strongest key last; the id makes the order complete.
        strengths: list[npt.NDArray[Any]] = [self._id_order[rows]]
        for key in reversed((*keys, newest)):
            column = self._resolve(key.field, sort)
            strengths += column.order(rows, descending=key.descending)
        return rows[np.lexsort(strengths)]

    def _numbers(self, field: Field, text: str, rows: Rows) -> npt.NDArray[np.float64]:
        column = self._resolve(field, text)
        return np.where(column.kind[rows] == NUMBER, column.number[rows], np.nan)

    def _resolve(self, field: Field, text: str) -> Column:
        """Return the column of `field`, which stands in `text`."""
        space, *rest = field.path
        if space == "metrics" and rest:
            return self._curve(rest[0], field, text)
        if field.statistic != "last":
            raise FilterError(
                f"{field.statistic} is for metrics", text, field.position, "such as max(metrics.K)"
            )
        if not rest and space == "age":
            return self._age()
        column = self._columns.get(field.path)
        if column is not None and (rest or space in FIELDS):
            return column
        raise self._unknown(field, text)

    def _age(self) -> Column:
        created = self._columns["created",]
        age = Column(0)
        age.kind = created.kind
        age.number = time.time() - created.number / 1e6
        return age

    def _curve(self, key: str, field: Field, text: str) -> Column:
        statistic: str = field.statistic
        if statistic == "best":
            direction = self._names.resolve(key).direction if self._names else None
            if direction is None:
                raise FilterError(
                    f"nothing says whether more or less of {key!r} is better",
                    text,
                    field.position,
                    "ask for max(...) or min(...), or name a direction under [metrics] in "
                    "epochal.toml",
                )
            statistic = direction
        column = self._combined.get((key, statistic))
        if column is None:
            spellings = self._spellings(key)
            if not spellings:
                raise self._unknown(field, text)
            column = self._columns["metrics", spellings[0], statistic]
            if len(spellings) > 1:
                column = _first_of([self._columns["metrics", k, statistic] for k in spellings])
            self._combined[key, statistic] = column
        return column

    def _spellings(self, key: str) -> list[str]:
        """Return the logged keys that mean `key`, preferred ones first."""
        logged = {name[1] for name in self._columns if name[0] == "metrics"}
        if self._names is None:
            return [key] if key in logged else []
        wanted = self._names.resolve(key).name
        same = {k for k in logged if k == key or self._names.resolve(k).name == wanted}
        ordered = []
        while same:
            found = self._names.find_key(key, same)
            if found is None:
                break
            ordered.append(found)
            same.remove(found)
        return ordered

    def _unknown(self, field: Field, text: str) -> FilterError:
        space, *rest = field.path
        if not rest and space not in FIELDS and space not in SPACES:
            known = [*FIELDS, *(f"{s}." for s in SPACES)]
            homes = sorted({n[0] for n in self._columns if n[1:2] == (space,)})
            remedy = (
                f"did you mean {' or '.join(f'{home}.{quoted(space)}' for home in homes)}?"
                if homes
                else _suggestion(space, known) or f"fields are {', '.join(known)}"
            )
            return FilterError(f"there is no field {space!r}", text, field.position, remedy)
        if rest and space not in SPACES:
            remedy = f"keys are looked up in {', '.join(SPACES)}"
            return FilterError(f"{space!r} has no keys", text, field.position, remedy)
        keys = sorted({name[1] for name in self._columns if name[0] == space and name[1:]})
        if not rest:
            remedy = f"such as {space}.{quoted(keys[0])}" if keys else ""
            return FilterError(f"{space} needs a key", text, field.position, remedy)
        if space == "metrics" and self._names is not None:
            keys = sorted({*keys, *(self._names.resolve(key).name for key in keys)})
        key = rest[0]
        shown = key if len(key) <= 60 else f"{key[:59]}…"
        remedy = _suggestion(key, keys, prefix=f"{space}.") or (
            f"there are {', '.join(map(quoted, keys[:8]))}" if keys else "no run has any"
        )
        return FilterError(f"no run has {space}.{quoted(shown)}", text, field.position, remedy)


def _described(name: CellName, column: Column, rows: Rows) -> Described | None:
    kind = column.kind[rows]
    present = np.unique(kind)
    kinds = tuple(_KINDS[int(k)] for k in present if k != MISSING)
    if not kinds:
        return None
    if len(present) > 1:
        differs = True
    elif kinds[0] in ("text", "list") and column.code is not None:
        codes = column.code[rows]
        differs = bool((codes != codes[0]).any())
    else:
        number = column.number[rows]
        differs = not np.array_equal(number, np.full_like(number, number[0]), equal_nan=True)
    return Described(
        field=_written(name),
        space=name[0] if name[1:] else "",
        key=name[1] if name[1:] else name[0],
        kinds=kinds,
        n=int((kind != MISSING).sum()),
        differs=differs,
    )


_KINDS = {NUMBER: "number", BOOL: "boolean", TEXT: "text", LIST: "list"}


def _suggestion(key: str, keys: Sequence[str], prefix: str = "") -> str:
    if len(key) > 100:
        return ""
    # Judging closeness takes a while: only keys of about the same length, and not all of many.
    near = [k for k in keys if abs(len(k) - len(key)) <= max(3, len(key) // 2)][:400]
    close = difflib.get_close_matches(key, near, n=3)
    return f"did you mean {', '.join(prefix + quoted(k) for k in close)}?" if close else ""


def _order_of(run: str) -> int:
    try:
        return int(run[:16], 16)
    except ValueError:
        return 0


def _written(name: CellName) -> str:
    return ".".join([name[0], *map(quoted, name[1:2])])


def _first_of(columns: list[Column]) -> Column:
    """Return a column of numbers with each cell from the first column that has one."""
    merged = Column(len(columns[0].kind))
    for column in reversed(columns):
        here = column.kind != MISSING
        merged.kind[here] = column.kind[here]
        merged.number[here] = column.number[here]
    return merged


def _mean(numbers: npt.NDArray[np.float64]) -> float | None:
    there = numbers[~np.isnan(numbers)]
    with np.errstate(invalid="ignore"):  # infinities of both signs have no mean
        return float(there.mean()) if len(there) else None


def _extreme(of: np.ufunc, numbers: npt.NDArray[np.float64]) -> float | None:
    found = float(of.reduce(numbers))
    return None if math.isnan(found) else found


def _std(numbers: npt.NDArray[np.float64]) -> float | None:
    there = numbers[~np.isnan(numbers)]
    with np.errstate(invalid="ignore"):
        return float(there.std(ddof=1)) if len(there) > 1 else None
