"""Calls that read a run's points, and list its files."""

from __future__ import annotations

from typing import Any

from epochal.interop.mlflow import files
from epochal.interop.mlflow.entities import (
    artifact_root,
    metric,
    milliseconds,
    run_of,
)
from epochal.interop.mlflow.errors import invalid, missing
from epochal.interop.mlflow.routing import Call, Given, listed, page, required, run_id, text
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["CALLS"]


def _history(store: Store, given: Given) -> dict[str, Any]:
    document, key = run_of(store, run_id(given)), required(given, "metric_key")
    shown, token = page(given, _points(store, document, key), 25_000, 25_000)
    return {"metrics": shown} | token


def _points(store: Store, document: RunDocument, key: str) -> list[dict[str, Any]]:
    if key not in document.metrics:
        return []
    points = store.points.read(document.id, key)
    return [metric(key, value, milliseconds(t), step) for step, _, t, value in points.rows()]


def _history_bulk(store: Store, given: Given) -> dict[str, Any]:
    key, runs = required(given, "metric_key"), listed(given, "run_id")
    most = int(text(given, "max_results") or 25_000)
    found = [
        {**point, "run_id": run}
        for run in runs[:100]
        for point in _points(store, run_of(store, run), key)
    ]
    return {"metrics": found[: max(1, min(most, 25_000))]}


def _history_interval(store: Store, given: Given) -> dict[str, Any]:
    key, runs = required(given, "metric_key"), listed(given, "run_ids")
    if not runs:
        raise missing("run_ids")
    if len(runs) > 100:
        raise invalid("GetMetricHistoryBulkInterval request must specify at most 100 run_ids")
    most = max(1, min(int(text(given, "max_results") or 2_500), 2_500))
    low, high = given.get("start_step"), given.get("end_step")
    found = []
    for run in runs:
        points = [
            p
            for p in _points(store, run_of(store, run), key)
            if (low is None or p["step"] >= int(low)) and (high is None or p["step"] <= int(high))
        ]
        found += [{**point, "run_id": run} for point in _thinned(points, most)]
    return {"metrics": found}


def _thinned(points: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Return at most about `most` points at even distances, first and last among them."""
    if len(points) <= most:
        return points
    stride = -(-len(points) // most)
    thinned = points[::stride]
    return thinned if thinned[-1] is points[-1] else [*thinned, points[-1]]


def _list_artifacts(store: Store, given: Given) -> dict[str, Any]:
    document = run_of(store, run_id(given))
    root = artifact_root(document)
    place = files.locate(store, f"{root.removeprefix('mlflow-artifacts:/')}/{text(given, 'path')}")
    return {"root_uri": root, "files": files.list_files(document, place.key)}


CALLS = (
    Call("GET", "/metrics/get-history", _history),
    Call("GET", "/metrics/get-history-bulk", _history_bulk, lists=("run_id",)),
    Call("GET", "/metrics/get-history-bulk-interval", _history_interval, lists=("run_ids",)),
    Call("GET", "/artifacts/list", _list_artifacts),
)
