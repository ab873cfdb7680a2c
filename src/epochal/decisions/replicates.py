"""Trainings of one recipe that differ in their seed alone: found, not declared.

Only they show how much a result owes to luck. Two runs are replicates if nothing that counts
differs between their configurations, data and code, and the seed does. A run whose curve equals
another's to the last bit is none: its seed was ignored, or it is a copy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from epochal.analysis.config_difference import difference
from epochal.analysis.metrics import Registry
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["Replicates", "is_replicate", "recipe_key", "recipe_of", "replicates"]


class Replicates(NamedTuple):
    """A run and the other trainings of its recipe."""

    runs: tuple[RunDocument, ...]
    """The run itself first; the others by age."""
    pseudo: tuple[str, ...]
    """Names of runs that would count but whose curve is identical to one that does."""


def replicates(
    store: Store, run: RunDocument, others: list[RunDocument], metric: str, registry: Registry
) -> Replicates:
    """Return the trainings of the recipe of `run` among `others`, which may include it.

    Parameters
    ----------
    metric
        Whose curve tells copies apart.
    """
    found, curves, pseudo = [run], [_curve(store, run, metric, registry)], []
    for other in others:
        if other.id == run.id or not is_replicate(run, other):
            continue
        curve = _curve(store, other, metric, registry)
        if len(curve) and any(np.array_equal(curve, seen) for seen in curves):
            pseudo.append(other.name)
            continue
        found.append(other)
        curves.append(curve)
    return Replicates(tuple(found), tuple(pseudo))


def is_replicate(a: RunDocument, b: RunDocument) -> bool:
    """Return whether two runs are one recipe under two seeds."""
    found = difference(
        a.config,
        b.config,
        dataset=(recipe_of(a)[0], recipe_of(b)[0]),
        commit=(recipe_of(a)[1], recipe_of(b)[1]),
    )
    return found.replicate


def recipe_of(run: RunDocument) -> tuple[str | None, str | None]:
    """Return what a recipe is beside its configuration: identity of its data, and commit."""
    data = None
    if run.pin is not None:
        data = run.pin.digest or run.pin.dataset
        if run.pin.state == "drifted":
            data += " (drifted)"
    git = run.environment.get("git")
    commit = git.get("commit") if isinstance(git, dict) else None
    return data, str(commit) if commit else None


def recipe_key(run: RunDocument) -> frozenset[tuple[str, str]]:
    """Return what counts of a configuration, without its seed: equal for all replicates.

    Runs with one key may still differ, in data or code; it spares comparing all with all.
    """
    data, _ = recipe_of(run)
    counts = difference(run.config, {}, dataset=(data, data)).changes
    return frozenset((change.key, _loosely(change.before)) for change in counts)


def _loosely(value: object) -> str:
    """Return a value as text, the same for 1, 1.0 and "1"."""
    try:
        return repr(float(value))  # type: ignore[arg-type] # what is no number raises
    except (TypeError, ValueError):
        return str(value).casefold()


def _curve(
    store: Store, run: RunDocument, metric: str, registry: Registry
) -> npt.NDArray[np.float64]:
    key = registry.find_key(metric, run.metrics)
    return store.points.read(run.id, key).value if key else np.empty(0)
