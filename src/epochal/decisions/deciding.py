"""Deciding: gather the evidence, ask the four gates, freeze the answer."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from epochal.comparison.run_difference import run_difference
from epochal.decisions.arms import Arms, gather
from epochal.decisions.bootstrap import RESAMPLES
from epochal.decisions.charter import Charter
from epochal.decisions.decision import (
    Decision,
    Preregistration,
    RunRef,
    Verdict,
    encode_decision,
    now,
)
from epochal.decisions.evidence import Measured, final_weights
from epochal.decisions.gates import (
    Gate,
    Kind,
    beats_noise,
    fast_enough,
    holds_on_test,
    keeps_classes,
    no_baseline,
    reaches_floors,
)
from epochal.decisions.gates.test_set import Position, look_position
from epochal.decisions.ledger import (
    Ledger,
    LookView,
    Revealed,
    complete_look,
    open_look,
)
from epochal.decisions.siblings import seed_spread, siblings
from epochal.errors import EpochalError, InvalidInput, Refused
from epochal.journal.author import author
from epochal.records import DecisionMade, Look
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["decide"]

_VAL = "val"
_WORST: tuple[Kind, ...] = ("invalid", "no win", "inconclusive")


def decide(
    store: Store,
    candidate: RunDocument,
    baseline: RunDocument | None,
    *,
    charter: Charter,
    version: int,
    record: bool = True,
    override: str = "",
    resamples: int = RESAMPLES,
    progress: Callable[[int, int], None] | None = None,
) -> Decision:
    """Ask all gates whether `candidate` may replace `baseline`.

    The same evidence gives the same decision, whoever asks and whenever.

    Parameters
    ----------
    baseline
        None for the first version of a project.
    charter, version
        The rules in force (see `charter_for_decision`).
    record
        Store the decision and what was shown of the test set. Without, nothing is written.
    override
        Reason for which a person ships against the gates; it stays on the decision.
    resamples
        Draws of the bootstrap.

    Raises
    ------
    InvalidInput
        If candidate and baseline are the same run, or of different projects.
    Refused
        If no baseline is given although the project has one, or the candidate is in the trash.
    """
    _check(store, candidate, baseline)
    if baseline is None:
        gates = _first_version(store, candidate, charter)
        change = ""
    else:
        gates = _against(store, candidate, baseline, charter, version, record, resamples, progress)
        change = run_difference(store, baseline, candidate).summary
    kind: Kind = next((k for k in _WORST if any(gate.kind == k for gate in gates)), "")
    overridden = bool(override.strip()) and kind != ""
    verdict: Verdict = "ship" if kind == "" or overridden else "more experiments"
    decision = Decision(
        project=candidate.project,
        verdict=verdict,
        kind=kind,
        sentence=_sentence(candidate, baseline, gates, kind, overridden),
        gates=gates,
        next=_next(gates, kind),
        candidate=_reference(candidate),
        baseline=_reference(baseline) if baseline else None,
        change=change,
        rule_set=charter.rule_set,
        charter=msgspec.to_builtins(charter),
        charter_version=version,
        evidence=str(gates[0].evidence.get("level", "")),
        preregistration=_preregistration(store, candidate, version),
        override=override.strip() if overridden else "",
        numpy=np.__version__,
        author=author(),
        t=now(),
    )
    # As it will be read back: a tuple in the evidence is a list from here on.
    decision = msgspec.json.decode(encode_decision(decision), type=Decision)
    return _store(store, decision) if record else decision


def _check(store: Store, candidate: RunDocument, baseline: RunDocument | None) -> None:
    if candidate.trashed:
        raise Refused(
            f"run {candidate.name} is in the trash", f"`epochal trash --restore {candidate.name}`"
        )
    if baseline is None:
        if named := Ledger(store.folder).baseline(candidate.project):
            raise Refused(
                f"project {candidate.project} has a baseline ({named[:8]}), so "
                f"{candidate.name} is no first version",
                "compare against it, or name another run with --baseline",
            )
        return
    if baseline.id == candidate.id:
        raise InvalidInput(
            f"{candidate.name} is the baseline itself", "name another candidate or --baseline"
        )
    if baseline.project != candidate.project:
        raise InvalidInput(
            f"{candidate.name} is of project {candidate.project}, {baseline.name} of "
            f"{baseline.project}: one charter decides for one project",
            "name a baseline of the same project",
        )


def _first_version(store: Store, candidate: RunDocument, charter: Charter) -> tuple[Gate, ...]:
    return (
        no_baseline(1, "Beats noise"),
        no_baseline(2, "Keeps every class"),
        reaches_floors(store, candidate, charter, author()),
        fast_enough(candidate, None, charter),
    )


def _against(
    store: Store,
    candidate: RunDocument,
    baseline: RunDocument,
    charter: Charter,
    version: int,
    record: bool,
    resamples: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[Gate, ...]:
    project = candidate.project
    runs = [*store.runs(project), *store.runs(project, trashed=True)]

    def arms_on(split: str, others: list[RunDocument]) -> Arms:
        return gather(
            store,
            candidate,
            baseline,
            others,
            split=split,
            metric=charter.metric,
            evaluator=charter.evaluator,
            registry=charter.registry(),
            group_of=charter.group_of,
            resamples=resamples,
            progress=progress,
        )

    literal = charter.rule_set == "literal"
    spread = seed_spread(store, candidate, runs, charter)
    on_test = arms_on(charter.split, [])
    position = _position(store, on_test, charter, version, baseline, record)
    on_val = on_test if literal else arms_on(_VAL, runs)
    named = Ledger(store.folder).baseline(project)
    if named and named != baseline.id:
        on_val.notes.append(f"{baseline.name} is not the baseline that the project has set")
    chosen_among = [] if literal else siblings(store, candidate, baseline, runs, on_val, charter)
    gain = beats_noise(on_val, charter, spread, chosen_among)
    classes = keeps_classes(on_val, charter)
    test = holds_on_test(
        store,
        on_test,
        charter,
        on_val.own_spread() or spread,
        position,
        candidate=candidate,
        earned=gain.outcome == "pass" and classes.outcome == "pass",
    )
    if record and on_test.candidate and position is not None:
        _reveal(store, position, "number" if literal else test.evidence.get("revealed", "verdict"))
    return (gain, classes, test, fast_enough(candidate, baseline, charter))


def _position(
    store: Store,
    arms: Arms,
    charter: Charter,
    version: int,
    baseline: RunDocument,
    record: bool,
) -> Position | None:
    """Return which look the candidate's is; a measurement without one is a look from here on."""
    ledger = Ledger(store.folder)
    own = arms.candidate[0] if arms.candidate else None
    images = _images(store, ledger, own, arms, baseline, charter)
    if images is None:
        return None
    position = look_position(ledger, images, charter, candidate=own, reference=baseline.id)
    if own is not None and position.look is None and record:
        _look_afterwards(store, ledger, own, images, version)
        position = look_position(
            Ledger(store.folder), images, charter, candidate=own, reference=baseline.id
        )
    return position


