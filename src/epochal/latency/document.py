"""The latency document: what was measured, of what, on what, and in which conditions."""

from __future__ import annotations

import hashlib
import statistics
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from epochal.errors import Damaged
from epochal.latency.order_statistics import percentile, upper_bound

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "KEY_CONDITIONS",
    "LatencyDocument",
    "Launch",
    "Summary",
    "decode",
    "encode",
    "latency_key",
    "summarize",
]

KEY_CONDITIONS = (
    "measure",
    "stage",
    "batch",
    "imgsz",
    "input",
    "nms",
    "format",
    "precision",
    "runtime",
    "runtime_version",
    "device",
    "hardware",
    "compute",
    "power_mode",
    "threads",
)
"""Conditions that two latencies must share to be compared."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """The timed calls of one process, in milliseconds."""

    samples: tuple[float, ...]
    """In the order in which they were taken, none left out."""
    stages: dict[str, float] = {}
    """Mean milliseconds by stage, where the runtime tells."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles over launches, in milliseconds."""

    p50: float
    """Median of the launches' medians."""
    p90: float
    p95: float
    p99: float
    """Of the worst launch, each."""
    p95_upper: float
    """The highest of the launches' upper bounds of p95 (95 %, no distribution assumed)."""
    n: int
    """Timed calls in all launches."""


class LatencyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A measured inference latency."""

    measure: Literal["latency", "throughput"] = "latency"
    device: str
    """The device by the name that charters call it."""
    key: str
    """Digest of the conditions; see `latency_key`."""
    summary: Summary
    launches: tuple[Launch, ...]
    conditions: dict[str, Any] = {}
    """``stage``, ``batch``, ``imgsz``, ``runtime``, ``precision``, ``threads`` and so on."""
    machine: dict[str, Any] = {}
    """What the machine was like: load, temperatures, clocks, before and after."""
    throttled: bool | None = None
    """Whether the device slowed itself down meanwhile; None where nothing tells."""
    warmup: int = 0
    """Calls before the timed ones, per launch."""
    name: str = ""
    """The model as it was named."""
    weights: str = ""
    """Digest of the run's weights file that was measured; empty for an exported file."""
    artifact: str = ""
    """Digest of the file that was measured."""
    session: str = ""
    """What was measured in turns shares this id."""
    peers: tuple[str, ...] = ()
    """Names of what was measured in turns with it."""
    created: str = ""
    """ISO 8601, UTC."""
    created_by: str = ""


def summarize(launches: Sequence[Launch]) -> Summary:
    """Return the percentiles: the worst launch's, because users meet each launch.

    Raises
    ------
    ValueError
        A launch without samples.
    """
    each = [launch.samples for launch in launches]
    worst = {q: max(percentile(samples, q) for samples in each) for q in (0.9, 0.95, 0.99)}
    return Summary(
        p50=statistics.median(percentile(samples, 0.5) for samples in each),
        p90=worst[0.9],
        p95=worst[0.95],
        p99=worst[0.99],
        p95_upper=max(upper_bound(samples, 0.95) for samples in each),
        n=sum(len(samples) for samples in each),
    )


def latency_key(conditions: dict[str, Any]) -> str:
    """Return the digest, 32 hex digits, of the conditions that have to be equal to compare.

    Of a runtime's version only the first two numbers count.
    """
    named = {key: conditions.get(key) for key in KEY_CONDITIONS}
    version = str(named["runtime_version"] or "")
    named["runtime_version"] = ".".join(version.split(".")[:2])
    text = msgspec.json.encode(named, order="sorted")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def encode(document: LatencyDocument) -> bytes:
    """Return the document as JSON; equal documents give equal bytes."""
    return msgspec.json.encode(document, order="deterministic")


def decode(data: bytes) -> LatencyDocument:
    """Return the document that `encode` wrote.

    Raises
    ------
    Damaged
        The bytes are no such document.
    """
    try:
        return msgspec.json.decode(data, type=LatencyDocument)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"not a readable latency document ({error})") from error
