"""Runs at the start of every Python below ``epochal run``: arms the integrations, steps aside.

Nothing is imported and nothing patched until a framework is imported. This file may run in any
Python, so it knows nothing of the package it lies in; where Epochal cannot be imported, the
training goes on untouched and the launcher imports its output folder afterwards.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing itself costs more than all of this file
if TYPE_CHECKING:
    from typing import Any

INTEGRATIONS = {"ultralytics": "epochal.integrations.ultralytics"}
"""Framework -> the module whose ``install()`` is called once the framework is imported."""


class _Watch:
    """A finder that finds nothing itself: it lets the others find, and looks who comes in."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the framework's own spec, with a loader that calls ``install()`` at the end."""
        if name not in INTEGRATIONS or name in sys.modules:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec: Any = finder.find_spec(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)
                return spec
        return None


class _Loader:
    """The framework's loader, and ``install()`` behind it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: Any) -> None:
        """Execute the module as its own loader does, then arm the integration."""
        # From here on the module looks as if nobody had stood in between.
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        try:
            import importlib

            importlib.import_module(INTEGRATIONS[module.__name__]).install()
        except Exception as error:
            # A tracker must not be the reason that a training does not start. No Epochal in this
            # Python is a normal case; anything else is said where a person asked to see it.
            if os.environ.get("EPOCHAL_STRICT") == "1":
                sys.stderr.write(f"epochal: {module.__name__} is not recorded: {error!r}\n")


def _step_aside() -> None:
    """Run the sitecustomize that Python would have run if this one were not in front."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    # Child processes get here again through PYTHONPATH; this process needs the folder no more.
    sys.path[:] = [p for p in sys.path if not p or os.path.abspath(p) != here]  # noqa: PTH100
    for finder in sys.meta_path:
        spec = finder.find_spec("sitecustomize", None) if hasattr(finder, "find_spec") else None
        if spec is None or spec.loader is None:
            continue
        from importlib.util import module_from_spec

        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)  # an error in it is its own, and reported as such
        return


sys.meta_path.insert(0, _Watch())
_step_aside()
