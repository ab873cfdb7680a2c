"""MLflow's calls for points of one run and of several: order, paging, what is sampled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.interop.gate import DirectGate

from epochal.interop.mlflow.history_routes import sampled_steps
from epochal.interop.mlflow.wire import mlflow_app
from epochal.journal.folder import Folder
from epochal.store.store import Store

BULK, INTERVAL = "metrics/get-history-bulk", "metrics/get-history-bulk-interval"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with Store(Folder.create(tmp_path)) as store:
        yield TestClient(mlflow_app(DirectGate(store)))


def new_run(client: TestClient, *points: tuple[int, int, float]) -> str:
    """Create a run with points of ``loss``: (timestamp, step, value)."""
    made = client.post("/mlflow/runs/create", json={"experiment_id": "0"})
    run = str(made.json()["run"]["info"]["run_id"])
    metrics = [
        {"key": "loss", "timestamp": t, "step": step, "value": value} for t, step, value in points
    ]
    sent = client.post("/mlflow/runs/log-batch", json={"run_id": run, "metrics": metrics})
    assert sent.status_code == 200
    return run


def ask(client: TestClient, call: str, **fields: Any) -> list[dict[str, Any]]:
    answer = client.get(f"/mlflow/{call}", params={"metric_key": "loss", **fields})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["metrics"]
    return found


def refusal(client: TestClient, call: str, **fields: Any) -> str:
    answer = client.get(f"/mlflow/{call}", params=fields)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    return str(answer.json()["message"])


def test_several_runs_come_in_one_answer_by_id_and_time(client: TestClient) -> None:
    points = [(7, -2, -1.0), (8, 0, 0.0), (8, 0, 1.0), (9, 1, 5.0)]
    runs = [new_run(client, *points) for _ in range(3)]
    runs.append(new_run(client))  # logs nothing
    found = ask(client, BULK, run_id=runs)
    assert [(m["run_id"], m["timestamp"], m["step"], m["value"]) for m in found] == [
        (run, *point) for run in sorted(runs[:3]) for point in points
    ]
    assert ask(client, BULK, run_id=runs, max_results=2) == found[:2]


def test_a_history_comes_in_pages(client: TestClient) -> None:
    run = new_run(client, *[(i, i, i / 2) for i in range(10)])
    sizes, steps, token = [], [], ""
    while True:
        fields = {"run_id": run, "metric_key": "loss", "max_results": 4, "page_token": token}
        page = client.get("/mlflow/metrics/get-history", params=fields).json()
        sizes.append(len(page["metrics"]))
        steps += [m["step"] for m in page["metrics"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert (sizes, steps) == ([4, 4, 2], list(range(10)))


def test_sampled_histories_share_their_steps(client: TestClient) -> None:
    short = new_run(client, *[(1, s, 0.5) for s in range(10)], *[(2, s, 0.5) for s in range(10)])
    long = new_run(client, *[(1, s, 0.5) for s in range(20)])
    found = ask(client, INTERVAL, run_ids=[short, long], max_results=5)
    assert [(m["run_id"], m["step"], m["timestamp"]) for m in found] == [
        *((short, step, t) for step in (0, 4, 8, 9) for t in (1, 2)),
        *((long, step, 1) for step in (0, 4, 8, 9, 12, 16, 19)),
    ]
    within = ask(client, INTERVAL, run_ids=[short], max_results=5, start_step=3, end_step=6)
    assert [m["step"] for m in within] == [3, 3, 4, 4, 5, 5, 6, 6]


@pytest.mark.parametrize(
    ("call", "fields", "message"),
    [
        (BULK, {"metric_key": "a"}, "GetMetricHistoryBulk request must specify at least one"),
        (
            BULK,
            {"metric_key": "a", "run_id": [str(i) for i in range(101)]},
            "GetMetricHistoryBulk request cannot specify more than 100 run_ids",
        ),
        (BULK, {"run_id": ["a"]}, "GetMetricHistoryBulk request must specify a metric_key"),
        (BULK, {"run_id": ["a"], "metric_key": "a", "max_results": "x"}, 'Invalid value "x"'),
        (INTERVAL, {"metric_key": "a"}, "Missing value for required parameter 'run_ids'."),
        (INTERVAL, {"run_ids": ["a"]}, "Missing value for required parameter 'metric_key'."),
        (
            INTERVAL,
            {"metric_key": "a", "run_ids": [str(i) for i in range(101)]},
            "GetMetricHistoryBulkInterval request must specify at most 100 run_ids.",
        ),
        (
            INTERVAL,
            {"metric_key": "a", "run_ids": ["a"], "max_results": 0},
            "max_results must be between 1 and 2500",
        ),
        (
            INTERVAL,
            {"metric_key": "a", "run_ids": ["a"], "start_step": 1},
            "If either start step or end step are specified, both must be specified.",
        ),
        (
            INTERVAL,
            {"metric_key": "a", "run_ids": ["a"], "start_step": 1, "end_step": 0},
            "end_step must be greater than start_step.",
        ),
    ],
)
def test_what_cannot_be_answered_is_said(
    client: TestClient, call: str, fields: dict[str, Any], message: str
) -> None:
    assert refusal(client, call, **fields).startswith(message)


@given(st.lists(st.lists(st.integers(-50, 50)), max_size=4), st.integers(1, 20))
def test_sampling_keeps_the_ends_and_its_bound(series: list[list[int]], most: int) -> None:
    steps = sampled_steps(series, most)
    known = {step for one in series for step in one}
    assert steps <= known
    assert all({min(one), max(one)} <= steps for one in series if one)
    assert len(steps) <= most + 2 * len(series)
    assert len(steps) >= min(most, len(known))
