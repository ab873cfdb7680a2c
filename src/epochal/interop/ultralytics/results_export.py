"""A run's epochs as an Ultralytics ``results.csv``: what scripts around YOLO read."""

from __future__ import annotations

import csv
from pathlib import Path

from epochal.errors import InvalidInput
from epochal.store.chunks import NO_EPOCH
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["export_results"]

_FIRST = ("train/", "metrics/", "val/", "lr/")
"""Prefixes of a results.csv, in its order."""


def export_results(store: Store, document: RunDocument, destination: Path) -> Path:
    """Write ``<destination>/<run>/results.csv``; six significant digits, as Ultralytics has them.

    Raises
    ------
    InvalidInput
        If the run logged nothing under Ultralytics' names.
    """
    keys = [k for prefix in _FIRST for k in sorted(document.metrics) if k.startswith(prefix)]
    if not keys:
        raise InvalidInput(
            f"run {document.name} has no metrics named {', '.join(_FIRST)}...",
            "use --to csv, which takes any name",
        )
    rows: dict[int, dict[str, float]] = {}
    times: dict[int, int] = {}
    for key in keys:
        points = store.points.read(document.id, key)
        for step, epoch, t, value in points.rows():
            number = step if epoch == NO_EPOCH else epoch
            rows.setdefault(number, {})[key] = value
            times[number] = max(times.get(number, 0), t)
    path = destination / (document.name.replace("/", "_") or document.id[:8]) / "results.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "time", *keys])
        for epoch in sorted(rows):
            seconds = (times[epoch] - document.created) / 1e6
            cells = [f"{rows[epoch][k]:.6g}" if k in rows[epoch] else "" for k in keys]
            writer.writerow([epoch, f"{seconds:.6g}", *cells])
    return path
