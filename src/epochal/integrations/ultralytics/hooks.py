"""The callbacks that Ultralytics calls, and the wall between them and the training.

A callback that raises ends a training, so `Hook` lets nothing through. It is a plain value:
equal to its copies, because Ultralytics copies its default callbacks for every model and
compares the copies, and picklable, because DDP workers get them by pickle.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, field
from typing import Any

from epochal.errors import Refused
from epochal.integrations.ultralytics.options import Options
from epochal.run.recorder import strict
from epochal.run.telling import say

__all__ = ["EVENTS", "Hook"]

EVENTS = (
    "on_pretrain_routine_start",
    "on_pretrain_routine_end",
    "on_train_batch_end",
    "on_fit_epoch_end",
    "on_train_end",
    "teardown",
    "on_val_start",
    "on_val_end",
)
"""The events that are listened to; `handlers` has a function of each name."""


@dataclass(frozen=True, slots=True)
class Hook:
    """The callback for one event."""

    event: str
    options: Options = field(default_factory=Options)

    def __call__(self, subject: Any) -> None:
        """Handle the event of a trainer or validator.

        Raises
        ------
        Refused
            Where the charter forbids this training (``dataset policy = require``): before it
            begins, and meant to end it.
        Exception
            Anything else only with EPOCHAL_STRICT=1.
        """
        if os.environ.get("RANK", "-1") not in ("-1", "0"):
            return  # DDP: the first rank speaks for all
        try:
            # Imported here: a process that only imports ultralytics pays nothing.
            handlers = importlib.import_module("epochal.integrations.ultralytics.handlers")
            getattr(handlers, self.event)(subject, self.options)
        except Refused:
            raise
        except Exception as error:
            if strict():
                raise
            _report(subject, self.event, error)


def _report(subject: Any, event: str, error: Exception) -> None:
    """Leave a notice in the run, or a log line where there is no run."""
    text = f"{event}: {type(error).__name__}: {error}"
    try:
        from epochal.integrations.ultralytics.handlers import run_of

        run = run_of(subject)
        if run is not None:
            run.notice("ultralytics", text)
            return
        say(f"ultralytics: {text}")
    except Exception:
        pass  # the last wall: whatever is broken here, the training goes on
