"""Candidate and baseline on one split: the evaluations that may be compared, and their draws."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from epochal.analysis.metrics import Registry
from epochal.decisions.bootstrap import (
    RESAMPLES,
    Draws,
    bootstrap,
    can_resample,
    looks_like_video,
)
from epochal.decisions.evidence import Measured, Missing, evaluate_command, measured
from epochal.decisions.noise import Estimate, SeedSpread, estimate, pooled_spread
from epochal.decisions.replicates import replicates
from epochal.evaluation.document import conditions, differences
from epochal.evaluation.grouping import with_groups
from epochal.evaluation.match_records import MatchRecords
from epochal.evaluation.storage import ImageRecords
from epochal.records import Evaluated
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["Arms", "gather"]


FEWEST = 10
"""Images, or clips, below which a bootstrap says little about others."""


@dataclass(eq=False)
class Arms:
    """The two sides on one split.

    Attributes
    ----------
    baseline, candidate
        Evaluations of each recipe: the run's own first, then those of its replicates.
    missing
        What is not there, and how to get it; with any, nothing is compared.
    invalid
        Why the two must not be compared; with any, nothing is.
    """

    split: str
    metric: str
    baseline: list[Measured] = field(default_factory=list)
    candidate: list[Measured] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    resamples: int = RESAMPLES
    progress: Callable[[int, int], None] | None = None
    _draws: tuple[list[Draws], list[Draws]] | None = None

    @property
    def rng_seed(self) -> int:
        """Seed of the draws: made of the evaluations, so that nobody can choose it."""
        digests = "".join(m.digest for m in (*self.baseline, *self.candidate))
        hashed = hashlib.blake2b(digests.encode(), digest_size=6).digest()
        return int.from_bytes(hashed, "big")  # 48 bits: every JSON reader keeps them

    @property
    def comparable(self) -> bool:
        """Whether both sides are there and may be compared."""
        return not self.missing and not self.invalid

    @property
    def has_records(self) -> bool:
        """Whether the metric can be computed for any draw of the images, on both sides."""
        return all(
            m.records is not None and can_resample(self.metric, m.records)
            for m in (*self.baseline, *self.candidate)
        )

    @property
    def records(self) -> ImageRecords:
        """The candidate's records of each image."""
        found = self.candidate[0].records
        assert found is not None  # callers ask `has_records` first
        return found

    def values(self) -> tuple[float | None, float | None]:
        """Return the metric of baseline and candidate as their evaluations state it."""
        return (
            self.baseline[0].evaluation.metrics.get(self.metric),
            self.candidate[0].evaluation.metrics.get(self.metric),
        )

    def draws(self) -> tuple[list[Draws], list[Draws]]:
        """Return the draws of baseline and candidate, made once."""
        if self._draws is None:
            both = [m.records for m in (*self.baseline, *self.candidate) if m.records is not None]
            found = bootstrap(
                both,
                self.metric,
                resamples=self.resamples,
                seed=self.rng_seed,
                progress=self.progress,
            )
            self._draws = found[: len(self.baseline)], found[len(self.baseline) :]
        return self._draws

    def estimate(self, spread: SeedSpread, alpha: float) -> Estimate:
        """Return the difference and its error."""
        return estimate(*self.draws(), spread=spread, alpha=alpha, units=self.units)

    @property
    def units(self) -> int:
        """How many images, or clips where there are any, are drawn from."""
        return len(set(self.records.groups)) or self.records.n_images

    @property
    def few(self) -> str:
        """In words, that there are too few images or clips to resample; empty where not."""
        what = "clips" if self.records.groups else "images"
        return f"{self.units} {what}" if self.units < FEWEST else ""

    @property
    def undefined(self) -> bool:
        """Whether the metric has no value on one side: there are no objects."""
        return any(math.isnan(one.point) for side in self.draws() for one in side)

    def own_spread(self) -> SeedSpread | None:
        """Return the spread over seeds that the replicates here show; None without any."""
        if not self.comparable or not self.has_records:
            return None
        return pooled_spread(self.draws(), f"trainings that differ in their seed, on {self.split}")

    def commands(self, *, without_records: bool = False) -> tuple[str, ...]:
        """Return the commands that measure both sides anew, or those that kept no records."""
        return tuple(
            evaluate_command(side[0].run, self.split)
            for side in (self.baseline, self.candidate)
            if not without_records or side[0].records is None
        )

    def digests(self) -> dict[str, list[str]]:
        """Return the evaluation documents of both sides."""
        return {
            "baseline": [m.digest for m in self.baseline],
            "candidate": [m.digest for m in self.candidate],
        }


