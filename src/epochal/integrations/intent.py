"""What a person said about a training before it started, and how its process learns of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Intent"]

_TEXTS = ("project", "name", "parent", "dataset", "hypothesis", "group")


@dataclass(frozen=True, slots=True)
class Intent:
    """The arguments of `epochal.init` that a person can give at launch. Empty: not said."""

    project: str = ""
    name: str = ""
    parent: str = ""
    dataset: str = ""
    hypothesis: str = ""
    group: str = ""
    tags: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Intent:
        """Return what ``epochal run`` (or a person) put into EPOCHAL_PROJECT, EPOCHAL_NAME, ..."""
        environ = os.environ if environ is None else environ
        texts = {field: environ.get(f"EPOCHAL_{field.upper()}", "").strip() for field in _TEXTS}
        tags = (tag.strip() for tag in environ.get("EPOCHAL_TAGS", "").split(","))
        return cls(**texts, tags=tuple(tag for tag in tags if tag))

    def environment(self) -> dict[str, str]:
        """Return the environment variables that `from_environment` reads back."""
        said = {f"EPOCHAL_{field.upper()}": getattr(self, field) for field in _TEXTS}
        said["EPOCHAL_TAGS"] = ",".join(self.tags)
        return {key: value for key, value in said.items() if value}

    def arguments(self) -> dict[str, Any]:
        """Return what was said as keyword arguments of `epochal.init`."""
        said: dict[str, Any] = {field: getattr(self, field) for field in (*_TEXTS, "tags")}
        return {key: value for key, value in said.items() if value}
