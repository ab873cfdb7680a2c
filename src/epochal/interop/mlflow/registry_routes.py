"""Calls about registered models, their versions and aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from epochal.interop.mlflow.errors import invalid, missing
from epochal.interop.mlflow.registry import Registry
from epochal.interop.mlflow.routing import Call, Given, digits, listed, page, required, text
from epochal.interop.mlflow.search import Lookup, matches, parse_filter, parse_order, sort_by
from epochal.store.store import Store

__all__ = ["CALLS"]


_ABSENT = {"mlflow.prompt.is_prompt": "false"}
"""Clients ask for what is no prompt; nothing here is one."""


# --- registered models ---------------------------------------------------------------------------


def _create_model(store: Store, given: Given) -> dict[str, Any]:
    return {"registered_model": Registry(store).create(given)}


def _get_model(store: Store, given: Given) -> dict[str, Any]:
    registry = Registry(store)
    return {"registered_model": registry.model_json(registry.model(required(given, "name")))}


def _update_model(store: Store, given: Given) -> dict[str, Any]:
    described = text(given, "description")
    return {
        "registered_model": Registry(store).change(
            required(given, "name"), lambda m: m.update(description=described)
        )
    }


def _rename_model(store: Store, given: Given) -> dict[str, Any]:
    name = required(given, "name")
    return {"registered_model": Registry(store).rename(name, text(given, "new_name"))}


def _delete_model(store: Store, given: Given) -> dict[str, Any]:
    Registry(store).delete(required(given, "name"))
    return {}


def _search_models(store: Store, given: Given) -> dict[str, Any]:
    registry = Registry(store)
    clauses = parse_filter(text(given, "filter"))

    def lookup_of(model: dict[str, Any]) -> Lookup:
        return _lookup(
            model["tags"],
            name=model["name"],
            creation_timestamp=model["created"],
            last_updated_timestamp=model["updated"],
            timestamp=model["updated"],
        )

    found = [m for m in registry.models() if matches(clauses, lookup_of(m))]
    orders = parse_order([*listed(given, "order_by"), "name ASC"])
    models, token = page(given, sort_by(found, orders, lookup_of), 100, 1000)
    return {"registered_models": [registry.model_json(m) for m in models]} | token


def _tag_model(store: Store, given: Given) -> dict[str, Any]:
    key, value = required(given, "key"), text(given, "value")
    Registry(store).change(required(given, "name"), lambda m: m["tags"].update({key: value}))
    return {}


def _untag_model(store: Store, given: Given) -> dict[str, Any]:
    key = required(given, "key")
    Registry(store).change(required(given, "name"), lambda m: m["tags"].pop(key, None))
    return {}


def _latest_versions(store: Store, given: Given) -> dict[str, Any]:
    registry, name = Registry(store), required(given, "name")
    registry.model(name)
    found = registry.latest(name, listed(given, "stages"))
    return {"model_versions": [registry.version_json(v) for v in found]}


def _get_alias(store: Store, given: Given) -> dict[str, Any]:
    registry = Registry(store)
    found = registry.alias(required(given, "name"), required(given, "alias"))
    return {"model_version": registry.version_json(found)}


def _set_alias(store: Store, given: Given) -> dict[str, Any]:
    Registry(store).set_alias(
        required(given, "name"), text(given, "alias"), digits(given, "version")
    )
    return {}


def _delete_alias(store: Store, given: Given) -> dict[str, Any]:
    alias = required(given, "alias")
    Registry(store).change(required(given, "name"), lambda m: m["aliases"].pop(alias, None))
    return {}


# --- versions ------------------------------------------------------------------------------------


def _create_version(store: Store, given: Given) -> dict[str, Any]:
    return {"model_version": Registry(store).create_version(given)}


def _get_version(store: Store, given: Given) -> dict[str, Any]:
    registry = Registry(store)
    found = registry.version(required(given, "name"), digits(given, "version"))
    return {"model_version": registry.version_json(found)}


def _update_version(store: Store, given: Given) -> dict[str, Any]:
    described = text(given, "description")
    return {
        "model_version": Registry(store).change_version(
            required(given, "name"),
            digits(given, "version"),
            lambda v: v.update(description=described),
        )
    }


def _delete_version(store: Store, given: Given) -> dict[str, Any]:
    Registry(store).delete_version(required(given, "name"), digits(given, "version"))
    return {}


def _search_versions(store: Store, given: Given) -> dict[str, Any]:
    registry = Registry(store)
    clauses = parse_filter(text(given, "filter"), numeric=("version_number",))

    def lookup_of(version: dict[str, Any]) -> Lookup:
        return _lookup(
            version["tags"],
            name=version["name"],
            version_number=int(version["version"]),
            run_id=version["run_id"],
            source_path=version["source"],
            creation_timestamp=version["created"],
            last_updated_timestamp=version["updated"],
        )

    found = [v for v in registry.all_versions() if matches(clauses, lookup_of(v))]
    orders = parse_order(
        [
            *(listed(given, "order_by") or ["last_updated_timestamp DESC"]),
            "name ASC",
            "version_number DESC",
        ]
    )
    versions, token = page(given, sort_by(found, orders, lookup_of), 10_000, 200_000)
    return {"model_versions": [registry.version_json(v) for v in versions]} | token


def _tag_version(store: Store, given: Given) -> dict[str, Any]:
    key, value = required(given, "key"), text(given, "value")
    Registry(store).change_version(
        required(given, "name"),
        digits(given, "version"),
        lambda v: v["tags"].update({key: value}),
    )
    return {}


def _untag_version(store: Store, given: Given) -> dict[str, Any]:
    key = required(given, "key")
    Registry(store).change_version(
        required(given, "name"), digits(given, "version"), lambda v: v["tags"].pop(key, None)
    )
    return {}


def _transition(store: Store, given: Given) -> dict[str, Any]:
    archive = given.get("archive_existing_versions") in (True, "true", "True")
    if given.get("stage") is None:
        raise missing("stage")
    found = Registry(store).move(
        required(given, "name"), digits(given, "version"), text(given, "stage"), archive
    )
    return {"model_version": found}


def _lookup(tags: Mapping[str, Any], **known: Any) -> Lookup:
    """Return how a filter finds the tags and attributes of a model or version."""

    def lookup(entity: str, key: str) -> Any:
        if entity == "tag":
            return tags.get(key, _ABSENT.get(key))
        if key not in known:
            raise invalid(f"Invalid attribute name: {key}")
        return known[key]

    return lookup


def _download_uri(store: Store, given: Given) -> dict[str, Any]:
    found = Registry(store).download_uri(required(given, "name"), digits(given, "version"))
    return {"artifact_uri": found}


CALLS = (
    Call("POST", "/registered-models/create", _create_model, writes=True),
    Call("GET", "/registered-models/get", _get_model),
    Call("PATCH", "/registered-models/update", _update_model, writes=True),
    Call("POST", "/registered-models/rename", _rename_model, writes=True),
    Call("DELETE", "/registered-models/delete", _delete_model, writes=True),
    Call("GET", "/registered-models/search", _search_models, lists=("order_by",)),
    Call("POST", "/registered-models/set-tag", _tag_model, writes=True),
    Call("DELETE", "/registered-models/delete-tag", _untag_model, writes=True),
    Call("GET", "/registered-models/get-latest-versions", _latest_versions, lists=("stages",)),
    Call("POST", "/registered-models/get-latest-versions", _latest_versions),
    Call("GET", "/registered-models/alias", _get_alias),
    Call("POST", "/registered-models/alias", _set_alias, writes=True),
    Call("DELETE", "/registered-models/alias", _delete_alias, writes=True),
    Call("POST", "/model-versions/create", _create_version, writes=True),
    Call("GET", "/model-versions/get", _get_version),
    Call("PATCH", "/model-versions/update", _update_version, writes=True),
    Call("DELETE", "/model-versions/delete", _delete_version, writes=True),
    Call("GET", "/model-versions/search", _search_versions, lists=("order_by",)),
    Call("POST", "/model-versions/set-tag", _tag_version, writes=True),
    Call("DELETE", "/model-versions/delete-tag", _untag_version, writes=True),
    Call("POST", "/model-versions/transition-stage", _transition, writes=True),
    Call("GET", "/model-versions/get-download-uri", _download_uri),
)
