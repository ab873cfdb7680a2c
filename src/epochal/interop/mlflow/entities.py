"""What is stored, in MLflow's words: experiments and runs as its clients get them.

A project is an experiment. Its id is derived from its name, so that every project has one,
whoever recorded its runs; "0" is MLflow's Default. An experiment that was renamed keeps its id
and its project.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from epochal.errors import NotFound
from epochal.interop.importing import derived_id
from epochal.interop.mlflow.errors import not_found
from epochal.records import from_wire
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = [
    "DEFAULT_PROJECT",
    "SYSTEM",
    "Experiment",
    "artifact_root",
    "experiment",
    "experiment_id",
    "experiments",
    "foreign_of",
    "lifecycle",
    "metric",
    "milliseconds",
    "params_of",
    "run_info",
    "run_json",
    "run_of",
    "tags_of",
]

SYSTEM = "mlflow"
DEFAULT_PROJECT = "Default"
_DEFAULT_ID = "0"
_LARGEST = 1.7976931348623157e308
_STATUS = {
    "running": "RUNNING",
    "stale": "RUNNING",
    "finished": "FINISHED",
    "failed": "FAILED",
    "killed": "KILLED",
}


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A project, as MLflow sees it."""

    id: str
    name: str
    project: str
    created: int = 0
    """Milliseconds since the Unix epoch."""
    updated: int = 0
    active: bool = True
    tags: dict[str, str] = {}

    def json(self) -> dict[str, Any]:
        """Return what a client is sent."""
        return {
            "experiment_id": self.id,
            "name": self.name,
            "artifact_location": f"mlflow-artifacts:/{self.id}",
            "lifecycle_stage": lifecycle(self.active),
            "creation_time": self.created,
            "last_update_time": self.updated,
            "tags": _pairs(self.tags),
        }


def lifecycle(active: bool) -> str:
    """Return MLflow's word for being there or in the trash."""
    return "active" if active else "deleted"


def experiment_id(project: str) -> str:
    """Return the id of a project: up to 18 digits, as MLflow's own ids have."""
    if project == DEFAULT_PROJECT:
        return _DEFAULT_ID
    return str(int(derived_id(SYSTEM, "experiment", project)[:15], 16) % 10**18 or 1)


def experiments(store: Store) -> dict[str, Experiment]:
    """Return all experiments by id: those a client created, and every project with runs."""
    said = store.foreign(SYSTEM)
    found = {
        id: Experiment(
            id=id,
            name=value["name"],
            project=value.get("project", value["name"]),
            created=value.get("created", 0),
            updated=value.get("updated", 0),
            active=value.get("active", True),
            tags=said.get(f"experiment-tag/{id}", {}),
        )
        for id, value in said.get("experiment", {}).items()
    }
    for project in (DEFAULT_PROJECT, *store.projects()):
        id = experiment_id(project)
        if id not in found:
            tags = said.get(f"experiment-tag/{id}", {})
            found[id] = Experiment(id=id, name=project, project=project, tags=tags)
    return found


def experiment(store: Store, id: str) -> Experiment:
    """Return one experiment.

    Raises
    ------
    MlflowError
        If there is none with this id.
    """
    found = experiments(store).get(id)
    if found is None:
        raise not_found(f"No Experiment with id={id} exists")
    return found


def run_of(store: Store, id: str) -> RunDocument:
    """Return one run, in the trash or not.

    Raises
    ------
    MlflowError
        If there is none with this id.
    """
    try:
        return store.run(id)
    except NotFound:
        raise not_found(f"Run with id={id} not found") from None


def foreign_of(document: RunDocument, type: str) -> dict[str, Any]:
    """Return what MLflow's clients said about a run under `type`."""
    return document.foreign.get(SYSTEM, {}).get(type, {})


def artifact_root(document: RunDocument) -> str:
    """Return the address of a run's artifacts: it says that the server is to be asked."""
    return f"mlflow-artifacts:/{experiment_id(document.project)}/{document.id}/artifacts"


