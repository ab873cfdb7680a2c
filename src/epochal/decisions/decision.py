"""The decision: all gates for a candidate against the baseline, frozen with what they rest on."""

from __future__ import annotations

import time
from typing import Any, Literal, TypeAlias

import msgspec

from epochal.decisions.gates.gate import Gate, Kind
from epochal.errors import Damaged
from epochal.records import DecisionMade
from epochal.store.store import Store
from epochal.version import __version__

__all__ = [
    "Decision",
    "Made",
    "Preregistration",
    "RunRef",
    "Verdict",
    "decisions",
    "encode_decision",
    "load_decision",
]

Verdict: TypeAlias = Literal["ship", "more experiments"]


class RunRef(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it was when it was decided on."""

    id: str
    name: str
    weights: str = ""
    """Digest of its final weights."""


class Preregistration(msgspec.Struct, frozen=True, kw_only=True):
    """What was fixed before the first result, and what was said after."""

    hypothesis: str
    stated: Literal["before the first result", "after the first result", "never"]
    rules: Literal["before the first result", "after the first result"]
    """When the charter in force was recorded."""


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outcome of all gates, and everything needed to reach it again.

    Numbers are in the metric's stored unit (0..1 for shares). Evaluations, match records, image
    lists and latencies are named by digest, draws by their generator's seed.
    """

    id: str = ""
    """Digest of the stored document; empty for one that was not stored."""
    format: int = 1
    project: str
    verdict: Verdict
    kind: Kind = ""
    """Why not to ship: ``no win``, ``inconclusive`` or ``invalid``."""
    sentence: str
    """Why, in one line."""
    gates: tuple[Gate, ...]
    next: tuple[str, ...] = ()
    """What would change it, the cheapest first."""
    candidate: RunRef
    baseline: RunRef | None = None
    """None: the first version."""
    change: str = ""
    """What the candidate changed against the baseline, in one line."""
    rule_set: Literal["evidence", "literal"]
    charter: dict[str, Any]
    """The rules in force."""
    charter_version: int
    evidence: str = ""
    """Level: E0 numbers, E1 those of several seeds, E2 per-image records, E3 those of several."""
    preregistration: Preregistration
    override: str = ""
    """The reason, where a person shipped against the gates; `kind` still says what they found."""
    numpy: str = ""
    """Version of NumPy, whose generator made the draws."""
    created_by: str = f"epochal {__version__}"
    author: str = ""
    t: int = 0
    """Microseconds since the Unix epoch, UTC."""

    @property
    def ships(self) -> bool:
        """Whether the verdict is ``ship``."""
        return self.verdict == "ship"


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A stored decision in one line, as the journal has it."""

    id: str
    t: int
    project: str
    candidate: str
    """Id of the run."""
    baseline: str | None
    verdict: str
    charter: int
    author: str
    override: str


def encode_decision(decision: Decision) -> bytes:
    """Return the document as it is stored: without its own digest."""
    plain = msgspec.structs.replace(decision, id="")
    return msgspec.json.encode(plain, order="deterministic")


def load_decision(store: Store, digest: str) -> Decision:
    """Return the decision whose id is `digest`, or begins with it.

    Raises
    ------
    NotFound
        If there is no such decision here.
    Damaged
        If its bytes are not those that were stored.
    """
    found = [made.id for made in decisions(store) if made.id.startswith(digest)]
    whole = found[-1] if len(set(found)) == 1 else digest
    if len(set(found)) != 1 and len(digest) < 64:
        from epochal.errors import Ambiguous, NotFound

        if found:
            raise Ambiguous(f"{len(set(found))} decisions begin with {digest!r}", "add digits")
        raise NotFound(f"no decision {digest!r}", "`epochal decide --list` lists them")
    data = store.blobs.get(whole)
    try:
        decision = msgspec.json.decode(data, type=Decision)
    except msgspec.DecodeError as error:
        raise Damaged(f"the blob {whole[:12]} is no decision: {error}") from None
    return msgspec.structs.replace(decision, id=whole)


def decisions(store: Store, project: str | None = None) -> list[Made]:
    """Return the decisions of a project (None: of all), oldest first."""
    return [
        Made(
            id=body.digest,
            t=governed.t,
            project=body.project,
            candidate=body.candidate,
            baseline=body.baseline,
            verdict=body.verdict,
            charter=body.charter,
            author=body.author,
            override=body.override,
        )
        for governed in store.governance("decision")
        for body in [governed.body]
        if isinstance(body, DecisionMade) and project in (None, body.project)
    ]


def now() -> int:
    """Return the time in microseconds since the Unix epoch, UTC."""
    return time.time_ns() // 1000
