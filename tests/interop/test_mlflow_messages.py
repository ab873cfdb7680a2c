"""What MLflow's own client tests look at besides the happy path: how requests are refused."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.interop.gate import DirectGate

from epochal.interop.mlflow import wire
from epochal.interop.mlflow.errors import MlflowError
from epochal.interop.mlflow.routing import Call
from epochal.interop.mlflow.wire import mlflow_app
from epochal.journal.folder import Folder
from epochal.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(Folder.create(tmp_path)) as store:
        yield store


@pytest.fixture
def client(store: Store) -> TestClient:
    return TestClient(mlflow_app(DirectGate(store)))


@pytest.fixture
def run(client: TestClient) -> str:
    created = client.post("/mlflow/runs/create", json={"experiment_id": "0"})
    return str(created.json()["run"]["info"]["run_id"])


def point(**change: Any) -> dict[str, Any]:
    return {"key": "loss", "value": 1.0, "timestamp": 1, "step": 0} | change


@pytest.mark.parametrize(
    ("call", "fields", "message"),
    [
        ("experiments/create", {"name": 123}, "Invalid value 123 for parameter 'name' supplied"),
        ("experiments/create", {}, "Missing value for required parameter 'name'."),
        (
            "experiments/create",
            {"name": "a", "artifact_location": 9.5},
            "Invalid value 9.5 for parameter 'artifact_location' supplied.",
        ),
        (
            "experiments/create",
            {"name": "a", "tags": "5"},
            "Invalid value \"5\" for parameter 'tags' supplied.",
        ),
        (
            "experiments/create",
            {"name": "a", "tags": [{"key": 1}]},
            "Invalid value [{\"key\":1}] for parameter 'tags' supplied.",
        ),
        ("runs/set-tag", {"run_id": 31, "key": "a"}, "Invalid value 31 for parameter 'run_id'"),
        (
            "runs/set-tag",
            {"key": "a", "value": 41},
            "Invalid value 41 for parameter 'value' supplied.",
        ),
        ("runs/log-inputs", {}, "Missing value for required parameter 'datasets'."),
        ("runs/log-inputs", {"datasets": ["x"]}, "Invalid value [\"x\"] for parameter 'datasets'"),
        (
            "runs/log-batch",
            {"metrics": [{"key": "a", "value": 1.0}]},
            "Missing value for required parameter 'metrics[0].timestamp'.",
        ),
        (
            "experiments/search-datasets",
            {},
            "SearchDatasets request must specify at least one experiment_id.",
        ),
        (
            "experiments/search-datasets",
            {"experiment_ids": [str(i) for i in range(21)]},
            "SearchDatasets request cannot specify more than 20 experiment_ids.",
        ),
        ("experiments/delete", {}, "Missing value for required parameter 'experiment_id'"),
        ("runs/update", {}, "Missing value for required parameter 'run_id'"),
        ("runs/log-metric", {"key": "a"}, "Missing value for required parameter 'value'"),
        ("runs/log-metric", point(key=1), "Invalid value 1 for parameter 'key' supplied"),
        ("runs/log-metric", point(value="x"), "Invalid value \"x\" for parameter 'value'"),
        ("runs/log-metric", point(timestamp="x"), 'Invalid value "x" for parameter \'time'),
        ("runs/log-parameter", {"value": "a"}, "Missing value for required parameter 'key'"),
        ("runs/set-tag", {"value": "a"}, "Missing value for required parameter 'key'"),
        ("runs/delete-tag", {}, "Missing value for required parameter 'key'"),
        ("runs/delete-tag", {"key": "none"}, "No tag with name: none"),
        ("runs/log-batch", {"metrics": "x"}, "Invalid value \"x\" for parameter 'metrics'"),
        ("runs/log-batch", {"params": [7]}, "Invalid value [7] for parameter 'params'"),
        (
            "runs/log-batch",
            {"metrics": [point(), {"value": 1.0, "timestamp": 1}]},
            "Missing value for required parameter 'metrics[1].key'",
        ),
        (
            "runs/log-batch",
            {"params": [{"key": "a", "value": "1"}, {"key": 7, "value": "1"}]},
            "Invalid value 7 for parameter 'params[1].key' supplied",
        ),
        (
            "runs/log-batch",
            {"tags": [{"value": "1"}]},
            "Missing value for required parameter 'tags[0].key'",
        ),
        (
            "runs/search",
            {"max_results": 0},
            "Invalid value 0 for parameter 'max_results' supplied",
        ),
        ("runs/search", {"max_results": "x"}, "Invalid value \"x\" for parameter 'max_results'"),
    ],
)
def test_messages_begin_as_clients_know_them(
    client: TestClient, run: str, call: str, fields: dict[str, Any], message: str
) -> None:
    given = {"run_id": run, **fields} if call.startswith("runs/") else fields
    if call == "runs/update":
        del given["run_id"]
    answer = client.post(f"/mlflow/{call}", json=given)
    assert answer.status_code in (400, 404)
    body = answer.json()
    assert body["message"].startswith(message)
    assert body["error_code"] in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")


def test_a_param_is_written_once(client: TestClient, run: str) -> None:
    given = {"run_id": run, "key": "lr", "value": "0.1"}
    for _ in range(2):
        assert client.post("/mlflow/runs/log-parameter", json=given).status_code == 200
    answer = client.post("/mlflow/runs/log-parameter", json=given | {"value": "0.2"})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Changing param values is not allowed")


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("log-metric", point()),
        ("log-parameter", {"key": "a", "value": "1"}),
        ("set-tag", {"key": "a", "value": "1"}),
        ("update", {"status": "FINISHED"}),
    ],
)
def test_a_deleted_run_takes_nothing(
    client: TestClient, run: str, call: str, fields: dict[str, Any]
) -> None:
    client.post("/mlflow/runs/delete", json={"run_id": run})
    answer = client.post(f"/mlflow/runs/{call}", json={"run_id": run, **fields})
    assert answer.status_code == 400
    assert "must be in the 'active' state" in answer.json()["message"]
    client.post("/mlflow/runs/restore", json={"run_id": run})
    assert client.post(f"/mlflow/runs/{call}", json={"run_id": run, **fields}).status_code == 200


def test_experiment_0_is_there_from_the_start(client: TestClient) -> None:
    found = client.get("/mlflow/experiments/get", params={"experiment_id": "0"}).json()
    assert found["experiment"]["name"] == "Default"
    (only,) = client.post("/mlflow/experiments/search", json={}).json()["experiments"]
    assert only["experiment_id"] == "0"


class Asked(dict[str, Any]):
    """Fields of a request that remember which of them a call looks at."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.names.add(key)
        return super().__getitem__(key)


