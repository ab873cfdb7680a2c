"""About a run: what a training says."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from epochal.records.body import Body, Number

__all__ = [
    "Alert",
    "Artifact",
    "Config",
    "Console",
    "Dropped",
    "Environment",
    "Evaluated",
    "Finished",
    "Heartbeat",
    "ImageLogged",
    "Latency",
    "Metrics",
    "Notice",
    "Opened",
    "Pinned",
    "Status",
    "Summary",
    "System",
]

Status: TypeAlias = Literal["running", "finished", "failed", "killed", "stale"]


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
    meta: dict[str, Any] = msgspec.field(default_factory=dict)


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
    conditions: dict[str, Any] = msgspec.field(default_factory=dict)


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
