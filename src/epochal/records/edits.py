"""About a run: what a person says. `rev` is the highest seen + 1; the highest wins."""

from __future__ import annotations

from epochal.records.body import Body

__all__ = ["LessonWritten", "Renamed", "StopRequested", "Tagged", "Trashed"]


class Renamed(Body, tag="renamed", frozen=True, kw_only=True):
    """The run has another name."""

    name: str
    rev: int = 1


class Tagged(Body, tag="tagged", frozen=True, kw_only=True):
    """The run's tags are these."""

    tags: tuple[str, ...]
    rev: int = 1


class LessonWritten(Body, tag="lesson", frozen=True, kw_only=True):
    """What the run taught, as a whole: each edit repeats all fields."""

    hypothesis: str = ""
    change: str = ""
    result: str = ""
    next: str = ""
    text: str = ""
    author: str = ""
    rev: int = 1


class Trashed(Body, tag="trashed", frozen=True, kw_only=True):
    """The run is hidden, or shown again."""

    on: bool
    rev: int = 1


class StopRequested(Body, tag="stop", frozen=True, kw_only=True):
    """The training is asked to end at its next epoch."""

    reason: str = ""
