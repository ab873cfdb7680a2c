"""The workspace behind the server: threads that read it, the one that writes, what they share.

SQLite wants a connection a thread, so each reading thread opens the index for itself and reads
it as it stands. One thread writes, through one set of journals, so that edits of two browsers
have an order. What is new in the journals is taken in by `epochal.server.tailer`.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeAlias, TypeVar

import msgspec

from epochal.datasets.content import Content, content_of
from epochal.datasets.manifest import Manifest
from epochal.datasets.snapshots import snapshot_path
from epochal.datasets.versions import load_manifest
from epochal.decisions.charter import Charter
from epochal.decisions.charter_file import find_toml
from epochal.decisions.ledger import Ledger
from epochal.evaluation.detections import Boxes
from epochal.evaluation.document import Evaluation
from epochal.evaluation.match_records import MatchRecords
from epochal.evaluation.storage import load_evaluation
from epochal.journal.folder import Folder
from epochal.records import DatasetTagged
from epochal.server.changes import Changes
from epochal.server.context import Context
from epochal.server.problems import reject
from epochal.store.blobs import Blobs
from epochal.store.run_table import RunTable
from epochal.store.store import Store

__all__ = ["JournalSizes", "Service", "journal_sizes"]

P = ParamSpec("P")
R = TypeVar("R")

JournalSizes: TypeAlias = tuple[tuple[str, int], ...]

_CONTENTS = 8
"""Dataset versions whose content is held ready."""

_READERS = 4
"""Threads that read: NumPy, SQLite and zstd release the interpreter while they work."""
_WAITING = 64
"""Requests that may wait for a thread; more are told to come again."""


class Service:
    """A workspace being served.

    Parameters
    ----------
    folder
        The workspace.
    toml
        The ``epochal.toml`` that proposes rules; by default the nearest one above the workspace.
    """

    def __init__(self, folder: Folder, toml: Path | None = None) -> None:
        self.folder = folder
        self.toml = toml or find_toml(folder.root.parent)
        self.changes = Changes()
        self._local = threading.local()
        self._stores: list[Store] = []
        self._lock = threading.Lock()
        self._readers = ThreadPoolExecutor(_READERS, "epochal-read")
        self._writer = ThreadPoolExecutor(1, "epochal-write")
        self._waiting = 0
        self._closed = False
        self.poke: Callable[[], None] = lambda: None
        """Tell whoever takes in new records that there are some; the tailer sets it."""
        self._ledger: tuple[JournalSizes, Ledger] | None = None
        self._tables: dict[tuple[str | None, bytes], RunTable] = {}
        blobs = self.blobs = Blobs(folder.blobs)
        # Named by their content: what is cached never goes stale.
        self.evaluation: Callable[[str], Evaluation] = functools.lru_cache(64)(
            lambda digest: load_evaluation(blobs, digest)
        )
        self.matches: Callable[[str], MatchRecords] = functools.lru_cache(8)(
            lambda digest: MatchRecords.from_bytes(blobs.get(digest))
        )
        self.boxes: Callable[[str], Boxes] = functools.lru_cache(4)(
            lambda digest: Boxes.from_bytes(blobs.get(digest))
        )
        self._contents: dict[tuple[str, str, str, bool, bool], Content] = {}
        self.manifest: Callable[[str], Manifest] = functools.lru_cache(4)(
            lambda digest: load_manifest(folder.datasets, digest)
        )

    def content(self, version: DatasetTagged) -> Content:
        """Return the content of a dataset version, as far as it is here now."""
        kept = snapshot_path(self.folder.datasets, version.digest).exists()
        here = bool(version.path) and Path(version.path).exists()
        key = (version.digest, version.path, version.images, kept, here)
        found = self._contents.get(key)
        if found is None:
            found = content_of(self.folder, self.blobs, version)
            if len(self._contents) >= _CONTENTS:
                self._contents.clear()
            self._contents[key] = found
        return found

    def close(self) -> None:
        """Finish what is being done, then close all connections and journals."""
        self._closed = True
        self._writer.shutdown(cancel_futures=True)
        self._readers.shutdown(cancel_futures=True)
        for store in self._stores:
            store.close()

    def open_store(self) -> Store:
        """Return a store of the calling thread's, closed with the service."""
        store = Store(self.folder, refresh=False)
        with self._lock:
            self._stores.append(store)
        return store

    def ledger(self) -> Ledger:
        """Return the ledger of test looks as it stands in the journals."""
        sizes = journal_sizes(self.folder.journal)
        known = self._ledger
        if known is None or known[0] != sizes:
            known = self._ledger = (sizes, Ledger(self.folder))
        return known[1]

    def table(self, project: str | None, charter: Charter, *, alone: bool = False) -> RunTable:
        """Return the run table of a project (None: of all), up to date.

        Parameters
        ----------
        charter
            Whose metric registry says which keys are the same.
        alone
            There is no other project: its table is that of all, which need not be held twice.
        """
        held = None if alone else project
        key = (held, msgspec.json.encode(charter.metrics))
        with self._lock:
            table = self._tables.get(key)
        if table is None:
            store = self.open_store()
            with self._lock:
                # A table with the metric names of an earlier charter is of no more use.
                self._tables = {k: t for k, t in self._tables.items() if k[0] != held}
                table = self._tables[key] = RunTable(store, charter.registry(), held)
        table.refresh()
        return table

    async def read(
        self, answer: Callable[Concatenate[Context, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call ``answer(context, ...)`` in a thread that reads."""
        return await self._run(self._readers, answer, *args, **kwargs)

    async def write(
        self, answer: Callable[Concatenate[Context, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call ``answer(context, ...)`` in the thread that writes, one call after another."""
        return await self._run(self._writer, answer, *args, **kwargs)

    async def _run(
        self,
        pool: ThreadPoolExecutor,
        answer: Callable[Concatenate[Context, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        if self._waiting >= _WAITING or self._closed:
            reject(503, "busy", "too many requests at once", "ask again in a moment")
        self._waiting += 1
        try:
            call = functools.partial(self._call, answer, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(pool, call)
        finally:
            self._waiting -= 1

    def _call(
        self, answer: Callable[Concatenate[Context, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        context = getattr(self._local, "context", None)
        if context is None:
            context = self._local.context = Context(self.open_store(), self)
        return answer(context, *args, **kwargs)


def journal_sizes(folder: Path) -> JournalSizes:
    """Return names and sizes of the journals in `folder`: they differ after every record."""
    try:
        with os.scandir(folder) as entries:
            return tuple(sorted((e.name, e.stat().st_size) for e in entries))
    except OSError:
        return ()
