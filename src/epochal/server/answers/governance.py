"""Baseline, charter, ledger, decisions."""

from __future__ import annotations

import msgspec

from epochal.decisions.charter_file import read_toml
from epochal.decisions.charter_in_force import charter_differences, charter_for_decision, in_force
from epochal.decisions.charter_in_force import history as charter_history
from epochal.decisions.deciding import decide as ask_gates
from epochal.decisions.decision import Decision, Made, load_decision
from epochal.decisions.decision import decisions as made_decisions
from epochal.decisions.explain import (
    asks,
    headline,
    interval_of,
    preregistered,
    provenance,
    to_markdown,
)
from epochal.decisions.gates.gate import Gate
from epochal.decisions.ledger import LookView
from epochal.decisions.ledger_report import TestSet, report, verify
from epochal.decisions.page import to_html
from epochal.errors import EpochalError, NotFound
from epochal.registry.aliases import BASELINE, history
from epochal.registry.aliases import set_baseline as point_baseline
from epochal.registry.promote import Promoted, Promotion, promote, promotions
from epochal.server.answering import Payload
from epochal.server.context import Context
from epochal.server.schema.common import AnyProjectQuery, ProjectQuery, RunRef
from epochal.server.schema.governance import (
    BaselineChange,
    BaselineEdit,
    BaselineView,
    CharterView,
    DecisionQuery,
    DecisionRow,
    Decisions,
    DecisionView,
    GateView,
    IntervalView,
    LedgerSet,
    LedgerView,
    LookRow,
    PromotedRun,
    PromotionEdit,
    Promotions,
)

__all__ = [
    "baseline",
    "charter",
    "decide",
    "decision",
    "decision_html",
    "decision_markdown",
    "decisions",
    "ledger",
    "list_promotions",
    "promote_run",
    "set_baseline",
]


def baseline(context: Context, query: ProjectQuery) -> BaselineView:
    """Return what the project compares against, and did before."""
    current = context.baseline(query.project)
    return BaselineView(
        baseline=context.ref(current) if current is not None else None,
        history=[
            BaselineChange(
                t=change.t,
                run=context.ref_of(change.run),
                run_id=change.run,
                reason=change.reason,
                author=change.author,
            )
            for change in reversed(history(context.store, query.project, BASELINE))
        ],
    )


def set_baseline(context: Context, body: BaselineEdit) -> BaselineView:
    """Make a run what the project compares against, for everybody."""
    document = context.run(body.run)
    current = context.baseline(body.project)
    if current is None or current.id != document.id:
        point_baseline(context.store, body.project, document, body.reason)
        context.service.poke()
    return baseline(context, ProjectQuery(project=body.project))


def list_promotions(context: Context, query: ProjectQuery) -> Promotions:
    """Return what the project's names for deployment point at, and pointed at before."""
    made = {one.id: one.verdict for one in made_decisions(context.store, query.project)}
    history = promotions(context.store, query.project)
    latest = {one.alias: one for one in history}
    return Promotions(
        current=[_promoted(context, latest[alias], made) for alias in sorted(latest)],
        history=[_promoted(context, one, made) for one in reversed(history)],
    )


def _promoted(context: Context, one: Promoted, made: dict[str, str]) -> PromotedRun:
    return PromotedRun(
        alias=one.alias,
        run=context.ref_of(one.run),
        run_id=one.run,
        t=one.t,
        author=one.author,
        reason=one.reason,
        override=one.override,
        decision=one.decision,
        verdict=made.get(one.decision, ""),
    )


def promote_run(context: Context, body: PromotionEdit) -> Promotion:
    """Point a name of the project at a run that ships, or at one with a reason to all the same."""
    found = promote(
        context.store,
        context.run(body.run),
        body.alias,
        reason=body.reason,
        override=body.override,
    )
    context.service.poke()
    return found


# --- charter ------------------------------------------------------------------------------------


def charter(context: Context, query: ProjectQuery) -> CharterView:
    """Return the rules in force, their history, and what the file proposes; record nothing."""
    rules, version = in_force(context.store, query.project)
    file, proposed, problem = "", None, ""
    if context.service.toml is not None:
        try:
            found = read_toml(context.service.toml)
        except EpochalError as error:
            problem = str(error)
        else:
            proposed = found if found.project == query.project else None
        if proposed is not None or problem:
            file = str(context.service.toml)
    return CharterView(
        charter=rules,
        version=version,
        history=charter_history(context.store, query.project)[::-1],
        file=file,
        proposed=proposed,
        differences=list(charter_differences(rules, proposed)) if proposed is not None else [],
        problem=problem,
    )


# --- ledger -------------------------------------------------------------------------------------


def ledger(context: Context, query: ProjectQuery) -> LedgerView:
    """Return every look at the project's test images, and whether the records are whole."""
    verified = verify(context.store)
    found = report(context.store, query.project)
    return LedgerView(
        sets=[_test_set(context, one) for one in reversed(found.sets)],
        heads=list(verified.heads),
        problems=list(verified.problems),
        notes=[*found.notes, *verified.notes],
        records=verified.records,
    )


