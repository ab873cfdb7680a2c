"""About a run or the workspace: what another system's client says."""

from __future__ import annotations

from typing import Any

from epochal.records.body import Body

__all__ = ["Foreign"]


class Foreign(Body, tag="foreign", frozen=True, kw_only=True):
    """What another system's client said that has no place of its own here.

    Kept so that the client gets it back; the system's folder in `interop` alone knows its meaning.
    """

    system: str
    """``mlflow``, ``wandb`` ..."""
    type: str
    """What it is there: ``tag``, ``experiment``, ``registered-model`` ..."""
    key: str
    value: Any = None
    """A later record of the same type and key replaces it; None: it is gone."""
