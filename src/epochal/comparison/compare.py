"""Compare runs on one metric chosen beforehand."""

from __future__ import annotations

import msgspec
import numpy as np

from epochal.analysis.curve_comparison import Curve, CurveRow, compare_curves, sentence
from epochal.analysis.metrics import Metric, Registry, guess_direction
from epochal.comparison.evaluations import (
    ClassRow,
    common_evaluator,
    latest_evaluation,
    per_class_table,
)
from epochal.comparison.run_difference import RunDifference, run_difference
from epochal.errors import InvalidInput, NotFound
from epochal.records import Status
from epochal.store.chunks import NO_EPOCH, Points
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["Comparison", "RunRow", "SplitTable", "compare", "metric_curve"]


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run in the comparison."""

    id: str
    name: str
    project: str
    status: Status
    key: str
    """The key under which the run logged the metric."""
    curve: CurveRow
    verdict: str
    """One sentence about the curve."""
    lesson: str
    """What the run taught: the result of its lesson, empty where nobody wrote one."""


class SplitTable(msgspec.Struct, frozen=True, kw_only=True):
    """The runs' evaluations on one split by one evaluator."""

    split: str
    evaluator: str
    images: int
    metrics: dict[str, tuple[float | None, ...]]
    """Metric -> value of each run, in the order of the runs."""
    classes: tuple[ClassRow, ...]
    not_comparable: tuple[str, ...]
    """Why the numbers must not be compared; empty where they may."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Several runs side by side; the first is what the others are measured against."""

    metric: str
    direction: str
    x: str
    """What the curves run over: ``epoch`` or ``step``."""
    runs: tuple[RunRow, ...]
    differences: tuple[RunDifference, ...]
    """From the first run to each of the others."""
    splits: tuple[SplitTable, ...]
    curves: dict[str, tuple[tuple[float, float | str], ...]]
    """Name -> points (x, value) of the metric, for drawing."""


def compare(
    store: Store,
    documents: list[RunDocument],
    *,
    metric: str,
    registry: Registry,
    evaluator: str = "epochal/coco101",
    splits: tuple[str, ...] = ("val",),
) -> Comparison:
    """Compare at least two runs.

    Parameters
    ----------
    metric
        Canonical name, alias or plain key.
    evaluator
        Whose numbers to show where several are there.
    splits
        Which splits' evaluations to show. Test numbers that were looked at are not for choosing
        between more than two runs: the caller decides.

    Raises
    ------
    InvalidInput
        If fewer than two runs are given, or one twice.
    NotFound
        If a run never logged the metric, naming what it did log.
    """
    if len(documents) < 2:
        raise InvalidInput("comparing takes at least two runs", "`epochal compare A B`")
    if len({d.id for d in documents}) < len(documents):
        raise InvalidInput("the same run is named twice", "name different runs")
    resolved = registry.resolve(metric)
    keys = [_key(document, resolved, registry) for document in documents]
    points = [store.points.read(d.id, key) for d, key in zip(documents, keys, strict=True)]
    by_epoch = all(bool((p.epoch != NO_EPOCH).all()) for p in points)
    labels = _labels(documents)
    curves = {
        label: _curve(document, p, by_epoch)
        for label, document, p in zip(labels, documents, points, strict=True)
    }
    direction = resolved.direction or guess_direction(keys[0]) or "max"
    rows = compare_curves(curves, direction, champion=labels[0])
    shown = msgspec.structs.replace(resolved, direction=direction)
    return Comparison(
        metric=resolved.name,
        direction=direction,
        x="epoch" if by_epoch else "step",
        runs=tuple(
            RunRow(
                id=document.id,
                name=row.name,
                project=document.project,
                status=store.status(document),
                key=key,
                curve=row,
                verdict=sentence(
                    row.stats,
                    row.name,
                    metric=shown,
                    reference_name=f"{labels[0]}'s level",
                    unit="epoch" if by_epoch else "step",
                ),
                lesson=document.lesson.result if document.lesson else "",
            )
            for document, key, row in zip(documents, keys, rows, strict=True)
        ),
        differences=tuple(
            run_difference(store, documents[0], document) for document in documents[1:]
        ),
        splits=tuple(
            table
            for split in splits
            if (table := _split_table(store, documents, split, evaluator)) is not None
        ),
        curves={label: tuple(_pairs(curve)) for label, curve in curves.items()},
    )


def metric_curve(store: Store, document: RunDocument, metric: str, registry: Registry) -> Points:
    """Return the points of `metric` in a run, under whatever key it was logged."""
    return store.points.read(document.id, _key(document, registry.resolve(metric), registry))


def _key(document: RunDocument, metric: Metric, registry: Registry) -> str:
    key = registry.find_key(metric.name, document.metrics)
    if key is None:
        logged = ", ".join(sorted(document.metrics)[:12]) or "nothing"
        raise NotFound(
            f"run {document.name} has no metric {metric.name!r}; it logged {logged}",
            "choose one with --metric",
        )
    return key


def _labels(documents: list[RunDocument]) -> list[str]:
    names = [d.name for d in documents]
    return [d.name if names.count(d.name) == 1 else f"{d.name} ({d.id[:8]})" for d in documents]


def _curve(document: RunDocument, points: Points, by_epoch: bool) -> Curve:
    config = {**document.config, **document.effective}
    return Curve(
        points.epoch if by_epoch else points.step,
        points.value,
        points.time / 1e6,
        document.attempts[0].opened / 1e6 if document.attempts else None,
        _positive(config.get("epochs")),
        _positive(config.get("patience")),
    )


def _positive(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value > 0 else None


def _pairs(curve: Curve) -> list[tuple[float, float | str]]:
    from epochal.records import to_wire

    return [
        (float(x), to_wire(float(y)))
        for x, y in zip(np.asarray(curve.x), np.asarray(curve.y), strict=True)
    ]


def _split_table(
    store: Store, documents: list[RunDocument], split: str, preferred: str
) -> SplitTable | None:
    evaluator = common_evaluator(documents, split, preferred)
    if evaluator is None:
        return None
    found = [latest_evaluation(store, d, split, evaluator) for d in documents]
    evaluations = [e for e in found if e is not None]
    if len(evaluations) < len(documents):
        return None
    classes, problems = per_class_table(evaluations)
    names = list(dict.fromkeys(name for e in evaluations for name in e.metrics))
    return SplitTable(
        split=split,
        evaluator=evaluator,
        images=evaluations[0].images,
        metrics={name: tuple(e.metrics.get(name) for e in evaluations) for name in names},
        classes=tuple(classes),
        not_comparable=tuple(problems),
    )
