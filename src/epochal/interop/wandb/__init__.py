"""Weights & Biases: the folders that its client leaves, offline or not.

`transaction_log` reads the frames of a ``.wandb`` file, `messages` what is in them, `reader` turns
it into records. Nothing of the client is needed.
"""

from epochal.interop.wandb.reader import import_wandb

__all__ = ["import_wandb"]
