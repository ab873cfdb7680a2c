"""Evaluations among the blobs: stored as three, read back by the document's digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from epochal.evaluation.document import Evaluation, decode, encode
from epochal.records import Evaluated, to_wire

if TYPE_CHECKING:
    from epochal.evaluation.detections import Boxes
    from epochal.evaluation.match_records import MatchRecords
    from epochal.store.blobs import Blobs

__all__ = ["load_evaluation", "store_evaluation"]


def store_evaluation(
    blobs: Blobs,
    evaluation: Evaluation,
    matches: MatchRecords | None = None,
    boxes: Boxes | None = None,
    *,
    look: str = "",
) -> Evaluated:
    """Store an evaluation with its match records and boxes; return the record that announces it.

    Parameters
    ----------
    matches, boxes
        Stored as blobs of their own, whose digests go into the document.
    look
        Id of the ledger's look under which it was measured.
    """
    if matches is not None:
        evaluation = msgspec.structs.replace(evaluation, matches=blobs.put(matches.to_bytes()))
    if boxes is not None:
        evaluation = msgspec.structs.replace(evaluation, boxes=blobs.put(boxes.to_bytes()))
    known = {name: value for name, value in evaluation.metrics.items() if value is not None}
    return Evaluated(
        digest=blobs.put(encode(evaluation)),
        split=evaluation.split,
        evaluator=evaluation.evaluator,
        metrics={name: to_wire(value) for name, value in known.items()},
        fingerprint=evaluation.fingerprint,
        weights=evaluation.weights,
        dataset=evaluation.dataset,
        images=evaluation.images,
        look=look,
    )


def load_evaluation(blobs: Blobs, digest: str) -> Evaluation:
    """Return the evaluation document with that digest.

    Raises
    ------
    NotFound
        There is no such blob.
    Damaged
        Its bytes do not match the digest, or are not an evaluation.
    """
    return decode(blobs.get(digest))
