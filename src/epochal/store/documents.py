"""A run as a reader sees it: the fold of everything that was said about it.

The fold is a pure function of the run's records. Records of trainings apply in the order
(attempt, writer, seq); edits by people by (rev, writer): the highest wins. So the document does
not depend on the order in which journals were read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from epochal.records import (
    Alert,
    AnyBody,
    Artifact,
    Config,
    Dropped,
    Environment,
    Evaluated,
    Finished,
    Foreign,
    ImageLogged,
    Latency,
    LessonWritten,
    Notice,
    Opened,
    Pinned,
    Renamed,
    StopRequested,
    Summary,
    Tagged,
    Trashed,
)
from epochal.store.points import SeriesSummary

__all__ = ["Attempt", "Event", "RunDocument", "Stamped", "fold", "keep_foreign"]


class Event(NamedTuple):
    """A record with its place in the order."""

    attempt: int
    writer: str
    seq: int
    t: int
    body: AnyBody


class Attempt(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One start of a run."""

    number: int
    opened: int
    """Microseconds since the Unix epoch, UTC; so are all times here."""
    writer: str = ""
    """The writer whose end is the end of the attempt."""
    last: int = 0
    """Time of the last sign of life from its processes; edits by people are none."""
    ended: int | None = None
    status: str = ""
    """What the process itself reported; empty: nothing (yet)."""
    reason: str = ""
    argv: tuple[str, ...] = ()
    cwd: str = ""
    launch: str = ""


class Stamped(msgspec.Struct, frozen=True, kw_only=True):
    """A record of which a run may have many, with its time."""

    t: int
    attempt: int
    body: Artifact | Evaluated | Latency | ImageLogged | Alert | Notice | LessonWritten | Pinned


