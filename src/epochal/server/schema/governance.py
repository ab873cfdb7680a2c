"""Rules and what was done under them: baseline, charter, ledger, decisions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from epochal.decisions.charter import Charter
from epochal.decisions.charter_in_force import CharterVersion
from epochal.server.schema.common import Reason, RunId, RunRef

__all__ = [
    "BaselineChange",
    "BaselineEdit",
    "BaselineView",
    "CharterView",
    "DecisionQuery",
    "DecisionRow",
    "DecisionView",
    "Decisions",
    "GateView",
    "IntervalView",
    "LedgerSet",
    "LedgerView",
    "LookRow",
    "PromotedRun",
    "PromotionEdit",
    "Promotions",
]


class BaselineChange(msgspec.Struct, frozen=True, kw_only=True):
    """The project's baseline, at one time."""

    t: int
    run: RunRef | None
    """None where the run is no longer in this workspace."""
    run_id: str
    reason: str
    author: str


class BaselineView(msgspec.Struct, frozen=True, kw_only=True):
    """What the project compares against now, and did before."""

    baseline: RunRef | None
    history: list[BaselineChange]
    """Newest first."""


class BaselineEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Compare against this run from now on."""

    project: str
    run: RunId
    reason: Reason = ""


class PromotedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A name was pointed at a run, at one time."""

    alias: str
    run: RunRef | None
    """None where the run is no longer in this workspace."""
    run_id: str
    t: int
    author: str
    reason: str
    override: str
    """Why it was promoted without a decision to ship; empty: a decision let it."""
    decision: str
    """Digest of the decision on the run that was the last one then; empty: nobody had decided."""
    verdict: str
    """What that decision says; empty without one."""


class Promotions(msgspec.Struct, frozen=True, kw_only=True):
    """What the project's names for deployment point at, and pointed at before."""

    current: list[PromotedRun]
    """One a name, by name."""
    history: list[PromotedRun]
    """Newest first."""


class PromotionEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Point a name of the project at a run that a decision lets ship."""

    run: RunId
    alias: Annotated[str, Meta(min_length=1, max_length=64)] = "production"
    reason: Reason = ""
    override: Reason = ""
    """Why it is promoted without a decision to ship."""


class CharterView(msgspec.Struct, frozen=True, kw_only=True):
    """The rules in force, their history, and what the file proposes."""

    charter: Charter
    version: int
    """0: nothing is recorded, the defaults hold."""
    history: list[CharterVersion]
    """Newest first."""
    file: str
    """The epochal.toml that was found, empty where there is none for this project."""
    proposed: Charter | None
    differences: list[str]
    """One line for each rule that the file would change."""
    problem: str
    """Why the file cannot be read; empty where it can."""


class LookRow(msgspec.Struct, frozen=True, kw_only=True):
    """One use of test images."""

    look: str
    t: int
    completed: int | None
    state: Literal["opened", "completed"]
    project: str
    run: RunRef | None
    run_id: str
    weights: str
    dataset: str
    split: str
    images: int
    purpose: str
    revealed: str
    result: dict[str, Any]
    author: str
    charter: int
    number: int | None
    """Which challenger look at these images it is; None where it does not count."""


class LedgerSet(msgspec.Struct, frozen=True, kw_only=True):
    """Looks that count together, because they use the same images."""

    datasets: list[str]
    split: str
    images: int
    budget: int
    used: int
    spent: bool
    advice: str
    """A budget derived from the set's size, as advice; may be empty."""
    state: str
    """``open``, ``amber`` (advice used up, or two looks left), ``spent``."""
    next_level: float
    """Error level at which the next challenger is judged."""
    project: str
    looks: list[LookRow]
    """Oldest first."""


class LedgerView(msgspec.Struct, frozen=True, kw_only=True):
    """Every look at test images, and whether the chain of records is whole."""

    sets: list[LedgerSet]
    heads: list[str]
    """Hashes to keep elsewhere: with them a rollback shows."""
    problems: list[str]
    """What breaks the chain; empty where it is whole."""
    notes: list[str]
    """What is no tampering and still worth knowing."""
    records: int


class GateView(msgspec.Struct, frozen=True, kw_only=True):
    """One rule's outcome."""

    number: int
    name: str
    outcome: Literal["pass", "fail", "unknown", "not applicable"]
    sentence: str
    evidence: dict[str, Any]
    """Numbers that a drawing needs, e.g. ``gain``, ``lower``, ``upper``, ``threshold``."""
    next: str
    """What would change the outcome, one thing a line; empty where nothing has to."""
    kind: str
    """What it makes of the verdict where it does not pass: ``no win``, ``inconclusive`` ..."""
    asks: str
    """What the gate asks, in one sentence."""
    details: list[str]
    """Further lines: listed classes, caveats, where the numbers are from."""
    interval: IntervalView | None
    """The gain with its range, where the gate rests on one that may be shown."""


class IntervalView(msgspec.Struct, frozen=True, kw_only=True):
    """A gain with its range, in the unit in which it is shown."""

    low: float
    point: float
    high: float
    wanted: float
    """The smallest gain worth having."""
    unit: str
    """``points`` (x 100) of a ratio, else the metric's own."""


class DecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """The frozen outcome of all gates for candidate against baseline."""

    digest: str
    t: int
    project: str
    candidate: RunRef
    baseline: RunRef | None
    verdict: Literal["ship", "more experiments"]
    kind: str
    """Why not: ``no win``, ``inconclusive``, ``invalid``; empty for ``ship``."""
    gates: list[GateView]
    next: list[str]
    author: str
    charter: int
    rule_set: str
    metric: str
    override: str
    """The reason, where a person decided against the gates."""
    headline: str
    """The verdict in words."""
    sentence: str
    """The decision in one line."""
    change: str
    """What the candidate changed against the baseline, in one line."""
    provenance: str
    """Who decided what by which rules, in one line."""
    preregistered: list[str]
    """What was fixed before the first result, and what was said after."""
    recorded: bool
    """False: only asked, nothing was stored."""
    document: dict[str, Any]
    """The decision as it is stored, for everything that is not above."""


class Decisions(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions of a project, newest first."""

    decisions: list[DecisionRow]
    change: int


class DecisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A decision in one line."""

    digest: str
    t: int
    project: str
    candidate: RunRef
    baseline: RunRef | None
    verdict: str
    charter: int
    author: str
    override: str


class DecisionQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Decide on a candidate."""

    candidate: RunId
    baseline: RunId | None = None
    """By default the project's."""
    record: bool = True
    """False: only show what the gates say now; nothing is recorded."""
    override: Annotated[str, Meta(max_length=2000)] = ""
    """A reason to decide against the gates."""
