"""What the rest of the project tells about one decision: the spread over seeds, and the choice."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from epochal.decisions.arms import Arms
from epochal.decisions.charter import Charter
from epochal.decisions.noise import SeedSpread, prior_spread
from epochal.decisions.replicates import is_replicate, recipe_key
from epochal.errors import NotFound
from epochal.records import DatasetTagged, Evaluated, from_wire
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["seed_spread", "siblings"]

_ENOUGH = 2
"""Degrees of freedom from which the project's own spread replaces the published one."""


def seed_spread(
    store: Store, candidate: RunDocument, runs: list[RunDocument], charter: Charter
) -> SeedSpread:
    """Return the spread over seeds to assume for a recipe that was trained once.

    The project's own, pooled over all groups of replicates measured on val; else the published
    one for a training of that size. What the bootstrap already holds of it is not taken off,
    which would need everybody's match records: it errs on the careful side.
    """
    by_print: dict[str, list[tuple[RunDocument, float]]] = defaultdict(list)
    for run in runs:
        newest = _on_val(run, charter)
        if newest is not None and charter.metric in newest.metrics:
            value = from_wire(newest.metrics[charter.metric])
            if math.isfinite(value):
                by_print[newest.fingerprint].append((run, value))
    squares, df, groups = 0.0, 0, 0
    for members in by_print.values():
        for group in _recipes([run for run, _ in members]):
            ids = {run.id for run in group}
            # Equal results are copies or ignored seeds, not evidence that seeds do nothing.
            values = {value for run, value in members if run.id in ids}
            if len(values) > 1:
                squares += float(np.var(list(values), ddof=1)) * (len(values) - 1)
                df += len(values) - 1
                groups += 1
    if df >= _ENOUGH:
        recipes = "one recipe" if groups == 1 else f"{groups} recipes"
        return SeedSpread(
            sd=math.sqrt(squares / df),
            source=f"the project's own spread over seeds, {df + groups} trainings of {recipes}",
            df=df,
        )
    return prior_spread(_training_images(store, candidate), charter.metric)


def siblings(
    store: Store,
    candidate: RunDocument,
    baseline: RunDocument,
    runs: list[RunDocument],
    on_val: Arms,
    charter: Charter,
) -> list[str]:
    """Return the names of the recipes that the candidate was chosen among, without its own.

    Siblings are other recipes with the same parent that were measured on the same val images,
    in the trash or not; without a parent, those opened since the baseline without one.
    """
    if not on_val.candidate:
        return []
    fingerprint = on_val.candidate[0].evaluation.fingerprint
    parent = _parent(store, candidate)
    alike = [
        run
        for run in runs
        if run.id not in (candidate.id, baseline.id)
        and (newest := _on_val(run, charter)) is not None
        and newest.fingerprint == fingerprint
        and _parent(store, run) == parent
        and (parent is not None or run.created > baseline.created)
        and not is_replicate(candidate, run)
        and not is_replicate(baseline, run)
    ]
    return [group[0].name for group in _recipes(alike)]


def _recipes(runs: list[RunDocument]) -> list[list[RunDocument]]:
    """Return the runs grouped by recipe."""
    alike: dict[frozenset[tuple[str, str]], list[list[RunDocument]]] = defaultdict(list)
    for run in runs:
        groups = alike[recipe_key(run)]  # only within these can there be replicates
        group = next((g for g in groups if is_replicate(g[0], run)), None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    return [group for groups in alike.values() for group in groups]


def _on_val(run: RunDocument, charter: Charter) -> Evaluated | None:
    for stamped in reversed(run.evaluations):
        body = stamped.body
        if (
            isinstance(body, Evaluated)
            and body.split == "val"
            and body.evaluator == charter.evaluator
        ):
            return body
    return None


def _parent(store: Store, run: RunDocument) -> str | None:
    if not run.parent:
        return None
    try:
        return store.find_run(run.parent, run.project).id
    except NotFound:
        return run.parent


def _training_images(store: Store, run: RunDocument) -> int | None:
    digest = run.pin.digest if run.pin else ""
    if not digest:
        return None
    for governed in store.governance("dataset"):
        body = governed.body
        if isinstance(body, DatasetTagged) and body.digest == digest and "train" in body.splits:
            return body.splits["train"].images
    return None
