"""What a comparison comes to, in sentences: who is ahead, by how much, and because of what.

These say what was measured. Whether a difference stands out from noise, and whether it ships, is
for `epochal.decisions` to say; the words here claim neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.analysis.curve_comparison import at_same_x, last_x
from epochal.analysis.metrics import Metric, format_gain, format_value

if TYPE_CHECKING:
    from epochal.analysis.curve_comparison import Curve, CurveRow
    from epochal.analysis.metrics import Direction
    from epochal.comparison.evaluations import SplitTable
    from epochal.comparison.run_difference import RunDifference

__all__ = [
    "attribution",
    "drop_sentence",
    "gain_sentence",
    "retention_drops",
    "same_epoch_sentence",
]


_NAMED = 5


def gain_sentence(
    metric: Metric, first: CurveRow, other: CurveRow, table: SplitTable | None, place: int
) -> str:
    """Return how `other` stands against `first` on the metric.

    By their evaluations where those are comparable, else by the curves: means of the last
    evaluations, because the best of a curve was selected and is too good.

    Parameters
    ----------
    table
        Evaluations of one split, if there are any.
    place
        Which of the compared runs `other` is.
    """
    if table is not None and table.comparable(place):
        values = table.metrics.get(metric.name)
        before, after = (values[0], values[place]) if values else (None, None)
        if before is not None and after is not None:
            return _against(
                metric,
                (first.name, before),
                (other.name, after),
                f"on {table.split} ({table.images} images, {table.evaluator})",
            )
    a, b = first.stats, other.stats
    if a.last_k_mean is None or b.last_k_mean is None:
        missing = " and ".join(row.name for row in (first, other) if row.stats.n == 0)
        return f"{other.name} cannot be set against {first.name}: {missing} has no {metric.name}."
    k = min(a.last_k, b.last_k)
    return _against(
        metric,
        (first.name, a.last_k_mean),
        (other.name, b.last_k_mean),
        f"by the mean of the last {k} evaluations of training" if k > 1 else "by one evaluation",
    )


def _against(
    metric: Metric, first: tuple[str, float], other: tuple[str, float], where: str
) -> str:
    gain = other[1] - first[1]
    values = f"{format_value(metric, other[1])} against {format_value(metric, first[1])}"
    if gain == 0:
        return f"{other[0]} equals {first[0]} on {metric.name}, {values}, {where}."
    better = (gain > 0) == (metric.direction != "min")
    word = "ahead of" if better else "behind"
    size = f"{_size(metric, gain)} {metric.name}"
    return f"{other[0]} is {word} {first[0]} by {size} {where}: {values}."


def _size(metric: Metric, gain: float) -> str:
    return format_gain(metric, abs(gain)).lstrip("+")


def same_epoch_sentence(
    metric: Metric,
    first: tuple[str, Curve],
    other: tuple[str, Curve],
    direction: Direction,
    unit: str = "epoch",
) -> str:
    """Return who was ahead where the shorter of two runs ended; empty for runs of one length.

    Parameters
    ----------
    first, other
        Name and curve.
    """
    met = at_same_x(first[1], other[1], direction)
    ends = [last_x(curve) for _, curve in (first, other)]
    if met is None or ends[0] == ends[1]:
        return ""
    x, before, after = met
    (_, shorter), (end, longer) = sorted(zip(ends, (first[0], other[0]), strict=True))
    return (
        f"Up to {unit} {x:g}, where {shorter} ended, {other[0]} had "
        f"{format_value(metric, after)} and {first[0]} {format_value(metric, before)}; "
        f"{longer} went on to {unit} {end:g}."
    )


def attribution(difference: RunDifference) -> str:
    """Return what a difference in results can be laid to."""
    config = difference.config
    if config.replicate:
        seeds = ", ".join(str(c) for c in config.ignored if c.ignored == "seed")
        return f"Same recipe, another seed ({seeds}): the difference is noise."
    if not config.changes:
        return "Nothing that counts has changed: the difference is noise, or was not recorded."
    if config.confounded:
        listed = ", ".join(map(str, config.changes[:_NAMED]))
        more = f" and {config.count - _NAMED} more" if config.count > _NAMED else ""
        return f"CONFOUNDED, {config.count} changes at once: {listed}{more}."
    return f"One change: {config.changes[0]}."


def drop_sentence(table: SplitTable | None, place: int, first: str, keep_share: float) -> str:
    """Return which classes kept less than `keep_share` of what they had in the first run."""
    drops = retention_drops(table, place, keep_share) if table is not None else ()
    if table is None or not drops:
        return ""
    objects = {row.name: row.instances for row in table.classes}
    things = "objects" if table.class_noun == "AP" else "images"
    named = ", ".join(
        f"{name} ({share * 100:.0f} %, {objects[name]} {things})" for name, share in drops[:_NAMED]
    )
    more = f" and {len(drops) - _NAMED} more" if len(drops) > _NAMED else ""
    return f"Kept less than {keep_share * 100:g} % of {first}'s {table.class_noun}: {named}{more}."


def retention_drops(
    table: SplitTable, place: int, keep_share: float
) -> tuple[tuple[str, float], ...]:
    """Return the classes that kept less than `keep_share` of the first run's, worst first."""
    if not table.comparable(place):
        return ()
    drops = [
        (row.name, share)
        for row in table.classes
        if (share := row.retention[place]) is not None and share < keep_share
    ]
    return tuple(sorted(drops, key=lambda drop: drop[1]))
