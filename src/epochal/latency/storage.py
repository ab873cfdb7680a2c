"""Latency documents: among the blobs, and in files that other machines wrote."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from epochal.errors import InvalidInput, NotFound
from epochal.latency.document import (
    LatencyDocument,
    Launch,
    decode,
    encode,
    latency_key,
    summarize,
)
from epochal.latency.order_statistics import smallest_sample
from epochal.records import Latency

if TYPE_CHECKING:
    from epochal.store.blobs import Blobs

__all__ = ["load_latency", "read_latency", "store_latency"]

_SMALLEST = smallest_sample(0.95)


def store_latency(blobs: Blobs, document: LatencyDocument) -> Latency:
    """Store a latency; return the record that says so."""
    found = document.summary
    conditions = dict(document.conditions)
    if document.weights:
        conditions["weights"] = document.weights
    if document.throttled:
        conditions["throttled"] = True
    return Latency(
        digest=blobs.put(encode(document)),
        measure=document.measure,
        device=document.device,
        key=document.key,
        p50=found.p50,
        p95=found.p95,
        p95_upper=found.p95_upper,
        n=found.n,
        conditions=conditions,
    )


def load_latency(blobs: Blobs, digest: str) -> LatencyDocument:
    """Return the latency document `digest`.

    Raises
    ------
    NotFound
        There is no such blob.
    Damaged
        Its bytes do not match the digest, or are no latency.
    """
    return decode(blobs.get(digest))


class _Printed(msgspec.Struct):
    """What ``epochal latency --json`` prints."""

    candidate: LatencyDocument
    baseline: LatencyDocument | None = None


class _Elsewhere(msgspec.Struct, forbid_unknown_fields=True):
    """The least that another tool has to say: raw samples, and on what they were taken."""

    device: str
    samples_ms: list[list[float]]
    """One list per launch of the process."""
    batch: int = 1
    conditions: dict[str, Any] = {}
    name: str = ""


def read_latency(path: str | Path) -> LatencyDocument:
    """Return the latency in a file written on another machine.

    Either what ``epochal latency MODEL --json`` printed there, or ``{"device": "...", "batch": 1,
    "samples_ms": [[launch 1], [launch 2], ...], "conditions": {...}}`` from any other tool.
    Percentiles are always computed here, from the samples.

    Raises
    ------
    NotFound
        The file does not exist.
    InvalidInput
        It is neither, a sample is no time, or a launch has too few to bound p95.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror})") from error
    document = _decoded(path, data)
    for number, launch in enumerate(document.launches, 1):
        if len(launch.samples) < _SMALLEST:
            raise InvalidInput(
                f"{path}: launch {number} has {len(launch.samples)} samples",
                f"A bound of p95 needs at least {_SMALLEST}",
            )
        if not all(math.isfinite(ms) and ms >= 0 for ms in launch.samples):
            raise InvalidInput(f"{path}: launch {number} has a sample that is no time")
    if not document.launches:
        raise InvalidInput(f"{path} has no samples")
    if not document.device:
        raise InvalidInput(f"{path} names no device")
    return msgspec.structs.replace(
        document, summary=summarize(document.launches), key=latency_key(document.conditions)
    )


def _decoded(path: Path, data: bytes) -> LatencyDocument:
    kinds: Any = LatencyDocument, _Printed, _Elsewhere
    reason = ""
    for kind in kinds:
        try:
            found = msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            reason = str(error)
            continue
        if isinstance(found, _Printed):
            return found.candidate
        return _from_elsewhere(found) if isinstance(found, _Elsewhere) else found
    raise InvalidInput(
        f"{path} is not a latency ({reason})",
        "Give what `epochal latency MODEL --json` printed there, or "
        '{"device": ..., "samples_ms": [[...], ...]}',
    )


def _from_elsewhere(found: _Elsewhere) -> LatencyDocument:
    launches = tuple(Launch(samples=tuple(samples)) for samples in found.samples_ms)
    conditions = {
        "measure": "latency",
        "batch": found.batch,
        **found.conditions,
        "device": found.device,
    }
    if not launches or not all(launch.samples for launch in launches):
        raise InvalidInput("samples_ms is empty", "Give one list of milliseconds per launch")
    return LatencyDocument(
        device=found.device,
        key=latency_key(conditions),
        summary=summarize(launches),
        launches=launches,
        conditions=conditions,
        name=found.name,
        created_by="elsewhere",
    )
