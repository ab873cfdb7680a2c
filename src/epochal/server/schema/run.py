"""One run: everything captured, and what a person may change."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from epochal.analysis.naming import NameVerdict
from epochal.records import Status
from epochal.server.schema.common import Name, Reason, RunId, RunRef
from epochal.store.documents import RunDocument

__all__ = [
    "ArtifactPreview",
    "CodeDiff",
    "ConsolePage",
    "ConsolePart",
    "ConsoleQuery",
    "DecisionRef",
    "LessonEdit",
    "LessonFields",
    "LessonView",
    "Lineage",
    "LineageRun",
    "MediaImage",
    "MediaKey",
    "MediaPage",
    "MediaQuery",
    "NameCheck",
    "NameQuery",
    "Rename",
    "RunDetail",
    "StopRequest",
    "TagsEdit",
    "TrashEdit",
    "UsedDataset",
]


class DecisionRef(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, enough to link to it."""

    digest: str
    t: int
    verdict: str
    candidate: RunRef
    baseline: RunRef | None
    author: str
    override: str


class UsedDataset(msgspec.Struct, frozen=True, kw_only=True):
    """The dataset version that a run is pinned to."""

    name: str
    digest: str
    """Empty: not pinned to a version."""
    state: str
    detail: str


class RunDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One run with what other records say about it."""

    document: RunDocument
    """Everything captured; `images` is empty here, see `media`."""
    number: int
    """Which run of its project it is, by start: its colour follows."""
    status: Status
    seconds: float | None
    epoch: int | None
    epochs: int | None
    name_check: NameVerdict
    aliases: list[str]
    parent: RunRef | None
    """None where the run has none, or it is not in this workspace."""
    children: list[RunRef]
    decisions: list[DecisionRef]
    dataset: UsedDataset | None
    host: str
    """Where the last attempt was started."""
    images: int
    """How many images were logged."""
    change: int


class LineageRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run in the tree."""

    run: RunRef
    parent: str | None
    """Id of the parent, None at a root."""
    change: str
    """What it changed against its parent, in one line; empty for a root."""
    value: float | None
    """Best value of the project's metric."""
    aliases: list[str]


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """All runs that descend from the same root as this one, parents before children."""

    root: str
    metric: str
    runs: list[LineageRun]
    truncated: bool
    """There are more than the 500 shown."""


class ConsoleQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of what the run printed."""

    after: Annotated[int, Meta(ge=0)] | None = None
    """Go on behind this place; None with `tail`: the end, without: the beginning."""
    before: Annotated[int, Meta(ge=0)] | None = None
    """The part that ends before this place."""
    tail: bool = False
    limit: Annotated[int, Meta(ge=1, le=2000)] = 500


class ConsolePart(msgspec.Struct, frozen=True, kw_only=True):
    """A portion as it was printed; ANSI colours and carriage returns are in it."""

    place: int
    t: int
    stream: str
    text: str


class ConsolePage(msgspec.Struct, frozen=True, kw_only=True):
    """Part of the console."""

    parts: list[ConsolePart]
    first: int
    """Place of the first part here, to ask `before` with."""
    last: int
    """Place of the last part here, to ask `after` with."""
    total: int
    """Portions in all."""


class MediaQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which logged images."""

    key: str | None = None
    """None: of the first key."""
    step: int | None = None
    """None: of all steps, newest first."""
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 60


class MediaKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key under which images were logged."""

    key: str
    steps: list[int]
    """Ascending, each once."""
    images: int


class MediaImage(msgspec.Struct, frozen=True, kw_only=True):
    """A logged image. Its bytes are at ``/api/v1/runs/{run}/media/{digest}``."""

    key: str
    digest: str
    step: int
    t: int
    caption: str
    boxes: list[dict[str, Any]]
    """Each ``{"box": [x0, y0, x1, y1], "class", "score"?, "truth"?}`` in pixels of the image."""


class MediaPage(msgspec.Struct, frozen=True, kw_only=True):
    """Images of one key, and which keys there are."""

    keys: list[MediaKey]
    key: str | None
    images: list[MediaImage]
    total: int


class ArtifactPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What can be shown of an artifact: text as text, images by their address, else nothing."""

    key: str
    digest: str
    size: int
    kind: Literal["text", "image", "binary"]
    media_type: str
    text: str
    """At most the first 256 KiB; empty unless `kind` is text."""
    truncated: bool


class CodeDiff(msgspec.Struct, frozen=True, kw_only=True):
    """The code that ran: commit and uncommitted changes."""

    commit: str
    branch: str
    remote: str
    dirty: bool
    diff: str
    """Unified diff against the commit; at most 1 MiB."""
    truncated: bool


class LessonFields(msgspec.Struct, frozen=True, kw_only=True):
    """What a run taught."""

    hypothesis: str
    change: str
    result: str
    next: str
    text: str
    author: str
    rev: int
    t: int


class LessonView(msgspec.Struct, frozen=True, kw_only=True):
    """The lesson of a run, what could stand in it, and what stood in it before."""

    lesson: LessonFields | None
    rev: int
    """To be sent with an edit; 0 where nothing is written yet."""
    html: dict[str, str]
    """Field -> its Markdown, rendered and sanitised."""
    preregistered: bool
    """The hypothesis was given when the run was opened."""
    hypothesis: str
    """As given when the run was opened."""
    draft: dict[str, str]
    """Field -> what the numbers and the difference to the parent suggest."""
    history: list[LessonFields]
    """All edits, oldest first."""


LessonText = Annotated[str, Meta(max_length=10_000)]


class LessonEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole lesson anew."""

    rev: Annotated[int, Meta(ge=0)]
    """The `rev` of the lesson that was edited; answered 409 when somebody else wrote since."""
    hypothesis: LessonText = ""
    change: LessonText = ""
    result: LessonText = ""
    next: LessonText = ""
    text: LessonText = ""


class NameQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Check a name while it is typed."""

    project: str
    name: Annotated[str, Meta(max_length=1000)]
    run: RunId | None = None
    """The run that would get it: its parent gives the suggestion."""


class NameCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a name follows the charter, and a better one."""

    verdict: NameVerdict
    suggestion: str
    taken: bool
    """Another run of the project has it."""
    policy: Literal["warn", "refuse"]
    """What the charter says happens when it does not follow."""


class Rename(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give a run another name."""

    name: Name


class TagsEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Set the tags of runs: add and remove from what each has."""

    runs: Annotated[list[RunId], Meta(min_length=1, max_length=1000)]
    add: Annotated[list[Name], Meta(max_length=100)] = []
    remove: Annotated[list[Name], Meta(max_length=100)] = []


class TrashEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Move runs into the trash, or back."""

    runs: Annotated[list[RunId], Meta(min_length=1, max_length=1000)]
    on: bool


class StopRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask a running training to end at its next epoch."""

    reason: Reason = ""
