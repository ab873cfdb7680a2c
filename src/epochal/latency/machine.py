"""The machine while it is measured: what it is, how busy, how warm, and whether it slowed down."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

__all__ = ["Watch", "hardware", "power_mode"]

_CPUS = Path("/sys/devices/system/cpu")
# NVML's reasons for lower clocks that are a fault or heat: hardware slowdown, thermal by software
# and hardware, power brake. A configured power cap is how the device is run, not throttling.
_SLOWDOWN = 0x8 | 0x20 | 0x40 | 0x80


class Watch:
    """Looks at the machine before and after, and says what happened in between."""

    def __init__(self, *, gpu: int | None = None) -> None:
        self._gpu = _Gpu(gpu) if gpu is not None else None
        self._reasons = 0
        self._before = self._look()

    def glance(self) -> None:
        """Note whether the GPU is slowing itself down right now."""
        if self._gpu is not None:
            self._reasons |= self._gpu.slowdown()

    def describe(self) -> tuple[dict[str, Any], bool | None]:
        """Return the state before and after, and whether the device slowed itself down.

        None where nothing on this machine tells.
        """
        after = self._look()
        told = [
            after["throttle_count"] > self._before["throttle_count"]
            if "throttle_count" in after and "throttle_count" in self._before
            else None,
            bool(self._reasons & _SLOWDOWN) if self._gpu is not None and self._gpu.works else None,
        ]
        known = [value for value in told if value is not None]
        return {"before": self._before, "after": after}, any(known) if known else None

    def _look(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        try:
            found["load"] = round(os.getloadavg()[0], 2)
        except OSError:
            pass  # not on this system
        counts = [_number(path) for path in _CPUS.glob("cpu*/thermal_throttle/*_throttle_count")]
        if counts:
            found["throttle_count"] = sum(counts)
        temperature = self._gpu.temperature() if self._gpu is not None else _temperature()
        if temperature is not None:
            found["celsius"] = temperature
        if self._gpu is not None and (clock := self._gpu.clock()) is not None:
            found["sm_mhz"] = clock
        return found


class _Gpu:
    """One NVIDIA GPU through NVML, where that is there."""

    def __init__(self, index: int) -> None:
        self.works = False
        try:
            import pynvml

            pynvml.nvmlInit()
            self._nvml: Any = pynvml
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            self.works = True
        except Exception:  # noqa: BLE001 - NVML's errors share no base that is there without it
            return

    def slowdown(self) -> int:
        reasons = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if reasons is None:  # its older name
            reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        return int(reasons or 0)

    def temperature(self) -> float | None:
        return self._ask("nvmlDeviceGetTemperature", 0)

    def clock(self) -> float | None:
        return self._ask("nvmlDeviceGetClockInfo", 1)

    def _ask(self, name: str, *arguments: int) -> float | None:
        if not self.works:
            return None
        try:
            return float(getattr(self._nvml, name)(self._handle, *arguments))
        except Exception:  # noqa: BLE001 - a value that this model does not report
            return None


def hardware() -> str:
    """Return the name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    try:  # an ARM board says what it is in its device tree
        return Path("/proc/device-tree/model").read_text(encoding="utf-8").strip("\0 \n")
    except OSError:
        return platform.processor() or platform.machine()


def power_mode() -> str:
    """Return how the CPU's clock is governed and what feeds it, as far as the system tells."""
    governors = {
        path.read_text(encoding="utf-8").strip()
        for path in _CPUS.glob("cpu*/cpufreq/scaling_governor")
    }
    parts = sorted(governors)
    try:
        import psutil

        battery = psutil.sensors_battery()
        if battery is not None and not battery.power_plugged:
            parts.append("battery")
    except (ImportError, AttributeError, OSError):
        pass  # this system has no such sensor
    return ", ".join(parts)


def _temperature() -> float | None:
    try:
        import psutil

        sensors = psutil.sensors_temperatures()
    except (ImportError, AttributeError, OSError):
        return None
    found = [entry.current for entries in sensors.values() for entry in entries]
    return max(found) if found else None


def _number(path: Path) -> int:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
