"""Numbers about the machine while it trains."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from epochal.capture.cgroup import Cgroup
from epochal.capture.gpus import Gpus
from epochal.capture.process_tree import ProcessUse, process_tree

__all__ = ["Sampler"]

_T = TypeVar("_T")

_SHORTEST = 0.02
"""Seconds between two readings below which a rate would be noise."""

_RATES = {
    "disk/read_bytes_per_s": "read_bytes",
    "disk/write_bytes_per_s": "write_bytes",
    "network/received_bytes_per_s": "bytes_recv",
    "network/sent_bytes_per_s": "bytes_sent",
}


class Sampler:
    """Read the machine's state, cheaply and as often as asked.

    Rates and percentages are means since the sample before; the first has them since the sampler
    was made, when that is at least 20 ms ago. After a fork the child starts anew. One thread
    at a time.

    Attributes
    ----------
    notes
        What could not be read, each thing once.
    """

    def __init__(self, *, cgroup: Cgroup | None = None) -> None:
        self.notes: list[str] = []
        self._group = Cgroup() if cgroup is None else cgroup
        self._told: set[str] = set()
        self._time = 0.0
        self._before: dict[str, float] = {}
        self._tree: dict[int, ProcessUse] = {}
        self._start()

    def sample(self) -> dict[str, float]:
        """Return what can be read now. Never raises.

        ``cpu/percent``
            0-100, of the control group's CPU limit where it has one, else of the machine's CPUs.
        ``cpu/process_percent``
            by this process and its descendants, where 100 is one CPU, as ``top`` counts.
        ``memory/used_bytes``, ``memory/percent``
            of the control group's limit where it has one, else of the machine; what can be given
            back at once is not counted.
        ``memory/process_rss_bytes``
            resident memory of this process and its descendants; shared pages count in each.
        ``disk/read_bytes_per_s``, ``disk/write_bytes_per_s``
            of all disks of the machine.
        ``network/received_bytes_per_s``, ``network/sent_bytes_per_s``
            of all interfaces but loopback.
        ``gpu<i>/util_percent``, ``memory_bytes``, ``power_w``, ``temperature_c``
            see `epochal.capture.gpus.Gpus`.
        """
        if os.getpid() != self._pid:
            self._start()
        now = time.monotonic()
        elapsed = now - self._time
        values: dict[str, float] = {}
        counters = self._counters()
        tree = self._try("processes", lambda: process_tree(self._pid)) or {}
        if elapsed >= _SHORTEST:
            values |= _rates(self._before, counters, elapsed)
            if tree:
                values["cpu/process_percent"] = 100 * _cpu_spent(self._tree, tree) / elapsed
            self._time, self._before, self._tree = now, counters, tree
        if tree:
            values["memory/process_rss_bytes"] = float(sum(use.rss_bytes for use in tree.values()))
        values |= self._try("memory", self._memory) or {}
        values |= self._try("GPUs", self._gpus.sample) or {}
        self._take_gpu_notes()
        return values

    def _start(self) -> None:
        """Begin the first interval, in this process."""
        self._pid = os.getpid()
        self._psutil = self._try("psutil", _psutil)
        self._gpus = Gpus()
        self._take_gpu_notes()
        self._time = time.monotonic()
        self._before = self._counters()
        self._tree = self._try("processes", lambda: process_tree(self._pid)) or {}

    def _counters(self) -> dict[str, float]:
        """Return what only grows: seconds of CPU and bytes moved."""
        counters: dict[str, float] = {}
        for what, read in (("CPU", self._cpu), ("disks", self._disks), ("network", self._network)):
            counters |= self._try(what, read) or {}
        return counters

    def _cpu(self) -> dict[str, float]:
        """Return seconds used and seconds available."""
        limit, used = self._group.cpu_limit(), self._group.cpu_seconds()
        if limit is not None and used is not None:
            return {"used": used, "available": time.monotonic() * limit}
        if self._psutil is None:
            return {}
        times = self._psutil.cpu_times()
        # Linux counts a guest's time in user and nice as well.
        total = sum(times) - getattr(times, "guest", 0) - getattr(times, "guest_nice", 0)
        return {"used": total - times.idle - getattr(times, "iowait", 0), "available": total}

    def _disks(self) -> dict[str, float]:
        # nowrap=True would take a lock of psutil's, which a fork may leave held in the child.
        disks = self._psutil and self._psutil.disk_io_counters(nowrap=False)
        return (
            {name: getattr(disks, name) for name in ("read_bytes", "write_bytes")} if disks else {}
        )

    def _network(self) -> dict[str, float]:
        interfaces = self._psutil and self._psutil.net_io_counters(pernic=True, nowrap=False)
        if not interfaces:
            return {}
        outer = [io for name, io in interfaces.items() if not name.startswith("lo")]
        return {
            name: sum(getattr(io, name) for io in outer) for name in ("bytes_recv", "bytes_sent")
        }

    def _memory(self) -> dict[str, float]:
        limit, used = self._group.memory_limit(), self._group.memory_used()
        if limit is None or used is None:
            if self._psutil is None:
                return {}
            memory = self._psutil.virtual_memory()
            limit, used = memory.total, memory.total - memory.available
        return {"memory/used_bytes": float(used), "memory/percent": 100 * used / max(limit, 1)}

    def _try(self, what: str, read: Callable[[], _T]) -> _T | None:
        try:
            return read()
        except Exception as error:
            if what not in self._told:
                self._told.add(what)
                self.notes.append(f"{what} cannot be read: {type(error).__name__}: {error}")
            return None

    def _take_gpu_notes(self) -> None:
        self.notes += self._gpus.notes
        self._gpus.notes.clear()


def _psutil() -> Any:
    import psutil

    return psutil


def _rates(before: dict[str, float], after: dict[str, float], elapsed: float) -> dict[str, float]:
    """Return per-second rates; a counter that was reset in between gives none."""
    grown = {
        name: after[name] - before[name]
        for name in after
        if name in before and after[name] >= before[name]
    }
    values = {key: grown[name] / elapsed for key, name in _RATES.items() if name in grown}
    if grown.get("available"):
        values["cpu/percent"] = min(100 * grown.get("used", 0.0) / grown["available"], 100.0)
    return values


def _cpu_spent(before: dict[int, ProcessUse], after: dict[int, ProcessUse]) -> float:
    """Return CPU seconds between two looks; of a process that came in between, all of its own."""
    spent = 0.0
    for pid, use in after.items():
        known = before.get(pid)
        same = known is not None and known.started == use.started
        spent += use.cpu_seconds - (known.cpu_seconds if known is not None and same else 0.0)
    return max(spent, 0.0)
