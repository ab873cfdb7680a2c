"""What a training was asked for, and what the trainer made of it."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

__all__ = ["effective", "requested"]

# Written by Ultralytics into every call; no person asked for them.
_PLUMBING = {"mode", "session", "save_dir"}


def requested(trainer: Any) -> dict[str, Any]:
    """Return what the user passed: keyword arguments, command line, or the keys of ``cfg=``.

    Called from ``on_pretrain_routine_start``, which the trainer's constructor runs.
    """
    overrides = _overrides(trainer)
    if overrides is None:
        overrides = _beyond_defaults(trainer)
    return {k: v for k, v in overrides.items() if k not in _PLUMBING and v is not None}


def effective(trainer: Any) -> dict[str, Any]:
    """Return what the training runs with: rounded, resolved, measured.

    ``args.yaml`` keeps ``amp: true`` and ``workers: 8`` on a CPU, and ``batch: -1`` until it is
    measured; what holds stands on the trainer.
    """
    values = {key: value for key, value in vars(trainer.args).items() if key != "session"}
    values["batch"] = trainer.batch_size
    values["epochs"] = trainer.epochs
    values["amp"] = bool(getattr(trainer, "amp", values.get("amp")))
    values["device"] = str(trainer.device)
    loader = getattr(trainer, "train_loader", None)
    values["workers"] = getattr(loader, "num_workers", values.get("workers"))
    optimizer = getattr(trainer, "optimizer", None)
    if optimizer is not None and values.get("optimizer") == "auto":  # newer ones write it back
        values["optimizer"] = type(optimizer).__name__
        values["lr0"] = optimizer.param_groups[0].get("initial_lr", values.get("lr0"))
    return values


def _overrides(trainer: Any) -> dict[str, Any] | None:
    """Return the constructor's own ``overrides``.

    The trainer keeps only the merged arguments, in which 100 epochs asked for and 100 epochs by
    default look the same. The constructor is on the stack, and its argument is what was passed.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        names = frame.f_locals
        if frame.f_code.co_name == "__init__" and id(names.get("self")) == id(trainer):
            overrides = names.get("overrides")
            # A DDP worker is given all arguments, so that nothing is told by them.
            if isinstance(overrides, dict) and len(overrides) < len(vars(trainer.args)) // 2:
                return dict(overrides)
            return None
        frame = frame.f_back
    return None


def _beyond_defaults(trainer: Any) -> dict[str, Any]:
    """Return the arguments that differ from Ultralytics' defaults, and the model and the data."""
    arguments = vars(trainer.args)
    utils = sys.modules.get("ultralytics.utils")
    defaults: dict[str, Any] = getattr(utils, "DEFAULT_CFG_DICT", {})
    return {
        key: value
        for key, value in arguments.items()
        if key in ("model", "data") or defaults.get(key) != value
    }
