"""MLflow's logged models and its registry, spoken without a client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.interop.gate import DirectGate

from epochal.interop.mlflow.wire import mlflow_app
from epochal.journal.folder import Folder
from epochal.store.store import Store


class Mlflow:
    """Calls by their path; what they answer, or how they refuse."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def __call__(self, method: str, call: str, expect: int = 200, **fields: Any) -> dict[str, Any]:
        sent = {"params": fields} if method == "GET" else {"json": fields}
        answer = self.client.request(method, f"/mlflow/{call}", **sent)
        assert answer.status_code == expect, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def new_run(self) -> str:
        return str(self("POST", "runs/create", experiment_id="0")["run"]["info"]["run_id"])

    def new_model(self, **fields: Any) -> str:
        made = self("POST", "logged-models", experiment_id="0", **fields)
        return str(made["model"]["info"]["model_id"])

    def model(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = self("GET", f"logged-models/{id}")["model"]
        return found

    def search(self, **fields: Any) -> list[str]:
        found = self("POST", "logged-models/search", experiment_ids=["0"], **fields)
        return [model["info"]["name"] for model in found["models"]]

    def new_version(self, source: str, expect: int = 200, **fields: Any) -> dict[str, Any]:
        return self("POST", "model-versions/create", expect, name="m", source=source, **fields)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(Folder.create(tmp_path)) as store:
        yield store


@pytest.fixture
def mlflow(store: Store) -> Mlflow:
    found = Mlflow(TestClient(mlflow_app(DirectGate(store))))
    found("POST", "registered-models/create", name="m")
    return found


# --- logged models -------------------------------------------------------------------------------


def test_a_model_needs_no_run_until_it_has_files(mlflow: Mlflow, store: Store) -> None:
    model = mlflow.new_model(name="detector", source_run_id="elsewhere")
    assert mlflow.model(model)["info"]["source_run_id"] == "elsewhere"
    assert store.runs("Default") == []
    listed = f"logged-models/{model}/artifacts/directories"
    assert mlflow("GET", listed)["files"] == []
    for name in ("MLmodel", "data/model.pt"):
        path = f"/mlflow-artifacts/artifacts/0/models/{model}/artifacts/{name}"
        assert mlflow.client.put(path, content=b"x").status_code == 200
    (run,) = store.runs("Default")
    assert (run.name, store.status(run)) == ("detector", "finished")
    assert set(run.artifacts) == {f"models/{model}/MLmodel", f"models/{model}/data/model.pt"}
    assert [f["path"] for f in mlflow("GET", listed)["files"]] == ["MLmodel", "data"]
    assert mlflow.client.get(path).content == b"x"


@pytest.mark.parametrize("name", ["", "a/b", "a.b", "a:b", "a%b", "a'b", 'a"b'])
def test_a_models_name_is_checked(mlflow: Mlflow, name: str) -> None:
    refused = mlflow("POST", "logged-models", 400, experiment_id="0", name=name)
    assert refused["message"].startswith("Invalid model name")


def test_points_about_a_model_are_its_metrics(mlflow: Mlflow, store: Store) -> None:
    run, model = mlflow.new_run(), mlflow.new_model()
    about = {"model_id": model, "dataset_name": "val", "dataset_digest": "d1"}
    point = {"run_id": run, "key": "acc", "timestamp": 5, **about}
    for step, value in ((0, 0.1), (2, 0.3), (1, 0.2), (2, 0.3)):
        mlflow("POST", "runs/log-metric", **point, step=step, value=value)
    expected = {"key": "acc", "value": 0.3, "timestamp": 5, "step": 2, "run_id": run, **about}
    assert mlflow.model(model)["data"]["metrics"] == [expected]
    assert store.points.read(run, "acc").step.tolist() == [0, 2, 1]
    other = {**point, "run_id": mlflow.new_run(), "dataset_digest": "d2"}
    mlflow("POST", "runs/log-batch", run_id=other["run_id"], metrics=[{**other, "value": "NaN"}])
    assert [m["value"] for m in mlflow.model(model)["data"]["metrics"]] == [0.3, "NaN"]


def test_points_about_a_model_that_is_gone_are_kept_by_their_run(
    mlflow: Mlflow, store: Store
) -> None:
    run, model = mlflow.new_run(), mlflow.new_model()
    mlflow("DELETE", f"logged-models/{model}")
    mlflow("POST", "runs/log-metric", run_id=run, key="a", value=1, timestamp=1, model_id=model)
    assert store.points.read(run, "a").value.tolist() == [1.0]
    assert mlflow("GET", f"logged-models/{model}", 404)["message"].endswith("not found.")


def test_models_are_found_by_metric_dataset_and_order(mlflow: Mlflow) -> None:
    run = mlflow.new_run()
    for name, value, dataset in (("a", 0.5, "val"), ("b", 0.9, "test"), ("c", None, "")):
        model = mlflow.new_model(name=name, params=[{"key": "opt", "value": "adam"}])
        if value is not None:
            fields = {"model_id": model, "dataset_name": dataset, "dataset_digest": "1"}
            mlflow("POST", "runs/log-metric", run_id=run, key=name, value=0, timestamp=1, **fields)
            mlflow(
                "POST", "runs/log-metric", run_id=run, key="f", value=value, timestamp=1, **fields
            )

    def by(field: str, up: bool = True, **more: str) -> dict[str, Any]:
        return {"order_by": [{"field_name": field, "ascending": up, **more}]}

    assert mlflow.search(**by("name")) == ["a", "b", "c"]
    assert mlflow.search(**by("metrics.f", up=False)) == ["b", "a", "c"]
    assert mlflow.search(**by("metrics.f", dataset_name="val"))[0] == "a"
    assert mlflow.search(filter="metrics.f > 0.6 and params.opt = 'adam'") == ["b"]
    datasets = [{"dataset_name": "val", "dataset_digest": "1"}]
    assert mlflow.search(datasets=datasets) == ["a"]
    assert mlflow.search(datasets=datasets, filter="metrics.f > 0.6") == []
    assert mlflow.search(datasets=[{"dataset_name": "val", "dataset_digest": "2"}]) == []


# --- the registry --------------------------------------------------------------------------------


def test_a_model_is_told_its_versions(mlflow: Mlflow) -> None:
    model = mlflow.new_model()
    for _ in range(2):
        mlflow.new_version(f"models:/{model}", model_id=model)
    tags = {t["key"]: t["value"] for t in mlflow.model(model)["info"]["tags"]}
    assert json.loads(tags["mlflow.modelVersions"]) == [
        {"name": "m", "version": 1},
        {"name": "m", "version": 2},
    ]


def test_a_copy_lies_where_its_original_does(mlflow: Mlflow) -> None:
    mlflow.new_version("runs:/r/model")
    mlflow("POST", "registered-models/alias", name="m", alias="best", version="1")
    for source in ("models:/m/1", "models:/m@best", "models:/m/2"):
        number = mlflow.new_version(source)["model_version"]["version"]
        asked = {"name": "m", "version": number}
        assert mlflow("GET", "model-versions/get", **asked)["model_version"]["source"] == source
        assert mlflow("GET", "model-versions/get-download-uri", **asked)["artifact_uri"] == (
            "runs:/r/model"
        )
    assert "not found" in mlflow.new_version("models:/nothing/1", 404)["message"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("/tmp", "To use a local path as a model version"),
        ("relative/path", "To use a local path as a model version"),
        ("file:///tmp", "To use a local path as a model version"),
        ("C:\\models", "To use a local path as a model version"),
        ("mlflow-artifacts:/0/../../etc", "If supplying a source as an http, https,"),
        ("mlflow-artifacts://h:1/..%2f..%2fx", "If supplying a source as an http, https,"),
        ("mlflow-artifacts:/models/a%00", "If supplying a source as an http, https,"),
        ("https://host/models/../../x", "If supplying a source as an http, https,"),
        ("https://host/models/x", "Invalid model version source"),
    ],
)
def test_a_source_is_no_way_out(mlflow: Mlflow, source: str, words: str) -> None:
    refused = mlflow.new_version(source, 400)
    assert refused["error_code"] == "INVALID_PARAMETER_VALUE"
    assert words in refused["message"]