ODD = (7, -1.5, True, "", "../x", {}, [7], [{}], [[]], 10**30, [{"key": 7}], [{"dataset": 7}],
    [{"key": "k", "value": []}], [{"dataset": {"name": "n", "digest": "d"}, "tags": 7}],
    [{"field_name": 7}], [{"model_id": 7}],
    [{"key": "k", "value": 1, "timestamp": 1, "model_id": 7}],
)  # fmt: skip


@pytest.mark.parametrize(
    "call", [c for c in wire.CALLS if c.method != "GET"], ids=lambda c: f"{c.method} {c.path}"
)
def test_no_value_of_a_field_breaks_a_call(store: Store, call: Call) -> None:
    client = TestClient(mlflow_app(DirectGate(store)))
    made = client.post("/mlflow/runs/create", json={"experiment_id": "0"}).json()
    client.post("/mlflow/registered-models/create", json={"name": "m"})
    client.post("/mlflow/model-versions/create", json={"name": "m", "source": "runs:/r/x"})
    model = client.post("/mlflow/logged-models", json={"experiment_id": "0"}).json()["model"]
    usable = {
        "run_id": made["run"]["info"]["run_id"], "model_id": model["info"]["model_id"],
        "name": "m", "version": "1", "experiment_id": "0", "experiment_ids": ["0"], "key": "k",
        "value": "1", "timestamp": 1, "alias": "a", "source": "runs:/r", "model_json": "{}",
    }  # fmt: skip
    asked = Asked(usable)
    with contextlib.suppress(MlflowError):
        call.answer(store, asked)
    for field in asked.names - set(re.findall(r"\{(\w+)", call.path)):
        for value in ODD:
            with contextlib.suppress(MlflowError):
                call.answer(store, {**usable, field: value})
