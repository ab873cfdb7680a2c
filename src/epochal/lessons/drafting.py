"""A lesson drafted from the numbers: what a person then corrects, because only they know why.

The draft says what was measured and what changed. It never says that a gain is real: one run
against another has noise in it, and `epochal decide` is where that is judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from epochal.analysis.curve_comparison import CurveRow, compare_curves, flag_words
from epochal.analysis.metrics import (
    DEFAULT_REGISTRY,
    Metric,
    Registry,
    format_gain,
    format_value,
    guess_direction,
)
from epochal.comparison.compare import Comparison, compare
from epochal.comparison.evaluations import latest_evaluation
from epochal.comparison.run_curves import find_key, has_epochs, run_curve
from epochal.comparison.run_difference import parent_of, run_difference
from epochal.comparison.verdicts import drop_sentence

if TYPE_CHECKING:
    from epochal.store.documents import RunDocument
    from epochal.store.store import Store

__all__ = ["Draft", "draft_lesson", "draft_result"]

_SPLIT = "val"
"""Only val: a draft that quoted test numbers would show them to whoever opens the editor."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What can be written without knowing why."""

    hypothesis: str
    """As pre-registered when the run was opened."""
    change: str
    """What differs from the parent."""
    result: str


def draft_lesson(
    store: Store,
    document: RunDocument,
    *,
    metric: str = "mAP50-95",
    registry: Registry = DEFAULT_REGISTRY,
    baseline: RunDocument | None = None,
    evaluator: str = "epochal/coco101",
    keep_share: float = 0.9,
) -> Draft:
    """Return the lesson of a run as far as it can be drafted; see `draft_result`."""
    parent = parent_of(store, document)
    return Draft(
        hypothesis=document.hypothesis,
        change=_change(store, parent, document),
        result=draft_result(
            store,
            document,
            metric=metric,
            registry=registry,
            baseline=baseline,
            evaluator=evaluator,
            keep_share=keep_share,
        ),
    )


def draft_result(
    store: Store,
    document: RunDocument,
    *,
    metric: str = "mAP50-95",
    registry: Registry = DEFAULT_REGISTRY,
    baseline: RunDocument | None = None,
    evaluator: str = "epochal/coco101",
    keep_share: float = 0.9,
) -> str:
    """Return what came of a run, as a practitioner would write it down.

    The metric against the parent and the baseline, where the best was and how the curve ended,
    classes that lost much, how it failed. One to four sentences; never empty.

    Parameters
    ----------
    metric
        The project's metric: canonical name, alias or plain key.
    baseline
        The run that the project compares against, if there is one.
    evaluator
        Whose numbers are preferred.
    keep_share
        Classes that kept less than this share of the reference's AP are named.
    """
    resolved = registry.resolve(metric)
    key = find_key(document, resolved, registry)
    direction = resolved.direction or guess_direction(key or metric) or "max"
    resolved = msgspec.structs.replace(resolved, direction=direction)
    failure = _failure(store, document)
    row, unit = _own_curve(store, document, resolved, key)
    value, where = _measured(store, document, resolved, evaluator)
    if value is None and (row is None or row.stats.best is None):
        return failure or f"Logged no {resolved.name}."
    compared = [
        (word, reference, comparison)
        for word, reference in _references(store, document, baseline)
        if (
            comparison := _compared(
                store, reference, document, metric=metric, registry=registry, evaluator=evaluator
            )
        )
    ]
    gains = [
        text
        for word, reference, comparison in compared
        if (text := _gain(resolved, word, reference, comparison))
    ]
    best, ending = _curve_words(resolved, row, unit, document)
    if value is None:
        head = [f"{resolved.name} {best}"]
    else:
        head = [f"{resolved.name} {format_value(resolved, value)} {where}"]
        ending = ", ".join(filter(None, (f"best {best} while training" if best else "", ending)))
    if gains:
        head.append(" and ".join(gains))
    said = (f"{', '.join(head)}{f'; {ending}' if ending else ''}.", _drops(compared, keep_share))
    return " ".join(filter(None, (*said, failure)))


def _references(
    store: Store, document: RunDocument, baseline: RunDocument | None
) -> list[tuple[str, RunDocument]]:
    parent = parent_of(store, document)
    found = [("", parent)] if parent is not None else []
    if baseline is not None and baseline.id != document.id:
        if parent is None or baseline.id != parent.id:
            found.append(("the baseline ", baseline))
        else:
            found = [("its parent and baseline ", parent)]
    return found


