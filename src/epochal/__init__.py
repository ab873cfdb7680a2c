"""Epochal: the experiment tracker that ends in a decision.

    import epochal

    with epochal.init(name="v3_pallets_added", config={...}, parent="v2_imgsz_1024") as run:
        for epoch in range(100):
            run.log({"train/loss": loss}, step=epoch)

`init` opens a run, `log` records into the current one, `open` reads a workspace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from epochal.version import __version__

if TYPE_CHECKING:
    from epochal.errors import EpochalError
    from epochal.run.module import finish, log
    from epochal.run.opening import current, init
    from epochal.run.run import Run
    from epochal.workspace import Workspace
    from epochal.workspace import open_workspace as open

__all__ = [
    "EpochalError",
    "Run",
    "Workspace",
    "__version__",
    "current",
    "finish",
    "init",
    "log",
    "open",
]

# Imported on first use: a training pays for the run, not for the reader, and neither for both.
_HOME = {
    "EpochalError": ("epochal.errors", "EpochalError"),
    "Run": ("epochal.run.run", "Run"),
    "Workspace": ("epochal.workspace", "Workspace"),
    "current": ("epochal.run.opening", "current"),
    "finish": ("epochal.run.module", "finish"),
    "init": ("epochal.run.opening", "init"),
    "log": ("epochal.run.module", "log"),
    "open": ("epochal.workspace", "open_workspace"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'epochal' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOME[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
