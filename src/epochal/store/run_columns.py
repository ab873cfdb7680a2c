"""The run documents as columns: a row for each run, a column for each cell that any run has.

They are a copy, brought up to date by the index's change counter.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from epochal.store.columns import Column
from epochal.store.documents import RunDocument
from epochal.store.run_cells import FIELDS, CellName, cells
from epochal.store.store import Store

__all__ = ["RunColumns"]

_PORTION = 2000
"""Documents that are taken in at once: many live objects make Python's collector slow."""


class RunColumns:
    """A copy of the documents of one project's runs, or of all, as columns. Not thread-safe.

    Parameters
    ----------
    store
        Where the documents are.
    project
        None takes in every project.

    Attributes
    ----------
    capacity
        Number of rows that there is room for; each array has so many.
    by_name
        The columns.
    row_of
        The row of each run, by its id.
    ids
        The id of the run in each row that was ever in use.
    id_order
        A number for each row, by which runs with nothing else to tell them apart are ordered.
    shown, trashed
        Which rows hold a run that is not in the trash, and which one that is.
    version
        Higher whenever a column has changed; a status, which time changes, does not count.
    """

    def __init__(self, store: Store, project: str | None = None) -> None:
        self._store = store
        self._project = project
        self._change = 0
        self.capacity = 64
        self.by_name: dict[CellName, Column] = {(name,): Column(self.capacity) for name in FIELDS}
        self.row_of: dict[str, int] = {}
        self.ids: list[str] = []
        self.id_order = np.zeros(self.capacity, np.uint64)
        self.shown = np.zeros(self.capacity, np.bool_)
        self.trashed = np.zeros(self.capacity, np.bool_)
        self.version = 0
        self._free: list[int] = []
        self._open: dict[str, RunDocument] = {}
        self._statuses_at = 0.0

    def refresh(self) -> None:
        """Take in the runs that changed since, and forget those that are gone."""
        while True:
            changed, self._change = self._store.changed_since(
                self._change, self._project, _PORTION
            )
            if not changed:
                break
            self._take(changed)
        if self._store.count_runs(self._project) != len(self.row_of):
            self._forget_missing()
        self._refresh_statuses()

    def _take(self, documents: list[RunDocument]) -> None:
        rows = [self._row(document.id) for document in documents]
        at = np.asarray(rows, np.int64)
        for column in self.by_name.values():
            column.clear(at)
        collected: dict[CellName, tuple[list[int], list[Any]]] = {}
        for row, document in zip(rows, documents, strict=True):
            for name, value in cells(document):
                found = collected.get(name)
                if found is None:
                    found = collected[name] = ([], [])
                found[0].append(row)
                found[1].append(value)
            self.shown[row] = not document.trashed
            self.trashed[row] = document.trashed
            last = document.attempts[-1] if document.attempts else None
            if last is None or not last.status:
                self._open[document.id] = document
            else:
                self._open.pop(document.id, None)
        for name, (where, values) in collected.items():
            self._column(name).put(where, values)
        self.version += 1
        self._statuses_at = 0.0

    def _row(self, run: str) -> int:
        row = self.row_of.get(run)
        if row is not None:
            return row
        if self._free:
            row = self._free.pop()
        else:
            row = len(self.ids)
            self.ids.append("")
            if row == self.capacity:
                self._grow()
        self.row_of[run] = row
        self.ids[row] = run
        self.id_order[row] = _order_of(run)
        return row

    def _grow(self) -> None:
        added = self.capacity
        self.capacity += added
        for column in self.by_name.values():
            column.grow(self.capacity)
        self.id_order = np.concatenate([self.id_order, np.zeros(added, np.uint64)])
        self.shown = np.concatenate([self.shown, np.zeros(added, np.bool_)])
        self.trashed = np.concatenate([self.trashed, np.zeros(added, np.bool_)])

    def _column(self, name: CellName) -> Column:
        column = self.by_name.get(name)
        if column is None:
            column = self.by_name[name] = Column(self.capacity)
        return column

    def _forget_missing(self) -> None:
        here = self._store.run_ids(self._project)
        gone = [run for run in self.row_of if run not in here]
        rows = [self.row_of.pop(run) for run in gone]
        at = np.asarray(rows, np.int64)
        self.shown[at] = self.trashed[at] = False
        for column in self.by_name.values():
            column.clear(at)
        self._free += rows
        for run in gone:
            self._open.pop(run, None)
        self.version += 1

    def _refresh_statuses(self) -> None:
        # Looking for a process costs a system call; asked again and again, once a second will do.
        if time.monotonic() - self._statuses_at < 1.0:
            return
        self._statuses_at = time.monotonic()
        rows = [self.row_of[run] for run in self._open]
        statuses = [self._store.status(document) for document in self._open.values()]
        if rows:
            self.by_name["status",].put(rows, statuses)


def _order_of(run: str) -> int:
    try:
        return int(run[:16], 16)
    except ValueError:
        return 0
