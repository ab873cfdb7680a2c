"""Gate 2: a better mean does not hide a lost class."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from epochal.decisions.arms import Arms
from epochal.decisions.bootstrap import class_metric, class_noun
from epochal.decisions.charter import Charter
from epochal.decisions.class_floor import ClassCheck, check_classes, check_classes_literally
from epochal.decisions.gates.gain import invalid_gate, missing_gate, undefined_gate
from epochal.decisions.gates.gate import Gate

__all__ = ["class_checks", "class_sentence", "keeps_classes"]

NAME = "Keeps every class"


def keeps_classes(arms: Arms, charter: Charter) -> Gate:
    """Return gate 2: no class is confirmed below its share of the baseline's AP or recall."""
    if not arms.comparable:
        return missing_gate(2, NAME, arms) or invalid_gate(2, NAME, arms)
    checks = class_checks(arms, charter)
    if not checks and arms.has_records:
        return undefined_gate(2, NAME, arms)
    if not checks:
        return Gate(
            number=2,
            name=NAME,
            outcome="unknown",
            kind="inconclusive",
            sentence=f"without per-image records on {arms.split} no class can be judged",
            next=arms.commands(without_records=True),
        )
    lost = [check for check in checks if check.state == "lost"]
    return Gate(
        number=2,
        name=NAME,
        outcome="fail" if lost else "pass",
        kind="no win" if lost else "",
        sentence=class_sentence(checks, charter),
        evidence={
            "metric": class_metric(charter.metric),
            "keep_share": charter.keep_share,
            "rule": _rule(charter),
            "classes": [msgspec.to_builtins(check) for check in checks],
            "evaluations": arms.digests(),
        },
        details=tuple(class_details(checks, charter)),
        next=tuple(
            f"find out what {check.name} lost: `epochal compare` shows it side by side; more or "
            "cleaner training images of it are the usual cure"
            for check in lost[:3]
        ),
    )


def _rule(charter: Charter) -> str:
    if charter.rule_set == "literal":
        return "literal"
    return "strict floor" if charter.strict_floor else "evidence"


def class_checks(arms: Arms, charter: Charter) -> tuple[ClassCheck, ...]:
    """Return every class against its floor by the charter's rule; empty where nobody can tell."""
    if charter.rule_set == "literal" or charter.strict_floor:
        a, b = arms.baseline[0].evaluation.per_class, arms.candidate[0].evaluation.per_class
        fields = {"AP50": "ap50", "AP75": "ap75", "recall": "recall"}
        pick = fields.get(class_metric(charter.metric), "ap")
        return check_classes_literally(
            {c.name: getattr(c, pick) for c in a},
            {c.name: getattr(c, pick) for c in b},
            {c.name: (c.instances, c.images) for c in a},
            keep_share=charter.keep_share,
        )
    if not arms.has_records:
        return ()
    return check_classes(
        *arms.draws(),
        arms.records,
        keep_share=charter.keep_share,
        min_instances=charter.min_instances,
        min_images=charter.min_images,
        alpha=charter.alpha,
    )


def class_sentence(checks: Sequence[ClassCheck], charter: Charter) -> str:
    """Return the result over all classes in one sentence."""
    floor = f"{100 * charter.keep_share:.3g} % of the baseline's {class_noun(charter.metric)}"
    lost = [check for check in checks if check.state == "lost"]
    if lost:
        worst = ", ".join(f"{c.name} ({_change(c)})" for c in lost[:3])
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        return f"below {floor}: {worst}{more}"
    judged = [c for c in checks if c.state in ("kept", "dip")]
    thin = [c for c in checks if c.state == "thin"]
    dips = [c for c in checks if c.state == "dip"]
    parts = [f"no class is confirmed below {floor} ({len(judged)} judged"]
    parts.append(f", {len(dips)} dip within noise" if dips else "")
    parts.append(f", {len(thin)} too rare to tell" if thin else "")
    return "".join(parts) + ")"


def class_details(checks: Sequence[ClassCheck], charter: Charter) -> list[str]:
    """Return a line for each class that is not simply kept."""
    lines = []
    if charter.strict_floor and charter.rule_set != "literal":
        lines.append(
            "strict floor: any class below blocks, noise or not; with 20 classes and 500 images "
            "an equal model fails this in 88 % of cases"
        )
    # A classifier's image is one object.
    alone = class_noun(charter.metric) == "recall"
    things = "images" if alone else "objects"
    wanted = f"{charter.min_instances} in {charter.min_images}"
    if alone:
        wanted = f"{max(charter.min_instances, charter.min_images)}"
    for check in checks:
        match check.state:
            case "lost":
                p = "" if check.p is None else f", p {_small(check.p)} after Holm"
                lines.append(f"{check.name}: {_change(check)}, a confirmed drop{p}")
            case "dip":
                needed = check.instances_needed
                more = f"; about {needed} {things} would tell" if needed else ""
                have = f" with {check.instances}" if check.instances else ""
                lines.append(f"{check.name}: {_change(check)}, within noise{have}{more}")
            case "thin":
                where = "" if alone else f" in {check.images} images"
                lines.append(
                    f"{check.name}: {_change(check)}, too rare to tell: {check.instances} {things}"
                    f"{where}; {wanted} are needed"
                )
            case _:
                pass
    return lines


def _small(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def _change(check: ClassCheck) -> str:
    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    return f"{shown(check.baseline)} to {shown(check.candidate)}"
