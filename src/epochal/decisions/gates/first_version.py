"""The first version: nothing to compare with, so floors and a named person."""

from __future__ import annotations

import shlex

from epochal.analysis.metrics import format_value
from epochal.decisions.charter import Charter
from epochal.decisions.evidence import Missing, measured
from epochal.decisions.gates.gate import Gate
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["no_baseline", "reaches_floors"]


def no_baseline(number: int, name: str) -> Gate:
    """Return gate 1 or 2 of a first version."""
    return Gate(
        number=number,
        name=name,
        outcome="not applicable",
        sentence="the first version has nothing to be compared with",
    )


def reaches_floors(store: Store, candidate: RunDocument, charter: Charter, approver: str) -> Gate:
    """Return gate 3 of a first version: the charter's floors on the deciding split, by a person.

    Parameters
    ----------
    approver
        Who decides, as the journal names authors.
    """
    name = "Reaches the floors"
    floors = charter.first_version_floors
    if not floors or not charter.first_version_approver:
        missing = "floors" if not floors else "approver"
        other = shlex.quote(candidate.parent) if candidate.parent else "RUN"
        apply = "`epochal charter apply -m REASON`"
        return Gate(
            number=3,
            name=name,
            outcome="unknown",
            kind="inconclusive",
            sentence=f"the charter names no {missing} for a first version",
            next=(
                f"if it is not the first: `epochal baseline {other}` says what to compare with",
                f"if it is: set first_version_{missing} in epochal.toml, then {apply}",
            ),
        )
    found = measured(store, candidate, charter.split, charter.evaluator)
    if isinstance(found, Missing):
        return Gate(
            number=3,
            name=name,
            outcome="unknown",
            kind="inconclusive",
            sentence=found.reason,
            next=(found.command,),
        )
    registry = charter.registry()
    parts, below = [], []
    for key, floor in floors.items():
        metric = registry.resolve(key)
        value = found.evaluation.metrics.get(metric.name)
        text = f"{metric.name} {format_value(metric, value)} of {format_value(metric, floor)}"
        reached = value is not None and (
            value <= floor if metric.direction == "min" else value >= floor
        )
        parts.append(text)
        if not reached:
            below.append(text)
    evidence = {
        "floors": dict(floors),
        "values": {k: found.evaluation.metrics.get(registry.resolve(k).name) for k in floors},
        "evaluations": {"candidate": [found.digest]},
        "look": found.look,
        "approver": charter.first_version_approver,
        "author": approver,
    }
    if below:
        return Gate(
            number=3,
            name=name,
            outcome="fail",
            kind="no win",
            sentence=f"below the floor on {charter.split}: {', '.join(below)}",
            evidence=evidence,
            next=("a better first version: `epochal show` and `epochal compare` say where it is",),
        )
    if not _is(approver, charter.first_version_approver):
        return Gate(
            number=3,
            name=name,
            outcome="unknown",
            kind="inconclusive",
            sentence=f"{', '.join(parts)} on {charter.split}; "
            f"{charter.first_version_approver} has to decide, not {approver}",
            evidence=evidence,
            next=(
                (
                    f"{charter.first_version_approver} runs `epochal decide "
                    f"{shlex.quote(candidate.name)}`"
                ),
            ),
        )
    return Gate(
        number=3,
        name=name,
        outcome="pass",
        sentence=f"{', '.join(parts)} on {charter.split}, decided by {approver}",
        evidence=evidence,
    )


def _is(author: str, named: str) -> bool:
    """Return whether an author (``Name <mail>`` or ``login@host``) is the person named."""
    wanted = named.casefold().strip()
    whole = author.casefold()
    name, _, mail = whole.partition("<")
    mail = mail.rstrip(">")
    spellings = {whole, name.strip(), mail, mail.partition("@")[0], whole.partition("@")[0]}
    return wanted in spellings - {""}
