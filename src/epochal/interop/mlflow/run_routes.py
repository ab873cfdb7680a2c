"""Calls about runs: opening and ending them, what they log, finding them."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator
from typing import Any

from epochal.interop.mlflow import recording
from epochal.interop.mlflow.entities import (
    DEFAULT_PROJECT,
    SYSTEM,
    artifact_root,
    experiment,
    experiment_id,
    experiments,
    foreign_of,
    milliseconds,
    params_of,
    run_info,
    run_json,
    run_of,
    tags_of,
)
from epochal.interop.mlflow.errors import MlflowError, invalid, missing
from epochal.interop.mlflow.inputs import log_inputs
from epochal.interop.mlflow.routing import (
    Call,
    Given,
    digits,
    entries,
    listed,
    of_view,
    page,
    required,
    run_id,
    text,
)
from epochal.interop.mlflow.search import Lookup, matches, parse_filter, parse_order, sort_by
from epochal.records import Foreign, Trashed, from_wire
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["CALLS"]


def _create_run(store: Store, given: Given) -> dict[str, Any]:
    asked = given.get("experiment_id") not in (None, "")
    one = experiment(
        store, digits(given, "experiment_id") if asked else experiment_id(DEFAULT_PROJECT)
    )
    run = recording.create_run(store, one, given)
    return {"run": run_json(store, store.run(run))}


def _get_run(store: Store, given: Given) -> dict[str, Any]:
    return {"run": run_json(store, run_of(store, run_id(given)))}


def _update_run(store: Store, given: Given) -> dict[str, Any]:
    document = _active(run_of(store, run_id(given)))
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
    store.record(Trashed(on=True), run_of(store, run_id(given)).id)
    return {}


def _restore_run(store: Store, given: Given) -> dict[str, Any]:
    store.record(Trashed(on=False), run_of(store, run_id(given)).id)
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
        recording.log_batch(store, run_of(store, run_id(given)), metrics=[given])
    return {}


def _log_parameter(store: Store, given: Given) -> dict[str, Any]:
    required(given, "key")
    with _alone():
        recording.log_batch(store, run_of(store, run_id(given)), params=[given])
    return {}


def _log_batch(store: Store, given: Given) -> dict[str, Any]:
    recording.log_batch(
        store,
        run_of(store, run_id(given)),
        metrics=entries(given, "metrics"),
        params=entries(given, "params"),
        tags=entries(given, "tags"),
    )
    return {}


def _set_tag(store: Store, given: Given) -> dict[str, Any]:
    required(given, "key")
    with _alone():
        recording.log_batch(store, run_of(store, run_id(given)), tags=[given])
    return {}


def _delete_tag(store: Store, given: Given) -> dict[str, Any]:
    recording.delete_tag(store, _active(run_of(store, run_id(given))), required(given, "key"))
    return {}


def _log_inputs(store: Store, given: Given) -> dict[str, Any]:
    log_inputs(store, _active(run_of(store, run_id(given))), given)
    return {}


def _log_outputs(store: Store, given: Given) -> dict[str, Any]:
    document = run_of(store, run_id(given))
    bodies = [
        Foreign(
            system=SYSTEM, type="model-output", key=str(model.get("model_id")), value=dict(model)
        )
        for model in entries(given, "models")
    ]
    store.record_all([(body, None) for body in bodies], document.id)
    return {}


def _log_model(store: Store, given: Given) -> dict[str, Any]:
    """Keep what MLflow 1 and 2 say of a model besides its files."""
    document = run_of(store, run_id(given))
    model = required(given, "model_json")
    body = Foreign(system=SYSTEM, type="model-json", key=model[:200], value=model)
    store.record_all([(body, None)], document.id)
    return {}


# --- search --------------------------------------------------------------------------------------

_NUMERIC = ("start_time", "created", "Created", "end_time")
_ATTRIBUTES: tuple[str, ...] = (
    "run_id",
    "run_name",
    "status",
    "artifact_uri",
    "user_id",
    "start_time",
    "end_time",
)
_DATASET_KEYS: tuple[str, ...] = ("name", "digest", "context")
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
        _check_key(clause.entity, clause.key)
        is_id = clause.entity == "attribute" and _ALIASES.get(clause.key, clause.key) == "run_id"
        if clause.op in ("IN", "NOT IN") and not is_id and clause.entity != "dataset":
            raise invalid(
                f"The operator '{clause.op}' is only supported for 'run_id' and datasets"
            )
        if clause.op in ("IS NULL", "IS NOT NULL") and clause.entity not in ("param", "tag"):
            raise invalid(f"The operator '{clause.op}' is only supported for params and tags")
    orders = parse_order([*listed(given, "order_by"), "start_time DESC", "run_id ASC"])
    for order in orders:
        _check_key(order.entity, order.key)
        if order.entity == "dataset":
            raise invalid(f"Invalid order_by key 'dataset.{order.key}': a run may have several")
    known = experiments(store)
    projects = {
        known[str(id)].project for id in listed(given, "experiment_ids") if str(id) in known
    }
    shown = of_view(text(given, "run_view_type") or text(given, "view_type") or "ACTIVE_ONLY")
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


def _check_key(entity: str, key: str) -> None:
    if entity == "attribute":
        valid, key = _ATTRIBUTES, _ALIASES.get(key, key)
    elif entity == "dataset":
        valid = _DATASET_KEYS
    else:
        return
    if key not in valid:
        raise invalid(f"Invalid {entity} key '{key}' specified. Valid keys are '{sorted(valid)}'")


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


CALLS = (
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
)