def _compared(
    store: Store,
    reference: RunDocument,
    document: RunDocument,
    *,
    metric: str,
    registry: Registry,
    evaluator: str,
) -> Comparison | None:
    comparison = compare(
        store,
        [reference, document],
        metric=metric,
        registry=registry,
        evaluator=evaluator,
        splits=(_SPLIT,),
    )
    return comparison if comparison.runs[0].key else None


def _gain(metric: Metric, word: str, reference: RunDocument, comparison: Comparison) -> str:
    name = f"{word}{reference.name}"
    for table in comparison.splits:
        before, after = table.metrics.get(metric.name, (None, None))
        if before is None or after is None:
            continue
        if reasons := table.not_comparable.get(table.runs[1]):
            return f"not comparable with {name} ({reasons[0]})"
        gain = format_gain(metric, after - before)
        return f"{gain} against {name} ({format_value(metric, before)})"
    a, b = (row.curve.stats.last_k_mean for row in comparison.runs)
    if a is None or b is None:
        return ""
    k = min(row.curve.stats.last_k for row in comparison.runs)
    lately = f" over the last {k} evaluations" if k > 1 else ""
    return f"{format_gain(metric, b - a)} against {name}{lately}"


def _measured(
    store: Store, document: RunDocument, metric: Metric, evaluator: str
) -> tuple[float | None, str]:
    """Return the metric of the newest evaluation on val, and where it was measured."""
    for who in (evaluator, None):
        evaluation = latest_evaluation(store, document, _SPLIT, who)
        if evaluation is not None and (value := evaluation.metrics.get(metric.name)) is not None:
            return value, f"on {_SPLIT} ({evaluation.images} images)"
    return None, ""


def _own_curve(
    store: Store, document: RunDocument, metric: Metric, key: str | None
) -> tuple[CurveRow | None, str]:
    """Return the judged curve and the unit of its x."""
    if key is None or metric.direction is None:
        return None, ""
    points = store.points.read(document.id, key)
    by_epoch = has_epochs(points)
    curve = run_curve(store, document, points, by_epoch)
    row = compare_curves({document.name: curve}, metric.direction)[0]
    return row, "epoch" if by_epoch else "step"


def _curve_words(
    metric: Metric, row: CurveRow | None, unit: str, document: RunDocument
) -> tuple[str, str]:
    """Return the best value with its place, and how the curve ended; empty where unknown."""
    if row is None or row.stats.best_x is None:
        return "", ""
    stats = row.stats
    planned = {**document.config, **document.effective}.get("epochs")
    of = f" of {planned}" if unit == "epoch" and isinstance(planned, int) and planned > 0 else ""
    best = f"{format_value(metric, stats.best)} (at {unit} {stats.best_x:g}{of})"
    if stats.n == 1:
        return best, ""
    ended = f"ended at {format_value(metric, stats.last)}" if stats.last_x != stats.best_x else ""
    return best, ", ".join(filter(None, (ended, *flag_words(stats))))


def _drops(compared: list[tuple[str, RunDocument, Comparison]], keep_share: float) -> str:
    for _, reference, comparison in compared:
        for table in comparison.splits:
            if said := drop_sentence(table, 1, reference.name, keep_share):
                return said
    return ""


def _failure(store: Store, document: RunDocument) -> str:
    status = store.status(document)
    reason = document.attempts[-1].reason if document.attempts else ""
    match status:
        case "failed":
            return f"It failed: {_one_line(reason)}." if reason else "It failed."
        case "killed":
            return f"It was killed{f': {_one_line(reason)}' if reason else ''}."
        case "running" | "stale":
            return "It has not finished."
        case _:
            return ""


def _one_line(text: str) -> str:
    line = next((line for line in reversed(text.splitlines()) if line.strip()), "").strip()
    return (line[:197] + "..." if len(line) > 200 else line).rstrip(".")


def _change(store: Store, parent: RunDocument | None, document: RunDocument) -> str:
    if parent is None:
        return ""
    found = run_difference(store, parent, document)
    data = f"; data: {found.dataset}" if found.dataset and parent.pin and document.pin else ""
    return f"{found.summary} (against {parent.name}){data}"