def _images(
    store: Store,
    ledger: Ledger,
    own: Measured | None,
    arms: Arms,
    baseline: RunDocument,
    charter: Charter,
) -> str | None:
    """Return the blob of the test images: those measured, else those last looked at here."""
    sides = [found for found in (own, *arms.baseline[:1]) if found is not None]
    for found in sides if not arms.invalid else sides[:1]:  # alike: the same images
        weights = found.evaluation.weights
        for look in reversed(ledger.looks):
            if found.look in look.ids or (
                weights and look.weights == weights and look.split == found.evaluation.split
            ):
                return look.images
    if sides:
        return ledger.known_images(_image_digests(store, sides[0]))
    looks = [
        look
        for look in ledger.looks
        if look.project == baseline.project and look.split == charter.split
    ]
    return looks[-1].images if looks else None


def _image_digests(store: Store, found: Measured) -> list[str]:
    """Return the digests of the images, from the manifest; where there is none, their names'."""
    from epochal.datasets.versions import load_manifest
    from epochal.store.blobs import digest_of

    evaluation = found.evaluation
    if evaluation.dataset_digest:
        try:
            manifest = load_manifest(store.folder.datasets, evaluation.dataset_digest)
            digests = [e.image for e in manifest.entries if e.split == evaluation.split]
            if digests:
                return digests
        except EpochalError:
            pass  # the manifest is not here; names tell less, and still count the looks
    names = found.records.images if found.records else (evaluation.dataset or found.digest,)
    return [digest_of(name.encode()) for name in names]


