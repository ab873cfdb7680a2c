"""Writing a lesson, and which runs still wait for theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from epochal.errors import InvalidInput
from epochal.journal.author import author
from epochal.records import LessonWritten

if TYPE_CHECKING:
    from epochal.store.documents import RunDocument
    from epochal.store.store import Store

__all__ = ["FIELDS", "is_empty", "undocumented", "write_lesson"]

FIELDS = ("hypothesis", "change", "result", "next", "text")
"""The fields of a lesson in the order in which they are read; ``text`` is free Markdown."""

_MAX_BYTES = 48_000
"""A record is one line of at most 64 KiB, in which a line end takes two bytes."""


def is_empty(lesson: LessonWritten | None) -> bool:
    """Whether there is no lesson, or one without a word in it."""
    return lesson is None or not any(getattr(lesson, field).strip() for field in FIELDS)


def write_lesson(
    store: Store,
    document: RunDocument,
    *,
    hypothesis: str | None = None,
    change: str | None = None,
    result: str | None = None,
    next: str | None = None,
    text: str | None = None,
) -> LessonWritten | None:
    """Record what a run taught.

    Parameters
    ----------
    hypothesis, change, result, next, text
        None keeps what the last edit said.

    Returns
    -------
    LessonWritten or None
        What was recorded; None where it would change nothing, and nothing was.

    Raises
    ------
    InvalidInput
        If the lesson is longer than a record may be.
    """
    given = dict(zip(FIELDS, (hypothesis, change, result, next, text), strict=True))
    old = document.lesson or LessonWritten()
    new = {
        field: getattr(old, field) if value is None else _tidy(value)
        for field, value in given.items()
    }
    if all(new[field] == getattr(old, field) for field in FIELDS):
        return None
    size = sum(
        len(value.encode("utf-8", "surrogatepass")) + value.count("\n") for value in new.values()
    )
    if size > _MAX_BYTES:
        raise InvalidInput(
            f"the lesson of {document.name} has {size:,} bytes, {_MAX_BYTES:,} are possible",
            "keep the long part as an artifact of the run and refer to it",
        )
    lesson = msgspec.convert({**new, "author": author()}, LessonWritten)
    store.record(lesson, document.id)
    return lesson


def _tidy(text: str) -> str:
    """Return `text` without blank ends, and with bytes that are no text made visible."""
    clean = text.replace("\r\n", "\n").encode("utf-8", "backslashreplace").decode()
    return "\n".join(line.rstrip() for line in clean.strip().split("\n"))


def undocumented(store: Store, project: str | None = None) -> list[RunDocument]:
    """Return the runs that have ended, measured something and taught nothing yet, newest first.

    Parameters
    ----------
    project
        None: those of all projects.
    """
    waiting = [
        document
        for document in store.runs(project)
        if is_empty(document.lesson)
        and document.metrics
        and store.status(document) not in ("running", "stale")
    ]
    return waiting[::-1]
