"""NVIDIA GPUs through NVML (the package nvidia-ml-py, module ``pynvml``), where it is installed.

A machine without the package, the driver or a GPU is an ordinary one: `Gpus` is then empty. What
fails later (a device that fell off the bus, a value that a model does not report) is left out and
said in `notes` once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["Gpus"]


class Gpus:
    """The GPUs that this process may use, as far as CUDA_VISIBLE_DEVICES tells.

    Names are those of ``nvidia-smi``: ``gpu0`` is NVML's device 0, whatever CUDA calls it.
    Opening may take a second where the driver has to wake the devices up.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._told: set[str] = set()
        self._handles: dict[int, Any] = {}
        self._nvml: Any = None
        try:
            import pynvml
        except ImportError:
            return  # the extra `gpu` is not installed
        except Exception as error:
            self._tell("pynvml", error)
            return
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
        except Exception as error:
            # A machine without the driver is usual where the package came along with torch.
            if type(error).__name__ not in (
                "NVMLError_LibraryNotFound",
                "NVMLError_DriverNotLoaded",
            ):
                self._tell("NVML", error)
            return
        for index in range(count):
            handle = self._ask(f"gpu{index}", pynvml.nvmlDeviceGetHandleByIndex, index)
            if handle is not None:
                self._handles[index] = handle
        self._keep_visible(os.environ.get("CUDA_VISIBLE_DEVICES"))

    def __len__(self) -> int:
        return len(self._handles)

    def describe(self) -> dict[str, Any]:
        """Return ``{"gpus": [{"index", "name", "memory_bytes", "uuid"}], "driver", "cuda"}``.

        ``cuda`` is the highest version that the driver supports. Empty without a GPU.
        """
        if not self._handles:
            return {}
        nvml = self._nvml
        gpus = []
        for index, handle in self._handles.items():
            memory = self._ask(f"gpu{index} memory", nvml.nvmlDeviceGetMemoryInfo, handle)
            about = {
                "index": index,
                "name": _text(self._ask(f"gpu{index} name", nvml.nvmlDeviceGetName, handle)),
                "memory_bytes": int(memory.total) if memory is not None else None,
                "uuid": self._uuid(index) or None,
            }
            gpus.append({key: value for key, value in about.items() if value is not None})
        described: dict[str, Any] = {"gpus": gpus}
        if driver := _text(self._ask("GPU driver version", nvml.nvmlSystemGetDriverVersion)):
            described["driver"] = driver
        if cuda := self._ask("CUDA version", nvml.nvmlSystemGetCudaDriverVersion):
            described["cuda"] = f"{cuda // 1000}.{cuda % 1000 // 10}"
        return described

    def sample(self) -> dict[str, float]:
        """Return utilisation (percent), memory (bytes), power (watts) and temperature (°C)."""
        nvml = self._nvml
        values: dict[str, float] = {}
        for index, handle in self._handles.items():
            gpu = f"gpu{index}"
            use = self._ask(f"{gpu} utilisation", nvml.nvmlDeviceGetUtilizationRates, handle)
            if use is not None:
                values[f"{gpu}/util_percent"] = float(use.gpu)
            memory = self._ask(f"{gpu} memory", nvml.nvmlDeviceGetMemoryInfo, handle)
            if memory is not None:
                values[f"{gpu}/memory_bytes"] = float(memory.used)
            power = self._ask(f"{gpu} power", nvml.nvmlDeviceGetPowerUsage, handle)
            if power is not None:
                values[f"{gpu}/power_w"] = power / 1000
            sensor = nvml.NVML_TEMPERATURE_GPU
            heat = self._ask(f"{gpu} temperature", nvml.nvmlDeviceGetTemperature, handle, sensor)
            if heat is not None:
                values[f"{gpu}/temperature_c"] = float(heat)
        return values

    def _keep_visible(self, visible: str | None) -> None:
        """Drop devices that CUDA hides; a list that cannot be read (MIG) hides none."""
        if visible is None:
            return
        names = [name.strip() for name in visible.split(",") if name.strip()]
        if all(name.lstrip("-").isdecimal() for name in names):
            # As CUDA does: the list ends at the first device that does not exist.
            chosen: list[int] = []
            for name in names:
                if int(name) not in self._handles:
                    break
                chosen.append(int(name))
        elif all(name.startswith("GPU-") for name in names):
            chosen = [
                index for index in self._handles if self._uuid(index).startswith(tuple(names))
            ]
        else:
            return
        self._handles = {index: self._handles[index] for index in sorted(set(chosen))}

    def _uuid(self, index: int) -> str:
        handle = self._handles[index]
        return _text(self._ask(f"gpu{index} uuid", self._nvml.nvmlDeviceGetUUID, handle)) or ""

    def _ask(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            self._tell(what, error)
            return None

    def _tell(self, what: str, error: Exception) -> None:
        if what not in self._told:
            self._told.add(what)
            self.notes.append(f"{what} cannot be read: {type(error).__name__}: {error}")


def _text(value: Any) -> str | None:
    """Return a name as text: older versions of the package answer in bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None else str(value)