def tags_of(document: RunDocument) -> dict[str, str]:
    """Return a run's tags: what a client set, and what Epochal knows under MLflow's names."""
    tags = {"mlflow.runName": document.name}
    if document.attempts:
        cwd, argv = document.attempts[0].cwd, document.attempts[0].argv
        if argv:
            tags |= {"mlflow.source.name": argv[0], "mlflow.source.type": "LOCAL"}
        if cwd and not argv:
            tags["mlflow.source.name"] = cwd
    git = document.environment.get("git")
    if isinstance(git, dict) and git.get("commit"):
        tags["mlflow.source.git.commit"] = str(git["commit"])
    if document.lesson is not None and document.lesson.text:
        tags["mlflow.note.content"] = document.lesson.text
    if document.parent:
        tags["epochal.parent"] = document.parent
    tags |= dict.fromkeys(document.tags, "")
    return tags | {key: str(value) for key, value in foreign_of(document, "tag").items()}


def run_json(store: Store, document: RunDocument) -> dict[str, Any]:
    """Return a run as a client gets it: the latest value of each metric, all params and tags."""
    return {
        "info": run_info(store, document),
        "data": {
            "metrics": [latest(store, document, key) for key in document.metrics],
            "params": _pairs(params_of(document)),
            "tags": _pairs(tags_of(document)),
        },
        "inputs": {
            "dataset_inputs": list(foreign_of(document, "dataset-input").values()),
            "model_inputs": list(foreign_of(document, "model-input").values()),
        },
        "outputs": {"model_outputs": list(foreign_of(document, "model-output").values())},
    }


def latest(store: Store, document: RunDocument, key: str) -> dict[str, Any]:
    """Return the point that MLflow calls the latest: the highest (step, time, value)."""
    points = store.points.read(document.id, key)
    candidates = np.flatnonzero(points.step == points.step.max())
    order = np.lexsort(
        (np.nan_to_num(points.value[candidates], nan=-math.inf), points.time[candidates])
    )
    at = candidates[order[-1]]
    return metric(
        key, float(points.value[at]), milliseconds(int(points.time[at])), int(points.step[at])
    )


def run_info(store: Store, document: RunDocument) -> dict[str, Any]:
    """Return the part of a run that is not its data."""
    attempt = document.attempts[-1] if document.attempts else None
    info: dict[str, Any] = {
        "run_id": document.id,
        "run_uuid": document.id,
        "run_name": document.name,
        "experiment_id": experiment_id(document.project),
        "user_id": foreign_of(document, "info").get("user_id", ""),
        "status": foreign_of(document, "info").get("status") or _STATUS[store.status(document)],
        "start_time": milliseconds(document.created),
        "artifact_uri": artifact_root(document),
        "lifecycle_stage": lifecycle(not document.trashed),
    }
    if attempt is not None and attempt.ended is not None:
        info["end_time"] = milliseconds(attempt.ended)
    return info


def params_of(document: RunDocument) -> dict[str, str]:
    """Return a run's params as strings: as a client wrote them, where one did."""
    raw = foreign_of(document, "param")
    return {key: raw.get(key, text(value)) for key, value in document.config.items()}


def text(value: Any) -> str:
    """Return a value of the config as MLflow's clients would have sent it."""
    return value if isinstance(value, str) else str(value)


def metric(key: str, value: float | str, timestamp: int, step: int) -> dict[str, Any]:
    """Return one point; infinities as MLflow's own server has them, at the edge of doubles."""
    number = from_wire(value)
    if math.isnan(number):
        return {"key": key, "value": "NaN", "timestamp": timestamp, "step": step}
    clamped = max(-_LARGEST, min(_LARGEST, number))
    return {"key": key, "value": clamped, "timestamp": timestamp, "step": step}


def milliseconds(microseconds: int) -> int:
    """Return one of our times as one of MLflow's."""
    return microseconds // 1000


def _pairs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
