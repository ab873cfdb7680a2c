"""What the control group grants this process: its share of CPUs and memory, and what it uses.

In a container or a SLURM job the machine's totals are not what the training has. Both versions
are read (v2: cpu.max, memory.max, ...; v1: cpu.cfs_quota_us, memory.limit_in_bytes, ...); a limit
of any group above counts too. See the kernel's Documentation/admin-guide/cgroup-v2.rst and
cgroup-v1/.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Cgroup"]

_UNLIMITED = 1 << 60
"""v1 says "no limit" with a number near 2**63."""


class Cgroup:
    """The control group of this process; every answer is None where there is none or no limit.

    Parameters
    ----------
    root
        Where the control groups are mounted.
    membership
        The file that names this process's groups.
    """

    def __init__(
        self,
        root: Path = Path("/sys/fs/cgroup"),
        membership: Path = Path("/proc/self/cgroup"),
    ) -> None:
        self._root = root
        self._paths = _memberships(membership)

    def cpu_limit(self) -> float | None:
        """Return how many CPUs' worth of time it may use, e.g. 1.5."""
        limits = []
        for folder in self._folders(""):
            quota, _, period = (_line(folder / "cpu.max") or "max").partition(" ")
            if quota.isdecimal() and period.isdecimal() and int(period):
                limits.append(int(quota) / int(period))
        for folder in self._folders("cpu"):
            runtime = _number(folder / "cpu.cfs_quota_us")
            period_us = _number(folder / "cpu.cfs_period_us")
            if runtime is not None and runtime > 0 and period_us:
                limits.append(runtime / period_us)
        return min(limits, default=None)

    def cpu_seconds(self) -> float | None:
        """Return the CPU time that the group has used so far, in seconds."""
        for folder in self._folders(""):
            if (used := _statistic(folder / "cpu.stat", "usage_usec")) is not None:
                return used / 1e6
        for folder in self._folders("cpuacct"):
            if (used := _number(folder / "cpuacct.usage")) is not None:
                return used / 1e9
        return None

    def memory_limit(self) -> int | None:
        """Return how many bytes of memory it may use."""
        found = [
            _number(folder / name)
            for controller, name in (("", "memory.max"), ("memory", "memory.limit_in_bytes"))
            for folder in self._folders(controller)
        ]
        return min((n for n in found if n is not None and n < _UNLIMITED), default=None)

    def memory_used(self) -> int | None:
        """Return the bytes in use, without file pages that can be given back at once.

        This is the working set as Kubernetes and ``docker stats`` define it.
        """
        for controller, name, inactive in (
            ("", "memory.current", "inactive_file"),
            ("memory", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            for folder in self._folders(controller):
                if (used := _number(folder / name)) is not None:
                    return max(used - (_statistic(folder / "memory.stat", inactive) or 0), 0)
        return None

    def _folders(self, controller: str) -> Iterator[Path]:
        """Yield the folder of the group for `controller` (empty: v2) and those above it."""
        if (path := self._paths.get(controller)) is None:
            return
        top = self._root / controller if controller else self._root
        folder = top / path.lstrip("/")
        # In a container the path is often the host's, and the group itself is mounted at the top.
        while folder != top and top in folder.parents:
            if folder.is_dir():
                yield folder
            folder = folder.parent
        yield top


def _memberships(file: Path) -> dict[str, str]:
    """Return the path of the group for each controller; v2's controller is the empty name."""
    try:
        lines = file.read_text().splitlines()
    except OSError:  # no control groups on this system
        return {}
    paths: dict[str, str] = {}
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def _line(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:  # the controller is not enabled in this group
        return None


def _number(file: Path) -> int | None:
    text = _line(file)
    try:
        return int(text) if text else None
    except ValueError:  # "max"
        return None


def _statistic(file: Path, name: str) -> int | None:
    for line in (_line(file) or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdecimal():
            return int(value)
    return None
