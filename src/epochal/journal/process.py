"""Which process is writing, and whether it still lives.

A pid alone is reused. On Linux the boot id and the process's start, in seconds after boot, make
it unique; both are read from /proc and need no library.
"""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path

__all__ = ["boot_id", "host", "is_alive", "process_start"]


@functools.cache
def boot_id() -> str:
    """Return an id of this boot of this machine; empty where the system offers none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def host() -> str:
    """Return this machine's name."""
    return socket.gethostname()


def process_start(pid: int) -> float:
    """Return when process `pid` started, in seconds after boot; 0.0 where that cannot be told."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        # The command in parentheses may hold spaces and parentheses: count from the last one.
        return int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def is_alive(pid: int, started: float) -> bool:
    """Tell whether process `pid`, begun `started` seconds after boot, still runs here."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it exists and belongs to somebody else
    if not started:
        return True
    now = process_start(pid)
    return not now or (abs(now - started) < 0.05 and not _is_zombie(pid))


def _is_zombie(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in "ZX"
