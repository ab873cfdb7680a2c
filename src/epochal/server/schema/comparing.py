"""Runs side by side, their evaluations, and the images behind a cell."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from epochal.comparison.compare import Comparison
from epochal.evaluation.document import Evaluation
from epochal.records import Latency
from epochal.server.schema.common import RunId, RunRef
from epochal.server.schema.run import LessonView

__all__ = [
    "BoxRow",
    "CellImage",
    "CellImages",
    "CellQuery",
    "CompareQuery",
    "ComparisonView",
    "ConfusionQuery",
    "ConfusionView",
    "EvaluationColumn",
    "EvaluationRef",
    "EvaluationView",
    "LatencyPoint",
]


class CompareQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Compare runs; the first is what the others are measured against."""

    runs: Annotated[list[RunId], Meta(min_length=2, max_length=8)]
    metric: Annotated[str, Meta(max_length=1000)] | None = None
    """By default the one of the project's charter."""
    evaluator: Annotated[str, Meta(max_length=200)] | None = None
    splits: Annotated[tuple[str, ...], Meta(min_length=1, max_length=10)] = ("val",)


class EvaluationRef(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation of a run; the document is at ``/runs/{run}/evaluations/{digest}``."""

    run: str
    digest: str
    t: int
    split: str
    evaluator: str
    dataset: str
    fingerprint: str
    images: int
    has_matches: bool
    """The confusion matrix can be had at any confidence, and cells lead to images."""
    has_boxes: bool
    metrics: dict[str, float | None]


class EvaluationColumn(msgspec.Struct, frozen=True, kw_only=True):
    """The runs' newest evaluations on one split by one evaluator, in the order of the runs."""

    split: str
    evaluator: str
    evaluations: list[EvaluationRef | None]
    not_comparable: list[str]
    """Why the numbers must not be compared; empty where they may."""
    conditions: list[str]
    """Measuring conditions that differ without forbidding it."""


class LatencyPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A latency record of a run with the value of the metric, for the scatter."""

    run: str
    latency: Latency
    value: float | None
    """The run's value of the compared metric: its newest evaluation's, else its curve's best."""


class ComparisonView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a page needs to show runs side by side."""

    comparison: Comparison
    runs: list[RunRef]
    baseline: RunRef | None
    """The project's, whether it is among the runs or not."""
    evaluations: list[EvaluationColumn]
    latencies: list[LatencyPoint]
    lessons: list[LessonView]
    """In the order of the runs."""
    warnings: list[str]
    """What a reader must know: runs of different projects, test numbers shown ..."""
    change: int


class EvaluationView(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation document with what it may be asked for."""

    evaluation: Evaluation
    ref: EvaluationRef


class ConfusionQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At which confidence; by default the document's own."""

    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None


class ConfusionView(msgspec.Struct, frozen=True, kw_only=True):
    """Counts ``matrix[predicted][true]``; the last label is the background."""

    confidence: float
    iou: float
    labels: list[str]
    matrix: list[list[int]]
    live: bool
    """Computed from the matches; False: the one that was stored, at its own confidence."""


class CellQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One cell of the confusion matrix: indices of its labels."""

    predicted: Annotated[int, Meta(ge=0)]
    true: Annotated[int, Meta(ge=0)]
    confidence: Annotated[float, Meta(ge=0, le=1)] = 0.25
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 24


class BoxRow(msgspec.Struct, frozen=True, kw_only=True):
    """A box in pixels of the original image."""

    box: tuple[float, float, float, float]
    label: str
    kind: Literal["truth", "prediction"]
    score: float | None
    in_cell: bool
    """It is one of those that the cell counts."""


class CellImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image with boxes that the cell counts."""

    name: str
    image: str
    """Digest of its bytes: they are at ``/datasets/{dataset}/images/{image}``. Empty: unknown."""
    dataset: str
    """Digest of the dataset version, empty where the evaluation is not pinned to one."""
    width: int
    height: int
    """Pixels; 0 where unknown."""
    count: int
    """How many of the cell's counts are in this image."""
    boxes: list[BoxRow]
    """Empty where the evaluation kept no boxes."""


class CellImages(msgspec.Struct, frozen=True, kw_only=True):
    """The images behind a cell, most counts first."""

    predicted: str
    true: str
    confidence: float
    images: list[CellImage]
    total: int
