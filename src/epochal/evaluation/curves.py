"""Curves of a detector: precision over recall, and precision, recall, F1 over confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from epochal.evaluation.average_precision import RECALL_GRID, Resampler
from epochal.evaluation.evaluators import definition_of

if TYPE_CHECKING:
    from epochal.evaluation.columns import Floats
    from epochal.evaluation.match_records import MatchRecords

__all__ = ["CONFIDENCE_GRID", "Curves", "curves"]

CONFIDENCE_GRID = np.linspace(0.0, 1.0, 101)
"""Confidences 0, .01 ... 1."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Curves of every class at one IoU; rows of classes without truth are NaN.

    Parameters
    ----------
    iou
        IoU threshold of the matches.
    recall_grid
        (101,) x of the precision-recall curve.
    precision_at_recall
        (k, 101) the precision that AP averages: the envelope, 0 where the recall is not reached.
    confidence_grid
        (101,) x of the other curves.
    precision, recall, f1
        (k, 101) counts of detections with score >= confidence; precision is NaN where there are
        none.
    """

    iou: float
    recall_grid: Floats
    precision_at_recall: Floats
    confidence_grid: Floats
    precision: Floats
    recall: Floats
    f1: Floats


def curves(records: MatchRecords, iou: float = 0.5) -> Curves:
    """Return the curves at one IoU threshold.

    Raises
    ------
    InvalidInput
        Nothing was matched at `iou`.
    """
    at = records.threshold_index(iou)
    k = len(records.classes)
    tp, n = np.zeros((k, len(CONFIDENCE_GRID))), np.zeros((k, len(CONFIDENCE_GRID)))
    for c in range(k):
        rows = slice(*records.class_bounds[c : c + 2])
        counted = ~records.ignored[rows, at]
        kept = np.searchsorted(-records.score[rows], -CONFIDENCE_GRID, side="right")
        tp[c] = np.concatenate(([0], np.cumsum(records.tp[rows, at])))[kept]
        n[c] = np.concatenate(([0], np.cumsum(counted)))[kept]
    truth = np.where(records.n_truth > 0, records.n_truth, np.nan)[:, None]
    envelope = Resampler(records, definition_of(records.evaluator)).precision()
    known = (n > 0) & ~np.isnan(truth)
    return Curves(
        iou=iou,
        recall_grid=RECALL_GRID,
        precision_at_recall=envelope[:, at],
        confidence_grid=CONFIDENCE_GRID,
        precision=np.divide(tp, n, out=np.full_like(n, np.nan), where=known),
        recall=tp / truth,
        f1=2 * tp / (n + truth),
    )
