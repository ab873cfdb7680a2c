"""One figure beside its budget, and how figures are taken.

Other work may share the machine. So what one thread computes is timed by the processor time it
took, which is what an idle core would take; what waits (calls, starts, disks) by the clock. Peers
are measured in the same minutes, alternating, so that ratios compare like with like.
"""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

__all__ = ["Figure", "Measurements", "machine", "median_ms", "percentile"]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number."""

    what: str
    value: float
    unit: str
    budget: float | None = None
    better: Literal["low", "high"] = "low"
    detail: str = ""

    @property
    def verdict(self) -> str:
        """``ok``, ``MISSED`` or nothing where there is no budget."""
        if self.budget is None:
            return ""
        kept = self.value <= self.budget if self.better == "low" else self.value >= self.budget
        return "ok" if kept else "MISSED"


Measurements = Iterator[Figure]
"""What a benchmark yields."""


def median_ms(task: Callable[[], Any], rounds: int = 5) -> float:
    """Return the median processor time of `task` in milliseconds, after one round to warm up."""
    task()
    took = []
    for _ in range(rounds):
        gc.collect()
        begun = time.process_time()
        task()
        took.append((time.process_time() - begun) * 1e3)
    return statistics.median(took)


def percentile(values: list[int], share: float) -> float:
    """Return the value below which `share` of `values` lie."""
    ordered = sorted(values)
    return float(ordered[min(int(len(ordered) * share), len(ordered) - 1)])


def machine() -> dict[str, str]:
    """Return what the figures were measured on."""
    import numpy

    import epochal

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    except OSError:
        models = []
    return {
        "processor": f"{os.cpu_count()} x {models[0] if models else platform.processor()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "epochal": epochal.__version__,
        "msgspec": msgspec.__version__,
        "numpy": numpy.__version__,
        "load": f"{os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else "",
    }