@pytest.mark.parametrize(
    "source",
    [
        "mlflow-artifacts:/models///",
        "mlflow-artifacts:/a/foo///bar",
        "mlflow-artifacts://h:1/..../",
    ],
)
def test_odd_sources_that_lead_nowhere_else_are_taken(mlflow: Mlflow, source: str) -> None:
    assert mlflow.new_version(source)["model_version"]["source"] == source


def test_versions_come_newest_first_among_equals(mlflow: Mlflow) -> None:
    mlflow("POST", "registered-models/create", name="n")
    for name in ("m", "n", "m"):
        mlflow("POST", "model-versions/create", name=name, source="runs:/r/x")

    def order(*by: str) -> list[tuple[str, str]]:
        found = mlflow("GET", "model-versions/search", order_by=list(by))["model_versions"]
        return [(v["name"], v["version"]) for v in found]

    assert order("name DESC") == [("n", "1"), ("m", "2"), ("m", "1")]
    assert order("version_number ASC") == [("m", "1"), ("n", "1"), ("m", "2")]


def test_a_stage_that_changes_updates_the_registered_model(
    mlflow: Mlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.new_version("runs:/r/x")
    monkeypatch.setattr("epochal.interop.mlflow.registry.now", lambda: 4_000_000_000_000)
    mlflow("POST", "model-versions/transition-stage", name="m", version=1, stage="Staging")
    model = mlflow("GET", "registered-models/get", name="m")["registered_model"]
    assert model["last_updated_timestamp"] == 4_000_000_000_000
