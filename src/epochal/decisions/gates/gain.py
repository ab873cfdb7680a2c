"""The rule that gates 1 and 3 share: a gain that is worth having and that noise cannot explain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance
from typing import Any

import msgspec

from epochal.analysis.metrics import Metric, format_gain, format_value
from epochal.decisions.arms import Arms
from epochal.decisions.charter import Charter
from epochal.decisions.gates.gate import KIND_OF, Gate
from epochal.decisions.multiplicity import best_of_level, expected_maximum
from epochal.decisions.noise import Estimate, Judgement, SeedSpread

__all__ = [
    "beats_noise",
    "gain_sentence",
    "invalid_gate",
    "judged",
    "missing_gate",
    "remedies",
    "undefined_gate",
]

NAME = "Beats noise"


def beats_noise(
    arms: Arms, charter: Charter, spread: SeedSpread, siblings: Sequence[str] = ()
) -> Gate:
    """Return gate 1: on val, the gain is at least the charter's and its lower bound above zero.

    Parameters
    ----------
    siblings
        Names of the other recipes that the candidate was chosen among on these images. The best
        of k is judged at a level that leaves the charter's to the choice as a whole.
    """
    metric = charter.registry().resolve(charter.metric)
    if not arms.comparable:
        return missing_gate(1, NAME, arms) or invalid_gate(1, NAME, arms)
    if charter.rule_set == "literal" or not arms.has_records:
        return _by_numbers(arms, charter, metric)
    if arms.undefined:
        return undefined_gate(1, NAME, arms)
    k = 1 + len(siblings)
    alpha = best_of_level(charter.alpha, k)
    found = arms.estimate(spread, alpha)
    judgement = judged(found, arms, charter)
    details = [*arms.notes]
    usual = metric.default_min_gain
    if usual is not None and charter.min_gain_stored < usual:
        details.append(
            f"{metric.name} is noisy: gains below {format_gain(metric, usual).lstrip('+')} of it "
            "mean little, the charter asks for less"
        )
    if k > 1:
        bias = expected_maximum(k) * found.se
        details.append(
            f"chosen among {k} recipes on the same images: the best of so many equal ones "
            f"looks {format_gain(metric, bias)} better than it is, so it is judged at "
            f"{alpha:.2g} instead of {charter.alpha:g}"
        )
    return Gate(
        number=1,
        name=NAME,
        outcome=judgement,
        kind=KIND_OF[judgement],
        sentence=gain_sentence(found, charter, metric, arms),
        evidence=gain_evidence(found, arms) | {"chosen_among": k, "siblings": list(siblings)},
        details=tuple(details),
        next=() if judgement == "pass" else remedies(found, arms, charter, judgement == "fail"),
    )


def judged(found: Estimate, arms: Arms, charter: Charter) -> Judgement:
    """Return the rule's answer; too few images or clips never win."""
    answer = found.judge(charter.min_gain_stored)
    return "unknown" if answer == "pass" and arms.few else answer


def undefined_gate(number: int, name: str, arms: Arms) -> Gate:
    """Return the gate where the metric has no value."""
    return Gate(
        number=number,
        name=name,
        outcome="unknown",
        kind="inconclusive",
        sentence=f"{arms.metric} is undefined on {arms.split}: there are no objects",
        evidence={"evaluations": arms.digests()},
        next=(f"label the {arms.split} images, tag the data and evaluate both runs again",),
    )


def gain_sentence(found: Estimate, charter: Charter, metric: Metric, arms: Arms) -> str:
    """Return the gain and what is known of it, in one sentence."""
    gain = format_gain(metric, found.delta)
    what = f"{gain} {metric.title or metric.name} on {arms.split}"
    lower = format_gain(metric, found.lower)
    sure = f"{100 * (1 - found.alpha):.3g} %"
    wanted = format_gain(metric, charter.min_gain_stored).lstrip("+")
    match judged(found, arms, charter):
        case "unknown" if arms.few and found.judge(charter.min_gain_stored) == "pass":
            return f"{what}, but {arms.few} are too few to tell it from noise"
        case "pass":
            return f"{what}, at least {lower} with {sure} confidence"
        case "fail" if found.delta <= 0:
            return f"{what}: not better"
        case "fail":
            upper = format_gain(metric, found.upper)
            return f"{what}, at most {upper}: less than the {wanted} that are worth it"
        case _ if found.delta < charter.min_gain_stored:
            return f"{what}: below the {wanted} that are worth it, and noise may hide more"
        case _:
            return f"{what}, but noise can explain it: only more than {lower} with {sure}"


def gain_evidence(found: Estimate, arms: Arms) -> dict[str, Any]:
    """Return everything the sentence rests on."""
    return {
        "level": found.evidence,
        "metric": arms.metric,
        "split": arms.split,
        "images": arms.records.n_images,
        "groups": len(set(arms.records.groups)),
        "resamples": arms.resamples,
        "rng_seed": arms.rng_seed,
        "estimate": msgspec.to_builtins(found),
        "evaluations": arms.digests(),
    }


