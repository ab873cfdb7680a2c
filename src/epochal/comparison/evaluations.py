"""Evaluations of several runs side by side, where they may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from epochal.errors import EpochalError
from epochal.evaluation.document import Evaluation, OperatingPoint, conditions, differences
from epochal.evaluation.storage import load_evaluation
from epochal.records import Evaluated
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = [
    "ClassRow",
    "PointRow",
    "SplitTable",
    "common_evaluator",
    "latest_evaluation",
    "per_class_table",
    "split_table",
]


class ClassRow(msgspec.Struct, frozen=True, kw_only=True):
    """One class: its AP in each run, and what is left of it against the first.

    A classifier's class has its recall in the place of an AP.
    """

    name: str
    instances: int
    images: int
    ap: tuple[float | None, ...]
    retention: tuple[float | None, ...]
    """AP as a share of the first run's; None where that is unknown or zero."""


class PointRow(msgspec.Struct, frozen=True, kw_only=True):
    """One operating point in each run; None where the run has no such point."""

    name: str
    scope: str
    points: tuple[OperatingPoint | None, ...]


class SplitTable(msgspec.Struct, frozen=True, kw_only=True):
    """The runs' evaluations on one split by one evaluator."""

    split: str
    evaluator: str
    images: int
    metrics: dict[str, tuple[float | None, ...]]
    """Metric -> value of each run, in the order of the runs; None where it was not measured."""
    classes: tuple[ClassRow, ...]
    operating_points: tuple[PointRow, ...] = ()
    runs: tuple[str, ...] = ()
    """Names of the runs in their order, as in `Comparison.curves`."""
    not_comparable: dict[str, tuple[str, ...]] = {}
    """Name of a run -> why its numbers must not be compared with the first that was measured."""
    conditions: tuple[str, ...] = ()
    """How the measuring differed without blocking a comparison, e.g. the image size."""
    missing: tuple[int, ...] = ()
    """Places of the runs that this evaluator never measured on this split."""

    @property
    def class_noun(self) -> str:
        """What `classes` hold of each class: AP, or recall."""
        accuracies = any(name.startswith("accuracy") for name in self.metrics)
        return "recall" if accuracies else "AP"

    def comparable(self, place: int) -> bool:
        """Return whether the numbers of the run at `place` may be compared with the first's."""
        return self.runs[place] not in self.not_comparable


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
    """Return the evaluator that measured most of the runs on `split`; of several, `preferred`.

    None where no evaluator measured two of them.
    """
    counts = Counter(
        evaluator
        for d in documents
        for evaluator in {
            s.body.evaluator
            for s in d.evaluations
            if isinstance(s.body, Evaluated) and s.body.split == split
        }
    )
    order = sorted(counts, key=lambda e: (-counts[e], e != preferred, e))
    return order[0] if order and counts[order[0]] > 1 else None


def per_class_table(
    evaluations: Sequence[Evaluation | None],
) -> list[ClassRow]:
    """Return per-class AP, or a classifier's recall, side by side.

    Classes stand in the order of the first evaluation there is; support is its own, and retention
    is measured against it. Whether they may be compared says `SplitTable.not_comparable`.
    """
    present = [e for e in evaluations if e is not None]
    if not present:
        return []
    first = present[0]
    field = "recall" if first.task == "classify" else "ap"
    by_name = [{c.name: getattr(c, field) for c in e.per_class} if e else {} for e in evaluations]
    rows = []
    for result in first.per_class:
        ap = tuple(found.get(result.name) for found in by_name)
        base = getattr(result, field)
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
    return rows


def split_table(
    store: Store,
    documents: list[RunDocument],
    split: str,
    preferred: str,
    names: Sequence[str],
) -> SplitTable | None:
    """Return the runs' newest evaluations on `split`; None unless two runs share an evaluator.

    Parameters
    ----------
    preferred
        Evaluator to show where several measured the same runs.
    names
        What the runs are called, each once.
    """
    evaluator = common_evaluator(documents, split, preferred)
    if evaluator is None:
        return None
    found = [latest_evaluation(store, d, split, evaluator) for d in documents]
    present = [e for e in found if e is not None]
    if len(present) < 2:
        return None
    metrics = dict.fromkeys(name for e in present for name in e.metrics)
    return SplitTable(
        split=split,
        evaluator=evaluator,
        images=present[0].images,
        metrics={
            name: tuple(e.metrics.get(name) if e else None for e in found) for name in metrics
        },
        classes=tuple(per_class_table(found)),
        runs=tuple(names),
        operating_points=_operating_points(found),
        not_comparable={
            name: tuple(reasons)
            for name, e in zip(names, found, strict=True)
            if e is not None and (reasons := differences(present[0], e))
        },
        conditions=tuple(
            dict.fromkeys(c for other in present[1:] for c in conditions(present[0], other))
        ),
        missing=tuple(i for i, e in enumerate(found) if e is None),
    )


def _operating_points(evaluations: Sequence[Evaluation | None]) -> tuple[PointRow, ...]:
    by_key = [{(p.name, p.scope): p for p in e.operating_points} if e else {} for e in evaluations]
    keys = dict.fromkeys(key for found in by_key for key in found)
    return tuple(
        PointRow(name=name, scope=scope, points=tuple(f.get((name, scope)) for f in by_key))
        for name, scope in keys
    )
