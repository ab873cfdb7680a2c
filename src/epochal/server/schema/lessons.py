"""Lessons over all projects: search, what is undocumented, the digest."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from epochal.server.schema.common import RunRef
from epochal.server.schema.run import LessonFields

__all__ = [
    "DigestView",
    "LessonHit",
    "LessonHits",
    "LessonsQuery",
    "Undocumented",
    "UndocumentedRun",
]


class LessonsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words to search for; none: the newest lessons."""

    q: Annotated[str, Meta(max_length=500)] = ""
    project: str | None = None
    """None: of all projects."""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class LessonHit(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson that was found."""

    run: RunRef
    t: int
    lesson: LessonFields
    snippet: str
    """Where the words are, as plain text."""
    terms: list[str]
    """Which words of the lesson matched, to light up."""


class LessonHits(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, best first."""

    hits: list[LessonHit]
    total: int


class UndocumentedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that has not taught anybody anything yet."""

    run: RunRef
    created: int
    missing: list[str]
    """Which of the four fields are empty."""
    draft: str
    """What the numbers suggest as its result; may be empty."""


class Undocumented(msgspec.Struct, frozen=True, kw_only=True):
    """Runs without a lesson, newest first."""

    runs: list[UndocumentedRun]
    total: int


class DigestView(msgspec.Struct, frozen=True, kw_only=True):
    """All lessons of a project as one text."""

    markdown: str
    html: str
    """Rendered and sanitised."""
