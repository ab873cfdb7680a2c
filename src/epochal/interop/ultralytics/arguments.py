"""A training's arguments: all are written down, a person gave a few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from epochal.analysis.ultralytics_defaults import ULTRALYTICS_DEFAULTS

__all__ = ["asked_for"]

_ALWAYS = ("task", "model", "data", "imgsz", "epochs", "batch")
_PLUMBING = ("mode", "save_dir")


def asked_for(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked for, as far as it can be told from the defaults."""
    return {
        key: value
        for key, value in arguments.items()
        if value is not None
        and key not in _PLUMBING
        and (key in _ALWAYS or ULTRALYTICS_DEFAULTS.get(key, value) != value)
    }
