"""Compare runs on one metric chosen beforehand."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from epochal.analysis.curve_comparison import Curve, CurveRow, compare_curves, sentence
from epochal.analysis.metrics import Registry, guess_direction
from epochal.comparison.evaluations import SplitTable, split_table
from epochal.comparison.run_curves import (
    find_key,
    has_epochs,
    no_metric,
    run_curve,
    unlike_curves,
)
from epochal.comparison.run_difference import RunDifference, run_difference
from epochal.comparison.verdicts import (
    attribution,
    drop_sentence,
    gain_sentence,
    same_epoch_sentence,
)
from epochal.errors import InvalidInput
from epochal.records import Status, to_wire
from epochal.store.chunks import Points
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["Comparison", "RunRow", "compare"]


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run in the comparison."""

    id: str
    name: str
    project: str
    status: Status
    key: str
    """The key under which the run logged the metric; empty: it never did."""
    curve: CurveRow
    verdict: str
    """One sentence about the curve."""
    lesson: str
    """What the run taught: the result of its lesson, empty where nobody wrote one."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Several runs side by side; the first is what the others are measured against."""

    metric: str
    direction: str
    x: str
    """What the curves run over: ``epoch`` or ``step``."""
    verdicts: tuple[tuple[str, ...], ...]
    """For each run but the first the sentences that it comes to, most important first."""
    notes: tuple[str, ...]
    """What to bear in mind: different plans, frequencies, restarts, identical curves."""
    runs: tuple[RunRow, ...]
    differences: tuple[RunDifference, ...]
    """From the first run to each of the others."""
    splits: tuple[SplitTable, ...]
    curves: dict[str, tuple[tuple[float, float | str], ...]]
    """Name -> points (x, value) of the metric, for drawing."""


def compare(
    store: Store,
    documents: list[RunDocument],
    *,
    metric: str,
    registry: Registry,
    evaluator: str = "epochal/coco101",
    splits: tuple[str, ...] = ("val",),
    require_metric: bool = False,
    keep_share: float = 0.9,
) -> Comparison:
    """Compare at least two runs.

    Parameters
    ----------
    metric
        Canonical name, alias or plain key.
    evaluator
        Whose numbers to show where several are there.
    splits
        Which splits' evaluations to show. Test numbers that were looked at are not for choosing
        between more than two runs: the caller decides.
    require_metric
        Whether a run without the metric is an error, as where a person asked for this metric by
        name. Otherwise such a run is shown without a curve, as long as another one has it.
    keep_share
        Classes that kept less than this share of the first run's AP are named.

    Raises
    ------
    InvalidInput
        If fewer than two runs are given, or one twice.
    NotFound
        If no run, or with `require_metric` not every run, logged the metric, naming what it did
        log.
    """
    if len(documents) < 2:
        raise InvalidInput("comparing takes at least two runs", "`epochal compare A B`")
    if len({d.id for d in documents}) < len(documents):
        raise InvalidInput("the same run is named twice", "name different runs")
    resolved = registry.resolve(metric)
    keys = [find_key(document, resolved, registry) for document in documents]
    lacking = [d for d, key in zip(documents, keys, strict=True) if key is None]
    if lacking and (require_metric or len(lacking) == len(documents)):
        raise no_metric(lacking[0], resolved)
    points = [
        store.points.read(d.id, key) if key is not None else Points.join([])
        for d, key in zip(documents, keys, strict=True)
    ]
    by_epoch = all(map(has_epochs, points))
    unit = "epoch" if by_epoch else "step"
    labels = _labels(documents)
    curves = {
        label: run_curve(store, document, p, by_epoch)
        for label, document, p in zip(labels, documents, points, strict=True)
    }
    direction = resolved.direction or guess_direction(next(filter(None, keys))) or "max"
    shown = msgspec.structs.replace(resolved, direction=direction)
    rows = compare_curves(curves, direction, champion=labels[0])
    differences = tuple(run_difference(store, documents[0], other) for other in documents[1:])
    tables = tuple(
        table
        for split in splits
        if (table := split_table(store, documents, split, evaluator, labels)) is not None
    )
    table = tables[0] if tables else None
    named = list(curves.items())
    return Comparison(
        metric=resolved.name,
        direction=direction,
        x=unit,
        verdicts=tuple(
            (
                gain_sentence(shown, rows[0], rows[place], table, place),
                *filter(
                    None,
                    (
                        attribution(differences[place - 1]),
                        drop_sentence(table, place, labels[0], keep_share),
                        same_epoch_sentence(shown, named[0], named[place], direction, unit),
                    ),
                ),
            )
            for place in range(1, len(rows))
        ),
        notes=(*unlike_curves(rows, curves, by_epoch=by_epoch), *_attempts(documents, labels)),
        runs=tuple(
            RunRow(
                id=document.id,
                name=row.name,
                project=document.project,
                status=store.status(document),
                key=key or "",
                curve=row,
                verdict=sentence(
                    row.stats,
                    row.name,
                    metric=shown,
                    reference_name=_level(labels[0], row.name),
                    unit=unit,
                )
                if key is not None
                else f"{no_metric(document, resolved).message}.",
                lesson=document.lesson.result if document.lesson else "",
            )
            for document, key, row in zip(documents, keys, rows, strict=True)
        ),
        differences=differences,
        splits=tables,
        curves={label: tuple(_pairs(curve)) for label, curve in curves.items()},
    )


def _attempts(documents: list[RunDocument], labels: list[str]) -> Iterator[str]:
    for document, label in zip(documents, labels, strict=True):
        if len(document.attempts) > 1:
            yield (
                f"{label} was resumed: {len(document.attempts)} attempts, of which a later one "
                "replaces what an earlier one said from its first step on"
            )


def _level(first: str, name: str) -> str:
    return "its own level" if name == first else f"{first}'s level"


def _labels(documents: list[RunDocument]) -> list[str]:
    names = [d.name for d in documents]
    return [d.name if names.count(d.name) == 1 else f"{d.name} ({d.id[:8]})" for d in documents]


def _pairs(curve: Curve) -> list[tuple[float, float | str]]:
    return [
        (float(x), to_wire(float(y)))
        for x, y in zip(np.asarray(curve.x), np.asarray(curve.y), strict=True)
    ]
