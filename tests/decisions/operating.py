"""The composite rule on simulated pairs: how often it ships, by what is true.

Each pair is two trained models; val and test are fresh sets of images from the same source. The
gates are the real ones, on real match records; only the store around them is left out.
"""

from dataclasses import dataclass, replace

import numpy as np
from simulator import Model, world

from epochal.decisions.arms import Arms
from epochal.decisions.bootstrap import Draws, bootstrap
from epochal.decisions.charter import Charter
from epochal.decisions.class_floor import check_classes
from epochal.decisions.evidence import Measured
from epochal.decisions.gates import beats_noise, keeps_classes
from epochal.decisions.multiplicity import look_level
from epochal.decisions.noise import SeedSpread, estimate
from epochal.evaluation import Evaluation, MatchRecords, average_precision
from epochal.store.documents import RunDocument

CHARTER = Charter(project="simulated")


@dataclass(frozen=True)
class Recipe:
    """What is trained again and again: a mean skill, and classes it is good at."""

    skill: float
    n_classes: int
    wobble: float = 0.08
    class_bonus: tuple[float, ...] = ()

    def train(self, seed: int) -> Model:
        return Model(
            self.skill, seed, self.n_classes, wobble=self.wobble, class_bonus=self.class_bonus
        )


def true_map(model: Model, n_images: int = 12_000) -> float:
    """Return the model's mAP on so many images that hardly any noise is left."""
    return average_precision(model.run(world(n_images, model.n_classes, 990_001))).map


def true_spread(recipe: Recipe, seeds: int = 24) -> float:
    """Return the standard deviation of the true mAP over training seeds."""
    return float(np.std([true_map(recipe.train(700 + s)) for s in range(seeds)], ddof=1))


def measured(records: MatchRecords, name: str) -> Measured:
    evaluation = Evaluation(
        split="val",
        dataset="simulated",
        images=records.n_images,
        evaluator=records.evaluator,
        classes=records.classes,
        metrics={},
    )
    return Measured(RunDocument(id=name, name=name), name, "", evaluation, records, True)


def arms(
    split: str,
    baseline: list[MatchRecords],
    candidate: list[MatchRecords],
    *,
    seed: int = 0,
    resamples: int = 200,
) -> Arms:
    return Arms(
        split,
        "mAP50-95",
        baseline=[measured(r, f"a{i}-{seed}") for i, r in enumerate(baseline)],
        candidate=[measured(r, f"b{i}-{seed}") for i, r in enumerate(candidate)],
        resamples=resamples,
    )


def holds(
    baseline: list[Draws],
    candidate: list[Draws],
    records: MatchRecords,
    spread: SeedSpread,
    alpha: float,
) -> bool:
    """Gates 1 and 2, or gate 3 without what only a store can tell (leaks, budget)."""
    found = estimate(baseline, candidate, spread=spread, alpha=alpha, units=records.n_images)
    checks = check_classes(
        baseline,
        candidate,
        records,
        keep_share=CHARTER.keep_share,
        min_instances=CHARTER.min_instances,
        min_images=CHARTER.min_images,
        alpha=CHARTER.alpha,
    )
    lost = any(check.state == "lost" for check in checks)
    return not lost and found.judge(CHARTER.min_gain_stored) == "pass"


def _passes(
    draws: list[Draws], k: int, records: MatchRecords, spread: SeedSpread, alpha: float
) -> bool:
    return holds([draws[0]], [draws[k]], records, spread, alpha)


@dataclass
class Tally:
    """How many of `n` pairs came how far."""

    n: int = 0
    val: int = 0
    """Gates 1 and 2 passed."""
    ship: int = 0
    class_alarm: int = 0
    """Gate 2 failed."""
    literal: int = 0
    """Bare gain of half a point on test, which the literal rule would ship."""
    literal_classes: int = 0
    """Some class below 90 % on test by bare numbers."""


