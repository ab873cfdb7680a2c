"""A decision in words: what each gate asks, what it found, what it rests on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from epochal.analysis.metrics import Metric, format_gain, format_value
from epochal.decisions.bootstrap import class_noun
from epochal.decisions.charter import Charter
from epochal.decisions.class_floor import ClassCheck
from epochal.decisions.decision import Decision
from epochal.decisions.gates.gate import Gate
from epochal.decisions.noise import Estimate

__all__ = [
    "MARKS",
    "Interval",
    "asks",
    "classes_of",
    "estimate_of",
    "facts",
    "headline",
    "interval_of",
    "interval_text",
    "provenance",
    "to_markdown",
    "to_text",
]

MARKS = {"pass": "✔", "fail": "✘", "unknown": "?", "not applicable": "–"}

_LEVELS = {
    "E0": "numbers alone: noise cannot be told from a gain",
    "E1": "numbers of several seeds: how much another set of images would change is unknown",
    "E2": "per-image records of one training each; the spread over seeds is assumed",
    "E3": "per-image records of several seeds of both recipes",
}


class Interval(NamedTuple):
    """A gain with its range, in the unit in which it is shown (points of a ratio)."""

    low: float
    point: float
    high: float
    wanted: float
    """The smallest gain worth having."""
    unit: str


def headline(decision: Decision) -> str:
    """Return the verdict in words: ``more experiments (no win)``."""
    if decision.override:
        return f"ship, by override ({decision.kind})"
    return f"{decision.verdict} ({decision.kind})" if decision.kind else decision.verdict


def provenance(decision: Decision) -> str:
    """Return who decided what by which rules, in one line."""
    day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(decision.t / 1e6))
    rules = f"version {decision.charter_version}" if decision.charter_version else "the defaults"
    literal = ", LITERAL rules: noise is not looked at" if decision.rule_set == "literal" else ""
    stored = f", decision {decision.id[:12]}" if decision.id else ", not stored"
    return f"{decision.author}, {day}, charter {rules}{literal}{stored}"


def charter_of(decision: Decision) -> Charter:
    """Return the rules that were in force, without those that this version does not know."""
    known = {k: v for k, v in decision.charter.items() if k in Charter.__struct_fields__}
    return msgspec.convert(known, Charter)


def metric_of(decision: Decision) -> Metric:
    """Return the metric that decided."""
    charter = charter_of(decision)
    return charter.registry().resolve(charter.metric)


def estimate_of(gate: Gate) -> Estimate | None:
    """Return the gain that the gate rests on; None where there is none, or it is not shown."""
    found = gate.evidence.get("estimate")
    return msgspec.convert(found, Estimate) if found else None


def classes_of(gate: Gate) -> tuple[ClassCheck, ...]:
    """Return the classes that the gate judged."""
    return msgspec.convert(gate.evidence.get("classes", ()), tuple[ClassCheck, ...])


def interval_of(decision: Decision, gate: Gate) -> Interval | None:
    """Return the gain of a gate with the range at the level it was judged at."""
    found = estimate_of(gate)
    if found is None:
        return None
    scale = 100.0 if metric_of(decision).unit == "ratio" else 1.0
    return Interval(
        low=found.lower * scale,
        point=found.delta * scale,
        high=found.upper * scale,
        wanted=float(decision.charter.get("min_gain", 0.5)),
        unit="points" if scale == 100.0 else metric_of(decision).unit,
    )


def interval_text(interval: Interval, width: int = 48) -> tuple[str, str]:
    """Return the interval drawn on a line of `width` characters, and the labels below it.

    ``│`` is zero, ``┊`` the gain that is wanted, ``├──●──┤`` what is known.
    """
    low = min(interval.low, 0.0)
    high = max(interval.high, interval.wanted, 0.0)
    span = (high - low) or 1.0
    low, high = low - 0.06 * span, high + 0.06 * span

    def at(value: float) -> int:
        return round((value - low) / (high - low) * (width - 1))

    line = ["·"] * width
    for column in range(at(interval.low), at(interval.high) + 1):
        line[column] = "─"
    line[at(0.0)] = "│"
    line[at(interval.wanted)] = "┊"
    line[at(interval.low)], line[at(interval.high)] = "├", "┤"
    line[at(interval.point)] = "●"
    labels = [" "] * (width + 8)
    taken = -1
    marks = sorted(
        {
            at(0.0): "0",
            at(interval.low): f"{interval.low:+.1f}",
            at(interval.high): f"{interval.high:+.1f}",
            at(interval.point): f"{interval.point:+.1f}",
        }.items(),
        key=lambda mark: (mark[0] != at(interval.point), mark[1] != "0", mark[0]),
    )
    used: list[tuple[int, int]] = []
    for column, text in marks:
        start = max(0, min(column - len(text) // 2, len(labels) - len(text)))
        end = start + len(text)
        if any(start <= b and a <= end for a, b in used):
            continue
        labels[start:end] = text
        used.append((start, end))
        taken = max(taken, end)
    return "".join(line), "".join(labels[: max(taken, 0)])


def asks(gate: Gate, decision: Decision) -> str:
    """Return what the gate asks, in one sentence."""
    charter = charter_of(decision)
    metric = metric_of(decision)
    wanted = format_gain(metric, charter.min_gain_stored).lstrip("+")
    share = f"{100 * charter.keep_share:.3g} %"
    noun = class_noun(charter.metric)
    if charter.rule_set == "literal" and gate.number in (1, 2):
        what = (
            f"at least {wanted} {metric.name}" if gate.number == 1 else f"{share} of every {noun}"
        )
        return f"is there {what} on {charter.split}, by bare numbers?"
    match gate.number:
        case 1:
            return (
                f"is the gain on val at least {wanted}, and is its lower bound above zero at "
                f"{100 * (1 - charter.alpha):.3g} % confidence?"
            )
        case 2:
            return f"does any class fall below {share} of the baseline's {noun}, beyond noise?"
        case 3 if decision.baseline is None:
            return f"does it reach the charter's floors on {charter.split}, by the named person?"
        case 3:
            return (
                f"does {charter.split} confirm the gain at the level that this look is worth, "
                "and no class as lost?"
            )
        case _:
            return "is the upper bound of p95 latency on the target device within the budget?"


def facts(gate: Gate, decision: Decision) -> Iterator[str]:
    """Yield what the gate's sentence rests on, line by line."""
    metric = metric_of(decision)
    found = estimate_of(gate)
    evidence = gate.evidence
    if found is not None:
        yield (
            f"{metric.name} {format_value(metric, found.baseline)} to "
            f"{format_value(metric, found.candidate)}, a difference of "
            f"{format_gain(metric, found.delta)}, standard error "
            f"{_plain(metric, found.se)} (images {_plain(metric, found.se_images)}, seeds "
            f"{_plain(metric, found.se_seeds)}: {found.seed_source})"
        )
        yield (
            f"95 % interval {_range(metric, found.interval)}; over images alone "
            f"{_range(metric, found.image_interval)}; P(better) {found.p_better:.3f}"
        )
        units = f"{evidence['groups']} clips of " if evidence.get("groups") else ""
        yield (
            f"{units}{evidence['images']} images, {evidence['resamples']} draws from seed "
            f"{evidence['rng_seed']}; a gain of {_plain(metric, found.detectable)} would be found "
            "in 80 % of cases"
        )
    if evidence.get("level") in _LEVELS:
        yield f"evidence {evidence['level']}: {_LEVELS[evidence['level']]}"
    if "k" in evidence:
        yield from _look_facts(evidence, metric)
    for side, digests in dict(evidence.get("evaluations", {})).items():
        if digests:
            yield f"{side}: evaluation {', '.join(d[:12] for d in digests)}"
    if "latency" in evidence:
        digest, key = evidence["latency"][:12], evidence["key"][:12]
        yield f"latency record {digest}, {evidence['n']} calls, conditions {key}"


