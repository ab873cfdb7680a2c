"""The module-level functions: `epochal.log` and `epochal.finish` act on the current run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from epochal.run.opening import current
from epochal.run.telling import say

__all__ = ["finish", "log"]

_told = False


def log(values: Mapping[str, Any], step: int | None = None, epoch: int | None = None) -> None:
    """Record numbers into the current run; see `epochal.Run.log`."""
    global _told
    run = current()
    if run is not None:
        run.log(values, step=step, epoch=epoch)
    elif not _told:
        _told = True
        say("log() without a run: call epochal.init() first; nothing is recorded")


def finish(status: Literal["finished", "failed", "killed"] = "finished", reason: str = "") -> None:
    """End the current run; see `epochal.Run.finish`."""
    run = current()
    if run is not None:
        run.finish(status, reason)