def _test_set(context: Context, one: TestSet) -> LedgerSet:
    budget = one.budget
    plural = "look" if budget.advice == 1 else "looks"
    return LedgerSet(
        datasets=list(dict.fromkeys(line.look.dataset for line in one.looks)),
        split=budget.split,
        images=budget.n_images,
        budget=budget.budget,
        used=budget.used,
        spent=budget.state == "spent",
        advice=f"a set of this size bears about {budget.advice} {plural} for gains of "
        f"{one.min_gain}",
        state=budget.state,
        next_level=budget.next_level,
        project=one.project,
        looks=[_look(context, line.look, line.number) for line in one.looks],
    )


def _look(context: Context, look: LookView, number: int) -> LookRow:
    return LookRow(
        look=look.id,
        t=look.opened,
        completed=look.completed,
        state="opened" if look.completed is None else "completed",
        project=look.project,
        run=context.ref_of(look.run),
        run_id=look.run,
        weights=look.weights,
        dataset=look.dataset,
        split=look.split,
        images=look.n_images,
        purpose=look.purpose,
        revealed=look.revealed,
        result=look.result,
        author=look.author,
        charter=look.charter,
        number=number or None,
    )


# --- decisions ----------------------------------------------------------------------------------


def decisions(context: Context, query: AnyProjectQuery) -> Decisions:
    """Return the decisions that were recorded, newest first."""
    change = context.change
    made = made_decisions(context.store, query.project)
    return Decisions(decisions=[_made(context, one) for one in reversed(made)], change=change)


def _made(context: Context, one: Made) -> DecisionRow:
    return DecisionRow(
        digest=one.id,
        t=one.t,
        project=one.project,
        candidate=_ref(context, one.candidate, "", one.project),
        baseline=_ref(context, one.baseline, "", one.project) if one.baseline else None,
        verdict=one.verdict,
        charter=one.charter,
        author=one.author,
        override=one.override,
    )


def _ref(context: Context, id: str, name: str, project: str) -> RunRef:
    """Return a run as it is now; one that was purged under the name it had."""
    found = context.ref_of(id)
    return found or RunRef(
        id=id, name=name or id[:8], project=project, status="finished", number=0
    )


def _load(context: Context, digest: str) -> Decision:
    """Return a decision that was recorded here; no other blob passes for one."""
    if not any(one.id == digest for one in made_decisions(context.store)):
        raise NotFound(f"no decision {digest[:12]!r}", "`epochal decide --list` lists them")
    return load_decision(context.store, digest)


def decision(context: Context, digest: str) -> DecisionView:
    """Return one decision."""
    return _view(context, _load(context, digest))


def _view(context: Context, found: Decision) -> DecisionView:
    old = found.baseline
    return DecisionView(
        digest=found.id,
        t=found.t,
        project=found.project,
        candidate=_ref(context, found.candidate.id, found.candidate.name, found.project),
        baseline=_ref(context, old.id, old.name, found.project) if old is not None else None,
        verdict=found.verdict,
        kind=found.kind,
        gates=[_gate(found, gate) for gate in found.gates],
        next=list(found.next),
        author=found.author,
        charter=found.charter_version,
        rule_set=found.rule_set,
        metric=str(found.charter.get("metric", "")),
        override=found.override,
        headline=headline(found),
        sentence=found.sentence,
        change=found.change,
        provenance=provenance(found),
        preregistered=list(preregistered(found)),
        recorded=bool(found.id),
        document=msgspec.to_builtins(found),
    )


def _gate(found: Decision, gate: Gate) -> GateView:
    interval = interval_of(found, gate)
    return GateView(
        number=gate.number,
        name=gate.name,
        outcome=gate.outcome,
        sentence=gate.sentence,
        evidence=gate.evidence,
        next="\n".join(gate.next),
        kind=gate.kind,
        asks=asks(gate, found),
        details=list(gate.details),
        interval=IntervalView(**interval._asdict()) if interval is not None else None,
    )


def decide(context: Context, body: DecisionQuery) -> DecisionView:
    """Ask the four gates; record the answer unless it was only asked for."""
    candidate = context.run(body.candidate)
    if body.record:
        rules, version = charter_for_decision(
            context.store, candidate.project, context.service.toml
        )
    else:
        rules, version = in_force(context.store, candidate.project)
    found = ask_gates(
        context.store,
        candidate,
        context.run(body.baseline)
        if body.baseline is not None
        else context.baseline(candidate.project),
        charter=rules,
        version=version,
        record=body.record,
        override=body.override,
    )
    if body.record:
        context.service.poke()
    return _view(context, found)


def decision_markdown(context: Context, digest: str) -> Payload:
    """Return a decision as Markdown, to be kept elsewhere."""
    text = to_markdown(_load(context, digest))
    return _saved(text, "text/markdown; charset=utf-8", f"decision-{digest[:12]}.md")


def decision_html(context: Context, digest: str) -> Payload:
    """Return a decision as one file that any browser shows."""
    text = to_html(_load(context, digest))
    return _saved(text, "text/html; charset=utf-8", f"decision-{digest[:12]}.html")


def _saved(text: str, media_type: str, name: str) -> Payload:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Payload(text.encode("utf-8", "backslashreplace"), media_type, headers)
