"""What can be said: every record type, declared once.

The journal's lines, the wire, the index and the documentation all come from these structs.
A record is appended and never changed; a correction is a later record. Fields are only ever
added: a reader ignores what it does not know and keeps the raw line.

Numbers: a metric is an IEEE double. JSON has no NaN or infinity, so those three travel as the
strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` (see `to_wire` and `from_wire`).

Times are integers: microseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import msgspec

__all__ = [
    "FORMAT",
    "GOVERNANCE",
    "MAX_LINE",
    "Alert",
    "Alias",
    "Artifact",
    "Body",
    "CharterChanged",
    "Config",
    "Console",
    "DatasetTagged",
    "DecisionMade",
    "Dropped",
    "Entry",
    "Environment",
    "Evaluated",
    "Finished",
    "Foreign",
    "Header",
    "Heartbeat",
    "ImageLogged",
    "Latency",
    "LessonWritten",
    "Look",
    "Metrics",
    "Notice",
    "Number",
    "Opened",
    "Pinned",
    "Purged",
    "Renamed",
    "Split",
    "Status",
    "StopRequested",
    "Summary",
    "System",
    "Tagged",
    "Trashed",
    "from_wire",
    "to_wire",
]

FORMAT = 1
"""The journal format this version writes. A reader refuses a workspace with a higher one."""

MAX_LINE = 64 * 1024
"""Bytes a line may have. What is larger becomes a blob, and the record carries its digest."""

Status = Literal["running", "finished", "failed", "killed", "stale"]
Number: TypeAlias = float | str
"""A metric value on the wire: a finite double, or one of the three names of `to_wire`."""


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What one record says. The subclass is the kind; ``kind`` names it on the wire."""


# --- every journal -----------------------------------------------------------------------------


class Header(Body, tag="header", frozen=True, kw_only=True):
    """The first record (seq 0) of every journal file: who writes, and in which format."""

    format: int
    epochal: str
    writer: str
    run: str | None = None
    """32 hex digits, or None in a journal of the workspace."""
    attempt: int = 1
    rank: int = 0
    host: str = ""
    pid: int = 0
    boot: str = ""
    """The machine's boot id: with `pid` and `started` it tells whether the process still lives."""
    started: float = 0.0
    """Start of the writing process, seconds since the Unix epoch; 0 where unknown."""
    author: str = ""


# --- about a run: what a training says -----------------------------------------------------------


class Opened(Body, tag="opened", frozen=True, kw_only=True):
    """An attempt of a run begins."""

    run: str
    attempt: int
    project: str
    name: str
    parent: str | None = None
    """As given (name, id or prefix); resolved when read."""
    dataset: str | None = None
    """As given: ``name@tag`` or the path of a data.yaml."""
    hypothesis: str = ""
    group: str = ""
    tags: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    cwd: str = ""
    launch: str = ""
    """Id of the `epochal run` that started the process, if one did."""
    source: str = ""
    """Where an imported run came from, e.g. ``ultralytics:/data/runs/detect/train``."""
    owner: str = ""
    """Writer whose end is the end of this attempt."""


class Metrics(Body, tag="metrics", frozen=True, kw_only=True):
    """Numbers measured at one step."""

    values: dict[str, Number]
    step: int
    epoch: int | None = None


class System(Body, tag="system", frozen=True, kw_only=True):
    """Numbers about the machine (percent, bytes, watts, degrees Celsius), by time, not step."""

    values: dict[str, Number]


class Console(Body, tag="console", frozen=True, kw_only=True):
    """Lines that the process printed."""

    stream: Literal["stdout", "stderr"]
    text: str


class Config(Body, tag="config", frozen=True, kw_only=True):
    """Parameters. Later values of a key replace earlier ones."""

    values: dict[str, Any]
    role: Literal["requested", "effective"] = "requested"
    """What the user asked for, or what the trainer made of it (rounded, resolved, defaulted)."""


class Summary(Body, tag="summary", frozen=True, kw_only=True):
    """Single values that stand for the run, chosen by its author."""

    values: dict[str, Any]


