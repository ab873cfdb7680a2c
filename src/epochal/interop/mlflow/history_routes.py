"""Calls that read a run's points, and list its files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from epochal.interop.mlflow import files
from epochal.interop.mlflow.entities import (
    artifact_root,
    metric,
    milliseconds,
    run_of,
)
from epochal.interop.mlflow.errors import invalid, missing
from epochal.interop.mlflow.routing import (
    Call,
    Given,
    listed,
    number,
    page,
    required,
    run_id,
    text,
)
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["CALLS", "sampled_steps"]

_MOST_RUNS = 100
_MOST_POINTS, _MOST_SAMPLED = 25_000, 2_500


def _history(store: Store, given: Given) -> dict[str, Any]:
    document, key = run_of(store, run_id(given)), required(given, "metric_key")
    shown, token = page(given, _points(store, document, key), _MOST_POINTS, _MOST_POINTS)
    return {"metrics": shown} | token


def _points(store: Store, document: RunDocument, key: str) -> list[dict[str, Any]]:
    if key not in document.metrics:
        return []
    points = store.points.read(document.id, key)
    return [metric(key, value, milliseconds(t), step) for step, _, t, value in points.rows()]


def _history_bulk(store: Store, given: Given) -> dict[str, Any]:
    """Return the points of several runs, run by run in the order of their ids."""
    runs, key = listed(given, "run_id"), text(given, "metric_key")
    if not runs:
        raise invalid("GetMetricHistoryBulk request must specify at least one run_id.")
    if len(runs) > _MOST_RUNS:
        raise invalid(
            f"GetMetricHistoryBulk request cannot specify more than {_MOST_RUNS} run_ids. "
            f"Received {len(runs)} run_ids."
        )
    if not key:
        raise invalid("GetMetricHistoryBulk request must specify a metric_key.")
    asked = number(given, "max_results")
    most = max(1, min(_MOST_POINTS if asked is None else asked, _MOST_POINTS))
    found: list[dict[str, Any]] = []
    for run in sorted(set(runs)):
        points = _points(store, run_of(store, run), key)
        points.sort(key=lambda p: (p["timestamp"], p["step"]))
        found += [{**point, "run_id": run} for point in points]
    return {"metrics": found[:most]}


def _history_interval(store: Store, given: Given) -> dict[str, Any]:
    """Return points of several runs at the same steps, few enough to draw."""
    runs, key = listed(given, "run_ids"), required(given, "metric_key")
    if not runs:
        raise missing("run_ids")
    if len(runs) > _MOST_RUNS:
        raise invalid(
            f"GetMetricHistoryBulkInterval request must specify at most {_MOST_RUNS} run_ids. "
            f"Received {len(runs)} run_ids."
        )
    asked = number(given, "max_results")
    if asked is not None and not 1 <= asked <= _MOST_SAMPLED:
        raise invalid(
            f"max_results must be between 1 and {_MOST_SAMPLED}. Received {asked} max_results."
        )
    low, high = number(given, "start_step"), number(given, "end_step")
    if (low is None) != (high is None):
        raise invalid("If either start step or end step are specified, both must be specified.")
    if low is not None and high is not None and low > high:
        raise invalid(
            f"end_step must be greater than start_step. Found start_step={low} and "
            f"end_step={high}."
        )
    within = {
        run: [
            point
            for point in _points(store, run_of(store, run), key)
            if low is None or high is None or low <= point["step"] <= high
        ]
        for run in dict.fromkeys(runs)
    }
    steps = sampled_steps(
        [[point["step"] for point in points] for points in within.values()],
        _MOST_SAMPLED if asked is None else asked,
    )
    found = [
        {**point, "run_id": run}
        for run, points in within.items()
        for point in sorted(points, key=lambda p: (p["step"], p["timestamp"]))
        if point["step"] in steps
    ]
    return {"metrics": found}


def sampled_steps(series: Iterable[Sequence[int]], most: int) -> set[int]:
    """Return steps at even distances of all that occur, and the ends of every series.

    The same steps are taken of all series, so that they can be compared point by point.

    Parameters
    ----------
    most
        How many steps to take between the ends.
    """
    ends = {step for steps in series if steps for step in (min(steps), max(steps))}
    known = sorted({step for steps in series for step in steps})
    if len(known) <= most:
        return set(known)
    return {known[i * len(known) // most] for i in range(most)} | ends


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
