"""Records Ultralytics YOLO: trainings, and every evaluation on val or test, without new code.

Three ways in:

- ``epochal run -- yolo train ...``: an unmodified command (see `epochal.integrations.launcher`);
- `install`: every YOLO of this process, two lines at the top of a script;
- `attach`: one model, with arguments for `epochal.init`.

A training becomes a run: what was asked for and what the trainer made of it, losses and metrics
per epoch, plots and weights, and the evaluation of the best weights. An evaluation with
``model.val()`` or ``yolo val`` belongs to the run whose weights it used, found by their digest.

Nothing that fails in here reaches the training: it becomes a notice in the run
(``EPOCHAL_STRICT=1`` raises instead). Under DDP rank 0 records.

Ultralytics is AGPL-3.0 and large: it is imported by the user's script, never by this package on
its own account, and its objects are used through the attributes that callbacks get.
"""

from __future__ import annotations

from typing import Any

from epochal.integrations.ultralytics.hooks import EVENTS, Hook
from epochal.integrations.ultralytics.options import Options

__all__ = ["attach", "install", "uninstall"]


def attach(model: Any, *, every_n_batches: int = 0, **init: Any) -> None:
    """Record what this model is trained and evaluated on.

    Parameters
    ----------
    model
        A ``YOLO`` (or ``RTDETR`` ...) object.
    every_n_batches
        Also log the running losses every so many batches, under ``batch/...``; 0: per epoch only.
    **init
        For `epochal.init`: ``project``, ``name``, ``parent``, ``dataset``, ``hypothesis``,
        ``tags``, ``group``, ``workspace`` ... The environment (``epochal run --name ...``) is
        stronger, the trainer's own ``project=`` and ``name=`` are weaker.
    """
    arm(model, Options(init=init, every_n_batches=every_n_batches))


def arm(model: Any, options: Options) -> None:
    """Put a hook with these options behind every event of `model`."""
    for event in EVENTS:
        # After `install` the model has hooks already; these replace them.
        callbacks = [c for c in model.callbacks[event] if not isinstance(c, Hook)]
        model.callbacks[event] = [*callbacks, Hook(event, options)]


def install() -> None:
    """Record every YOLO that this process makes from here on. Calling it twice is allowed."""
    for event, callbacks in _default_callbacks():
        if not any(isinstance(callback, Hook) for callback in callbacks):
            callbacks.append(Hook(event))


def uninstall() -> None:
    """Undo `install`, for models made from here on."""
    for _, callbacks in _default_callbacks():
        callbacks[:] = [c for c in callbacks if not isinstance(c, Hook)]


def _default_callbacks() -> list[tuple[str, list[Any]]]:
    from ultralytics.utils.callbacks.base import default_callbacks

    return [(event, default_callbacks[event]) for event in EVENTS]