class RunDocument(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Everything about a run except its points, its console and its blobs' content."""

    id: str
    project: str = ""
    name: str = ""
    created: int = 0
    parent: str | None = None
    """As given when the run was opened."""
    dataset: str | None = None
    """As given when the run was opened."""
    hypothesis: str = ""
    """As given in the opening record: pre-registered."""
    group: str = ""
    tags: tuple[str, ...] = ()
    source: str = ""
    trashed: bool = False
    stop_requested: bool = False
    attempts: list[Attempt] = []
    pin: Pinned | None = None
    config: dict[str, Any] = {}
    effective: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    metrics: dict[str, SeriesSummary] = {}
    system: dict[str, SeriesSummary] = {}
    artifacts: dict[str, Stamped] = {}
    evaluations: list[Stamped] = []
    latencies: list[Stamped] = []
    images: list[Stamped] = []
    alerts: list[Stamped] = []
    notices: list[Stamped] = []
    foreign: dict[str, dict[str, dict[str, Any]]] = {}
    """What other systems' clients said that has no place of its own: system, type, key, value."""
    lesson: LessonWritten | None = None
    lessons: list[Stamped] = []
    """All edits of the lesson, oldest first."""
    dropped: int = 0
    """Records that could not be written."""
    dropped_reasons: dict[str, int] = {}
    """How many of them for which reason."""
    rev: int = 0
    """The highest revision of an edit by a person."""
    last_t: int = 0
    """Time of the last sign of life from its processes; edits by people are none."""

    @property
    def duration(self) -> float:
        """Seconds that its attempts took, each up to its end or its last sign of life."""
        return sum(max(0, (a.ended or a.last) - a.opened) for a in self.attempts) / 1e6


class _Fold:
    def __init__(self, run: str) -> None:
        self.doc = RunDocument(id=run)
        self.attempts: dict[int, Attempt] = {}
        self._edits: dict[type, tuple[int, str, int]] = {}

    def _opened(self, event: Event, body: Opened) -> None:
        doc = self.doc
        if not doc.created:
            doc.created = event.t
            doc.project, doc.name = body.project, body.name
            doc.parent, doc.dataset = body.parent, body.dataset
            doc.hypothesis, doc.group = body.hypothesis, body.group
            doc.tags, doc.source = body.tags, body.source
        # Two processes that resumed at once share a number; the first stands for the attempt.
        if event.attempt not in self.attempts:
            self.attempts[event.attempt] = Attempt(
                number=event.attempt,
                opened=event.t,
                writer=body.owner or event.writer,
                argv=body.argv,
                cwd=body.cwd,
                launch=body.launch,
            )

    def _finished(self, event: Event, body: Finished) -> None:
        attempt = self.attempts.get(event.attempt)
        if attempt is not None:
            attempt.ended, attempt.status, attempt.reason = event.t, body.status, body.reason

    def _edit(self, event: Event, body: Any) -> None:
        self.doc.rev = max(self.doc.rev, body.rev)
        rank = (body.rev, event.writer, event.seq)
        if rank <= self._edits.get(type(body), (0, "", -1)):
            return
        self._edits[type(body)] = rank
        match body:
            case Renamed():
                self.doc.name = body.name
            case Tagged():
                self.doc.tags = body.tags
            case LessonWritten():
                self.doc.lesson = body
            case Trashed():
                self.doc.trashed = body.on

    def apply(self, event: Event) -> None:
        """Apply one record that is not an edit of a person's."""
        doc, body = self.doc, event.body
        match body:
            case Opened():
                self._opened(event, body)
            case Finished():
                self._finished(event, body)
            case Config(role="effective"):
                doc.effective.update(body.values)
            case Config():
                doc.config.update(body.values)
            case Summary():
                doc.summary.update(body.values)
            case Environment():
                doc.environment.update(body.values)
            case Pinned():
                doc.pin = body
            case Artifact():
                doc.artifacts[body.key] = _stamped(event)
            case Foreign():
                keep_foreign(doc.foreign.setdefault(body.system, {}), body)
            case Dropped():
                doc.dropped += body.count
                reasons = doc.dropped_reasons
                reasons[body.reason] = reasons.get(body.reason, 0) + body.count
            case StopRequested():
                doc.stop_requested = True
            case _:
                if into := _LISTS.get(type(body)):
                    into(doc).append(_stamped(event))


def keep_foreign(kept: dict[str, dict[str, Any]], body: Foreign) -> None:
    """Apply one record to what is known of its system, by type and key."""
    of_type = kept.setdefault(body.type, {})
    if body.value is None:
        of_type.pop(body.key, None)
    else:
        of_type[body.key] = body.value


def _stamped(event: Event) -> Stamped:
    return Stamped(t=event.t, attempt=event.attempt, body=event.body)  # type: ignore[arg-type] # only listed kinds


_LISTS: dict[type, Callable[[RunDocument], list[Stamped]]] = {
    Evaluated: lambda doc: doc.evaluations,
    Latency: lambda doc: doc.latencies,
    ImageLogged: lambda doc: doc.images,
    Alert: lambda doc: doc.alerts,
    Notice: lambda doc: doc.notices,
}

_EDITS = (Renamed, Tagged, LessonWritten, Trashed)


def fold(
    run: str,
    events: Iterable[Event],
    metrics: dict[str, SeriesSummary],
    last: Mapping[int, int],
) -> RunDocument:
    """Return the document of `run` from all its `events`, whatever their order.

    Parameters
    ----------
    metrics
        The summaries of its curves, by key; system metrics carry their prefix.
    last
        Attempt -> time of the last sign of life from its processes, heartbeats included.
    """
    from epochal.store.points import SYSTEM

    state = _Fold(run)
    ordered = sorted(events, key=lambda e: (e.attempt, e.writer, e.seq))
    # An attempt must exist before what belongs to it, whichever writer's id sorts first.
    for event in ordered:
        if isinstance(event.body, Opened):
            state.apply(event)
    for event in ordered:
        if isinstance(event.body, _EDITS):
            state._edit(event, event.body)
            if isinstance(event.body, LessonWritten):
                state.doc.lessons.append(_stamped(event))
        elif not isinstance(event.body, Opened):
            state.apply(event)
    doc = state.doc
    if not state.attempts and ordered:
        # The opening is damaged, or its journal is not here: what there is can still be found.
        doc.name, doc.project = doc.name or run[:8], doc.project or "unknown"
        doc.created = min(event.t for event in ordered)
    doc.attempts = [state.attempts[n] for n in sorted(state.attempts)]
    doc.lessons.sort(key=lambda s: (s.body.rev, s.t))  # type: ignore[union-attr] # lessons only
    for attempt in doc.attempts:
        attempt.last = last.get(attempt.number, 0)
    doc.last_t = max(last.values(), default=0)
    for key, summary in metrics.items():
        if key.startswith(SYSTEM):
            doc.system[key.removeprefix(SYSTEM)] = summary
        else:
            doc.metrics[key] = summary
    # A stop asked for in an earlier attempt is not asked of the next one.
    if doc.stop_requested and doc.attempts:
        begun = doc.attempts[-1].opened
        doc.stop_requested = any(
            isinstance(e.body, StopRequested) and e.t >= begun for e in ordered
        )
    return doc
