"""``epochal run -- CMD``: run an unmodified command with the integrations armed.

`launch` starts the command with a folder in front of PYTHONPATH whose ``sitecustomize`` waits for
a framework to be imported (`site/`), passes signals and the exit code through (`child`), and
afterwards makes sure that what happened left a trace (`aftermath`).
"""

from epochal.integrations.launcher.launch import Importer, launch

__all__ = ["Importer", "launch"]
