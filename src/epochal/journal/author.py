"""Who is writing: the git user, else login@host."""

from __future__ import annotations

import functools
import getpass
import os
import subprocess

from epochal.journal.process import host

__all__ = ["author"]


def author() -> str:
    """Return ``Name <mail>`` from git, else ``login@host``; EPOCHAL_AUTHOR overrides both."""
    return os.environ.get("EPOCHAL_AUTHOR") or _known_to_the_machine()


@functools.cache
def _known_to_the_machine() -> str:
    name, mail = _git("user.name"), _git("user.email")
    if name:
        return f"{name} <{mail}>" if mail else name
    try:
        login = getpass.getuser()
    except (OSError, KeyError):  # no entry for this uid, as in many containers
        login = str(os.getuid())
    return f"{login}@{host()}"


def _git(key: str) -> str:
    try:
        found = subprocess.run(
            ["git", "config", "--get", key], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