def remedies(found: Estimate, arms: Arms, charter: Charter, lost: bool) -> tuple[str, ...]:
    """Return what would change the outcome."""
    candidate = arms.candidate[0].run
    if lost:
        return ("try another change: this one does not reach the gain that is worth shipping",)
    n = arms.records.n_images
    if arms.few:
        return (f"measure on more: {arms.few} cannot speak for others",)
    remedy = found.remedy(charter.min_gain_stored, n)
    lines = []
    if remedy.seeds is not None and remedy.seeds <= 20:
        lines.append(
            f"train {remedy.seeds} seeds of both recipes: if the gain is real, that settles it"
        )
    elif max(found.seeds) == 1:
        lines.append(
            f"train 3 seeds of {candidate.name} and of its baseline: the spread over seeds is "
            "then the project's own, not a published one"
        )
    if remedy.images is not None and remedy.images <= 50 * n:
        lines.append(f"evaluate on about {remedy.images} images instead of {n}")
    if not lines:
        metric = charter.registry().resolve(charter.metric)
        hidden = format_gain(metric, found.detectable).lstrip("+")
        lines.append(f"a larger change: noise on these images hides gains below {hidden}")
    return tuple(lines)


def missing_gate(number: int, name: str, arms: Arms) -> Gate | None:
    """Return the gate where an evaluation is missing; None where none is."""
    if not arms.missing:
        return None
    return Gate(
        number=number,
        name=name,
        outcome="unknown",
        kind="inconclusive",
        sentence="; ".join(missing.reason for missing in arms.missing),
        next=tuple(dict.fromkeys(missing.command for missing in arms.missing)),
    )


def invalid_gate(number: int, name: str, arms: Arms) -> Gate:
    """Return the gate where the two evaluations must not be compared."""
    return Gate(
        number=number,
        name=name,
        outcome="unknown",
        kind="invalid",
        sentence=f"the two evaluations on {arms.split} do not compare: {arms.invalid[0]}",
        evidence={"differences": list(arms.invalid), "evaluations": arms.digests()},
        details=tuple(arms.invalid[1:]),
        next=(f"evaluate both alike: {' and '.join(arms.commands())}",),
    )


def _by_numbers(arms: Arms, charter: Charter, metric: Metric) -> Gate:
    """Return the gate where only numbers are there: a rule of numbers, or a leaning."""
    before, after = arms.values()
    literal = charter.rule_set == "literal"
    evidence = {
        "level": "E0",
        "metric": arms.metric,
        "split": arms.split,
        "baseline": before,
        "candidate": after,
        "evaluations": arms.digests(),
    }
    if before is None or after is None:
        return Gate(
            number=1,
            name=NAME,
            outcome="unknown",
            kind="inconclusive",
            sentence=f"the evaluations on {arms.split} do not hold {metric.name}",
            evidence=evidence,
            next=arms.commands(),
        )
    sign = -1.0 if metric.direction == "min" else 1.0
    gain = sign * (after - before)
    shown = (
        f"{format_gain(metric, after - before)} {metric.title or metric.name} on {arms.split} "
        f"({format_value(metric, before)} to {format_value(metric, after)})"
    )
    wanted = format_gain(metric, charter.min_gain_stored).lstrip("+")
    if literal:
        won = gain >= charter.min_gain_stored and gain > 0
        return Gate(
            number=1,
            name=NAME,
            outcome="pass" if won else "fail",
            kind="" if won else "no win",
            sentence=f"{shown}; the literal rule asks for {wanted}",
            evidence=evidence,
            details=(
                (
                    "literal rule: noise is not looked at; an equal recipe passes this in about "
                    "one case out of three"
                ),
            ),
            next=() if won else ("try another change",),
        )
    details = [*arms.notes]
    if seeds := _seeds_alone(arms):
        evidence |= {"level": "E1", "welch": seeds}
        details.append(
            f"{seeds['seeds'][1]} and {seeds['seeds'][0]} seeds: a mean difference of "
            f"{format_gain(metric, seeds['delta'])}, standard error "
            f"{format_gain(metric, seeds['se']).lstrip('+')}, on these very images"
        )
    return Gate(
        number=1,
        name=NAME,
        outcome="unknown",
        kind="inconclusive",
        sentence=f"{shown}, leaning {'to a win' if gain > 0 else 'against one'}: without "
        "per-image records nobody can tell it from noise",
        evidence=evidence,
        details=tuple(details),
        next=arms.commands(without_records=True)
        or (f"one of mAP50-95, accuracy_top1 ... as the charter's: {metric.name} has no records",),
    )


def _seeds_alone(arms: Arms) -> dict[str, Any]:
    """Return Welch's comparison of at least three seeds a side; empty with fewer.

    It holds for these images alone: how much another set would change, numbers do not tell.
    """
    values = [
        [v for m in side if (v := m.evaluation.metrics.get(arms.metric)) is not None]
        for side in (arms.baseline, arms.candidate)
    ]
    if min(map(len, values)) < 3:
        return {}
    before, after = values
    return {
        "seeds": [len(before), len(after)],
        "delta": fmean(after) - fmean(before),
        "se": math.sqrt(variance(before) / len(before) + variance(after) / len(after)),
    }
