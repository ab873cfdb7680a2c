"""Evaluations among the blobs: the document, its per-image records and its boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from epochal.evaluation.detections import Boxes
from epochal.evaluation.document import Evaluation, decode, encode
from epochal.evaluation.match_records import MatchRecords
from epochal.evaluation.outcomes import Outcomes
from epochal.records import Evaluated, to_wire

if TYPE_CHECKING:
    from epochal.store.blobs import Blobs

__all__ = [
    "ImageRecords",
    "load_boxes",
    "load_evaluation",
    "load_matches",
    "load_records",
    "store_evaluation",
]

ImageRecords: TypeAlias = MatchRecords | Outcomes
"""What is known image by image, so that metrics follow for any weights of the images."""


def store_evaluation(
    blobs: Blobs,
    evaluation: Evaluation,
    records: ImageRecords | None = None,
    boxes: Boxes | None = None,
    *,
    look: str = "",
) -> Evaluated:
    """Store an evaluation with what belongs to it; return the record that says so.

    Parameters
    ----------
    records, boxes
        Stored as blobs of their own, whose digests go into the document.
    look
        Id of the ledger's look under which it was measured.
    """
    stored: dict[str, str] = {}
    if records is not None:
        name = "matches" if isinstance(records, MatchRecords) else "outcomes"
        stored[name] = blobs.put(records.to_bytes())
    if boxes is not None:
        stored["boxes"] = blobs.put(boxes.to_bytes())
    kept = msgspec.structs.replace(evaluation, **stored)
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


def load_records(blobs: Blobs, evaluation: Evaluation) -> ImageRecords | None:
    """Return what the evaluation kept of each image; None where nothing was.

    Raises
    ------
    NotFound, Damaged, NewerFormat
        As `MatchRecords.from_bytes`, or the blob is not there.
    """
    if evaluation.outcomes:
        return Outcomes.from_bytes(blobs.get(evaluation.outcomes))
    return load_matches(blobs, evaluation)


def load_boxes(blobs: Blobs, evaluation: Evaluation) -> Boxes | None:
    """Return the evaluation's boxes; None where none were kept.

    Raises
    ------
    NotFound, Damaged, NewerFormat
        As `Boxes.from_bytes`, or the blob is not there.
    """
    return Boxes.from_bytes(blobs.get(evaluation.boxes)) if evaluation.boxes else None
