"""Data frames for those who have a library of them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from epochal.errors import NotFound

__all__ = ["frame_library"]


def frame_library(name: str) -> ModuleType:
    """Return the module `name`.

    Raises
    ------
    NotFound
        If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise NotFound(f"{name} is not installed", f"`pip install {name}`") from None
