"""Runs side by side."""

from __future__ import annotations

from collections.abc import Iterable

from epochal.comparison.compare import compare as compare_runs
from epochal.errors import EpochalError, InvalidInput
from epochal.evaluation.document import Evaluation, conditions, differences
from epochal.records import Evaluated, Latency
from epochal.server.answers.evaluations import evaluation_ref
from epochal.server.answers.lessons import lesson_view
from epochal.server.context import Context
from epochal.server.schema.comparing import (
    CompareQuery,
    ComparisonView,
    EvaluationColumn,
    EvaluationRef,
    LatencyPoint,
)
from epochal.store.documents import RunDocument, Stamped

__all__ = ["compare"]


def compare(context: Context, body: CompareQuery) -> ComparisonView:
    """Return runs side by side; the first is what the others are measured against."""
    change = context.change
    if len(set(body.runs)) < len(body.runs):
        raise InvalidInput("the same run is named twice", "name different runs")
    documents = context.runs(body.runs)
    charter, _ = context.charter(documents[0].project)
    evaluator = body.evaluator or charter.evaluator
    registry = charter.registry()
    withheld = [s for s in body.splits if any(_is_withheld(context, d, s) for d in documents)]
    splits = tuple(split for split in body.splits if split not in withheld)
    comparison = compare_runs(
        context.store,
        documents,
        metric=body.metric or charter.metric,
        registry=registry,
        evaluator=evaluator,
        splits=splits,
    )
    baseline = context.baseline(documents[0].project)
    columns = [column for split in splits for column in _columns(context, documents, split)]
    return ComparisonView(
        comparison=comparison,
        runs=[context.ref(document) for document in documents],
        baseline=context.ref(baseline) if baseline is not None else None,
        evaluations=columns,
        latencies=[
            point
            for document in documents
            for point in _latencies(document, _value(document, comparison.metric, columns))
        ],
        lessons=[lesson_view(context, document) for document in documents],
        warnings=_warnings(documents, splits, withheld),
        change=change,
    )


def _columns(context: Context, documents: list[RunDocument], split: str) -> list[EvaluationColumn]:
    """Return one column for each evaluator that measured any of the runs on `split`."""
    evaluators = dict.fromkeys(
        s.body.evaluator
        for document in documents
        for s in document.evaluations
        if isinstance(s.body, Evaluated) and s.body.split == split
    )
    return [_column(context, documents, split, evaluator) for evaluator in sorted(evaluators)]


def _column(
    context: Context, documents: list[RunDocument], split: str, evaluator: str
) -> EvaluationColumn:
    refs: list[EvaluationRef | None] = []
    found: list[Evaluation] = []
    for document in documents:
        newest = _newest(context, document, split, evaluator)
        refs.append(None if newest is None else evaluation_ref(document, *newest))
        if newest is not None:
            found.append(newest[1])
    others = found[1:]
    return EvaluationColumn(
        split=split,
        evaluator=evaluator,
        evaluations=refs,
        not_comparable=_once(why for other in others for why in differences(found[0], other)),
        conditions=_once(why for other in others for why in conditions(found[0], other)),
    )


def _newest(
    context: Context, document: RunDocument, split: str, evaluator: str
) -> tuple[Stamped, Evaluation] | None:
    for stamped in reversed(document.evaluations):
        body = stamped.body
        if isinstance(body, Evaluated) and body.split == split and body.evaluator == evaluator:
            try:
                return stamped, context.service.evaluation(body.digest)
            except EpochalError:
                continue  # a missing or damaged blob: an older one may do
    return None


def _once(lines: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(lines))


def _value(document: RunDocument, metric: str, columns: list[EvaluationColumn]) -> float | None:
    """Return the run's value of the metric, measured rather than logged where it can be."""
    for column in columns:
        for ref in column.evaluations:
            if ref is not None and ref.run == document.id and ref.metrics.get(metric) is not None:
                return ref.metrics[metric]
    summary = document.metrics.get(metric)
    return float(summary.last[1]) if summary is not None else None


def _latencies(document: RunDocument, value: float | None) -> list[LatencyPoint]:
    return [
        LatencyPoint(run=document.id, latency=stamped.body, value=value)
        for stamped in document.latencies
        if isinstance(stamped.body, Latency)
    ]


def _is_withheld(context: Context, document: RunDocument, split: str) -> bool:
    return any(
        isinstance(stamped.body, Evaluated)
        and stamped.body.split == split
        and context.is_withheld(document, stamped.body)
        for stamped in document.evaluations
    )


def _warnings(
    documents: list[RunDocument], splits: tuple[str, ...], withheld: list[str]
) -> list[str]:
    found = []
    projects = dict.fromkeys(document.project for document in documents)
    if len(projects) > 1:
        found.append(
            f"The runs are of {len(projects)} projects; the rules of {documents[0].project} hold."
        )
    found += [
        f"Numbers on {split} are withheld: a look shows a candidate that does not win the "
        "verdict only."
        for split in withheld
    ]
    if any(split != "val" for split in splits) and len(documents) > 2:
        found.append(
            "Test numbers of several candidates side by side are looks at the test set: "
            "choose on val, confirm on test."
        )
    return found
