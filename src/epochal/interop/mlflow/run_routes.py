"""Calls about experiments, runs, metrics and artifacts."""

from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from epochal.interop.mlflow import files, recording
from epochal.interop.mlflow.entities import (
    DEFAULT_PROJECT,
    SYSTEM,
    Experiment,
    artifact_root,
    experiment,
    experiment_id,
    experiments,
    foreign_of,
    metric,
    milliseconds,
    params_of,
    run_info,
    run_json,
    run_of,
    tags_of,
)
from epochal.interop.mlflow.errors import MlflowError, already_exists, invalid, missing, not_found
from epochal.interop.mlflow.routing import Call, Given, page, required, text
from epochal.interop.mlflow.search import Lookup, matches, parse_filter, parse_order, sort_by
from epochal.records import Foreign, Trashed, from_wire
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["CALLS"]

_VIEWS = ("ACTIVE_ONLY", "DELETED_ONLY", "ALL")


# --- experiments ---------------------------------------------------------------------------------


def _create_experiment(store: Store, given: Given) -> dict[str, Any]:
    name = given.get("name")
    if name is not None and not isinstance(name, str):
        raise invalid(f"Invalid value {name} for parameter 'name' supplied")
    name = required(given, "name")
    if len(name) > 500:
        raise invalid("Invalid value for parameter 'name': it is longer than 500 characters")
    for one in experiments(store).values():
        if one.name == name:
            state = "" if one.active else " in deleted state. You can restore it"
            raise already_exists(f"Experiment(name={name}) already exists{state}.")
    id, now = experiment_id(name), time.time_ns() // 1_000_000
    value = {"name": name, "project": name, "created": now, "updated": now}
    said = [(Foreign(system=SYSTEM, type="experiment", key=id, value=value), None)]
    for tag in given.get("tags") or ():
        body = Foreign(
            system=SYSTEM, type=f"experiment-tag/{id}", key=tag["key"], value=tag["value"]
        )
        said.append((body, None))
    store.record_all(said)
    return {"experiment_id": id}


def _get_experiment(store: Store, given: Given) -> dict[str, Any]:
    return {"experiment": experiment(store, required(given, "experiment_id")).json()}


def _get_experiment_by_name(store: Store, given: Given) -> dict[str, Any]:
    name = required(given, "experiment_name")
    for one in experiments(store).values():
        if one.name == name:
            return {"experiment": one.json()}
    raise not_found(f"Could not find experiment with name '{name}'")


def _search_experiments(store: Store, given: Given) -> dict[str, Any]:
    clauses = parse_filter(text(given, "filter"), numeric=("creation_time", "last_update_time"))
    shown = _of_view(text(given, "view_type") or "ACTIVE_ONLY")
    found = [one for one in experiments(store).values() if shown(one.active)]
    found = [one for one in found if matches(clauses, _experiment_lookup(one))]
    orders = parse_order(
        _listed(given, "order_by") or ["creation_time DESC", "experiment_id DESC"]
    )
    found = sort_by(found, orders, _experiment_lookup)
    shown_page, token = page(given, found, 1000, 50_000)
    return {"experiments": [one.json() for one in shown_page]} | token


def _experiment_lookup(one: Experiment) -> Lookup:
    def lookup(entity: str, key: str) -> Any:
        if entity == "tag":
            return one.tags.get(key)
        known = {
            "name": one.name,
            "experiment_id": one.id,
            "creation_time": one.created,
            "last_update_time": one.updated,
        }
        if key not in known:
            raise invalid(f"Invalid attribute key '{key}' specified")
        return known[key]

    return lookup


def _change_experiment(store: Store, given: Given, **change: Any) -> dict[str, Any]:
    one = experiment(store, required(given, "experiment_id"))
    value = {
        "name": one.name,
        "project": one.project,
        "created": one.created,
        "updated": time.time_ns() // 1_000_000,
        "active": one.active,
    } | change
    store.record_all([(Foreign(system=SYSTEM, type="experiment", key=one.id, value=value), None)])
    return {}


def _update_experiment(store: Store, given: Given) -> dict[str, Any]:
    name = text(given, "new_name")
    if any(
        o.name == name and o.id != given.get("experiment_id") for o in experiments(store).values()
    ):
        raise already_exists(f"Experiment(name={name}) already exists.")
    return _change_experiment(store, given, **({"name": name} if name else {}))


