"""One evaluation of a run: the document, its confusion matrix at any confidence, its images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from epochal.errors import EpochalError, InvalidInput, NotFound, Refused
from epochal.evaluation.confusion import confusion_matrix
from epochal.evaluation.detections import Boxes
from epochal.evaluation.document import Evaluation
from epochal.evaluation.match_records import MatchRecords
from epochal.records import Evaluated, from_wire
from epochal.server.context import Context
from epochal.server.schema.comparing import (
    BoxRow,
    CellImage,
    CellImages,
    CellQuery,
    ConfusionQuery,
    ConfusionView,
    EvaluationRef,
    EvaluationView,
)
from epochal.store.documents import RunDocument, Stamped

__all__ = ["confusion", "confusion_cell", "evaluation", "evaluation_ref"]

_CONFIDENCE = 0.25
_MAX_BOXES = 300
"""Boxes of one image that are sent: those of the cell and all truth first."""

Bools = npt.NDArray[np.bool_]


def evaluation_ref(document: RunDocument, stamped: Stamped, found: Evaluation) -> EvaluationRef:
    """Return what tells one evaluation from others."""
    body = stamped.body
    assert isinstance(body, Evaluated)
    finite = {k: v for k, v in ((k, from_wire(v)) for k, v in body.metrics.items()) if v - v == 0}
    return EvaluationRef(
        run=document.id,
        digest=body.digest,
        t=stamped.t,
        split=body.split,
        evaluator=body.evaluator,
        dataset=body.dataset,
        fingerprint=body.fingerprint,
        images=body.images,
        has_matches=bool(found.matches),
        has_boxes=bool(found.boxes),
        metrics={**dict.fromkeys(found.metrics), **finite},
    )


def _find(context: Context, run: str, digest: str) -> tuple[RunDocument, Stamped, Evaluation]:
    """Return the evaluation `digest` of a run: of no other run, and no other blob."""
    document = context.run(run)
    for stamped in document.evaluations:
        if isinstance(stamped.body, Evaluated) and stamped.body.digest == digest:
            if context.is_withheld(document, stamped.body):
                raise Refused(
                    f"the numbers of {document.name} on {stamped.body.split} are withheld",
                    "this look at the test set shows the verdict only; see the decision",
                )
            return document, stamped, context.service.evaluation(digest)
    raise NotFound(f"run {document.name} has no evaluation {digest[:12]!r}")


def evaluation(context: Context, run: str, digest: str) -> EvaluationView:
    """Return one evaluation."""
    document, stamped, found = _find(context, run, digest)
    return EvaluationView(evaluation=found, ref=evaluation_ref(document, stamped, found))


def confusion(context: Context, query: ConfusionQuery, run: str, digest: str) -> ConfusionView:
    """Return the confusion matrix; at another confidence than the stored one from the matches."""
    _, _, found = _find(context, run, digest)
    stored = found.confusion
    matches = context.service.matches(found.matches) if found.matches else None
    confidence = query.confidence
    if confidence is None:
        confidence = stored.confidence if stored is not None else _CONFIDENCE
    if matches is not None and matches.agnostic_iou:
        matrix = confusion_matrix(matches, confidence, matches.agnostic_iou)
        return ConfusionView(
            confidence=confidence,
            iou=matches.agnostic_iou,
            labels=[*matches.classes, "background"],
            matrix=matrix.tolist(),
            live=True,
        )
    if stored is None:
        raise NotFound(
            "this evaluation has no confusion matrix",
            "`epochal evaluate` measures the run again and keeps its matches",
        )
    return ConfusionView(
        confidence=stored.confidence,
        iou=stored.iou,
        labels=list(stored.labels),
        matrix=[list(row) for row in stored.matrix],
        live=False,
    )


def confusion_cell(context: Context, query: CellQuery, run: str, digest: str) -> CellImages:
    """Return the images that a cell of the confusion matrix counts, most counts first."""
    _, _, found = _find(context, run, digest)
    if not found.matches:
        raise NotFound(
            "this evaluation kept no matches, so nobody knows which images a cell counts",
            "`epochal evaluate` measures the run again and keeps them",
        )
    matches = context.service.matches(found.matches)
    k = len(matches.classes)
    if not matches.agnostic_iou or max(query.predicted, query.true) > k:
        raise InvalidInput(f"there is no such cell: classes are 0 to {k - 1}, {k} is background")
    boxes = context.service.boxes(found.boxes) if found.boxes else None
    counts = _counts(matches, query)
    where = np.flatnonzero(counts)
    where = where[np.lexsort((where, -counts[where]))]
    labels = [*matches.classes, "background"]
    page = where[query.offset : query.offset + query.limit]
    pictures = _Pictures(context, found, boxes)
    return CellImages(
        predicted=labels[query.predicted],
        true=labels[query.true],
        confidence=query.confidence,
        images=[
            _image(matches, boxes, int(image), int(counts[image]), query, pictures)
            for image in page
        ],
        total=len(where),
    )


def _in_cell(matches: MatchRecords, query: CellQuery) -> Bools:
    """Return which detections a cell counts; none in the row of the background."""
    true = np.where(matches.gt_class < 0, len(matches.classes), matches.gt_class)
    found: Bools = (
        (matches.score > query.confidence)
        & (matches.cls == query.predicted)
        & (true == query.true)
    )
    return found


def _counts(matches: MatchRecords, query: CellQuery) -> npt.NDArray[np.int64]:
    """Return how many of the cell's counts each image has."""
    n, k = matches.n_images, len(matches.classes)
    if query.predicted < k:
        return np.bincount(matches.img[_in_cell(matches, query)], minlength=n)
    # Background predicted: objects of the class that no detection took.
    missed = np.zeros(n, np.int64)
    if query.true < k:
        own = matches.truth_cls == query.true
        np.add.at(missed, matches.truth_img[own], matches.truth_count[own])
        taken = (matches.score > query.confidence) & (matches.gt_class == query.true)
        missed -= np.bincount(matches.img[taken], minlength=n)
    return np.maximum(missed, 0)


