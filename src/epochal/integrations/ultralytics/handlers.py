"""What each callback does: from Ultralytics' trainer or validator to our `Training`, `Validation`.

Ours are kept as attributes of theirs: they live and die together, and need no global table.
"""

from __future__ import annotations

import sys
from typing import Any

from epochal.integrations.ultralytics.options import Options
from epochal.integrations.ultralytics.training import Training
from epochal.integrations.ultralytics.validation import Validation, order_of
from epochal.run.run import Run

__all__ = [
    "on_fit_epoch_end",
    "on_pretrain_routine_end",
    "on_pretrain_routine_start",
    "on_train_batch_end",
    "on_train_end",
    "on_val_end",
    "on_val_start",
    "run_of",
    "teardown",
]

_OURS = "_epochal"
_TRAINING = "_epochal_training"


def run_of(subject: Any) -> Run | None:
    """Return the run that this trainer or validator is recorded in, if it is open."""
    return getattr(getattr(subject, _OURS, None), "run", None)


def _training(trainer: Any) -> Training | None:
    return getattr(trainer, _OURS, None)


def on_pretrain_routine_start(trainer: Any, options: Options) -> None:
    """The trainer has its arguments."""
    if _training(trainer) is None:  # `attach` and `install` may both be in force in a DDP worker
        training = Training(trainer, options)
        setattr(trainer, _OURS, training)
        training.begin(trainer)


def on_pretrain_routine_end(trainer: Any, _: Options) -> None:
    """Model, data and optimizer are ready."""
    if training := _training(trainer):
        training.prepared(trainer)
        # Its validator evaluates the best weights at the end, and has to find its way back.
        setattr(trainer.validator, _TRAINING, training)


def on_train_batch_end(trainer: Any, options: Options) -> None:
    """One batch is done: the only callback on the hot path."""
    if options.every_n_batches and (training := _training(trainer)):
        training.batch(trainer)


def on_fit_epoch_end(trainer: Any, _: Options) -> None:
    """An epoch is trained and validated; once more at the end, for the best weights.

    That last call carries the last epoch's number or one more, depending on the release: it is
    told by the validator, which only then has run on its own.
    """
    if (training := _training(trainer)) and trainer.validator.training is not False:
        training.epoch(trainer)


def on_train_end(trainer: Any, _: Options) -> None:
    """The training has come to its end, and the best weights were evaluated."""
    if training := _training(trainer):
        training.completed(trainer)


def teardown(trainer: Any, _: Options) -> None:
    """Everything is over, one way or the other: the exception under way tells which."""
    if training := _training(trainer):
        training.end(trainer, sys.exc_info()[1])


def on_val_start(validator: Any, options: Options) -> None:
    """A validation begins: within an epoch, of the best weights, or on its own."""
    if validator.training:
        if validator.args.task == "classify":
            order_of(validator)  # the last pass, over the best weights, will have to be told
    else:
        training = getattr(validator, _TRAINING, None)
        run, best = (training.run, training.best) if training else (None, None)
        validation = Validation(options, run, best)
        setattr(validator, _OURS, validation)
        validation.begin(validator)


def on_val_end(validator: Any, _: Options) -> None:
    """A validation is done."""
    if validator.training:
        if training := getattr(validator, _TRAINING, None):
            training.validated = True
    elif validation := getattr(validator, _OURS, None):
        validation.end(validator)
