"""A run's status, derived when it is read: no process has to report its own death."""

from __future__ import annotations

import time

from epochal.journal.process import boot_id, host, is_alive
from epochal.records import Header, Status
from epochal.store.documents import RunDocument

__all__ = ["STALE_AFTER", "status_of"]

STALE_AFTER = 120.0
"""Seconds without a record after which a run elsewhere counts as stale."""


def status_of(document: RunDocument, owner: Header | None, now: float | None = None) -> Status:
    """Return the status of a run.

    What its process reported stands. Where it reported nothing: on this machine and boot the
    process itself is looked up, and the run is ``killed`` when it is gone; elsewhere the run is
    ``stale`` after `STALE_AFTER` seconds of silence. A later record makes it ``running`` again.

    Parameters
    ----------
    owner
        The header of the journal whose writer opened the last attempt.
    now
        Seconds since the Unix epoch.
    """
    if not document.attempts:
        return "stale"
    last = document.attempts[-1]
    if last.status == "finished":
        return "finished"
    if last.status == "failed":
        return "failed"
    if last.status == "killed":
        return "killed"
    if owner is not None and owner.pid and owner.host == host() and owner.boot == boot_id() != "":
        return "running" if is_alive(owner.pid, owner.started) else "killed"
    silent = (time.time() if now is None else now) - document.last_t / 1e6
    return "stale" if silent > STALE_AFTER else "running"