def _look_facts(evidence: dict[str, Any], metric: Metric) -> Iterator[str]:
    budget = evidence["budget"]
    advice = budget["advice"]
    yield (
        f"test set of {budget['n_images']} images: {budget['used']} of {budget['budget']} "
        f"challenger looks used; a set of this size bears about {advice} for gains of this size"
    )
    if budget["bias"]:
        yield (
            f"the best of {budget['used']} equal models would look "
            f"{_plain(metric, budget['bias'])} better than it is"
        )


def _plain(metric: Metric, value: float) -> str:
    return format_gain(metric, abs(value)).lstrip("+")


def _range(metric: Metric, interval: tuple[float, float]) -> str:
    return f"{format_gain(metric, interval[0])} to {format_gain(metric, interval[1])}"


def preregistered(decision: Decision) -> Iterator[str]:
    """Yield what was fixed before the first result and what after."""
    stated = decision.preregistration
    if stated.hypothesis:
        yield f"hypothesis, stated {stated.stated}: {stated.hypothesis}"
    else:
        yield "no hypothesis was stated"
    yield f"the rules were recorded {stated.rules}"


def to_text(decision: Decision) -> str:
    """Return the whole explanation as plain text."""
    lines = [_title(decision), headline(decision).upper(), decision.sentence, ""]
    for gate in decision.gates:
        lines.append(f"{MARKS[gate.outcome]} {gate.number} {gate.name}: {gate.outcome}")
        lines.append(f"    {gate.sentence}")
        if interval := interval_of(decision, gate):
            lines += [f"    {line}" for line in interval_text(interval)]
        lines.append(f"    asks: {asks(gate, decision)}")
        lines += [f"    {line}" for line in (*facts(gate, decision), *gate.details)]
        lines += [f"    next: {line}" for line in gate.next]
        lines.append("")
    lines += preregistered(decision)
    if decision.override:
        lines.append(f"override: {decision.override}")
    lines.append(provenance(decision))
    return "\n".join(lines) + "\n"