def _delete_experiment(store: Store, given: Given) -> dict[str, Any]:
    return _change_experiment(store, given, active=False)


def _restore_experiment(store: Store, given: Given) -> dict[str, Any]:
    return _change_experiment(store, given, active=True)


def _tag_experiment(store: Store, given: Given) -> dict[str, Any]:
    one = experiment(store, required(given, "experiment_id"))
    key = required(given, "key")
    if not one.active:
        raise invalid(f"The experiment {one.id} must be in the 'active' state.")
    body = Foreign(
        system=SYSTEM, type=f"experiment-tag/{one.id}", key=key, value=text(given, "value")
    )
    store.record_all([(body, None)])
    return {}


def _untag_experiment(store: Store, given: Given) -> dict[str, Any]:
    one = experiment(store, required(given, "experiment_id"))
    key = required(given, "key")
    if key not in one.tags:
        raise not_found(f"No tag with name: {key} in experiment with id {one.id}")
    store.record_all([(Foreign(system=SYSTEM, type=f"experiment-tag/{one.id}", key=key), None)])
    return {}


# --- runs ----------------------------------------------------------------------------------------


def _id(given: Given) -> str:
    return text(given, "run_id") or text(given, "run_uuid") or required(given, "run_id")


def _create_run(store: Store, given: Given) -> dict[str, Any]:
    one = experiment(store, text(given, "experiment_id") or experiment_id(DEFAULT_PROJECT))
    run = recording.create_run(store, one, given)
    return {"run": run_json(store, store.run(run))}


def _get_run(store: Store, given: Given) -> dict[str, Any]:
    return {"run": run_json(store, run_of(store, _id(given)))}


def _update_run(store: Store, given: Given) -> dict[str, Any]:
    document = _active(run_of(store, _id(given)))
    status, name = text(given, "status"), text(given, "run_name")
    document = recording.end_run(store, document, status, given.get("end_time"), name)
    return {"run_info": run_info(store, document)}


def _active(document: RunDocument) -> RunDocument:
    if document.trashed:
        raise invalid(
            f"The run {document.id} must be in the 'active' state. Current state is deleted."
        )
    return document


def _delete_run(store: Store, given: Given) -> dict[str, Any]:
    store.record(Trashed(on=True), run_of(store, _id(given)).id)
    return {}


