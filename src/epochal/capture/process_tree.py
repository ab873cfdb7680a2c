"""CPU time and memory of a process and its descendants, from /proc.

Data loaders are children: a training's memory is not seen without them. The kernel's lists of
children make this cheap; a scan of all processes would cost milliseconds on a busy machine.
See proc(5).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ProcessUse", "process_tree"]


@dataclass(frozen=True)
class ProcessUse:
    """One process at one moment."""

    started: int
    """Clock ticks after boot; with the pid it names the process for good."""
    cpu_seconds: float
    rss_bytes: int


def process_tree(pid: int, limit: int = 1_000) -> dict[int, ProcessUse]:
    """Return `pid` and its descendants (at most `limit`); those that just ended are left out.

    Empty on systems without /proc.
    """
    found: dict[int, ProcessUse] = {}
    waiting = [pid]
    while waiting and len(found) < limit:
        current = waiting.pop()
        if current in found:
            continue
        use = _use(current)
        if use is not None:
            found[current] = use
            waiting += _children(current)
    return found


def _use(pid: int) -> ProcessUse | None:
    try:
        # The command in parentheses may hold spaces and parentheses: count from the last one.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return ProcessUse(
            started=int(fields[19]),
            cpu_seconds=(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
            rss_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        )
    except (OSError, ValueError, IndexError):  # ended, or not Linux
        return None


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        # Children belong to the thread that forked them.
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - half the cost of iterdir
            children += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    except OSError:
        pass  # a thread or the process ended while being read
    return children
