"""Gate 4: fast enough on the device it is meant for."""

from __future__ import annotations

import shlex
from typing import Any

from epochal.decisions.charter import Charter
from epochal.decisions.evidence import final_weights
from epochal.decisions.gates.gate import Gate
from epochal.records import Latency
from epochal.store.documents import RunDocument

__all__ = ["fast_enough"]

NAME = "Fast enough"


def fast_enough(candidate: RunDocument, baseline: RunDocument | None, charter: Charter) -> Gate:
    """Return gate 4: the upper bound of p95 on the target device is within the budget.

    Only a latency measured on that device with that batch size counts, never a throughput. The
    newest one stands. The baseline's is shown beside it where it was measured alike.
    """
    budget = charter.latency_budget_ms
    if budget is None:
        return Gate(
            number=4,
            name=NAME,
            outcome="not applicable",
            sentence="the charter sets no latency budget",
        )
    device = charter.latency_device
    batch = charter.latency_batch
    command = f"epochal latency {shlex.quote(candidate.name)}"
    command += f" --device {shlex.quote(device)}" if device else ""
    command += f" --batch {batch}"
    found = _newest(candidate, charter)
    if found is None:
        return Gate(
            number=4,
            name=NAME,
            outcome="unknown",
            kind="inconclusive",
            sentence=_why_none(candidate, charter),
            evidence={"budget_ms": budget, "device": device, "batch": batch},
            next=(command,),
        )
    evidence: dict[str, Any] = {
        "budget_ms": budget,
        "device": found.device,
        "batch": batch,
        "key": found.key,
        "p50": found.p50,
        "p95": found.p95,
        "p95_upper": found.p95_upper,
        "n": found.n,
        "latency": found.digest,
    }
    details = []
    other = _newest(baseline, charter, found.key) if baseline is not None else None
    if baseline is not None and other is not None:
        evidence["baseline"] = {"p95": other.p95, "p95_upper": other.p95_upper}
        details.append(f"{baseline.name} under the same conditions: p95 {other.p95:.3g} ms")
    elif baseline is not None and _newest(baseline, charter) is not None:
        details.append(f"{baseline.name} was measured under other conditions: not compared")
    what = f"p95 {found.p95:.3g} ms, at most {found.p95_upper:.3g} ms, on {found.device}"
    if found.p95_upper <= budget:
        return Gate(
            number=4,
            name=NAME,
            outcome="pass",
            sentence=f"{what}; the budget is {budget:g} ms",
            evidence=evidence,
            details=tuple(details),
        )
    failed = found.p95 > budget
    return Gate(
        number=4,
        name=NAME,
        outcome="fail" if failed else "unknown",
        kind="no win" if failed else "inconclusive",
        sentence=f"{what}: over the budget of {budget:g} ms"
        if failed
        else f"{what}: the bound is over the budget of {budget:g} ms",
        evidence=evidence,
        details=tuple(details),
        next=("a smaller model or image size, half precision, or an exported format",)
        if failed
        else (f"measure more: {command} --runs {2 * found.n}",),
    )


def _of_device(run: RunDocument, charter: Charter) -> list[Latency]:
    """Return latencies on the target device with the charter's batch size, oldest first."""
    weights = final_weights(run)
    found = []
    for stamped in run.latencies:
        body = stamped.body
        if not isinstance(body, Latency) or body.measure != "latency":
            continue
        conditions = body.conditions
        if charter.latency_device and body.device.casefold() != charter.latency_device.casefold():
            continue
        if conditions.get("batch", 1) != charter.latency_batch or conditions.get("throttled"):
            continue
        of = conditions.get("weights")
        if of and weights and of != weights:
            continue
        found.append(body)
    return found


def _newest(run: RunDocument, charter: Charter, key: str = "") -> Latency | None:
    found = [body for body in _of_device(run, charter) if not key or body.key == key]
    return found[-1] if found else None


def _why_none(run: RunDocument, charter: Charter) -> str:
    where = charter.latency_device or "the target device"
    others = [stamped.body for stamped in run.latencies if isinstance(stamped.body, Latency)]
    wanted = f"{run.name} was not timed on {where} with batch {charter.latency_batch}"
    if not others:
        return wanted
    kinds = sorted({f"{o.measure} on {o.device}" for o in others})
    return f"{wanted}; there is {', '.join(kinds)}"