class Environment(Body, tag="environment", frozen=True, kw_only=True):
    """What the run ran on and from. Large parts (packages, diff) are blobs named by digest."""

    values: dict[str, Any]


class Pinned(Body, tag="pinned", frozen=True, kw_only=True):
    """The run is bound to a dataset version, and what was found when that was checked."""

    dataset: str
    """``name@tag``, or the path of the data where no tagged version fits."""
    digest: str = ""
    """Digest of the manifest; empty: not pinned to any version."""
    state: Literal["verified", "drifted", "untagged", "unchecked"] = "unchecked"
    detail: str = ""
    """One line: how many files differ, or which command would tag the data."""


class Artifact(Body, tag="artifact", frozen=True, kw_only=True):
    """A file of the run, stored as a blob."""

    key: str
    """Path-like name within the run, e.g. ``weights/best.pt``."""
    digest: str
    size: int
    role: str = "file"
    """``weights``, ``plot``, ``config``, ``diff``, ``packages``, ``file``, ..."""
    step: int | None = None
    meta: dict[str, Any] = {}


class ImageLogged(Body, tag="image", frozen=True, kw_only=True):
    """An image with its boxes. Boxes are xyxy in pixels of that image."""

    key: str
    digest: str
    step: int
    boxes: tuple[dict[str, Any], ...] = ()
    """Each ``{"box": [x0, y0, x1, y1], "class": str, "score": float?, "truth": bool?}``."""
    caption: str = ""


class Evaluated(Body, tag="evaluation", frozen=True, kw_only=True):
    """A run's weights measured on one split by one evaluator. The blob `digest` holds it all."""

    digest: str
    """Blob of the `epochal.evaluation.Evaluation` document."""
    split: str
    evaluator: str
    metrics: dict[str, Number]
    fingerprint: str
    """Digest of what makes two evaluations comparable (see `Evaluation.fingerprint`)."""
    weights: str = ""
    """Digest of the weights file that was evaluated."""
    dataset: str = ""
    images: int = 0
    look: str = ""
    """Id of the ledger's look under which this was measured."""


class Latency(Body, tag="latency", frozen=True, kw_only=True):
    """A measured inference latency; the whole record is in the blob `digest`."""

    digest: str
    measure: Literal["latency", "throughput"]
    device: str
    key: str
    """Digest of the conditions: only records with equal keys compare."""
    p50: float
    p95: float
    p95_upper: float
    """Milliseconds; the upper bound is distribution-free at 95 %."""
    n: int
    conditions: dict[str, Any] = {}


class Alert(Body, tag="alert", frozen=True, kw_only=True):
    """Something the training's author wants people to see."""

    title: str
    text: str = ""
    level: Literal["info", "warning", "error"] = "info"


class Notice(Body, tag="notice", frozen=True, kw_only=True):
    """Something Epochal itself noticed: a value it could not read, a default name, drift."""

    code: str
    text: str


class Dropped(Body, tag="dropped", frozen=True, kw_only=True):
    """Records that could not be written, counted. The only trace of what was lost."""

    count: int
    reason: str


class Heartbeat(Body, tag="heartbeat", frozen=True, kw_only=True):
    """The process lives. Written every ten seconds; not kept in the index."""


class Finished(Body, tag="finished", frozen=True, kw_only=True):
    """An attempt ended in a way the process could still report."""

    status: Literal["finished", "failed", "killed"]
    reason: str = ""


# --- about a run, or about the workspace --------------------------------------------------------


class Foreign(Body, tag="foreign", frozen=True, kw_only=True):
    """What another system's client said that has no place of its own here.

    Kept so that the client gets it back; the system's folder in `interop` alone knows its meaning.
    """

    system: str
    """``mlflow``, ``wandb`` ..."""
    type: str
    """What it is there: ``tag``, ``experiment``, ``registered-model`` ..."""
    key: str
    value: Any = None
    """A later record of the same type and key replaces it; None: it is gone."""


