"""The model registry: registered models, their numbered versions and aliases.

An alias of a registered model points at a version, whose run is what `epochal promote` would name;
promotion itself stays a decision.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from epochal.interop.mlflow.errors import already_exists, invalid, missing, not_found
from epochal.interop.mlflow.kept import KeptEntities, now, pairs
from epochal.interop.mlflow.logged_models import LoggedModels
from epochal.interop.mlflow.routing import required, tags_in, text

__all__ = ["Registry"]

_STAGES = ("None", "Staging", "Production", "Archived")
_OURS = ("models", "runs", "mlflow-artifacts")
_OTHER = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>\d{1,9})|@(?P<alias>[^/@]+))")


class Registry(KeptEntities):
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
        name = required(request, "name")
        if name in self.of(self._MODEL):
            raise already_exists(f"Registered Model (name={name}) already exists.")
        created = now()
        self.put(
            self._MODEL,
            name,
            {
                "name": name,
                "created": created,
                "updated": created,
                "description": text(request, "description"),
                "tags": tags_in(request, "tags"),
                "aliases": {},
                "next": 1,
            },
        )
        return self.model_json(self.model(name))

    def change(self, name: str, edit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Apply `edit` to a registered model."""
        model = self.model(name)
        model |= {"tags": dict(model["tags"]), "aliases": dict(model["aliases"])}
        model["updated"] = now()
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
        model |= {"name": new_name, "updated": now()}
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
            "tags": pairs(model["tags"]),
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
        name, source = required(request, "name"), required(request, "source")
        _check_source(source)
        model = self.model(name)
        number = int(model["next"])
        run, model_id = text(request, "run_id"), text(request, "model_id")
        if source.startswith("models:/m-") and not model_id:
            model_id = source.removeprefix("models:/")
        location = self._location(source, model_id)
        if model_id:
            run = run or LoggedModels(self.store).get(model_id)["source_run_id"]
        created = now()
        self.put(
            self._VERSION,
            f"{name}/{number}",
            {
                "name": name,
                "version": str(number),
                "created": created,
                "updated": created,
                "description": text(request, "description"),
                "source": source,
                "location": location,
                "run_id": run,
                "run_link": text(request, "run_link"),
                "model_id": model_id,
                "stage": "None",
                "tags": tags_in(request, "tags"),
            },
        )
        self.change(name, lambda kept: kept.update(next=number + 1))
        if model_id:
            LoggedModels(self.store).change(model_id, lambda kept: _count(kept, name, number))
        return self.version_json(self.version(name, str(number)))

    def change_version(
        self, name: str, version: str, edit: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Apply `edit` to a version."""
        kept = self.version(name, version)
        kept |= {"tags": dict(kept["tags"]), "updated": now()}
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
        self.change(name, lambda _: None)
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
            "tags": pairs(version["tags"]),
            "aliases": [a for a, v in aliases.items() if v == version["version"]],
        }

    def download_uri(self, name: str, version: str) -> str:
        """Return where a version's files are."""
        kept = self.version(name, version)
        found = kept.get("location") or self._location(kept["source"], kept["model_id"])
        return str(found)

    def _location(self, source: str, model_id: str) -> str:
        """Return where the files of a source are: where a copy's original has them."""
        if model_id:
            models = LoggedModels(self.store)
            return str(models.json(models.get(model_id))["info"]["artifact_uri"])
        if other := _OTHER.fullmatch(source):
            name, version = other["name"], other["version"]
            return self.download_uri(name, version or self.alias(name, other["alias"])["version"])
        return source


def _count(model: dict[str, Any], name: str, number: int) -> None:
    """Name a new version in its model's tags, where MLflow's pages look for it."""
    tag = "mlflow.modelVersions"
    versions = json.loads(model["tags"].get(tag, "[]"))
    model["tags"][tag] = json.dumps([*versions, {"name": name, "version": number}])


def _check_source(source: str) -> None:
    """Refuse a place that only the client can reach, or one of ours that it must not name.

    Raises
    ------
    MlflowError
        If `source` is one.
    """
    wrong = f"Invalid model version source: '{source[:200]}'."
    try:
        scheme, path = urlsplit(source).scheme, unquote(source)
    except ValueError:
        raise invalid(wrong) from None
    if len(scheme) < 2 or scheme == "file":
        raise invalid(
            f"{wrong} To use a local path as a model version, log its files to a run and name "
            "them as runs:/RUN/PATH."
        )
    if ".." in re.split(r"[/\\]", path) or any(unicodedata.category(c) == "Cc" for c in path):
        raise invalid(
            f"{wrong} If supplying a source as an http, https, ftp, object store or "
            "mlflow-artifacts address, its path must be absolute, without references such as '..'."
        )
    if scheme not in _OURS:
        raise invalid(
            f"{wrong} Use models:/, runs:/ or mlflow-artifacts:/ addresses that this server gave "
            "out."
        )
