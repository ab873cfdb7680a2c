"""Gate 3: what val promised, the test set confirms.

The rule of gate 1 again, at the level that this look is worth, and no class confirmed as lost.
Losers learn the verdict, not the number: a number that is tuned against is spent (the Ladder of
Blum and Hardt, 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from epochal.analysis.metrics import format_gain
from epochal.datasets.versions import load_manifest
from epochal.decisions.arms import Arms
from epochal.decisions.budget import Budget, budget_of
from epochal.decisions.charter import Charter
from epochal.decisions.class_floor import check_classes
from epochal.decisions.evidence import Measured
from epochal.decisions.gates.classes import class_details, class_sentence
from epochal.decisions.gates.gain import (
    gain_evidence,
    gain_sentence,
    invalid_gate,
    judged,
    missing_gate,
    undefined_gate,
)
from epochal.decisions.gates.gate import KIND_OF, Gate
from epochal.decisions.ledger import Ledger, LookView
from epochal.decisions.multiplicity import look_level
from epochal.decisions.noise import Judgement, SeedSpread
from epochal.errors import EpochalError
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["Position", "holds_on_test", "look_position", "training_images_in_test"]

NAME = "Holds on test"


@dataclass(frozen=True)
class Position:
    """Which look at the test set the candidate's is."""

    k: int
    """1 for the first challenger."""
    alpha: float
    """The level at which it is judged."""
    budget: Budget
    look: LookView | None
    """The candidate's own, where it has one."""

    @property
    def spent(self) -> bool:
        """Whether the set had been used up before."""
        return self.k > self.budget.budget

    @property
    def words(self) -> str:
        """``look 3 of 10 at these images``."""
        return f"look {self.k} of {self.budget.budget} at these images"

    def evidence(self) -> dict[str, Any]:
        """Return the position as the decision keeps it."""
        return {
            "look": self.look.id if self.look else "",
            "k": self.k,
            "alpha": self.alpha,
            "budget": msgspec.to_builtins(self.budget),
        }


def look_position(
    ledger: Ledger, images: str, charter: Charter, *, candidate: Measured | None, reference: str
) -> Position:
    """Return which look the candidate's is, made or still to be made.

    Parameters
    ----------
    images
        Blob with the digests of the test images.
    reference
        Id of the run that is compared against.
    """
    own = None
    if candidate is not None:
        own = ledger.look(candidate.look) if candidate.look else None
        own = own or ledger.find(candidate.evaluation.weights, images)
    challengers = [
        look
        for look in ledger.challengers(images, reference)
        if own is None or (look.opened, look.id) < (own.opened, own.id)
    ]
    k = len(challengers) + 1
    return Position(
        k=k,
        alpha=look_level(charter.alpha_family, k),
        budget=budget_of(ledger, images, charter, reference=reference),
        look=own,
    )


def holds_on_test(
    store: Store,
    arms: Arms,
    charter: Charter,
    spread: SeedSpread,
    position: Position | None,
    *,
    candidate: RunDocument,
    earned: bool,
) -> Gate:
    """Return gate 3.

    Parameters
    ----------
    position
        None where nobody has looked at the test images of this project yet.
    earned
        Whether gates 1 and 2 passed: else nobody should look.
    """
    if not arms.candidate:
        return _not_looked(arms, charter, position, candidate, earned)
    if missing := missing_gate(3, NAME, arms):
        return missing
    if arms.invalid:
        return invalid_gate(3, NAME, arms)
    assert position is not None  # the candidate has looked
    base: dict[str, Any] = position.evidence() | {"evaluations": arms.digests()}
    if leaked := training_images_in_test(store, candidate, arms.candidate[0]):
        return Gate(
            number=3,
            name=NAME,
            outcome="fail",
            kind="invalid",
            sentence=f"{leaked} of the test images are among the images that {candidate.name} was "
            "trained on",
            evidence=base | {"leaked": leaked},
            next=("take them out of the training split, tag the data anew and train again",),
        )
    if position.spent:
        return _spent(position, base)
    if charter.rule_set == "literal":
        return Gate(
            number=3,
            name=NAME,
            outcome="pass",
            sentence=f"measured on {charter.split}, {position.words}",
            evidence=base,
        )
    if not arms.has_records:
        return Gate(
            number=3,
            name=NAME,
            outcome="unknown",
            kind="inconclusive",
            sentence=f"without per-image records on {arms.split} nobody can tell gain from noise",
            evidence=base,
            next=arms.commands(without_records=True) or ("decide on mAP50-95",),
        )
    return _judged(arms, charter, spread, position, base)


