"""Evaluations among the blobs: the document, its match records and its boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from epochal.evaluation.detections import Boxes
from epochal.evaluation.document import Evaluation, decode, encode
from epochal.evaluation.match_records import MatchRecords
from epochal.records import Evaluated, to_wire

if TYPE_CHECKING:
    from epochal.store.blobs import Blobs

__all__ = ["load_boxes", "load_evaluation", "load_matches", "store_evaluation"]


def store_evaluation(
    blobs: Blobs,
    evaluation: Evaluation,
    matches: MatchRecords | None = None,
    boxes: Boxes | None = None,
    *,
    look: str = "",
) -> Evaluated:
    """Store an evaluation with what belongs to it; return the record that says so.

    Parameters
    ----------
    matches, boxes
        Stored as blobs of their own, whose digests go into the document.
    look
        Id of the ledger's look under which it was measured.
    """
    kept = msgspec.structs.replace(
        evaluation,
        matches=blobs.put(matches.to_bytes()) if matches is not None else evaluation.matches,
        boxes=blobs.put(boxes.to_bytes()) if boxes is not None else evaluation.boxes,
    )
    return Evaluated(
        digest=blobs.put(encode(kept)),
        split=kept.split,
        evaluator=kept.evaluator,
        metrics={k: to_wire(v) for k, v in kept.metrics.items() if v is not None},
        fingerprint=kept.fingerprint,
        weights=kept.weights,
        dataset=kept.dataset,
        images=kept.images,
        look=look,
    )


def load_evaluation(blobs: Blobs, digest: str) -> Evaluation:
    """Return the evaluation document `digest`.

    Raises
    ------
    NotFound
        There is no such blob.
    Damaged
        Its bytes do not match the digest, or are not an evaluation.
    """
    return decode(blobs.get(digest))


def load_matches(blobs: Blobs, evaluation: Evaluation) -> MatchRecords | None:
    """Return the evaluation's match records; None where none were kept.

    Raises
    ------
    NotFound, Damaged, NewerFormat
        As `MatchRecords.from_bytes`, or the blob is not there.
    """
    return MatchRecords.from_bytes(blobs.get(evaluation.matches)) if evaluation.matches else None


def load_boxes(blobs: Blobs, evaluation: Evaluation) -> Boxes | None:
    """Return the evaluation's boxes; None where none were kept.

    Raises
    ------
    NotFound, Damaged, NewerFormat
        As `Boxes.from_bytes`, or the blob is not there.
    """
    return Boxes.from_bytes(blobs.get(evaluation.boxes)) if evaluation.boxes else None
