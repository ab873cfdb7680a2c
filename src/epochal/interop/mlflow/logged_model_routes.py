"""Calls about logged models."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from epochal.interop.mlflow.errors import not_found, unusable
from epochal.interop.mlflow.files import list_place, locate
from epochal.interop.mlflow.logged_models import LoggedModels
from epochal.interop.mlflow.routing import (
    Call,
    Given,
    entries,
    listed,
    page,
    required,
    tags_in,
    text,
)
from epochal.interop.mlflow.search import Lookup, matches, parse_filter, parse_order, sort_by
from epochal.store.store import Store

__all__ = ["CALLS"]

Model: TypeAlias = dict[str, Any]
Datasets: TypeAlias = Sequence[Mapping[str, Any]]

_STATUSES = (
    "LOGGED_MODEL_STATUS_UNSPECIFIED",
    "LOGGED_MODEL_PENDING",
    "LOGGED_MODEL_READY",
    "LOGGED_MODEL_UPLOAD_FAILED",
)
"""In the order of the protocol's numbers."""
_RENAMED = {
    "creation_timestamp": "creation_timestamp_ms",
    "creation_time": "creation_timestamp_ms",
    "last_updated_timestamp": "last_updated_timestamp_ms",
}


def _create_logged(store: Store, given: Given) -> dict[str, Any]:
    return {"model": LoggedModels(store).create(given)}


def _get_logged(store: Store, given: Given) -> dict[str, Any]:
    models = LoggedModels(store)
    return {"model": models.json(models.get(given["model_id"]))}


def _finish_logged(store: Store, given: Given) -> dict[str, Any]:
    status = given.get("status", "LOGGED_MODEL_READY")
    value = dict(enumerate(_STATUSES)).get(status, status) if isinstance(status, int) else status
    if value not in _STATUSES:
        raise unusable(status, "status")
    return {
        "model": LoggedModels(store).change(given["model_id"], lambda m: m.update(status=value))
    }


def _delete_logged(store: Store, given: Given) -> dict[str, Any]:
    LoggedModels(store).delete(given["model_id"])
    return {}


def _logged_params(store: Store, given: Given) -> dict[str, Any]:
    params = tags_in(given, "params")
    LoggedModels(store).change(given["model_id"], lambda m: m["params"].update(params))
    return {}


def _logged_tags(store: Store, given: Given) -> dict[str, Any]:
    tags = tags_in(given, "tags")
    return {
        "model": LoggedModels(store).change(given["model_id"], lambda m: m["tags"].update(tags))
    }


def _untag_logged(store: Store, given: Given) -> dict[str, Any]:
    models = LoggedModels(store)
    if given["key"] not in models.get(given["model_id"])["tags"]:
        raise not_found(f"No tag with key {given['key']!r} for model {given['model_id']!r}.")
    models.change(given["model_id"], lambda m: m["tags"].pop(given["key"]))
    return {}


def _search_logged(store: Store, given: Given) -> dict[str, Any]:
    ids = {str(id) for id in listed(given, "experiment_ids")}
    clauses = parse_filter(
        text(given, "filter"), numeric=("creation_timestamp", "last_updated_timestamp")
    )
    datasets = entries(given, "datasets")
    found = [
        model
        for model in LoggedModels(store).search(ids)
        if (not datasets or _points(model, datasets))
        and matches(clauses, _lookup(model, datasets))
    ]
    for one in reversed(entries(given, "order_by")):
        direction = "DESC" if one.get("ascending") in (False, "false") else "ASC"
        about = [one] if one.get("dataset_name") else []
        orders = parse_order([f"{required(one, 'field_name')} {direction}"])
        found = sort_by(found, orders, functools.partial(_sort_key, about))
    models, token = page(given, found, 100, 1000)
    return {"models": models} | token


def _points(model: Model, datasets: Datasets, key: str | None = None) -> list[Model]:
    """Return a model's points about one of some datasets, of one metric or of all."""
    return [
        point
        for point in model["data"]["metrics"]
        if key in (None, point["key"])
        and (
            not datasets
            or any(
                point["dataset_name"] == one.get("dataset_name")
                and one.get("dataset_digest") in (None, "", point["dataset_digest"])
                for one in datasets
            )
        )
    ]


def _lookup(model: Model, datasets: Datasets) -> Lookup:
    def lookup(entity: str, key: str) -> Any:
        info = model["info"]
        match entity:
            case "tag":
                return {t["key"]: t["value"] for t in info["tags"]}.get(key)
            case "param":
                return {p["key"]: p["value"] for p in model["data"]["params"]}.get(key)
            case "metric":
                return [float(point["value"]) for point in _points(model, datasets, key)]
            case _:
                return info.get(_RENAMED.get(key, key))

    return lookup


def _sort_key(datasets: Datasets, model: Model) -> Lookup:
    """Return what a model is sorted by: of a metric, the latest point."""

    def lookup(entity: str, key: str) -> Any:
        if entity != "metric":
            return _lookup(model, datasets)(entity, key)
        points = _points(model, datasets, key)
        latest = max(points, key=lambda p: (p["timestamp"], p["step"]), default=None)
        return None if latest is None else float(latest["value"])

    return lookup


def _list_logged(store: Store, given: Given) -> dict[str, Any]:
    models = LoggedModels(store)
    model = models.get(given["model_id"])
    folder = text(given, "artifact_directory_path")
    place = locate(store, f"0/models/{model['model_id']}/artifacts/{folder}")
    return {
        "root_uri": models.json(model)["info"]["artifact_uri"],
        "files": list_place(store, place),
    }


_LOGGED, _ONE = "/logged-models", "/logged-models/{model_id}"

CALLS = (
    Call("POST", _LOGGED, _create_logged, writes=True),
    Call("POST", f"{_LOGGED}/search", _search_logged),
    Call("GET", _ONE, _get_logged),
    Call("PATCH", _ONE, _finish_logged, writes=True),
    Call("DELETE", _ONE, _delete_logged, writes=True),
    Call("POST", f"{_ONE}/params", _logged_params, writes=True),
    Call("PATCH", f"{_ONE}/tags", _logged_tags, writes=True),
    Call("DELETE", _ONE + "/tags/{key:path}", _untag_logged, writes=True),
    Call("GET", f"{_ONE}/artifacts/directories", _list_logged),
)
