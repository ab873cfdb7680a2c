"""What a checkpoint says of itself, read without unpickling it.

A ``.pt`` file is a zip with a pickle, and unpickling runs whatever the file asks for. The few
plain values at its top can be read from the pickle's opcodes, which runs nothing.
"""

from __future__ import annotations

import pickletools
import struct
import zipfile
from pathlib import Path
from typing import Any

__all__ = ["checkpoint_facts"]

_WANTED = {"epoch", "best_fitness", "version", "date"}
_MOST = 64 << 20
"""Bytes of the pickle that are looked at; weights lie in files of their own."""
_MEMO = {"MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"}
_SCALARS = (str, int, float)


def checkpoint_facts(path: Path) -> dict[str, str | int | float]:
    """Return what is found of epoch, best_fitness, version and date; empty where unreadable.

    ``epoch`` is -1 once a training has ended and its optimizer was stripped from the file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(n for n in archive.namelist() if n.rpartition("/")[2] == "data.pkl")
            with archive.open(name) as file:
                data = file.read(_MOST)
    except (OSError, zipfile.BadZipFile, StopIteration, NotImplementedError, RuntimeError):
        return {}
    return _facts(data)


def _facts(data: bytes) -> dict[str, str | int | float]:
    found: dict[str, str | int | float] = {}
    key = ""
    argument: Any
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in _MEMO:
                continue
            if key and key not in found and _is_scalar(argument):
                found[key] = argument
            key = argument if isinstance(argument, str) and argument in _WANTED else ""
            if len(found) == len(_WANTED):
                break
    except (ValueError, IndexError, KeyError, OverflowError, struct.error):
        return found  # hostile or truncated: what was read before stands
    return found


def _is_scalar(value: Any) -> bool:
    return isinstance(value, _SCALARS) and not isinstance(value, bool) and value not in _WANTED
