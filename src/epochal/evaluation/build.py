"""From boxes or match records to the evaluation document."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from epochal.errors import InvalidInput
from epochal.evaluation.average_precision import average_precision
from epochal.evaluation.confusion import BACKGROUND, confusion_matrix
from epochal.evaluation.curves import curves
from epochal.evaluation.detections import Boxes
from epochal.evaluation.document import (
    ClassResult,
    ConfusionMatrix,
    CurvePoints,
    Evaluation,
    OperatingPoint,
)
from epochal.evaluation.evaluators import definition_of
from epochal.evaluation.f1_optimum import best_f1
from epochal.evaluation.matching import LARGE, MEDIUM, SMALL, Matcher
from epochal.evaluation.operating_points import (
    OperatingPoints,
    Point,
    recall_at_precision,
    ultralytics_best_f1,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from epochal.evaluation.average_precision import APResult
    from epochal.evaluation.columns import Floats
    from epochal.evaluation.match_records import MatchRecords

__all__ = ["build_evaluation"]

_PRECISION, _IOU = 0.95, 0.5
_SIZES = {"small": SMALL, "medium": MEDIUM, "large": LARGE}
_DIGITS = 6  # of curve points, which are for looking at


def build_evaluation(
    measured: Boxes | MatchRecords,
    *,
    split: str,
    dataset: str,
    dataset_digest: str = "",
    split_digest: str = "",
    weights: str = "",
    weights_name: str = "",
    evaluator: str | None = None,
    protocol: Mapping[str, Any] | None = None,
    confidence: float = 0.25,
    max_detections: int = 100,
    speed: Mapping[str, float] | None = None,
    matches: str = "",
    boxes: str = "",
    source: str = "",
    created_by: str = "",
) -> tuple[Evaluation, MatchRecords]:
    """Compute every metric of one evaluation.

    Boxes are matched here and evaluated by ``epochal/coco101``. Records are evaluated by the
    definition that their evaluator implies: for Ultralytics' that library's AP, precision, recall
    and F1. Curves and operating points at a precision are counts and the same for all.

    Parameters
    ----------
    measured
        Boxes, or records of matches already made; AP by size and, for another evaluator's records,
        the confusion matrix exist only from boxes.
    evaluator
        If given, must be the id of the evaluator of `measured`.
    confidence
        Confidence of the confusion matrix in the document.
    max_detections
        Cut per image and class when boxes are matched.
    split, dataset, dataset_digest, split_digest, weights, weights_name, protocol, speed, matches,
    boxes, source, created_by
        Copied into the document, see `Evaluation`. The digests of blobs stored afterwards are put
        in with `msgspec.structs.replace`.

    Returns
    -------
    evaluation, records
        The document, and the match records it was computed from.

    Raises
    ------
    InvalidInput
        `evaluator` is not that of `measured`; IoU .5 was not matched.
    """
    matcher = None
    if isinstance(measured, Boxes):
        matcher = Matcher(measured, max_detections=max_detections)
        records = matcher.match()
    else:
        records = measured
    if evaluator is not None and evaluator != records.evaluator:
        raise InvalidInput(f"measured by {records.evaluator}, not by {evaluator}")
    theirs = definition_of(records.evaluator) != "coco101"
    ap = average_precision(records)
    reached = recall_at_precision(records, _PRECISION, _IOU)
    best = ultralytics_best_f1(records) if theirs else best_f1(records, _IOU)
    metrics = {
        "mAP50-95": ap.map,
        "mAP50": ap.map50,
        "mAP75": ap.map75,
        "precision": best.macro.precision,
        "recall": best.macro.recall,
        "f1": best.macro.f1,
        f"recall@precision={_PRECISION:g}": reached.micro.recall,
    }
    if matcher is not None:
        for size, area in _SIZES.items():
            metrics[f"mAP50-95-{size}"] = average_precision(matcher.match(area)).map
    evaluation = Evaluation(
        split=split,
        dataset=dataset,
        dataset_digest=dataset_digest,
        split_digest=split_digest,
        images=records.n_images,
        weights=weights,
        weights_name=weights_name,
        evaluator=records.evaluator,
        iou_thresholds=records.thresholds,
        max_detections=records.max_detections,
        protocol=dict(protocol or {}),
        classes=records.classes,
        metrics={name: _known(value) for name, value in metrics.items()},
        per_class=_per_class(records, ap, best, reached),
        operating_points=(
            _named(f"recall@precision={_PRECISION:g}", "micro", _IOU, reached.micro),
            _named(f"recall@precision={_PRECISION:g}", "macro", _IOU, reached.macro),
            _named("best-f1", "micro", _IOU, best.micro),
            _named("best-f1", "macro", _IOU, best.macro),
        ),
        curves=_curve_points(records),
        confusion=_confusion(records, confidence),
        speed=dict(speed or {}),
        matches=matches,
        boxes=boxes,
        source=source,
        created_by=created_by,
    )
    return evaluation, records


def _known(value: float) -> float | None:
    value = float(value)
    return value if math.isfinite(value) else None


def _per_class(
    records: MatchRecords, ap: APResult, best: OperatingPoints, reached: OperatingPoints
) -> tuple[ClassResult, ...]:
    ap50 = ap.ap[:, records.threshold_index(0.5)]
    ap75 = np.full(len(records.classes), np.nan)
    if 0.75 in np.round(records.thresholds, 9):
        ap75 = ap.ap[:, records.threshold_index(0.75)]
    return tuple(
        ClassResult(
            id=c,
            name=name,
            images=int(records.images_with_truth[c]),
            instances=int(records.n_truth[c]),
            ap=_known(ap.per_class[c]),
            ap50=_known(ap50[c]),
            ap75=_known(ap75[c]),
            precision=_known(best.precision[c]),
            recall=_known(best.recall[c]),
            f1=_known(best.f1[c]),
            recall_at_precision=_known(reached.recall[c]),
            threshold_at_precision=_known(reached.threshold[c]),
        )
        for c, name in enumerate(records.classes)
    )


def _named(name: str, scope: str, iou: float, point: Point) -> OperatingPoint:
    return OperatingPoint(
        name=name,
        scope=scope,
        iou=iou,
        threshold=_known(point.threshold),
        precision=_known(point.precision),
        recall=_known(point.recall),
        f1=_known(point.f1),
    )


def _curve_points(records: MatchRecords) -> CurvePoints:
    found = curves(records, _IOU)
    return CurvePoints(
        iou=found.iou,
        recall=_grid(found.recall_grid),
        precision_at_recall=_rows(found.precision_at_recall),
        confidence=_grid(found.confidence_grid),
        precision=_rows(found.precision),
        recall_at_confidence=_rows(found.recall),
        f1=_rows(found.f1),
    )


def _grid(values: Floats) -> tuple[float, ...]:
    return tuple(np.round(values, _DIGITS).tolist())


def _rows(values: Floats) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(map(_known, row)) for row in np.round(values, _DIGITS).tolist())


def _confusion(records: MatchRecords, confidence: float) -> ConfusionMatrix | None:
    if not records.agnostic_iou:
        return None
    matrix = confusion_matrix(records, confidence, records.agnostic_iou)
    return ConfusionMatrix(
        confidence=confidence,
        iou=records.agnostic_iou,
        labels=(*records.classes, BACKGROUND),
        matrix=tuple(tuple(row) for row in matrix.tolist()),
    )
