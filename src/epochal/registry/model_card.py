"""The model card: what a model is, what it was measured at, and on what it rests."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from epochal.analysis.config_difference import flatten
from epochal.analysis.metrics import DEFAULT_REGISTRY, format_value
from epochal.decisions.decision import Decision
from epochal.evaluation.document import ClassResult, Evaluation
from epochal.records import Latency
from epochal.store.documents import RunDocument

__all__ = ["model_card"]

_CLASSES = 200


def model_card(
    run: RunDocument,
    decision: Decision | None,
    evaluations: Sequence[Evaluation],
    latencies: Sequence[Latency],
    *,
    weights: str,
    override: str = "",
) -> str:
    """Return the card in Markdown: facts from the records, nothing else.

    Parameters
    ----------
    evaluations
        Of the weights that ship.
    weights
        Path of the weights in the bundle.
    override
        Why the model goes out without a ``ship``.
    """
    parts = [f"# {_text(run.name)}", ""]
    parts += _list(
        ("Project", run.project),
        ("Run", run.id),
        ("Trained", time.strftime("%Y-%m-%d", time.gmtime(run.created / 1e6))),
        ("Weights", weights),
        ("Derived from", run.parent or ""),
        ("Data", _data(run)),
        ("Code", _code(run)),
    )
    parts += _decision(decision, override)
    for evaluation in evaluations:
        parts += _evaluation(evaluation)
    if latencies:
        parts += ["## Latency", ""]
        parts += _table(
            ("device", "p50", "p95", "p95 at most", "n"),
            (
                (one.device, *map(_ms, (one.p50, one.p95, one.p95_upper)), str(one.n))
                for one in latencies
                if one.measure == "latency"
            ),
        )
    parts += _lesson(run)
    config = flatten({**run.config, **run.effective})
    parts += ["## Configuration", ""]
    parts += _table(("parameter", "value"), ((key, str(value)) for key, value in config.items()))
    return "\n".join(parts)


def _decision(decision: Decision | None, override: str) -> list[str]:
    parts = ["## Decision", ""]
    if override:
        parts += [f"**Shipped against the gates:** {_text(override)}", ""]
    if decision is None:
        return [*parts, "Nobody decided on this run.", ""]
    parts += [f"**{_text(decision.verdict)}.** {_text(decision.sentence)}", ""]
    parts += _table(
        ("gate", "outcome", "finding"),
        ((f"{g.number} {g.name}", g.outcome, g.sentence) for g in decision.gates),
    )
    parts += _list(
        ("Against", decision.baseline.name if decision.baseline else "no baseline: first version"),
        ("Change", decision.change),
        ("Charter", f"version {decision.charter_version}, rule set {decision.rule_set}"),
        ("Decided by", decision.author.partition(" <")[0]),
        ("Decision", decision.id),
    )
    return parts


def _evaluation(evaluation: Evaluation) -> list[str]:
    parts = [f"## Measured on {_text(evaluation.split)}", ""]
    parts += _list(
        ("Data", f"{evaluation.dataset}, {evaluation.images:,} images"),
        ("Evaluator", evaluation.evaluator),
        ("Predictions", ", ".join(f"{k} {v}" for k, v in evaluation.protocol.items())),
    )
    parts += _table(
        ("metric", "value"),
        (
            (name, format_value(DEFAULT_REGISTRY.resolve(name), value))
            for name, value in evaluation.metrics.items()
        ),
    )
    if evaluation.per_class:
        parts += _table(
            ("class", "objects", "AP", "recall at precision 0.95", "its threshold"),
            (
                (one.name, f"{one.instances:,}", *map(_share, _shares(one)))
                for one in evaluation.per_class[:_CLASSES]
            ),
        )
        left = len(evaluation.per_class) - _CLASSES
        parts += [f"and {left} more classes in the evaluation's document", ""] if left > 0 else []
    return parts


def _lesson(run: RunDocument) -> list[str]:
    lesson = run.lesson
    hypothesis = (lesson.hypothesis if lesson else "") or run.hypothesis
    fields = [("Expected", hypothesis)]
    if lesson:
        fields += [("Changed", lesson.change), ("Result", lesson.result), ("Next", lesson.next)]
    if not any(text.strip() for _, text in fields):
        return []
    return ["## Lesson", "", *_list(*fields)]


def _data(run: RunDocument) -> str:
    if run.pin is None:
        return run.dataset or "not known"
    return f"{run.pin.dataset} ({run.pin.state}) {run.pin.digest}".strip()


def _code(run: RunDocument) -> str:
    git = run.environment.get("git")
    if not isinstance(git, dict) or not git.get("commit"):
        return ""
    return f"{git['commit']}{' with uncommitted changes' if git.get('dirty') else ''}"


def _shares(one: ClassResult) -> tuple[float | None, ...]:
    return one.ap, one.recall_at_precision, one.threshold_at_precision


def _ms(value: float) -> str:
    return f"{value:.2f} ms"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _list(*rows: tuple[str, str]) -> list[str]:
    lines = [f"- **{name}:** {_text(text)}" for name, text in rows if text.strip()]
    return [*lines, ""] if lines else []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = [f"| {' | '.join(map(_text, row))} |" for row in rows]
    if not body:
        return []
    return [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *body, ""]


def _text(text: str) -> str:
    """Return `text` on one line as plain text in Markdown."""
    line = " ".join(text.split())
    for mark in "\\`*_[]<>|#":
        line = line.replace(mark, f"\\{mark}")
    return line
