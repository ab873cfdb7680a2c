"""What Epochal says at the terminal of a training: one line, on stderr, rarely."""

from __future__ import annotations

import os
import sys

__all__ = ["say"]


def say(text: str) -> None:
    """Tell the person at the terminal; EPOCHAL_QUIET=1 keeps it silent."""
    if os.environ.get("EPOCHAL_QUIET", "") in ("", "0") and sys.stderr is not None:
        try:
            sys.stderr.write(f"epochal: {text}\n")
        except (OSError, ValueError):
            pass  # a closed terminal is no reason to fail
