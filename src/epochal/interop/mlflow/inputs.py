"""The datasets and models that a run used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from epochal.interop.mlflow.entities import SYSTEM, foreign_of
from epochal.interop.mlflow.errors import missing, unusable
from epochal.interop.mlflow.routing import entries, listed, tags_in
from epochal.records import Foreign, Pinned
from epochal.store.documents import RunDocument
from epochal.store.store import Said, Store

__all__ = ["log_inputs"]


def log_inputs(store: Store, document: RunDocument, request: Mapping[str, Any]) -> None:
    """Record the datasets and models that a run used; the first dataset is its pin."""
    said: list[Said] = []
    has_pin = document.pin is not None
    models = [*entries(request, "models"), *entries(request, "model_inputs")]
    if not models and not listed(request, "datasets"):
        raise missing("datasets")
    for index, one in enumerate(entries(request, "datasets")):
        dataset = one.get("dataset") or {}
        if not isinstance(dataset, Mapping):
            raise unusable(dataset, f"datasets[{index}].dataset")
        name, digest = dataset.get("name"), dataset.get("digest")
        if not name or not digest:
            raise missing(f"datasets[{index}].dataset.{'name' if not name else 'digest'}")
        key = f"{name}@{digest}"
        there = foreign_of(document, "dataset-input").get(key, {})
        tags = {t["key"]: t["value"] for t in there.get("tags", ())} | tags_in(one, "tags")
        value = {
            "dataset": dict(dataset),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        said.append((Foreign(system=SYSTEM, type="dataset-input", key=key, value=value), None))
        if not has_pin:
            has_pin = True
            detail = "named by an MLflow client; its files were not checked"
            said.append((Pinned(dataset=key, state="unchecked", detail=detail), None))
    said += [
        (
            Foreign(
                system=SYSTEM,
                type="model-input",
                key=str(model.get("model_id")),
                value=dict(model),
            ),
            None,
        )
        for model in models
    ]
    store.record_all(said, document.id)