def _restore_run(store: Store, given: Given) -> dict[str, Any]:
    store.record(Trashed(on=False), run_of(store, _id(given)).id)
    return {}


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Name fields as the call has them: what it says is not one of several."""
    try:
        yield
    except MlflowError as error:
        message = re.sub(r"'(metrics|params|tags)\[0\]\.", "'", error.message)
        raise MlflowError(error.status, error.code, message) from None


def _log_metric(store: Store, given: Given) -> dict[str, Any]:
    for name in ("key", "value", "timestamp"):
        if given.get(name) is None:
            raise missing(name)
    with _alone():
        recording.log_batch(store, run_of(store, _id(given)), metrics=[given])
    return {}


def _log_parameter(store: Store, given: Given) -> dict[str, Any]:
    required(given, "key")
    with _alone():
        recording.log_batch(store, run_of(store, _id(given)), params=[given])
    return {}


def _log_batch(store: Store, given: Given) -> dict[str, Any]:
    for field in ("metrics", "params", "tags"):
        if not isinstance(given.get(field, []), list):
            raise invalid(f"Invalid value for parameter '{field}' supplied")
    recording.log_batch(
        store,
        run_of(store, _id(given)),
        metrics=given.get("metrics", ()),
        params=given.get("params", ()),
        tags=given.get("tags", ()),
    )
    return {}


def _set_tag(store: Store, given: Given) -> dict[str, Any]:
    required(given, "key")
    with _alone():
        recording.log_batch(store, run_of(store, _id(given)), tags=[given])
    return {}


def _delete_tag(store: Store, given: Given) -> dict[str, Any]:
    recording.delete_tag(store, _active(run_of(store, _id(given))), required(given, "key"))
    return {}


def _log_inputs(store: Store, given: Given) -> dict[str, Any]:
    recording.log_inputs(store, _active(run_of(store, _id(given))), given)
    return {}


def _log_outputs(store: Store, given: Given) -> dict[str, Any]:
    document = run_of(store, _id(given))
    bodies = [
        Foreign(
            system=SYSTEM, type="model-output", key=str(model.get("model_id")), value=dict(model)
        )
        for model in given.get("models", ())
    ]
    store.record_all([(body, None) for body in bodies], document.id)
    return {}


def _log_model(store: Store, given: Given) -> dict[str, Any]:
    """Keep what MLflow 1 and 2 say of a model besides its files."""
    document = run_of(store, _id(given))
    model = required(given, "model_json")
    body = Foreign(system=SYSTEM, type="model-json", key=model[:200], value=model)
    store.record_all([(body, None)], document.id)
    return {}


# --- search --------------------------------------------------------------------------------------

_NUMERIC = ("start_time", "created", "end_time")
_ATTRIBUTES = (
    "run_id", "run_name", "status", "artifact_uri", "user_id", "experiment_id",
    "lifecycle_stage", *_NUMERIC,
)  # fmt: skip
_ALIASES = {"created": "start_time", "Created": "start_time", "run name": "run_name"}
_ALIASES |= {
    "Run name": "run_name",
    "Run Name": "run_name",
    "name": "run_name",
    "run_uuid": "run_id",
}


def _search_runs(store: Store, given: Given) -> dict[str, Any]:
    clauses = parse_filter(text(given, "filter"), numeric=_NUMERIC)
    for clause in clauses:
        _attribute(clause.entity, clause.key)
        if clause.op in ("IN", "NOT IN") and _ALIASES.get(clause.key, clause.key) != "run_id":
            raise invalid(f"The operator '{clause.op}' is only supported for 'run_id'")
    orders = parse_order(_listed(given, "order_by") or ["start_time DESC", "run_id ASC"])
    for order in orders:
        _attribute(order.entity, order.key)
    known = experiments(store)
    projects = {
        known[str(id)].project for id in _listed(given, "experiment_ids") if str(id) in known
    }
    shown = _of_view(text(given, "run_view_type") or text(given, "view_type") or "ACTIVE_ONLY")
    found: list[RunDocument] = []
    for project in sorted(projects):
        for trashed in (False, True):
            if shown(not trashed):
                found += store.runs(project, trashed=trashed)
    lookup = functools.partial(_run_lookup, store)
    found = [one for one in found if matches(clauses, lookup(one))]
    found = sort_by(found, orders, lookup)
    runs, token = page(given, found, 1000, 50_000)
    return {"runs": [run_json(store, one) for one in runs]} | token


def _attribute(entity: str, key: str) -> None:
    if entity == "attribute" and _ALIASES.get(key, key) not in _ATTRIBUTES:
        raise invalid(
            f"Invalid attribute key '{key}' specified. Valid keys are '{sorted(_ATTRIBUTES)}'"
        )


def _run_lookup(store: Store, document: RunDocument) -> Lookup:
    def lookup(entity: str, key: str) -> Any:
        match entity:
            case "metric":
                summary = document.metrics.get(key)
                return None if summary is None else from_wire(summary.last[1])
            case "param":
                return params_of(document).get(key)
            case "tag":
                return tags_of(document).get(key)
            case "dataset":
                return _dataset_values(document, key)
            case _:
                return _attribute_of(store, document, _ALIASES.get(key, key))

    return lookup


def _dataset_values(document: RunDocument, key: str) -> list[Any]:
    found = []
    for one in foreign_of(document, "dataset-input").values():
        if key == "context":
            found += [t["value"] for t in one["tags"] if t["key"] == "mlflow.data.context"]
        else:
            found.append(one["dataset"].get(key))
    return found


def _attribute_of(store: Store, document: RunDocument, key: str) -> Any:
    if key == "run_id":
        return document.id
    if key == "run_name":
        return document.name
    if key == "start_time":
        return milliseconds(document.created)
    if key == "artifact_uri":
        return artifact_root(document)
    return run_info(store, document).get(key)


def _of_view(view: str) -> Any:
    if view not in _VIEWS:
        raise invalid(f"Invalid value {view} for parameter 'view_type' supplied")
    return {
        "ACTIVE_ONLY": lambda active: active,
        "DELETED_ONLY": lambda active: not active,
        "ALL": lambda _active: True,
    }[view]


def _listed(given: Given, name: str) -> list[Any]:
    value = given.get(name) or []
    if not isinstance(value, list):
        raise invalid(f"Invalid value for parameter '{name}' supplied")
    return value


# --- metrics and artifacts -----------------------------------------------------------------------


def _history(store: Store, given: Given) -> dict[str, Any]:
    document, key = run_of(store, _id(given)), required(given, "metric_key")
    shown, token = page(given, _points(store, document, key), 25_000, 25_000)
    return {"metrics": shown} | token


def _points(store: Store, document: RunDocument, key: str) -> list[dict[str, Any]]:
    if key not in document.metrics:
        return []
    points = store.points.read(document.id, key)
    return [
        metric(key, value, milliseconds(t), step)
        for step, t, value in zip(
            points.step.tolist(), points.time.tolist(), points.value.tolist(), strict=True
        )
    ]


def _history_bulk(store: Store, given: Given) -> dict[str, Any]:
    key, runs = required(given, "metric_key"), _listed(given, "run_id")
    most = int(text(given, "max_results") or 25_000)
    found = [
        {**point, "run_id": run}
        for run in runs[:100]
        for point in _points(store, run_of(store, run), key)
    ]
    return {"metrics": found[: max(1, min(most, 25_000))]}


def _history_interval(store: Store, given: Given) -> dict[str, Any]:
    key, runs = required(given, "metric_key"), _listed(given, "run_ids")
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
    document = run_of(store, _id(given))
    root = artifact_root(document)
    place = files.locate(store, f"{root.removeprefix('mlflow-artifacts:/')}/{text(given, 'path')}")
    return {"root_uri": root, "files": files.list_files(document, place.key)}


def _search_datasets(store: Store, given: Given) -> dict[str, Any]:
    known = experiments(store)
    found: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for id in _listed(given, "experiment_ids"):
        one = known.get(str(id))
        for document in store.runs(one.project) if one else ():
            for value in foreign_of(document, "dataset-input").values():
                for context in _contexts(value["tags"]):
                    dataset = value["dataset"]
                    summary = {
                        "experiment_id": str(id),
                        "name": dataset["name"],
                        "digest": dataset["digest"],
                        "context": context,
                    }
                    found[tuple(summary.values())] = summary
    return {"dataset_summaries": list(found.values())}


def _contexts(tags: Iterable[Mapping[str, str]]) -> list[str]:
    return [t["value"] for t in tags if t["key"] == "mlflow.data.context"] or [""]


CALLS = (
    Call("POST", "/experiments/create", _create_experiment, writes=True),
    Call("GET", "/experiments/get", _get_experiment),
    Call("GET", "/experiments/get-by-name", _get_experiment_by_name),
    Call("POST", "/experiments/search", _search_experiments),
    Call("GET", "/experiments/search", _search_experiments, lists=("order_by",)),
    Call("POST", "/experiments/update", _update_experiment, writes=True),
    Call("POST", "/experiments/delete", _delete_experiment, writes=True),
    Call("POST", "/experiments/restore", _restore_experiment, writes=True),
    Call("POST", "/experiments/set-experiment-tag", _tag_experiment, writes=True),
    Call("POST", "/experiments/delete-experiment-tag", _untag_experiment, writes=True),
    Call("POST", "/experiments/search-datasets", _search_datasets),
    Call("POST", "/runs/create", _create_run, writes=True),
    Call("GET", "/runs/get", _get_run),
    Call("POST", "/runs/update", _update_run, writes=True),
    Call("POST", "/runs/delete", _delete_run, writes=True),
    Call("POST", "/runs/restore", _restore_run, writes=True),
    Call("POST", "/runs/search", _search_runs),
    Call("POST", "/runs/log-metric", _log_metric, writes=True),
    Call("POST", "/runs/log-parameter", _log_parameter, writes=True),
    Call("POST", "/runs/log-batch", _log_batch, writes=True),
    Call("POST", "/runs/set-tag", _set_tag, writes=True),
    Call("POST", "/runs/delete-tag", _delete_tag, writes=True),
    Call("POST", "/runs/log-inputs", _log_inputs, writes=True),
    Call("POST", "/runs/outputs", _log_outputs, writes=True),
    Call("POST", "/runs/log-model", _log_model, writes=True),
    Call("GET", "/metrics/get-history", _history),
    Call("GET", "/metrics/get-history-bulk", _history_bulk, lists=("run_id",)),
    Call("GET", "/metrics/get-history-bulk-interval", _history_interval, lists=("run_ids",)),
    Call("GET", "/artifacts/list", _list_artifacts),
)
