"""What is wrong with a dataset's files, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Problem", "Severity", "printable", "refuse"]

Severity = Literal["fatal", "error", "warning"]
"""``fatal``: the file cannot be part of a version. ``error``: the trainer drops the image or
reads it otherwise than written. ``warning``: odd, but trained on as it is."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One row: where, what, and what to do about it."""

    file: str
    line: int = 0
    """Counted from 1; 0 means the file as a whole."""
    problem: str
    remedy: str = ""
    severity: Severity = "error"

    @property
    def place(self) -> str:
        """The file, with its line where there is one."""
        return f"{self.file}:{self.line}" if self.line else self.file


def printable(file: str) -> str:
    """Return a path as one line of valid UTF-8, escaping what is not."""
    return file if file.isprintable() else repr(file)[1:-1]


def refuse(problems: Sequence[Problem], *severities: Severity) -> None:
    """Refuse a dataset that has problems of these severities.

    Raises
    ------
    InvalidInput
        Naming the first problem's file, line and remedy, and how many more there are.
    """
    found = [problem for problem in problems if problem.severity in severities]
    if not found:
        return
    first = min(found, key=lambda problem: severities.index(problem.severity))
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise InvalidInput(f"{first.place}: {first.problem}{more}", first.remedy)