def to_markdown(decision: Decision) -> str:
    """Return the decision as Markdown, for a pull request or a wiki."""
    lines = [f"# {_title(decision)}", "", f"**{headline(decision)}**. {decision.sentence}.", ""]
    if decision.change:
        lines += [f"Changed: {decision.change}", ""]
    lines += ["| | gate | outcome | |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {MARKS[g.outcome]} | {g.number} {g.name} | {g.outcome} | {_cell(g.sentence)} |"
        for g in decision.gates
    ]
    lines.append("")
    if decision.next:
        lines += ["## Next", "", *(f"- {line}" for line in decision.next), ""]
    for gate in decision.gates:
        lines += [f"## {gate.number} {gate.name}", "", f"*{asks(gate, decision)}*", ""]
        lines += [f"- {line}" for line in (gate.sentence, *facts(gate, decision), *gate.details)]
        lines.append("")
        if checks := classes_of(gate):
            lines += _class_table(checks)
    lines += ["## Before and after", "", *(f"- {line}" for line in preregistered(decision)), ""]
    if decision.override:
        lines += [f"Override: {decision.override}", ""]
    lines.append(provenance(decision))
    return "\n".join(lines) + "\n"


def _title(decision: Decision) -> str:
    against = f" against {decision.baseline.name}" if decision.baseline else ", first version"
    return f"{decision.project}: {decision.candidate.name}{against}"


def _class_table(checks: tuple[ClassCheck, ...]) -> list[str]:
    rows = ["| class | objects | images | baseline | candidate | floor | |"]
    rows.append("| --- | ---: | ---: | ---: | ---: | ---: | --- |")
    for check in checks:
        values = " | ".join(
            "–" if value is None else f"{value:.3f}"
            for value in (check.baseline, check.candidate, check.floor)
        )
        rows.append(
            f"| {_cell(check.name)} | {check.instances} | {check.images} | {values} "
            f"| {check.state} |"
        )
    return [*rows, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
