"""Evaluations of several runs side by side, where they may be."""

from __future__ import annotations

import msgspec

from epochal.errors import EpochalError
from epochal.evaluation.document import Evaluation, differences
from epochal.evaluation.storage import load_evaluation
from epochal.records import Evaluated
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["ClassRow", "common_evaluator", "latest_evaluation", "per_class_table"]


class ClassRow(msgspec.Struct, frozen=True, kw_only=True):
    """One class: its AP in each run, and what is left of it against the first."""

    name: str
    instances: int
    images: int
    ap: tuple[float | None, ...]
    retention: tuple[float | None, ...]
    """AP as a share of the first run's; None where that is unknown or zero."""


def latest_evaluation(
    store: Store, document: RunDocument, split: str, evaluator: str | None = None
) -> Evaluation | None:
    """Return the newest evaluation of the run on `split`; by `evaluator`, if one is named.

    Parameters
    ----------
    evaluator
        Id; None takes whichever was recorded last.
    """
    for stamped in reversed(document.evaluations):
        body = stamped.body
        if isinstance(body, Evaluated) and body.split == split:
            if evaluator is not None and body.evaluator != evaluator:
                continue
            try:
                return load_evaluation(store.blobs, body.digest)
            except EpochalError:
                continue  # a missing or damaged blob: `doctor` tells; an older one may do
    return None


def common_evaluator(documents: list[RunDocument], split: str, preferred: str) -> str | None:
    """Return an evaluator that measured all runs on `split`, `preferred` if it did."""
    sets = [
        {
            s.body.evaluator
            for s in d.evaluations
            if isinstance(s.body, Evaluated) and s.body.split == split
        }
        for d in documents
    ]
    common = set.intersection(*sets) if sets else set()
    return preferred if preferred in common else min(common, default=None)


def per_class_table(evaluations: list[Evaluation]) -> tuple[list[ClassRow], list[str]]:
    """Return per-class AP side by side, and why they do not compare where they do not.

    Classes stand in the order of the first evaluation; support is the first one's.
    """
    if not evaluations:
        return [], []
    first = evaluations[0]
    problems = [reason for other in evaluations[1:] for reason in differences(first, other)]
    by_name = [{c.name: c.ap for c in e.per_class} for e in evaluations]
    rows = []
    for result in first.per_class:
        ap = tuple(found.get(result.name) for found in by_name)
        base = ap[0]
        rows.append(
            ClassRow(
                name=result.name,
                instances=result.instances,
                images=result.images,
                ap=ap,
                retention=tuple(
                    None if value is None or not base else value / base for value in ap
                ),
            )
        )
    return rows, list(dict.fromkeys(problems))