def _look_afterwards(
    store: Store, ledger: Ledger, own: Measured, images: str, version: int
) -> None:
    look = open_look(
        store.folder,
        project=own.run.project,
        run=own.run.id,
        weights=own.evaluation.weights or final_weights(own.run),
        dataset=own.evaluation.dataset,
        split=own.evaluation.split,
        image_digests=ledger.images(images) or (),
        purpose="gate",
        charter=version,
    )
    complete_look(store.folder, look, {}, "nothing")


def _reveal(store: Store, position: Position, shown: Revealed) -> None:
    """Record what the decision showed of the test set, where that is more than was known."""
    look = position.look
    if look is None or (look.purpose == "gate" and look.revealed in (shown, "number")):
        return
    complete_look(store.folder, _record_of(look), look.result, shown)


def _record_of(look: LookView) -> Look:
    return Look(
        look=look.id,
        state="completed",
        project=look.project,
        run=look.run,
        weights=look.weights,
        dataset=look.dataset,
        split=look.split,
        images=look.images,
        n_images=look.n_images,
        purpose="gate",
        charter=look.charter,
    )


def _reference(run: RunDocument) -> RunRef:
    return RunRef(id=run.id, name=run.name, weights=final_weights(run))


def _sentence(
    candidate: RunDocument,
    baseline: RunDocument | None,
    gates: tuple[Gate, ...],
    kind: Kind,
    overridden: bool,
) -> str:
    against = f" over {baseline.name}" if baseline else " as the first version"
    if kind == "":
        return f"{candidate.name}{against}: {gates[2].sentence}"
    reason = next(gate for gate in gates if gate.kind == kind)
    what = f"gate {reason.number} ({reason.name.lower()}): {reason.sentence}"
    if overridden:
        return f"{candidate.name}{against}, against {what}"
    return what


def _next(gates: tuple[Gate, ...], kind: Kind) -> tuple[str, ...]:
    """Return what would change the verdict: a candidate that has lost needs no more evidence."""
    deciding = (gate for gate in gates if kind and gate.kind == kind)
    return tuple(dict.fromkeys(line for gate in deciding for line in gate.next))


def _preregistration(store: Store, run: RunDocument, version: int) -> Preregistration:
    first = min((stamped.t for stamped in run.evaluations), default=run.last_t)
    hypothesis = run.hypothesis
    stated = "before the first result" if hypothesis else "never"
    if not hypothesis and run.lesson and run.lesson.hypothesis:
        hypothesis = run.lesson.hypothesis
        stated = "after the first result"
        for stamped in run.lessons:
            if getattr(stamped.body, "hypothesis", "") and stamped.t < first:
                stated = "before the first result"
    fixed = [
        governed.t
        for governed in store.governance("charter")
        if governed.body.project == run.project and governed.body.version == version
    ]
    return Preregistration(
        hypothesis=hypothesis,
        stated=stated,  # type: ignore[arg-type] # one of the three
        rules="before the first result"
        if fixed and fixed[0] < first
        else "after the first result",
    )


def _store(store: Store, decision: Decision) -> Decision:
    digest = store.blobs.put(encode_decision(decision))
    store.record(
        DecisionMade(
            digest=digest,
            project=decision.project,
            candidate=decision.candidate.id,
            baseline=decision.baseline.id if decision.baseline else None,
            verdict=decision.verdict,
            charter=decision.charter_version,
            author=decision.author,
            override=decision.override,
        )
    )
    return msgspec.structs.replace(decision, id=digest)