# --- about a run: what a person says. `rev` is the highest seen + 1; the highest wins -----------


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


# --- about the workspace and its projects: governance. `prev` makes them a hash DAG ------------


class CharterChanged(Body, tag="charter", frozen=True, kw_only=True):
    """The rules in force from here on."""

    project: str
    version: int
    rules: dict[str, Any]
    reason: str = ""
    author: str = ""
    prev: tuple[str, ...] = ()


class Split(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One split of a dataset version, in numbers."""

    images: int
    objects: int
    digest: str
    """Over images and labels."""
    images_digest: str
    labels_digest: str


class DatasetTagged(Body, tag="dataset", frozen=True, kw_only=True):
    """A dataset version has a tag. Created once; datasets/ holds the manifest by its digest."""

    name: str
    tag: str
    digest: str
    splits: dict[str, Split]
    classes: tuple[str, ...] = ()
    message: str = ""
    path: str = ""
    """Where the data was when it was tagged. For people; nothing depends on it."""
    images: str = ""
    """Folder of the images of COCO annotations, where it was named because they lie elsewhere."""
    author: str = ""
    prev: tuple[str, ...] = ()


class Look(Body, tag="look", frozen=True, kw_only=True):
    """A use of test images. Opened before they are evaluated, completed by a second record."""

    look: str
    state: Literal["opened", "completed"]
    project: str
    run: str = ""
    weights: str = ""
    dataset: str = ""
    split: str = "test"
    images: str = ""
    """Blob with the sorted digests of the test images: looks count together where they overlap."""
    n_images: int = 0
    purpose: Literal["gate", "explore", "monitor"] = "explore"
    revealed: Literal["nothing", "verdict", "number"] = "nothing"
    result: dict[str, Any] = {}
    charter: int = 0
    author: str = ""
    prev: tuple[str, ...] = ()


class DecisionMade(Body, tag="decision", frozen=True, kw_only=True):
    """The frozen outcome of all gates for candidate against baseline."""

    digest: str
    """Blob of the `epochal.decisions.Decision` document; its id."""
    project: str
    candidate: str
    baseline: str | None
    verdict: str
    charter: int
    author: str = ""
    override: str = ""
    """The reason, where a person decided against the gates."""
    prev: tuple[str, ...] = ()


class Alias(Body, tag="alias", frozen=True, kw_only=True):
    """A name of the project (``baseline``, ``production``) points at a run."""

    project: str
    alias: str
    run: str
    reason: str = ""
    author: str = ""
    prev: tuple[str, ...] = ()


class Purged(Body, tag="purged", frozen=True, kw_only=True):
    """The run's folder was deleted; nothing brings it back."""

    run: str
    name: str = ""
    author: str = ""
    prev: tuple[str, ...] = ()


AnyBody: TypeAlias = (
    Header
    | Opened
    | Metrics
    | System
    | Console
    | Config
    | Summary
    | Environment
    | Pinned
    | Artifact
    | ImageLogged
    | Evaluated
    | Latency
    | Alert
    | Notice
    | Dropped
    | Heartbeat
    | Finished
    | Foreign
    | Renamed
    | Tagged
    | LessonWritten
    | Trashed
    | StopRequested
    | CharterChanged
    | DatasetTagged
    | Look
    | DecisionMade
    | Alias
    | Purged
)

GOVERNANCE = (CharterChanged, DatasetTagged, Look, DecisionMade, Alias, Purged)
"""Kinds that carry `prev` and together form the hash DAG of a workspace."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One record as it stands in a journal."""

    seq: int
    """0, 1, 2 ... within its writer."""
    t: int
    """Microseconds since the Unix epoch, UTC: wall clock at opening plus monotonic time since."""
    body: AnyBody


def to_wire(value: float) -> Number:
    """Return `value` as it travels: itself when finite, else its name."""
    if value - value == 0.0:
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def from_wire(value: Number) -> float:
    """Return the double that `to_wire` sent."""
    return float(value)
