"""How each operation is answered: plain functions over the store, one module per part of the API.

``handler(context, query_or_body, **path)`` returns the struct that the operation promises, or
raises an `EpochalError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from epochal.server.answers import (
    comparing,
    curves,
    datasets,
    evaluations,
    files,
    governance,
    lessons,
    one_run,
    table,
    workspace,
)

__all__ = ["handler"]

_MODULES = (
    comparing,
    curves,
    datasets,
    evaluations,
    files,
    governance,
    lessons,
    one_run,
    table,
    workspace,
)


def handler(operation: str) -> Callable[..., Any]:
    """Return what answers `operation`: the public function of that name."""
    for module in _MODULES:
        if operation in module.__all__:
            return getattr(module, operation)  # type: ignore[no-any-return] # a function by rule
    raise LookupError(f"nothing answers {operation!r}")
