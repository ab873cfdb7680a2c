"""The confusion matrix of a detector, from class-agnostic matches, at any confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from epochal.errors import InvalidInput
from epochal.evaluation.matching import AGNOSTIC_IOU

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from epochal.evaluation.match_records import MatchRecords

__all__ = ["BACKGROUND", "confusion_matrix"]

BACKGROUND = "background"
"""Label of the last row and column."""


def confusion_matrix(
    records: MatchRecords, confidence: float = 0.25, iou: float = AGNOSTIC_IOU
) -> NDArray[np.int64]:
    """Return M (k + 1, k + 1): M[predicted, true], background last.

    Counted are detections with score strictly above `confidence`; each takes, by falling score,
    the free object of any class with the highest IoU strictly above `iou` (see `match`), and an
    object that none took is a background prediction. These are the semantics of Ultralytics
    8.4.190. A detector has no true negatives, so the last cell is always 0. Crowds are left out:
    a detection on one counts as background.

    Parameters
    ----------
    confidence
        Any; the stored matches serve all.
    iou
        Must be the one that the records were matched at.

    Raises
    ------
    InvalidInput
        The records hold no class-agnostic matches, or ones at another IoU.
    """
    if not records.agnostic_iou:
        raise InvalidInput(
            f"records of {records.evaluator} hold no class-agnostic matches",
            "Match the boxes with epochal.evaluation.match",
        )
    if abs(records.agnostic_iou - iou) > 1e-9:
        raise InvalidInput(
            f"the records were matched class-agnostically at IoU {records.agnostic_iou:g}, "
            f"not {iou:g}",
            "Match the boxes again with agnostic_iou set",
        )
    k = len(records.classes)
    kept = records.score > confidence
    true = np.where(records.gt_class < 0, k, records.gt_class)[kept]
    flat = np.bincount(records.cls[kept] * np.int64(k + 1) + true, minlength=(k + 1) ** 2)
    matrix: NDArray[np.int64] = flat.reshape(k + 1, k + 1)
    matrix[k, :k] = records.n_truth - matrix[:k, :k].sum(axis=0)
    return matrix