def run_pairs(
    before: Recipe,
    after: Recipe,
    n_images: int,
    pairs: int,
    spread: SeedSpread,
    *,
    seeds: int = 1,
    start: int = 0,
    resamples: int = 200,
    literal: bool = False,
) -> Tally:
    """Decide on `pairs` pairs; val and test have `n_images` each."""
    tally = Tally()
    for i in range(start, start + pairs):
        models_a = [before.train(10_000_000 + 100 * i + s) for s in range(seeds)]
        models_b = [after.train(20_000_000 + 100 * i + s) for s in range(seeds)]
        val = world(n_images, before.n_classes, 30_000_000 + i)
        test = world(n_images, before.n_classes, 40_000_000 + i)
        on_val = arms(
            "val",
            [m.run(val) for m in models_a],
            [m.run(val) for m in models_b],
            seed=i,
            resamples=resamples,
        )
        gain = beats_noise(on_val, CHARTER, spread)
        classes = keeps_classes(on_val, CHARTER)
        tally.n += 1
        tally.class_alarm += classes.outcome == "fail"
        passed = gain.outcome == "pass" and classes.outcome == "pass"
        tally.val += passed
        if not passed and not literal:
            continue
        a, b = models_a[0].run(test), models_b[0].run(test)
        if literal:
            ap_a, ap_b = average_precision(a), average_precision(b)
            tally.literal += ap_b.map - ap_a.map >= CHARTER.min_gain_stored
            tally.literal_classes += bool((ap_b.per_class < 0.9 * ap_a.per_class).any())
        if passed:
            on_test = arms("test", [a], [b], seed=i + 1, resamples=resamples)
            tally.ship += holds(
                *on_test.draws(),
                b,
                on_val.own_spread() or spread,
                look_level(CHARTER.alpha_family, 1),
            )
    return tally


@dataclass(frozen=True)
class Coverage:
    """How often 95 % intervals of a difference hold the true one, over fresh sets of images."""

    percentile: float
    normal: float
    mean_se: float
    true_sd: float


def coverage(
    a: Model,
    b: Model,
    n_images: int,
    worlds: int,
    *,
    clip: int = 1,
    by_clip: bool = True,
    resamples: int = 300,
) -> Coverage:
    """Draw `worlds` sets of images and count; truth is taken from 40,000 images."""
    large = [world(10_000, a.n_classes, 990_100 + i, clip=clip) for i in range(4)]
    truth = float(
        np.mean([average_precision(b.run(w)).map - average_precision(a.run(w)).map for w in large])
    )
    inside, normal, errors, found = 0, 0, [], []
    for i in range(worlds):
        images = world(n_images, a.n_classes, 70_000_000 + i, clip=clip)
        if not by_clip:
            images = replace(images, groups=())
        draws = bootstrap([a.run(images), b.run(images)], "mAP50-95", resamples=resamples, seed=i)
        one = estimate(
            [draws[0]], [draws[1]], spread=SeedSpread(sd=0.0, source="fixed"), alpha=0.05
        )
        inside += one.image_interval[0] <= truth <= one.image_interval[1]
        normal += one.interval[0] <= truth <= one.interval[1]
        errors.append(one.se)
        found.append(one.delta)
    return Coverage(
        inside / worlds, normal / worlds, float(np.mean(errors)), float(np.std(found, ddof=1))
    )


@dataclass
class Families:
    """How far any of the challengers came in each of `n` families."""

    n: int = 0
    val: int = 0
    """Some challenger passed gates 1 and 2."""
    ship: int = 0
    """Some challenger shipped."""
    test_alone: int = 0
    """Some challenger would have passed gate 3, had all been let through by val."""


def run_families(
    recipe: Recipe,
    n_images: int,
    families: int,
    spread: SeedSpread,
    *,
    challengers: int = 10,
    val_gate: bool = True,
    resamples: int = 150,
) -> Families:
    """Judge `challengers` trainings of the baseline's own recipe against it on one test set.

    Parameters
    ----------
    val_gate
        Whether val has to earn the look. Without, all challengers look: the worst case, as if
        everybody had tuned on val until it said yes.
    """
    tally = Families()
    for i in range(families):
        models = [recipe.train(60_000_000 + 100 * i + c) for c in range(challengers + 1)]
        looking = list(range(1, challengers + 1))
        if val_gate:
            val = world(n_images, recipe.n_classes, 30_000_000 + i)
            on_val = [model.run(val) for model in models]
            draws = bootstrap(on_val, "mAP50-95", resamples=resamples, seed=i)
            looking = [k for k in looking if _passes(draws, k, on_val[0], spread, CHARTER.alpha)]
            tally.val += bool(looking)
        tally.n += 1
        if not looking:
            continue
        test = world(n_images, recipe.n_classes, 50_000_000 + i)
        on_test = [models[k].run(test) for k in (0, *looking)]
        draws = bootstrap(on_test, "mAP50-95", resamples=resamples, seed=i)
        shipped = any(
            _passes(draws, k, on_test[0], spread, look_level(CHARTER.alpha_family, k))
            for k in range(1, len(on_test))
        )
        tally.ship += shipped and val_gate
        tally.test_alone += shipped and not val_gate
    return tally
