"""Does every class keep its share? Three answers: kept, lost beyond doubt, and too rare to tell.

"Every class at least 90 % of the baseline's AP", read as a rule for bare numbers, fails an equal
model most of the time: with twenty classes and a few hundred images some class always dips. So a
class counts as lost only where noise does not explain it, with all classes tested at once (Holm).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from epochal.decisions.bootstrap import Draws
from epochal.decisions.multiplicity import holm
from epochal.evaluation import ImageRecords

__all__ = ["ClassCheck", "ClassState", "check_classes", "check_classes_literally"]

ClassState: TypeAlias = Literal["kept", "dip", "lost", "thin", "not in baseline"]
_NORMAL = NormalDist()


class ClassCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One class against its floor: its AP, or in a classifier its recall, in 0..1."""

    name: str
    instances: int
    images: int
    baseline: float | None
    candidate: float | None
    floor: float | None
    """What it has to keep of the baseline's."""
    state: ClassState
    """``kept``: at or above the floor. ``dip``: below, within noise. ``lost``: below, and noise
    does not explain it. ``thin``: too rare to judge alone. ``not in baseline``: the baseline does
    not find it at all."""
    p: float | None = None
    """Holm-adjusted: how easily noise makes such a drop of a class that keeps its floor."""
    instances_needed: int | None = None
    """Objects with which the question would be settled, for ``dip`` and ``thin``."""


def check_classes(
    baseline: Sequence[Draws],
    candidate: Sequence[Draws],
    records: ImageRecords,
    *,
    keep_share: float,
    min_instances: int,
    min_images: int,
    alpha: float,
) -> tuple[ClassCheck, ...]:
    """Return every class with objects against its floor, in the order of the class list.

    The statistic is t = AP_candidate - keep_share * AP_baseline with its bootstrap error; its
    one-sided p-value is a normal one, because counting draws would need far more of them to
    survive the correction. Classes below the minimal support are not tested alone but as one,
    by the mean of their statistics, under the name ``rare classes together``.

    Parameters
    ----------
    records
        Of either model: the objects are the same.
    """
    ap_a, ap_b = _class_mean(baseline), _class_mean(candidate)
    t = ap_b - keep_share * ap_a
    draws = np.mean([d.class_values for d in candidate], axis=0) - keep_share * np.mean(
        [d.class_values for d in baseline], axis=0
    )
    support = records.n_truth
    images = records.images_with_truth
    present = np.flatnonzero(support > 0)
    thin = [c for c in present if support[c] < min_instances or images[c] < min_images]
    tested = [c for c in present if c not in set(thin)]
    p = [_p(t[c], _sd(draws[:, c])) for c in tested]
    together = None
    if thin and support[thin].sum() >= min_instances:
        together = _p(float(t[thin].mean()), _sd(_row_means(draws[:, thin])))
        p.append(together)
    adjusted = holm(p)
    by_class = dict(zip(tested, adjusted, strict=False))
    found = []
    for c in present:
        state: ClassState = "kept"
        needed = None
        if ap_a[c] == 0 and ap_b[c] == 0:
            state = "not in baseline"
        elif c not in by_class:
            state = "thin"
            share = min(support[c] / min_instances, images[c] / min_images)
            needed = math.ceil(support[c] / share) if share < 1 else None
        elif by_class[c] <= alpha:
            state = "lost"
        elif t[c] < 0:
            state = "dip"
            # The same dip with more objects: the error falls with the root of their number.
            level = _NORMAL.inv_cdf(1 - alpha / len(p))
            needed = math.ceil(support[c] * (level * _sd(draws[:, c]) / -t[c]) ** 2)
        found.append(
            ClassCheck(
                name=records.classes[c],
                instances=int(support[c]),
                images=int(images[c]),
                baseline=float(ap_a[c]),
                candidate=float(ap_b[c]),
                floor=float(keep_share * ap_a[c]),
                state=state,
                p=by_class.get(c),
                instances_needed=needed,
            )
        )
    if together is not None:
        a, b = float(ap_a[thin].mean()), float(ap_b[thin].mean())
        found.append(
            ClassCheck(
                name="rare classes together",
                instances=int(support[thin].sum()),
                images=int(images[thin].sum()),
                baseline=a,
                candidate=b,
                floor=keep_share * a,
                state="lost"
                if adjusted[-1] <= alpha
                else ("dip" if b < keep_share * a else "kept"),
                p=adjusted[-1],
            )
        )
    return tuple(found)


def check_classes_literally(
    baseline: dict[str, float | None],
    candidate: dict[str, float | None],
    support: dict[str, tuple[int, int]],
    *,
    keep_share: float,
) -> tuple[ClassCheck, ...]:
    """Return every class against its floor by bare numbers: ``lost`` is whatever lies below.

    Parameters
    ----------
    baseline, candidate
        AP by class name.
    support
        Objects and images by class name.
    """
    found = []
    for name, a in baseline.items():
        b = candidate.get(name)
        if a is None:
            continue
        floor = keep_share * a
        lost = b is None or b < floor
        instances, images = support.get(name, (0, 0))
        found.append(
            ClassCheck(
                name=name,
                instances=instances,
                images=images,
                baseline=a,
                candidate=b,
                floor=floor,
                state="lost" if lost else "kept",
            )
        )
    return tuple(found)


def _class_mean(arm: Sequence[Draws]) -> npt.NDArray[np.float64]:
    mean: npt.NDArray[np.float64] = np.mean([d.class_point for d in arm], axis=0)
    return mean


def _sd(values: npt.NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1)) if len(known) > 1 else 0.0


def _row_means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _p(t: float, sd: float) -> float:
    if sd > 0:
        return _NORMAL.cdf(t / sd)
    return 0.0 if t < 0 else 1.0
