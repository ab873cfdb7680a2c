"""What changes while people look: one thread takes in new records and tells who listens."""

from __future__ import annotations

import logging
import threading
import time

from epochal.server.schema.workspace import ChangeEvent
from epochal.server.service import JournalSizes, Service, journal_sizes
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["Tailer"]

_log = logging.getLogger("epochal.server")

_INTERVAL = 0.4
"""Seconds between two looks at the journals; longer where a look itself takes long."""
_AFTER_TROUBLE = 5.0
_STATUS_INTERVAL = 2.0
"""Seconds between two looks whether trainings that said nothing still live."""
_LISTED = 1000
"""Runs that one event names at most."""


class Tailer:
    """The thread that keeps the index fresh.

    Parameters
    ----------
    service
        Whose workspace it is.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._changes = service.changes
        service.poke = self.poke
        self._stop = threading.Event()
        self._poked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="epochal-tail", daemon=True)
        self._open: dict[str, RunDocument] = {}
        self._governance: JournalSizes = ()
        self._count = 0

    def start(self) -> None:
        """Begin to look. Returns at once; the first look may take long in a large workspace."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._poked.set()
        if self._thread.is_alive():
            self._thread.join()

    def poke(self) -> None:
        """Look now: this process has just written something."""
        self._poked.set()

    def _run(self) -> None:
        store = self._service.open_store()
        known = store.change
        self._changes.current = known
        self._governance = journal_sizes(self._service.folder.journal)
        for document in store.unfinished():
            self._watch(store, document)
        self._count = store.count_runs()
        next_status, told = 0.0, ""
        while not self._stop.is_set():
            begun = time.monotonic()
            self._poked.clear()
            pause = _INTERVAL
            try:
                known = self._look(store, known, statuses=begun >= next_status)
                told = ""
            except Exception as error:  # noqa: BLE001 # one bad look must not end all later ones
                # The same trouble again and again (a disk that is gone) is said once.
                if told != (told := repr(error)):
                    _log.exception("the journals could not be read; trying again")
                pause = _AFTER_TROUBLE
            if begun >= next_status:
                next_status = begun + _STATUS_INTERVAL
            took = time.monotonic() - begun
            self._poked.wait(max(pause, 4 * took))

    def _look(self, store: Store, known: int, *, statuses: bool) -> int:
        governance = journal_sizes(self._service.folder.journal)
        store.refresh()
        changed, change = store.changed_since(known)
        for document in changed:
            self._watch(store, document)
        affected = {document.id: document.project for document in changed}
        if statuses:
            affected |= self._settled(store)
        count = store.count_runs()
        ruled, purged = governance != self._governance, count < self._count
        if affected or ruled or purged:
            self._tell(affected, change, ruled=ruled, purged=purged)
        self._governance, self._count = governance, count
        return change

    def _watch(self, store: Store, document: RunDocument) -> None:
        """Keep an eye on a run while it is running: it may not get to say how it ended."""
        if store.status(document) == "running":
            self._open[document.id] = document
        else:
            self._open.pop(document.id, None)

    def _settled(self, store: Store) -> dict[str, str]:
        """Return id and project of the runs that were running and have died in silence."""
        # A later record would make them running again, and change their document.
        settled = [d for d in self._open.values() if store.status(d) != "running"]
        for document in settled:
            del self._open[document.id]
        return {document.id: document.project for document in settled}

    def _tell(self, affected: dict[str, str], change: int, *, ruled: bool, purged: bool) -> None:
        # An event needs a number of its own, also where no run's document changed.
        number = max(change, self._changes.current + 1)
        self._changes.tell(
            ChangeEvent(
                change=number,
                runs=list(affected)[:_LISTED],
                projects=sorted(set(affected.values())),
                all=purged or len(affected) > _LISTED,
                governance=ruled,
            )
        )
