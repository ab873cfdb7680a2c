"""All runs in memory: filter, sort and group them by whatever they carry.

Fields are the plain names of `epochal.store.run_cells.FIELDS`, and ``config.KEY``,
``summary.KEY``, ``environment.KEY``, ``metrics.KEY`` (the last value; ``best(metrics.KEY)`` and
others for the rest of a curve). A nested mapping is named with dots. The language is
`epochal.store.filter_language`'s.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from epochal.store.columns import BOOL, LIST, MISSING, NUMBER, TEXT, Column
from epochal.store.field_lookup import FieldLookup, MetricNames
from epochal.store.filter_language import parse_field, parse_filter, parse_sort
from epochal.store.filter_tree import And, Comparison, Field, Filter, Not, Or, SortKey, quoted
from epochal.store.run_cells import CellName
from epochal.store.run_columns import RunColumns
from epochal.store.store import Store

__all__ = ["Described", "Group", "RunTable", "Selection"]

Rows: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]


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
        self._lock = threading.RLock()
        self._runs = RunColumns(store, project)
        self._lookup = FieldLookup(self._runs, names)

    def __len__(self) -> int:
        return len(self._runs.row_of)

    def refresh(self) -> None:
        """Take in the runs that changed since, and forget those that are gone."""
        with self._lock:
            self._runs.refresh()

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
            return Selection(ids=tuple(self._runs.ids[row] for row in page), total=len(rows))

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
            columns = [self._lookup.column(parse_field(text), text) for text in by]
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
                    ids=tuple(self._runs.ids[row] for row in rows[start:end]),
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
            column = self._lookup.column(parse_field(field), field)
            return [
                None if (row := self._runs.row_of.get(run)) is None else column.get(row)
                for run in ids
            ]

    def describe(self, ids: Sequence[str]) -> list[Described]:
        """Return what each field holds over the runs named, of the fields that any of them has.

        Of a curve that is its last value. Ids that are not in the table are passed over.
        """
        with self._lock:
            found = [self._runs.row_of[run] for run in ids if run in self._runs.row_of]
            rows = np.asarray(found, np.int64)
            return [
                described
                for name, column in self._runs.by_name.items()
                if name[0] != "metrics" or name[-1] == "last"
                if (described := _described(name, column, rows)) is not None
            ]

    # --- evaluation ----------------------------------------------------------------------------

    def _select(self, where: str, trashed: bool) -> Rows:
        mask = self._runs.trashed if trashed else self._runs.shown
        fits = self._evaluate(parse_filter(where), where)
        return np.flatnonzero(mask & fits)

    def _evaluate(self, tree: Filter, text: str) -> Mask:
        match tree:
            case Comparison(field=field):
                return self._lookup.column(field, text).fits(tree)
            case Not(term):
                return ~self._evaluate(term, text)
            case And(terms):
                found = np.ones(self._runs.capacity, np.bool_)
                for term in terms:
                    found &= self._evaluate(term, text)
                return found
            case Or(terms):
                found = np.zeros(self._runs.capacity, np.bool_)
                for term in terms:
                    found |= self._evaluate(term, text)
                return found

    def _sorted(self, rows: Rows, sort: str) -> Rows:
        keys = parse_sort(sort) if sort.strip() else ()
        newest = SortKey(field=Field(path=("created",)), descending=True)
        # `numpy.lexsort` takes the strongest key last; the id makes the order complete.
        strengths: list[npt.NDArray[Any]] = [self._runs.id_order[rows]]
        for key in reversed((*keys, newest)):
            column = self._lookup.column(key.field, sort)
            strengths += column.order(rows, descending=key.descending)
        return rows[np.lexsort(strengths)]

    def _numbers(self, field: Field, text: str, rows: Rows) -> npt.NDArray[np.float64]:
        column = self._lookup.column(field, text)
        return np.where(column.kind[rows] == NUMBER, column.number[rows], np.nan)


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


def _written(name: CellName) -> str:
    return ".".join([name[0], *map(quoted, name[1:2])])


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
