"""Logged models, registered models, their versions and aliases: what MLflow's clients manage.

They have no place of their own here and are kept as `Foreign` records, whole: each change repeats
the entity. An alias of a registered model points at a version, whose run is what `epochal promote`
would name; promotion itself stays a decision.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from epochal.interop.mlflow.entities import SYSTEM, run_of
from epochal.interop.mlflow.errors import already_exists, invalid, missing, not_found
from epochal.records import Foreign
from epochal.store.store import Store

__all__ = ["LoggedModels", "Registry"]

_STAGES = ("None", "Staging", "Production", "Archived")


def _now() -> int:
    return time.time_ns() // 1_000_000


def _tags(given: Any) -> dict[str, str]:
    return {str(t["key"]): str(t.get("value", "")) for t in given or () if "key" in t}


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _required(request: Mapping[str, Any], name: str) -> Any:
    value = request.get(name)
    if value in (None, ""):
        raise missing(name)
    return value


class _Entities:
    """Entities of one type, as the workspace's journals have them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._said = store.foreign(SYSTEM)

    def of(self, type: str) -> dict[str, Any]:
        return self._said.get(type, {})

    def put(self, type: str, key: str, value: Any) -> None:
        """Record an entity as it is from now on; None: it is gone."""
        self.store.record_all([(Foreign(system=SYSTEM, type=type, key=key, value=value), None)])
        self._said = self.store.foreign(SYSTEM)


class LoggedModels(_Entities):
    """MLflow 3's logged models: an output of a run, with files, params and tags."""

    _TYPE = "logged-model"

    def get(self, id: str) -> dict[str, Any]:
        """Return one, as it is kept.

        Raises
        ------
        MlflowError
            If there is none.
        """
        found = self.of(self._TYPE).get(id)
        if found is None:
            raise not_found(f"Logged model with ID '{id}' not found.")
        return dict(found)

    def create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Create one and return it as a client gets it."""
        run = request.get("source_run_id") or ""
        experiment = str(_required(request, "experiment_id"))
        if run:
            run_of(self.store, run)
        else:
            raise invalid(
                "A logged model belongs to a run here: log it inside mlflow.start_run(), so that "
                "'source_run_id' says which"
            )
        id = f"m-{secrets.token_hex(16)}"
        now = _now()
        self.put(
            self._TYPE,
            id,
            {
                "model_id": id,
                "experiment_id": experiment,
                "name": request.get("name") or f"model-{id[2:10]}",
                "source_run_id": run,
                "model_type": request.get("model_type") or "",
                "created": now,
                "updated": now,
                "status": "LOGGED_MODEL_PENDING",
                "tags": _tags(request.get("tags")),
                "params": _tags(request.get("params")),
            },
        )
        return self.json(self.get(id))

    def change(self, id: str, edit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Apply `edit` to one and return it as a client gets it."""
        model = self.get(id)
        model |= {"tags": dict(model["tags"]), "params": dict(model["params"]), "updated": _now()}
        edit(model)
        self.put(self._TYPE, id, model)
        return self.json(model)

    def delete(self, id: str) -> None:
        """Remove one; its files stay in the run."""
        self.get(id)
        self.put(self._TYPE, id, None)

    def search(self, experiments: set[str]) -> list[dict[str, Any]]:
        """Return those of some experiments, newest first."""
        found = [m for m in self.of(self._TYPE).values() if m["experiment_id"] in experiments]
        return [self.json(m) for m in sorted(found, key=lambda m: (-m["created"], m["model_id"]))]

    def json(self, model: Mapping[str, Any]) -> dict[str, Any]:
        """Return a model as a client gets it."""
        id, experiment = model["model_id"], model["experiment_id"]
        return {
            "info": {
                "model_id": id,
                "experiment_id": experiment,
                "name": model["name"],
                "creation_timestamp_ms": model["created"],
                "last_updated_timestamp_ms": model["updated"],
                "artifact_uri": f"mlflow-artifacts:/{experiment}/models/{id}/artifacts",
                "status": model["status"],
                "model_type": model["model_type"],
                "source_run_id": model["source_run_id"],
                "tags": _pairs(model["tags"]),
            },
            "data": {"params": _pairs(model["params"]), "metrics": []},
        }


