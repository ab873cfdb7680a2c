"""Calls about experiments, and the datasets that their runs named."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from epochal.interop.mlflow.entities import (
    SYSTEM,
    Experiment,
    experiment,
    experiment_id,
    experiments,
    foreign_of,
)
from epochal.interop.mlflow.errors import already_exists, invalid, not_found
from epochal.interop.mlflow.routing import (
    Call,
    Given,
    digits,
    listed,
    of_view,
    page,
    required,
    tags_in,
    text,
)
from epochal.interop.mlflow.search import Lookup, matches, parse_filter, parse_order, sort_by
from epochal.records import Foreign
from epochal.store.store import Store

__all__ = ["CALLS"]

_MOST_SEARCHED = 20


def _create_experiment(store: Store, given: Given) -> dict[str, Any]:
    name = required(given, "name")
    text(given, "artifact_location")  # looked at, not followed: files are kept by the server
    tags = tags_in(given, "tags")
    if len(name) > 500:
        raise invalid("Invalid value for parameter 'name': it is longer than 500 characters")
    for one in experiments(store).values():
        if one.name == name:
            state = "" if one.active else " in deleted state. You can restore it"
            raise already_exists(f"Experiment(name={name}) already exists{state}.")
    id, now = experiment_id(name), time.time_ns() // 1_000_000
    value = {"name": name, "project": name, "created": now, "updated": now}
    said = [(Foreign(system=SYSTEM, type="experiment", key=id, value=value), None)]
    for key, tag in tags.items():
        body = Foreign(system=SYSTEM, type=f"experiment-tag/{id}", key=key, value=tag)
        said.append((body, None))
    store.record_all(said)
    return {"experiment_id": id}


def _get_experiment(store: Store, given: Given) -> dict[str, Any]:
    return {"experiment": experiment(store, digits(given, "experiment_id")).json()}


def _get_experiment_by_name(store: Store, given: Given) -> dict[str, Any]:
    name = required(given, "experiment_name")
    for one in experiments(store).values():
        if one.name == name:
            return {"experiment": one.json()}
    raise not_found(f"Could not find experiment with name '{name}'")


def _search_experiments(store: Store, given: Given) -> dict[str, Any]:
    clauses = parse_filter(text(given, "filter"), numeric=("creation_time", "last_update_time"))
    shown = of_view(text(given, "view_type") or "ACTIVE_ONLY")
    found = [one for one in experiments(store).values() if shown(one.active)]
    found = [one for one in found if matches(clauses, _experiment_lookup(one))]
    orders = parse_order([*listed(given, "order_by"), "creation_time DESC", "experiment_id DESC"])
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
    one = experiment(store, digits(given, "experiment_id"))
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
        o.name == name and o.id != digits(given, "experiment_id")
        for o in experiments(store).values()
    ):
        raise already_exists(f"Experiment(name={name}) already exists.")
    return _change_experiment(store, given, **({"name": name} if name else {}))


def _delete_experiment(store: Store, given: Given) -> dict[str, Any]:
    return _change_experiment(store, given, active=False)


def _restore_experiment(store: Store, given: Given) -> dict[str, Any]:
    return _change_experiment(store, given, active=True)


def _tag_experiment(store: Store, given: Given) -> dict[str, Any]:
    one = experiment(store, digits(given, "experiment_id"))
    key = required(given, "key")
    if not one.active:
        raise invalid(f"The experiment {one.id} must be in the 'active' state.")
    body = Foreign(
        system=SYSTEM, type=f"experiment-tag/{one.id}", key=key, value=text(given, "value")
    )
    store.record_all([(body, None)])
    return {}


def _untag_experiment(store: Store, given: Given) -> dict[str, Any]:
    one = experiment(store, digits(given, "experiment_id"))
    key = required(given, "key")
    if key not in one.tags:
        raise not_found(f"No tag with name: {key} in experiment with id {one.id}")
    store.record_all([(Foreign(system=SYSTEM, type=f"experiment-tag/{one.id}", key=key), None)])
    return {}


def _search_datasets(store: Store, given: Given) -> dict[str, Any]:
    known, asked = experiments(store), listed(given, "experiment_ids")
    if not asked:
        raise invalid("SearchDatasets request must specify at least one experiment_id.")
    if len(asked) > _MOST_SEARCHED:
        raise invalid(
            f"SearchDatasets request cannot specify more than {_MOST_SEARCHED} experiment_ids. "
            f"Received {len(asked)} experiment_ids."
        )
    found: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for id in asked:
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
)
