"""Promotion: a decided run becomes what is deployed under a name."""

from __future__ import annotations

import re

import msgspec

from epochal.decisions.decision import Decision, decisions, load_decision
from epochal.decisions.evidence import final_weights
from epochal.errors import InvalidInput, Refused
from epochal.journal.author import author
from epochal.registry.aliases import BASELINE, aliases, history, set_alias
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = [
    "PRODUCTION",
    "Promoted",
    "Promotion",
    "latest_decision",
    "promote",
    "promotions",
    "shipping_decision",
]

PRODUCTION = "production"


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """A run was promoted."""

    project: str
    alias: str
    run: str
    name: str
    """Name of the run; `run` is its id."""
    weights: str
    """BLAKE3 digest of its final weights; empty where it recorded none."""
    previous: str | None
    """Id of the run that the alias pointed at before."""
    decision: str
    """Id of the decision it rests on; empty where nobody decided."""
    override: str
    """Why it was promoted without a ``ship``; empty: it ships."""
    reason: str
    author: str
    changed: bool
    """False: the alias pointed at this run already, and nothing was recorded."""


class Promoted(msgspec.Struct, frozen=True, kw_only=True):
    """One time a name for deployment was pointed at a run, as the records have it."""

    alias: str
    run: str
    t: int
    """Microseconds since the Unix epoch, UTC."""
    author: str
    reason: str
    """As it was given, without the ground."""
    decision: str
    """Id of the last decision on the run at that time; empty where nobody had decided."""
    override: str
    """Why it was promoted without a ``ship``; empty: it shipped."""


def promotions(store: Store, project: str) -> list[Promoted]:
    """Return all promotions of the project, oldest first; the last of a name counts."""
    made = decisions(store, project)
    found = []
    for change in history(store, project):
        if change.alias == BASELINE:
            continue
        before = [one.id for one in made if one.candidate == change.run and one.t <= change.t]
        reason, override = _read_ground(change.reason)
        found.append(
            Promoted(
                alias=change.alias,
                run=change.run,
                t=change.t,
                author=change.author,
                reason=reason,
                decision=before[-1] if before else "",
                override=override,
            )
        )
    return found


def latest_decision(store: Store, run: RunDocument) -> Decision | None:
    """Return the last decision on `run` as a candidate; None where there was none."""
    made = [one for one in decisions(store, run.project) if one.candidate == run.id]
    return load_decision(store, made[-1].id) if made else None


def shipping_decision(
    store: Store, run: RunDocument, override: str = ""
) -> tuple[Decision | None, str]:
    """Return the decision that lets `run` ship, and the `override` where it takes one.

    Raises
    ------
    Refused
        If the last decision on the run is not ``ship``, or was on other weights, and no reason
        to override it is given.
    """
    decision = latest_decision(store, run)
    problem, remedy = _objection(run, decision)
    if problem and not override.strip():
        raise Refused(problem, f"{remedy}; or say why all the same: --override REASON")
    return decision, override.strip() if problem else ""


def _objection(run: RunDocument, decision: Decision | None) -> tuple[str, str]:
    if decision is None:
        return f"nobody has decided on run {run.name}", f"`epochal decide {run.name}`"
    if not decision.ships:
        said = f"{decision.verdict} ({decision.kind})" if decision.kind else decision.verdict
        following = (
            decision.next[0] if decision.next else f"`epochal decide --show {decision.id[:12]}`"
        )
        return f"the decision on run {run.name} is {said}", following
    weights = final_weights(run)
    if decision.candidate.weights and weights and weights != decision.candidate.weights:
        return (
            f"run {run.name} has other weights than those that were decided on",
            f"`epochal decide {run.name}`",
        )
    return "", ""


def promote(
    store: Store,
    run: RunDocument,
    alias: str = PRODUCTION,
    *,
    reason: str = "",
    override: str = "",
) -> Promotion:
    """Point `alias` at `run`, which a decision lets ship.

    Parameters
    ----------
    override
        Why the run is promoted without a ``ship``; kept with the change.

    Raises
    ------
    Refused
        If it does not ship and there is no override, or it is in the trash.
    InvalidInput
        If the name cannot be an alias, or is ``baseline``.
    """
    if alias == BASELINE:
        raise InvalidInput(
            "the baseline is what runs are compared with, not what is deployed",
            f"`epochal baseline {run.name}` sets it",
        )
    if run.trashed:
        raise Refused(f"run {run.name} is in the trash", f"`epochal trash --undo {run.name}`")
    decision, overridden = shipping_decision(store, run, override)
    before = aliases(store, run.project).get(alias)
    changed = before is None or before.run != run.id
    if changed:
        set_alias(store, run.project, alias, run, _with_ground(reason, decision, overridden))
    return Promotion(
        project=run.project,
        alias=alias,
        run=run.id,
        name=run.name,
        weights=final_weights(run),
        previous=before.run if before is not None else None,
        decision=decision.id if decision is not None else "",
        override=overridden,
        reason=reason.strip(),
        author=author(),
        changed=changed,
    )


# The ground stands behind the reason, in brackets where there is one.
_GROUND = re.compile(
    r"(?:(?P<reason>.*) \()?(?P<ground>decision [0-9a-f]{12}|override: (?P<override>.*?))"
    r"(?(reason)\))",
    re.DOTALL,
)


def _with_ground(reason: str, decision: Decision | None, override: str) -> str:
    ground = (
        f"override: {override}" if override else f"decision {decision.id[:12]}" if decision else ""
    )
    return f"{reason.strip()} ({ground})" if reason.strip() else ground


def _read_ground(said: str) -> tuple[str, str]:
    """Return the reason and the override that `_with_ground` joined."""
    found = _GROUND.fullmatch(said)
    if found is None:
        return said, ""
    return found["reason"] or "", found["override"] or ""