class Registry(_Entities):
    """Registered models by name, with numbered versions and aliases."""

    _MODEL, _VERSION = "registered-model", "model-version"

    # --- models --------------------------------------------------------------------------------

    def model(self, name: str) -> dict[str, Any]:
        """Return a registered model as it is kept.

        Raises
        ------
        MlflowError
            If there is none of that name.
        """
        found = self.of(self._MODEL).get(name)
        if found is None:
            raise not_found(f"Registered Model with name={name} not found")
        return dict(found)

    def create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Register a name."""
        name = str(_required(request, "name"))
        if name in self.of(self._MODEL):
            raise already_exists(f"Registered Model (name={name}) already exists.")
        now = _now()
        self.put(
            self._MODEL,
            name,
            {
                "name": name,
                "created": now,
                "updated": now,
                "description": request.get("description") or "",
                "tags": _tags(request.get("tags")),
                "aliases": {},
                "next": 1,
            },
        )
        return self.model_json(self.model(name))

    def change(self, name: str, edit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Apply `edit` to a registered model."""
        model = self.model(name)
        model |= {"tags": dict(model["tags"]), "aliases": dict(model["aliases"])}
        model["updated"] = _now()
        edit(model)
        self.put(self._MODEL, name, model)
        return self.model_json(model)

    def rename(self, name: str, new_name: str) -> dict[str, Any]:
        """Give a registered model and its versions another name."""
        model = self.model(name)
        if not new_name:
            raise missing("new_name")
        if new_name in self.of(self._MODEL):
            raise already_exists(f"Registered Model (name={new_name}) already exists.")
        for version in self.versions(name):
            self.put(
                self._VERSION, f"{new_name}/{version['version']}", {**version, "name": new_name}
            )
            self.put(self._VERSION, f"{name}/{version['version']}", None)
        model |= {"name": new_name, "updated": _now()}
        self.put(self._MODEL, new_name, model)
        self.put(self._MODEL, name, None)
        return self.model_json(model)

    def delete(self, name: str) -> None:
        """Remove a registered model and its versions."""
        self.model(name)
        for version in self.versions(name):
            self.put(self._VERSION, f"{name}/{version['version']}", None)
        self.put(self._MODEL, name, None)

    def models(self) -> list[dict[str, Any]]:
        """Return all registered models as kept, by name."""
        return [self.of(self._MODEL)[name] for name in sorted(self.of(self._MODEL))]

    def model_json(self, model: Mapping[str, Any]) -> dict[str, Any]:
        """Return a registered model as a client gets it."""
        name = model["name"]
        return {
            "name": name,
            "creation_timestamp": model["created"],
            "last_updated_timestamp": model["updated"],
            "description": model["description"],
            "tags": _pairs(model["tags"]),
            "aliases": [{"alias": a, "version": v} for a, v in model["aliases"].items()],
            "latest_versions": [self.version_json(v) for v in self.latest(name, ())],
        }

    # --- versions ------------------------------------------------------------------------------

    def versions(self, name: str) -> list[dict[str, Any]]:
        """Return a model's versions as kept, oldest first."""
        found = [v for v in self.of(self._VERSION).values() if v["name"] == name]
        return sorted(found, key=lambda v: int(v["version"]))

    def all_versions(self) -> list[dict[str, Any]]:
        """Return the versions of all models as kept."""
        return list(self.of(self._VERSION).values())

    def version(self, name: str, version: str) -> dict[str, Any]:
        """Return one version as it is kept.

        Raises
        ------
        MlflowError
            If there is none, or `version` is no number.
        """
        if not re.fullmatch(r"\d{1,9}", str(version)):
            raise invalid(f"Parameter 'version' must be an integer, got '{version}'.")
        found = self.of(self._VERSION).get(f"{name}/{int(version)}")
        if found is None:
            raise not_found(f"Model Version (name={name}, version={version}) not found")
        return dict(found)

    def create_version(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Add a version to a registered model."""
        name, source = str(_required(request, "name")), str(_required(request, "source"))
        model = self.model(name)
        number = int(model["next"])
        run, model_id = str(request.get("run_id") or ""), str(request.get("model_id") or "")
        if source.startswith("models:/m-") and not model_id:
            model_id = source.removeprefix("models:/")
        if not source.startswith(("models:/", "mlflow-artifacts:/", "runs:/")):
            # A place that only the client can reach, or one of ours that it must not name.
            raise invalid(
                f"Invalid model version source: '{source[:200]}'. Use models:/, runs:/ or "
                "mlflow-artifacts:/ addresses that this server gave out."
            )
        if model_id:
            run = run or LoggedModels(self.store).get(model_id)["source_run_id"]
        now = _now()
        self.put(
            self._VERSION,
            f"{name}/{number}",
            {
                "name": name,
                "version": str(number),
                "created": now,
                "updated": now,
                "description": request.get("description") or "",
                "source": source,
                "run_id": run,
                "run_link": request.get("run_link") or "",
                "model_id": model_id,
                "stage": "None",
                "tags": _tags(request.get("tags")),
            },
        )
        self.change(name, lambda kept: kept.update(next=number + 1))
        return self.version_json(self.version(name, str(number)))

    def change_version(
        self, name: str, version: str, edit: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Apply `edit` to a version."""
        kept = self.version(name, version)
        kept |= {"tags": dict(kept["tags"]), "updated": _now()}
        edit(kept)
        self.put(self._VERSION, f"{name}/{kept['version']}", kept)
        return self.version_json(kept)

    def move(self, name: str, version: str, stage: str, archive: bool) -> dict[str, Any]:
        """Put a version into a stage."""
        known = {s.lower(): s for s in _STAGES}
        if stage.lower() not in known:
            raise invalid(
                f"Invalid Model Version stage: {stage}. Value must be one of {', '.join(_STAGES)}."
            )
        if archive:
            for other in self.versions(name):
                if other["stage"].lower() == stage.lower() and other["version"] != version:
                    self.change_version(
                        name, other["version"], lambda v: v.update(stage="Archived")
                    )
        return self.change_version(name, version, lambda v: v.update(stage=known[stage.lower()]))

    def delete_version(self, name: str, version: str) -> None:
        """Remove a version, and the aliases that point at it."""
        kept = self.version(name, version)
        number = kept["version"]
        self.put(self._VERSION, f"{name}/{number}", None)
        self.change(
            name,
            lambda model: model.update(
                aliases={a: v for a, v in model["aliases"].items() if v != number}
            ),
        )

    def latest(self, name: str, stages: Any) -> list[dict[str, Any]]:
        """Return the newest version of each stage, of all stages where none is named."""
        wanted = {str(stage).lower() for stage in stages}
        newest: dict[str, dict[str, Any]] = {}
        for version in self.versions(name):
            if not wanted or version["stage"].lower() in wanted:
                newest[version["stage"]] = version
        return list(newest.values())

    def alias(self, name: str, alias: str) -> dict[str, Any]:
        """Return the version that an alias points at, as it is kept.

        Raises
        ------
        MlflowError
            If the model has no such alias.
        """
        version = self.model(name)["aliases"].get(alias)
        if version is None:
            raise invalid(f"Registered model alias {alias} not found.")
        return self.version(name, version)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        if not alias:
            raise missing("alias")
        number = self.version(name, version)["version"]
        self.change(name, lambda model: model["aliases"].update({alias: number}))

    def version_json(self, version: Mapping[str, Any]) -> dict[str, Any]:
        """Return a version as a client gets it."""
        aliases = self.of(self._MODEL).get(version["name"], {}).get("aliases", {})
        return {
            "name": version["name"],
            "version": version["version"],
            "creation_timestamp": version["created"],
            "last_updated_timestamp": version["updated"],
            "current_stage": version["stage"],
            "description": version["description"],
            "source": version["source"],
            "run_id": version["run_id"],
            "run_link": version["run_link"],
            "model_id": version["model_id"],
            "status": "READY",
            "tags": _pairs(version["tags"]),
            "aliases": [a for a, v in aliases.items() if v == version["version"]],
        }

    def download_uri(self, name: str, version: str) -> str:
        """Return where a version's files are."""
        kept = self.version(name, version)
        if kept["model_id"]:
            model = LoggedModels(self.store).get(kept["model_id"])
            return str(LoggedModels(self.store).json(model)["info"]["artifact_uri"])
        return str(kept["source"])
