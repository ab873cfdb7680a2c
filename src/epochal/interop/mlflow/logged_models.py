"""MLflow 3's logged models: files, params, tags, and the points that were logged about them.

A model is the output of a run, whose artifacts its files are; one that comes without a run gets
one with its first file. Points about a model are points of the run that logged them; which model
and dataset they are about stands beside them in that run.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from epochal.errors import NotFound
from epochal.interop.mlflow.entities import SYSTEM, experiment, foreign_of, metric
from epochal.interop.mlflow.errors import invalid, not_found
from epochal.interop.mlflow.kept import KeptEntities, now, pairs
from epochal.interop.mlflow.routing import digits, tags_in, text
from epochal.records import Foreign, Number, from_wire
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["LoggedModels", "said_of_models"]

_METRIC = "model-metric"
_FORBIDDEN = frozenset("/:.%\"'")


class LoggedModels(KeptEntities):
    """The logged models of a workspace, by id."""

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
        """Create one and return it as a client gets it.

        Raises
        ------
        MlflowError
            If there is no such experiment, or the name cannot be one.
        """
        of = experiment(self.store, digits(request, "experiment_id"))
        name = request.get("name")
        if name is not None and (name == "" or _FORBIDDEN & set(text(request, "name"))):
            raise invalid(
                f"Invalid model name ({str(name)[:200]!r}): it must not be empty, nor contain any "
                f"of {' '.join(sorted(_FORBIDDEN))}"
            )
        id = f"m-{secrets.token_hex(16)}"
        created = now()
        self.put(
            self._TYPE,
            id,
            {
                "model_id": id,
                "experiment_id": of.id,
                "name": name or f"model-{id[2:10]}",
                "source_run_id": text(request, "source_run_id"),
                "model_type": text(request, "model_type"),
                "created": created,
                "updated": created,
                "status": "LOGGED_MODEL_PENDING",
                "tags": tags_in(request, "tags"),
                "params": tags_in(request, "params"),
            },
        )
        return self.json(self.get(id))

    def change(self, id: str, edit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Apply `edit` to one and return it as a client gets it."""
        model = self.get(id)
        model |= {"tags": dict(model["tags"]), "params": dict(model["params"]), "updated": now()}
        edit(model)
        self.put(self._TYPE, id, model)
        return self.json(model)

    def delete(self, id: str) -> None:
        """Remove one; its files stay in the run."""
        self.get(id)
        self.put(self._TYPE, id, None)

    def search(self, experiments: set[str]) -> list[dict[str, Any]]:
        """Return those of some experiments as clients get them, newest first."""
        found = [m for m in self.of(self._TYPE).values() if m["experiment_id"] in experiments]
        return [self.json(m) for m in sorted(found, key=lambda m: (-m["created"], m["model_id"]))]

    def home(self, id: str) -> RunDocument | None:
        """Return the run that holds a model's files; None: it has none yet."""
        model = self.get(id)
        return _run(self.store, model.get("home") or model["source_run_id"])

    def settle(self, id: str, run: str) -> None:
        """Name the run that holds a model's files from now on."""
        self.change(id, lambda model: model.update(home=run))

    def add_run(self, id: str, run: str) -> bool:
        """Note that `run` has points about a model; False: there is no such model."""
        model = self.of(self._TYPE).get(id)
        if model is None:
            return False
        if run not in model.get("runs", ()):
            self.put(self._TYPE, id, {**model, "runs": [*model.get("runs", ()), run]})
        return True

    def metrics(self, model: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the latest point per metric, dataset and run, as clients get them."""
        for run in model.get("runs", ()):
            document = _run(self.store, run)
            if document is None:
                continue
            for value in foreign_of(document, _METRIC).values():
                if value["model_id"] == model["model_id"]:
                    point = metric(value["key"], value["value"], value["timestamp"], value["step"])
                    about = ("model_id", "dataset_name", "dataset_digest")
                    yield point | {key: value[key] for key in about} | {"run_id": run}

    def json(self, model: Mapping[str, Any]) -> dict[str, Any]:
        """Return a model as a client gets it."""
        id, of = model["model_id"], model["experiment_id"]
        return {
            "info": {
                "model_id": id,
                "experiment_id": of,
                "name": model["name"],
                "creation_timestamp_ms": model["created"],
                "last_updated_timestamp_ms": model["updated"],
                "artifact_uri": f"mlflow-artifacts:/{of}/models/{id}/artifacts",
                "status": model["status"],
                "model_type": model["model_type"],
                "source_run_id": model["source_run_id"],
                "tags": pairs(model["tags"]),
            },
            "data": {"params": pairs(model["params"]), "metrics": list(self.metrics(model))},
        }


def said_of_models(
    store: Store,
    document: RunDocument,
    metrics: Iterable[Mapping[str, Any]],
    values: Iterable[Number],
) -> Iterator[Foreign]:
    """Yield what points say of models, where it is newer than what is known.

    Points about a model that is gone are points of their run alone.

    Parameters
    ----------
    metrics
        Points as a client sends them, checked.
    values
        Their values, as records have them.
    """
    about = [
        (one, value) for one, value in zip(metrics, values, strict=True) if one.get("model_id")
    ]
    if not about:
        return
    models = LoggedModels(store)
    newest = dict(foreign_of(document, _METRIC))
    changed = {}
    for one, number in about:
        if not models.add_run(text(one, "model_id"), document.id):
            continue
        value = {
            "key": one["key"],
            "value": number,
            "timestamp": int(one["timestamp"]),
            "step": int(one.get("step") or 0),
            **{name: text(one, name) for name in ("model_id", "dataset_name", "dataset_digest")},
        }
        key = "/".join((value["model_id"], value["dataset_name"], value["dataset_digest"]))
        key = f"{key}/{value['key']}"
        if key not in newest or _age(newest[key]) < _age(value):
            newest[key] = changed[key] = value
    for key, value in changed.items():
        yield Foreign(system=SYSTEM, type=_METRIC, key=key, value=value)


def _age(value: Mapping[str, Any]) -> tuple[int, int, float]:
    return value["step"], value["timestamp"], from_wire(value["value"])


def _run(store: Store, id: str) -> RunDocument | None:
    try:
        return store.run(id) if id else None
    except NotFound:
        return None
