"""A run's curve of one metric as the judge of curves wants it: axis, clock, plan, losses."""

from __future__ import annotations

import numpy as np

from epochal.analysis.curve_comparison import Curve, CurveRow
from epochal.analysis.curve_points import Array
from epochal.analysis.metrics import Metric, Registry
from epochal.errors import NotFound
from epochal.store.chunks import NO_EPOCH, Points
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["find_key", "has_epochs", "metric_curve", "no_metric", "run_curve", "unlike_curves"]

_FREQUENCY = 1.5
"""Evaluating this many times as often gives a best of noticeably more tries."""


def find_key(document: RunDocument, metric: Metric, registry: Registry) -> str | None:
    """Return the key under which the run logged the metric, None where it did not."""
    return registry.find_key(metric.name, document.metrics)


def no_metric(document: RunDocument, metric: Metric) -> NotFound:
    """Return the error that says a run never logged the metric, naming what it did log."""
    logged = ", ".join(sorted(document.metrics)[:12]) or "nothing"
    return NotFound(
        f"run {document.name} has no metric {metric.name!r}; it logged {logged}",
        "choose one with --metric, or for good as `metric` in epochal.toml, and "
        "`epochal charter apply -m REASON`",
    )


def metric_curve(store: Store, document: RunDocument, metric: str, registry: Registry) -> Points:
    """Return the points of `metric` in a run, under whatever key it was logged.

    Raises
    ------
    NotFound
        If the run never logged it.
    """
    resolved = registry.resolve(metric)
    key = find_key(document, resolved, registry)
    if key is None:
        raise no_metric(document, resolved)
    return store.points.read(document.id, key)


def has_epochs(points: Points) -> bool:
    """Whether every point says its epoch."""
    return bool((points.epoch != NO_EPOCH).all())


def run_curve(store: Store, document: RunDocument, points: Points, by_epoch: bool) -> Curve:
    """Return the points as a curve over epochs or steps, with what the run says about its plan."""
    config = {**document.config, **document.effective}
    x = points.epoch if by_epoch else points.step
    return Curve(
        x,
        points.value,
        points.time / 1e6,
        document.attempts[0].opened / 1e6 if document.attempts else None,
        # a plan in epochs says nothing about an axis of steps
        _positive(config.get("epochs")) if by_epoch else None,
        _positive(config.get("patience")) if by_epoch else None,
        _losses(store, document),
    )


def _positive(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value > 0 else None


def _losses(store: Store, document: RunDocument) -> tuple[Array, Array] | None:
    """Return training and validation loss, each the sum of its parts, at the steps of both.

    Only parts that were logged for both count: a loss with one part less is another quantity.
    """
    parts = sorted(
        key.removeprefix("train/")
        for key in document.metrics
        if key.startswith("train/")
        and key.endswith("loss")
        and f"val/{key.removeprefix('train/')}" in document.metrics
    )
    if not parts:
        return None
    series = [
        _by_step(store.points.read(document.id, f"{split}/{part}"))
        for split in ("train", "val")
        for part in parts
    ]
    steps = sorted(set.intersection(*(set(one) for one in series)))
    if not steps:
        return None
    table = np.array([[one[step] for step in steps] for one in series], dtype=np.float64)
    with np.errstate(all="ignore"):
        return table[: len(parts)].sum(axis=0), table[len(parts) :].sum(axis=0)


def _by_step(points: Points) -> dict[int, float]:
    return dict(zip(points.step.tolist(), points.value.tolist(), strict=True))


def unlike_curves(
    rows: list[CurveRow], curves: dict[str, Curve], *, by_epoch: bool
) -> tuple[str, ...]:
    """Return what to bear in mind when these curves are looked at together, a line each.

    Different lengths, plans and logging frequencies, restarts, and a curve that is there twice.
    """
    notes: list[str] = []
    measured = [row for row in rows if row.stats.n]
    if not by_epoch and len(measured) > 1:
        notes.append("compared by step: not every run logged its epochs")
    plans = {row.name: curves[row.name].planned_epochs for row in measured}
    known = {name: plan for name, plan in plans.items() if plan is not None}
    if len(set(known.values())) > 1:
        listed = ", ".join(f"{name} {plan:g}" for name, plan in known.items())
        notes.append(
            f"planned for different numbers of epochs ({listed}): learning-rate schedules differ, "
            "so equal epochs are not equal progress"
        )
    spacing = {
        row.name: every for row in measured if (every := _spacing(curves[row.name])) is not None
    }
    if spacing and max(spacing.values()) > _FREQUENCY * min(spacing.values()):
        unit = "epoch" if by_epoch else "step"
        by_spacing: dict[str, list[str]] = {}
        for name, every in spacing.items():
            by_spacing.setdefault(f"{every:.3g}", []).append(name)
        usual = max(by_spacing.values(), key=len)
        listed = ", ".join(
            f"{' and '.join(names) if names is not usual or len(names) < 3 else 'the others'} "
            f"every {f'{every} {unit}s' if every != '1' else unit}"
            for every, names in sorted(by_spacing.items(), key=lambda item: len(item[1]))
        )
        notes.append(
            f"evaluated at different rates ({listed}): the more often, the luckier the best"
        )
    for row in measured:
        if row.stats.restarts:
            times = "once" if row.stats.restarts == 1 else f"{row.stats.restarts} times"
            notes.append(
                f"{row.name} went back {times} (resumed): {row.stats.n_hidden} "
                f"{'point was' if row.stats.n_hidden == 1 else 'points were'} replaced"
            )
        if row.stats.n_nonfinite:
            notes.append(f"{row.name}: {row.stats.n_nonfinite} values are NaN or infinite")
    twins = {frozenset((row.name, *row.identical_to)) for row in measured if row.identical_to}
    notes.extend(
        f"{' and '.join(sorted(names))} have identical curves: one training counted twice, or a "
        "seed without effect"
        for names in sorted(twins, key=sorted)
    )
    return tuple(notes)


def _spacing(curve: Curve) -> float | None:
    """Return how far apart evaluations usually are in x; None for fewer than two."""
    places = np.unique(np.asarray(curve.x, dtype=np.float64))
    return float(np.median(np.diff(places))) if len(places) > 1 else None