def _judged(
    arms: Arms, charter: Charter, spread: SeedSpread, position: Position, base: dict[str, Any]
) -> Gate:
    if arms.undefined:
        return undefined_gate(3, NAME, arms)
    found = arms.estimate(spread, position.alpha)
    checks = check_classes(
        *arms.draws(),
        arms.records,
        keep_share=charter.keep_share,
        min_instances=charter.min_instances,
        min_images=charter.min_images,
        alpha=charter.alpha,
    )
    lost = [check for check in checks if check.state == "lost"]
    judgement: Judgement = "fail" if lost else judged(found, arms, charter)
    metric = charter.registry().resolve(charter.metric)
    level = (
        f"judged at {position.alpha:.2g}: {position.words}, so that all looks together stay at "
        f"{charter.alpha_family:g}"
    )
    advice = []
    budget = position.budget
    if position.k > budget.advice:
        looks = "look" if budget.advice == 1 else "looks"
        advice.append(
            f"a set of {budget.n_images} images bears {budget.advice} {looks}: a new one is due, "
            f"before the {budget.left} that the charter still allows are used"
        )
    shown = (
        judgement == "pass"
        or charter.reveal_test == "all"
        or (position.look is not None and position.look.revealed == "number")
    )
    if not shown:
        why = (
            "a class is confirmed as lost"
            if lost
            else "the gain of val is not there"
            if judgement == "fail"
            else "the gain cannot be told from noise at this level"
        )
        return Gate(
            number=3,
            name=NAME,
            outcome=judgement,
            kind=KIND_OF[judgement],
            sentence=f"does not hold on {arms.split}: {why} ({position.words}; the verdict only)",
            evidence=base | {"revealed": "verdict"},
            details=(level, *advice),
            next=_next(judgement, arms),
        )
    gain = gain_sentence(found, charter, metric, arms)
    classes = class_sentence(checks, charter)
    raw = format_gain(metric, found.delta)
    shrunk = found.delta * max(0.0, 1 - (found.se / found.delta) ** 2) if found.delta else 0.0
    details = [*arms.notes, level, *advice]
    if judgement == "pass" and position.k > 1:
        details.append(
            f"{raw} is the gain of a winner: expect about {format_gain(metric, shrunk)} on new "
            "images"
        )
    return Gate(
        number=3,
        name=NAME,
        outcome=judgement,
        kind=KIND_OF[judgement],
        sentence=f"{classes} on {arms.split}" if lost else gain,
        evidence=base
        | gain_evidence(found, arms)
        | {
            "revealed": "number",
            "shrunken_gain": shrunk,
            "classes": [msgspec.to_builtins(check) for check in checks],
        },
        details=(*details, *class_details(checks, charter)),
        next=() if judgement == "pass" else _next(judgement, arms),
    )


def _next(judgement: str, arms: Arms) -> tuple[str, ...]:
    if judgement == "unknown":
        return (
            f"tag a larger {arms.split} set: on this one the gain cannot be told from noise",
            "or bring a candidate with a larger gain on val",
        )
    return ("try another change, and let val choose it before this set is looked at again",)


def _not_looked(
    arms: Arms,
    charter: Charter,
    position: Position | None,
    candidate: RunDocument,
    earned: bool,
) -> Gate:
    """Return the gate before the candidate's look."""
    base = position.evidence() if position else {}
    if position is not None and position.spent:
        return _spent(position, base)
    reason = arms.missing[-1].reason
    if not earned and charter.rule_set == "evidence":
        return Gate(
            number=3,
            name=NAME,
            outcome="unknown",
            kind="inconclusive",
            sentence=f"{charter.split} was not looked at: val has to earn the look first",
            evidence=base,
        )
    details = (f"that is {position.words}, judged at {position.alpha:.2g}",) if position else ()
    return Gate(
        number=3,
        name=NAME,
        outcome="unknown",
        kind="inconclusive",
        sentence=f"val has earned a look at {charter.split}; {reason}"
        if earned and charter.rule_set == "evidence"
        else reason,
        evidence=base,
        details=details,
        next=tuple(dict.fromkeys(missing.command for missing in reversed(arms.missing))),
    )


def _spent(position: Position, base: dict[str, Any]) -> Gate:
    budget = position.budget
    return Gate(
        number=3,
        name=NAME,
        outcome="fail",
        kind="no win",
        sentence=f"the {budget.split} set is spent: {budget.used} looks, the charter allows "
        f"{budget.budget}",
        evidence=base,
        details=(
            "the best of so many looks better than it is; what wins here may win by luck alone",
        ),
        next=(
            (
                "collect new test images, tag them (`epochal dataset tag DATA.yaml NAME@TAG`) and "
                "evaluate both runs on them; the old ones serve as val"
            ),
        ),
    )


def training_images_in_test(store: Store, run: RunDocument, measured: Measured) -> int:
    """Return how many test images the run was trained on, as far as the manifests tell."""
    trained = run.pin.digest if run.pin else ""
    tested = measured.evaluation.dataset_digest
    if not trained or not tested:
        return 0
    try:
        test = {
            entry.image
            for entry in load_manifest(store.folder.datasets, tested).entries
            if entry.split == measured.evaluation.split
        }
        train = {
            entry.image
            for entry in load_manifest(store.folder.datasets, trained).entries
            if entry.split == "train"
        }
    except EpochalError:
        return 0  # a manifest that is not here: nothing is known
    return len(test & train)
