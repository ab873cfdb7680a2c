"""Evaluation: from ground truth and predictions to metrics that may be compared.

Formats in -> `Boxes` -> `match` -> `MatchRecords` -> AP, curves, confusion matrix, operating
points -> the `Evaluation` document. Everything after the match is computed from the records, for
any weighting of the images, so that a bootstrap never matches again.
"""

from epochal.evaluation.average_precision import (
    RECALL_GRID,
    APResult,
    Resampler,
    average_precision,
)
from epochal.evaluation.build import build_evaluation
from epochal.evaluation.classification import (
    CLASSIFICATION,
    SCALARS,
    build_classification,
    build_scalars,
)
from epochal.evaluation.coco_format import (
    read_coco,
    read_coco_predictions,
    read_coco_truth,
)
from epochal.evaluation.confusion import BACKGROUND, confusion_matrix
from epochal.evaluation.curves import CONFIDENCE_GRID, Curves, curves
from epochal.evaluation.detections import Boxes
from epochal.evaluation.document import (
    ClassResult,
    ConfusionMatrix,
    CurvePoints,
    Evaluation,
    OperatingPoint,
    conditions,
    decode,
    differences,
    encode,
)
from epochal.evaluation.evaluators import (
    DEFINITIONS,
    EPOCHAL,
    Definition,
    definition_of,
    ultralytics_evaluator,
)
from epochal.evaluation.f1_optimum import F1Resampler, best_f1
from epochal.evaluation.match_records import COCO_THRESHOLDS, MatchRecords
from epochal.evaluation.matching import (
    AGNOSTIC_IOU,
    ALL,
    LARGE,
    MEDIUM,
    SMALL,
    PairSimilarity,
    Similarity,
    bbox_iou,
    match,
)
from epochal.evaluation.operating_points import (
    OperatingPoints,
    Point,
    recall_at_precision,
    threshold_at,
    ultralytics_best_f1,
)
from epochal.evaluation.outcomes import ACCURACIES, Outcomes
from epochal.evaluation.storage import (
    ImageRecords,
    load_boxes,
    load_evaluation,
    load_matches,
    load_records,
    store_evaluation,
)
from epochal.evaluation.yolo_format import read_yolo_predictions, read_yolo_truth

__all__ = [
    "ACCURACIES",
    "AGNOSTIC_IOU",
    "ALL",
    "BACKGROUND",
    "CLASSIFICATION",
    "COCO_THRESHOLDS",
    "CONFIDENCE_GRID",
    "DEFINITIONS",
    "EPOCHAL",
    "LARGE",
    "MEDIUM",
    "RECALL_GRID",
    "SCALARS",
    "SMALL",
    "APResult",
    "Boxes",
    "ClassResult",
    "ConfusionMatrix",
    "CurvePoints",
    "Curves",
    "Definition",
    "Evaluation",
    "F1Resampler",
    "ImageRecords",
    "MatchRecords",
    "OperatingPoint",
    "OperatingPoints",
    "Outcomes",
    "PairSimilarity",
    "Point",
    "Resampler",
    "Similarity",
    "average_precision",
    "bbox_iou",
    "best_f1",
    "build_classification",
    "build_evaluation",
    "build_scalars",
    "conditions",
    "confusion_matrix",
    "curves",
    "decode",
    "definition_of",
    "differences",
    "encode",
    "load_boxes",
    "load_evaluation",
    "load_matches",
    "load_records",
    "match",
    "read_coco",
    "read_coco_predictions",
    "read_coco_truth",
    "read_yolo_predictions",
    "read_yolo_truth",
    "recall_at_precision",
    "store_evaluation",
    "threshold_at",
    "ultralytics_best_f1",
    "ultralytics_evaluator",
]