class _Pictures:
    """Finds the dataset version's entry of an evaluated image."""

    def __init__(self, context: Context, found: Evaluation, boxes: Boxes | None) -> None:
        self.dataset = found.dataset_digest
        self._digests = dict(zip(boxes.images, boxes.digests, strict=False)) if boxes else {}
        self._by_name: dict[str, str] = {}
        if not self.dataset:
            return
        try:
            entries = context.service.manifest(self.dataset).entries
        except EpochalError:
            return  # the version's manifest is not here: names stay, pictures are missing
        for entry in entries:
            if entry.split == found.split:
                for name in (entry.path, Path(entry.path).name, Path(entry.path).stem):
                    self._by_name.setdefault(name, entry.image)

    def digest(self, name: str) -> str:
        """Return the digest of an image; empty where nothing tells it."""
        if found := self._digests.get(name):
            return found
        plain = name.rpartition("/")[2]
        return self._by_name.get(name) or self._by_name.get(plain) or ""


def _image(
    matches: MatchRecords,
    boxes: Boxes | None,
    image: int,
    count: int,
    query: CellQuery,
    pictures: _Pictures,
) -> CellImage:
    name = matches.images[image]
    rows: list[BoxRow] = []
    width = height = 0
    if boxes is not None and name in boxes.images:
        at = boxes.images.index(name)
        width, height = (int(side) for side in boxes.sizes[at])
        rows = _truth(boxes, at, query) + _predictions(matches, boxes, image, at, query)
    return CellImage(
        name=name,
        image=pictures.digest(name),
        dataset=pictures.dataset,
        width=width,
        height=height,
        count=count,
        boxes=rows[:_MAX_BOXES],
    )


def _truth(boxes: Boxes, at: int, query: CellQuery) -> list[BoxRow]:
    return [
        BoxRow(
            box=tuple(boxes.truth_xyxy[row].tolist()),
            label=boxes.classes[boxes.truth_cls[row]],
            kind="truth",
            score=None,
            # Which of an image's objects were missed is not kept; those of the class are shown.
            in_cell=query.predicted == len(boxes.classes)
            and int(boxes.truth_cls[row]) == query.true,
        )
        for row in np.flatnonzero(boxes.truth_img == at)
    ]


def _predictions(
    matches: MatchRecords, boxes: Boxes, image: int, at: int, query: CellQuery
) -> list[BoxRow]:
    """Return an image's predictions above the confidence, those of the cell first."""
    cell = np.flatnonzero(_in_cell(matches, query) & (matches.img == image))
    # Matches and boxes are two orders of the same detections: class and score name one.
    counted = {(int(matches.cls[row]), float(matches.score[row])) for row in cell}
    rows = np.flatnonzero((boxes.pred_img == at) & (boxes.pred_score > query.confidence))
    found = [
        BoxRow(
            box=tuple(boxes.pred_xyxy[row].tolist()),
            label=boxes.classes[boxes.pred_cls[row]],
            kind="prediction",
            score=float(boxes.pred_score[row]),
            in_cell=(int(boxes.pred_cls[row]), float(boxes.pred_score[row])) in counted,
        )
        for row in rows
    ]
    found.sort(key=lambda row: (not row.in_cell, -(row.score or 0.0)))
    return found
