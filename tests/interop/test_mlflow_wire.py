"""MLflow's protocol, spoken without a client: what is stored, what comes back, how it fails."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.interop.gate import DirectGate

import epochal
from epochal.interop.mlflow.errors import MlflowError
from epochal.interop.mlflow.recording import typed
from epochal.interop.mlflow.search import matches, parse_filter, parse_order, sort_by
from epochal.interop.mlflow.wire import mlflow_app
from epochal.journal.folder import Folder
from epochal.store.store import Store


class Mlflow:
    """Calls by their path."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def post(self, call: str, expect: int = 200, **fields: Any) -> dict[str, Any]:
        answer = self.client.post(f"/mlflow/{call}", json=fields)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def get(self, call: str, expect: int = 200, **fields: Any) -> dict[str, Any]:
        answer = self.client.get(f"/mlflow/{call}", params=fields)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def new_run(self, **fields: Any) -> str:
        return self.post("runs/create", experiment_id="0", **fields)["run"]["info"]["run_id"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(Folder.create(tmp_path)) as store:
        yield store


@pytest.fixture
def mlflow(store: Store) -> Mlflow:
    return Mlflow(TestClient(mlflow_app(DirectGate(store))))


def test_a_run_of_a_client_is_a_run_like_any_other(mlflow: Mlflow, store: Store) -> None:
    experiment = mlflow.post("experiments/create", name="pallets")["experiment_id"]
    run = mlflow.post(
        "runs/create",
        experiment_id=experiment,
        run_name="v2_imgsz_960",
        start_time=1_700_000_000_000,
        tags=[{"key": "mlflow.note.content", "value": "a note"}],
    )["run"]["info"]["run_id"]
    mlflow.post(
        "runs/log-batch",
        run_id=run,
        params=[{"key": "imgsz", "value": "960"}, {"key": "seed", "value": "007"}],
        metrics=[
            {"key": "loss", "value": 1.5, "timestamp": 1_700_000_001_000, "step": 0},
            {"key": "loss", "value": "NaN", "timestamp": 1_700_000_002_000, "step": 1},
            {"key": "acc", "value": 0.5, "timestamp": 1_700_000_001_000, "step": 0},
        ],
    )
    mlflow.post("runs/update", run_id=run, status="FINISHED", end_time=1_700_000_009_000)
    document = store.find_run("v2_imgsz_960")
    assert document.project == "pallets"
    assert document.created == 1_700_000_000_000_000
    assert document.config == {"imgsz": 960, "seed": 7}
    assert store.status(document) == "finished"
    loss = store.points.read(document.id, "loss")
    assert loss.step.tolist() == [0, 1]
    assert loss.value[0] == 1.5
    assert math.isnan(loss.value[1])
    back = mlflow.get("runs/get", run_id=run)["run"]
    assert {p["key"]: p["value"] for p in back["data"]["params"]} == {
        "imgsz": "960",
        "seed": "007",
    }
    assert back["info"]["status"] == "FINISHED"
    assert back["info"]["end_time"] == 1_700_000_009_000


def test_a_resent_batch_changes_nothing(mlflow: Mlflow, store: Store) -> None:
    run = mlflow.new_run()
    batch = {
        "run_id": run,
        "metrics": [
            {"key": "loss", "value": v, "timestamp": 1, "step": s} for s, v in enumerate("12321")
        ],
    }
    for _ in range(3):
        mlflow.post("runs/log-batch", **batch)
    history = mlflow.get("metrics/get-history", run_id=run, metric_key="loss")["metrics"]
    assert [m["value"] for m in history] == [1, 2, 3, 2, 1]


def test_params_are_written_once(mlflow: Mlflow) -> None:
    run = mlflow.new_run()
    mlflow.post("runs/log-parameter", run_id=run, key="lr", value="0.1")
    mlflow.post("runs/log-parameter", run_id=run, key="lr", value="0.1")
    error = mlflow.post("runs/log-parameter", 400, run_id=run, key="lr", value="0.2")
    assert error["error_code"] == "INVALID_PARAMETER_VALUE"
    assert error["message"].startswith("Changing param values is not allowed")


@pytest.mark.parametrize(
    ("path", "fields", "status", "code"),
    [
        ("runs/create", {"experiment_id": "77"}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("runs/log-metric", {"run_id": "0" * 32}, 400, "INVALID_PARAMETER_VALUE"),
        ("runs/set-tag", {"run_id": "0" * 32, "key": "k"}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("experiments/create", {"name": 123}, 400, "INVALID_PARAMETER_VALUE"),
        ("experiments/create", {}, 400, "INVALID_PARAMETER_VALUE"),
        ("experiments/create", {"name": "Default"}, 400, "RESOURCE_ALREADY_EXISTS"),
        ("runs/search", {"filter": "metrics.a = 'x'"}, 400, "INVALID_PARAMETER_VALUE"),
        ("runs/search", {"max_results": 0}, 400, "INVALID_PARAMETER_VALUE"),
        ("runs/search", {"page_token": "?"}, 400, "INVALID_PARAMETER_VALUE"),
        ("traces/search", {}, 501, "NOT_IMPLEMENTED"),
        ("no/such", {}, 404, "ENDPOINT_NOT_FOUND"),
    ],
)
def test_errors_speak_the_clients_language(
    mlflow: Mlflow, path: str, fields: dict[str, Any], status: int, code: str
) -> None:
    assert mlflow.post(path, status, **fields)["error_code"] == code


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"[" * 100_000, b"\xff"])
def test_what_is_no_request_is_told_so(mlflow: Mlflow, body: bytes) -> None:
    answer = mlflow.client.post("/mlflow/runs/create", content=body)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "BAD_REQUEST"


def test_a_bad_point_records_nothing_of_its_batch(mlflow: Mlflow, store: Store) -> None:
    run = mlflow.new_run()
    metrics = [
        {"key": "good", "value": 1.0, "timestamp": 1, "step": 0},
        {"key": "../evil", "value": 1.0, "timestamp": 1, "step": 0},
    ]
    error = mlflow.post("runs/log-batch", 400, run_id=run, metrics=metrics)
    assert "metrics[1].key" in error["message"]
    assert not store.run(run).metrics


def test_search_filters_sorts_and_pages(mlflow: Mlflow) -> None:
    for i in range(7):
        run = mlflow.new_run(run_name=f"r{i}", start_time=1000 + i)
        mlflow.post("runs/log-metric", run_id=run, key="loss", value=i / 2, timestamp=1)
        mlflow.post("runs/log-parameter", run_id=run, key="opt", value="adam" if i % 2 else "sgd")
    found = mlflow.post(
        "runs/search",
        experiment_ids=["0"],
        filter="metrics.loss < 3 and params.opt = 'sgd'",
        order_by=["metrics.loss DESC"],
    )
    assert [r["info"]["run_name"] for r in found["runs"]] == ["r4", "r2", "r0"]
    names, token = [], ""
    while True:
        page = mlflow.post("runs/search", experiment_ids=["0"], max_results=3, page_token=token)
        names += [r["info"]["run_name"] for r in page["runs"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert names == [f"r{i}" for i in range(6, -1, -1)]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("Created >= 1001", ["r1"]),
        ("dataset.name IN ('val', 'x')", ["r1"]),
        ("dataset.context NOT IN ('x')", ["r1"]),
        ("run_id NOT IN ('x',)", ["r1", "r0"]),
        ("dataset.nope = 'x'", None),
        ("attributes.lifecycle_stage = 'active'", None),
        ("attributes.experiment_id = '0'", None),
        ("run_name IS NULL", None),
        ("run_name IN ('r0')", None),
    ],
)
def test_filters_of_runs_reach_as_far_as_clients_do(
    mlflow: Mlflow, filter: str, expected: list[str] | None
) -> None:
    for i in range(2):
        run = mlflow.new_run(run_name=f"r{i}", start_time=1000 + i)
    tags = [{"key": "mlflow.data.context", "value": "testing"}]
    dataset = {"dataset": {"name": "val", "digest": "1"}, "tags": tags}
    mlflow.post("runs/log-inputs", run_id=run, datasets=[dataset])
    status = 400 if expected is None else 200
    found = mlflow.post("runs/search", status, experiment_ids=["0"], filter=filter)
    if expected is not None:
        assert [r["info"]["run_name"] for r in found["runs"]] == expected


def test_runs_of_our_own_are_seen_by_clients(store: Store, mlflow: Mlflow) -> None:
    with epochal.init("own", "v1_baseline", workspace=store.folder.root, capture=False) as run:
        run.config["lr"] = 0.1
        run.log({"loss": 0.5}, step=3)
    store.refresh()
    experiment = mlflow.get("experiments/get-by-name", experiment_name="own")["experiment"]
    (found,) = mlflow.post("runs/search", experiment_ids=[experiment["experiment_id"]])["runs"]
    assert found["info"]["run_name"] == "v1_baseline"
    assert found["data"]["params"] == [{"key": "lr", "value": "0.1"}]
    assert found["data"]["metrics"][0] | {"timestamp": 0} == {
        "key": "loss", "value": 0.5, "timestamp": 0, "step": 3,
    }  # fmt: skip


def test_artifacts_go_up_and_come_back(mlflow: Mlflow, store: Store) -> None:
    run = mlflow.new_run()
    root = f"/mlflow-artifacts/artifacts/0/{run}/artifacts"
    assert mlflow.client.put(f"{root}/sub/a%20b.txt", content=b"hello").status_code == 200
    assert mlflow.client.put(f"{root}/top.bin", content=b"\0" * 10).status_code == 200
    listed = mlflow.get("artifacts/list", run_id=run)["files"]
    assert [(f["path"], f["is_dir"]) for f in listed] == [("sub", True), ("top.bin", False)]
    assert (
        mlflow.get("artifacts/list", run_id=run, path="sub")["files"][0]["path"] == "sub/a b.txt"
    )
    assert mlflow.get("artifacts/list", run_id=run, path="top.bin")["files"] == []
    got = mlflow.client.get(f"{root}/sub/a%20b.txt")
    assert got.content == b"hello"
    assert got.headers["content-disposition"].startswith("attachment; ")
    assert set(store.run(run).artifacts) == {"sub/a b.txt", "top.bin"}
    assert mlflow.client.delete(f"{root}/top.bin").status_code == 200
    assert mlflow.client.get(f"{root}/top.bin").status_code == 404


@pytest.mark.parametrize(
    "key",
    ["..%2F..%2Fsecret", "a/..%2F..%2Fx", "a%5Cb", "%2Fetc%2Fpasswd", "a//b", "a/%2E/b", "a%00b"],
)
def test_no_artifact_key_leaves_its_place(mlflow: Mlflow, key: str, tmp_path: Path) -> None:
    """Cases A1 to A8."""
    run = mlflow.new_run()
    before = {p for p in tmp_path.rglob("*") if "blobs" not in p.parts}
    path = f"/mlflow-artifacts/artifacts/0/{run}/artifacts/{key}"
    assert mlflow.client.put(path, content=b"x").status_code in (400, 404)
    assert mlflow.client.get(path).status_code in (400, 404)
    assert {p for p in tmp_path.rglob("*") if "blobs" not in p.parts} == before


@pytest.mark.parametrize("source", ["file:///etc", "/etc/passwd", "s3://bucket/x", "C:\\x"])
def test_a_model_version_names_no_place_of_the_clients(mlflow: Mlflow, source: str) -> None:
    """Cases A5 and A6."""
    mlflow.post("registered-models/create", name="m")
    for tags in ([], [{"key": "mlflow.prompt.is_prompt", "value": "true"}]):
        error = mlflow.post("model-versions/create", 400, name="m", source=source, tags=tags)
        assert error["error_code"] == "INVALID_PARAMETER_VALUE"


def test_the_registry_keeps_versions_aliases_and_stages(mlflow: Mlflow) -> None:
    run = mlflow.new_run()
    mlflow.post("registered-models/create", name="detector")
    mlflow.post("registered-models/create", 400, name="detector")
    for _ in range(2):
        mlflow.post("model-versions/create", name="detector", source=f"runs:/{run}/m", run_id=run)
    mlflow.post("registered-models/alias", name="detector", alias="champion", version="2")
    got = mlflow.get("registered-models/alias", name="detector", alias="champion")
    assert (got["model_version"]["version"], got["model_version"]["status"]) == ("2", "READY")
    mlflow.post(
        "model-versions/transition-stage", name="detector", version="1", stage="production"
    )
    latest = mlflow.get("registered-models/get-latest-versions", name="detector")
    assert {v["current_stage"] for v in latest["model_versions"]} == {"None", "Production"}


def test_the_index_rebuilt_from_the_journals_answers_the_same(
    mlflow: Mlflow, store: Store, tmp_path: Path
) -> None:
    run = mlflow.new_run(run_name="v1_baseline")
    mlflow.post("experiments/create", name="other")
    mlflow.post("runs/set-tag", run_id=run, key="k", value="v")
    mlflow.post("runs/log-metric", run_id=run, key="loss", value=1, timestamp=5, step=2)
    before = (mlflow.get("runs/get", run_id=run), mlflow.post("experiments/search"))
    with Store(store.folder, index=tmp_path / "again.sqlite") as rebuilt:
        again = Mlflow(TestClient(mlflow_app(DirectGate(rebuilt))))
        assert (again.get("runs/get", run_id=run), again.post("experiments/search")) == before


# --- pure parts ----------------------------------------------------------------------------------


@given(st.text(max_size=60))
def test_no_text_breaks_the_filter_parser(text: str) -> None:
    with contextlib.suppress(MlflowError):
        parse_filter(text)
    with contextlib.suppress(MlflowError):
        parse_order([text])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics.loss < 1", True),
        ("metrics.`a b` >= 2 AND params.opt ILIKE 'AD%'", True),
        ("tags.\"x.y\" != 'z'", True),
        ("tag.missing IS NULL and tags.`x.y` IS NOT NULL", True),
        ("run_id IN ('r', 's')", True),
        ("params.opt LIKE 'AD%'", False),
        ("metrics.missing > 0", False),
        ("name = 'it''s'", True),
    ],
)
def test_filters(text: str, expected: bool) -> None:
    known = {
        ("metric", "loss"): 0.5,
        ("metric", "a b"): 2.0,
        ("param", "opt"): "adam",
        ("tag", "x.y"): "w",
        ("attribute", "run_id"): "r",
        ("attribute", "name"): "it's",
    }
    assert matches(parse_filter(text), lambda e, k: known.get((e, k))) is expected


@pytest.mark.parametrize(
    "text", ["a = 'x' OR b = 'y'", "(a = 'x')", "a =", "= 'x'", "metrics.a = b", "a = 'x' b = 'y'"]
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(MlflowError):
        parse_filter(text)


def test_sorting_puts_nan_and_missing_last() -> None:
    values = {"a": 1.0, "b": math.nan, "c": None, "d": 2.0}
    order = parse_order(["metrics.m DESC"])
    assert sort_by(list("cbad"), order, lambda x: lambda _e, _k: values[x]) == list("dabc")


@given(
    st.one_of(
        st.integers(-(10**17), 10**17),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.none(),
    )
)
def test_params_are_read_as_what_they_were(value: Any) -> None:
    assert typed(str(value)) == value
    assert type(typed(str(value))) is type(value)