def gather(
    store: Store,
    candidate: RunDocument,
    baseline: RunDocument,
    others: list[RunDocument],
    *,
    split: str,
    metric: str,
    evaluator: str,
    registry: Registry,
    group_of: str = "",
    resamples: int = RESAMPLES,
    progress: Callable[[int, int], None] | None = None,
) -> Arms:
    """Return what there is on `split` for both runs and for the replicates among `others`.

    Parameters
    ----------
    group_of
        The charter's: what groups images whose records name no groups.
    """
    arms = Arms(split, metric, resamples=resamples, progress=progress)
    own = measured(store, candidate, split, evaluator)
    fingerprint = own.evaluation.fingerprint if isinstance(own, Measured) else ""
    reference = measured(store, baseline, split, evaluator, fingerprint)
    for found, side in ((reference, arms.baseline), (own, arms.candidate)):
        if isinstance(found, Missing):
            arms.missing.append(found)
        else:
            side.append(_by_clip(found, group_of))
    if isinstance(own, Missing) or isinstance(reference, Missing):
        return arms
    arms.invalid += differences(reference.evaluation, own.evaluation)
    if own.evaluation.weights and own.evaluation.weights == reference.evaluation.weights:
        arms.invalid.append(f"weights: {candidate.name} and {baseline.name} have the same ones")
    if not arms.invalid and arms.has_records:
        arms.invalid += _unlike(own.records, reference.records)
    if arms.invalid:
        return arms
    arms.notes += [
        f"conditions differ: {text} (baseline against candidate)"
        for text in conditions(reference.evaluation, own.evaluation)
    ]
    for side in (arms.baseline, arms.candidate):
        if not side[0].tied:
            arms.notes.append(
                f"nothing ties the evaluation of {side[0].run.name} to its weights: no digest"
            )
    with_records = arms.has_records
    others = [run for run in others if _has_measured(run, split, fingerprint)]
    for run, side in ((baseline, arms.baseline), (candidate, arms.candidate)):
        same_recipe = replicates(store, run, others, metric, registry)
        for name in same_recipe.pseudo:
            arms.notes.append(f"{name} is no replicate of {run.name}: their curves are identical")
        for other in same_recipe.runs[1:]:
            more = measured(store, other, split, evaluator, fingerprint)
            if isinstance(more, Missing) or more.evaluation.fingerprint != fingerprint:
                continue
            if with_records and (more.records is None or _unlike(own.records, more.records)):
                continue
            if any(more.evaluation.metrics == seen.evaluation.metrics for seen in side):
                arms.notes.append(
                    f"{other.name} is no replicate of {run.name}: their results are identical"
                )
                continue
            side.append(_by_clip(more, group_of))
            if other.trashed:
                arms.notes.append(f"{other.name} counts as a replicate although in the trash")
    if with_records:
        if arms.records.groups:
            clips = len(set(arms.records.groups))
            arms.notes.append(f"drawn by clip: {clips} groups of {arms.records.n_images} images")
        elif warning := looks_like_video(arms.records.images):
            arms.notes.append(warning)
    return arms


def _by_clip(found: Measured, group_of: str) -> Measured:
    """Return the evaluation with its images grouped as the charter says, if they are not yet."""
    if not group_of or found.records is None or found.records.groups:
        return found
    return replace(found, records=with_groups(found.records, None, group_of))


def _has_measured(run: RunDocument, split: str, fingerprint: str) -> bool:
    return any(
        isinstance(stamped.body, Evaluated)
        and stamped.body.split == split
        and stamped.body.fingerprint == fingerprint
        for stamped in run.evaluations
    )


def _unlike(a: ImageRecords | None, b: ImageRecords | None) -> list[str]:
    """Return why the records cannot be drawn together; empty where they can."""
    if a is None or b is None:
        return []
    if a.classes != b.classes:
        return ["class list: the per-image records have different ones"]
    if a.images != b.images and set(a.images) != set(b.images):
        shared = len(set(a.images) & set(b.images))
        return [f"images: {shared} of {a.n_images} and {b.n_images} are the same by name"]
    if not (isinstance(a, MatchRecords) and isinstance(b, MatchRecords)):
        return []
    if np.array_equal(np.sort(a.thresholds), np.sort(b.thresholds)):
        return []
    return ["IoU thresholds: the match records have different ones"]
