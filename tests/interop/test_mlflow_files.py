"""Files and odd addresses of MLflow's protocol: what its own pages ask for, what is not here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from tests.interop.gate import DirectGate

from epochal.interop.mlflow.wire import mlflow_routes
from epochal.journal.folder import Folder
from epochal.store.store import Store
from epochal.version import __version__

API, PAGES = "/api/2.0/mlflow", "/ajax-api/2.0/mlflow"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with Store(Folder.create(tmp_path)) as store:
        yield TestClient(Starlette(routes=mlflow_routes(DirectGate(store))))


@pytest.fixture
def run(client: TestClient) -> str:
    created = client.post(f"{API}/runs/create", json={"experiment_id": "0"})
    return str(created.json()["run"]["info"]["run_id"])


def upload(client: TestClient, run: str, path: str, content: bytes = b"hello") -> None:
    place = {"run_uuid": run, "path": path}
    sent = client.post(f"{PAGES}/upload-artifact", params=place, content=content)
    assert sent.status_code == 200, sent.text


@pytest.mark.parametrize("name", ["run_id", "run_uuid"])
def test_a_file_goes_up_and_comes_back_as_the_pages_send_it(
    client: TestClient, run: str, name: str
) -> None:
    upload(client, run, "sub/a b.txt")
    for address in ("/get-artifact", f"{API}/get-artifact"):
        got = client.get(address, params={name: run, "path": "sub/a b.txt"})
        assert got.content == b"hello"
        assert got.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20b.txt"
        assert got.headers["content-security-policy"].startswith("sandbox")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Request must specify run_uuid."),
        ({"run_uuid": "RUN"}, "Request must specify path."),
        ({"run_uuid": "RUN", "path": ""}, "Request must specify path."),
        ({"run_uuid": "RUN", "path": "../a"}, "Invalid path"),
        ({"run_uuid": "RUN", "path": "a"}, "Request must specify data."),
    ],
)
def test_an_upload_says_what_it_lacks(
    client: TestClient, run: str, given: dict[str, str], message: str
) -> None:
    given = {key: value.replace("RUN", run) for key, value in given.items()}
    answer = client.post(f"{PAGES}/upload-artifact", params=given)
    assert answer.status_code == 400
    assert answer.json() == {"error_code": "INVALID_PARAMETER_VALUE", "message": message}


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a\\b", "a\0b", "a//b"])
def test_no_path_leaves_its_place(client: TestClient, run: str, path: str) -> None:
    sent = {"run_uuid": run, "path": path}
    version = {"name": "none", "version": "1", "path": path}
    for answer in (
        client.post(f"{PAGES}/upload-artifact", params=sent, content=b"x"),
        client.get("/get-artifact", params=sent),
        client.get("/model-versions/get-artifact", params=version),
        client.get(f"{API}/artifacts/list", params={"run_id": run, "path": path}),
    ):
        assert answer.status_code == 400
        assert answer.json() == {
            "error_code": "INVALID_PARAMETER_VALUE",
            "message": "Invalid path",
        }
    nowhere = client.get("/get-artifact", params={"run_uuid": "0" * 32, "path": "a"})
    assert nowhere.status_code == 404


def test_a_point_is_the_root(client: TestClient, run: str) -> None:
    upload(client, run, "sub/a.txt")
    for path, expected in ((".", "sub"), ("./sub", "sub/a.txt")):
        listed = client.get(f"{API}/artifacts/list", params={"run_id": run, "path": path}).json()
        assert [f["path"] for f in listed["files"]] == [expected]
        asked = {"path": f"0/{run}/artifacts/{path}"}
        proxied = client.get("/api/2.0/mlflow-artifacts/artifacts", params=asked).json()
        assert [f["path"] for f in proxied["files"]] == [expected.rpartition("/")[2]]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", "text/plain"),
        ("b.pkl", "application/octet-stream"),
        ("c.png", "image/png"),
        ("d.pdf", "application/pdf"),
        ("MLmodel", "text/plain"),
        ("page.html", "text/plain"),
        ("drawing.svg", "text/plain"),
        ("data.json", "text/plain"),
    ],
)
def test_a_file_says_what_it_is_and_runs_nowhere(
    client: TestClient, run: str, name: str, kind: str
) -> None:
    upload(client, run, name, b"<script>")
    got = client.get("/get-artifact", params={"run_id": run, "path": name})
    assert got.headers["content-type"] == kind
    assert got.headers["content-disposition"] == f"attachment; filename={name}"


def test_a_model_versions_file_is_found_where_its_source_says(
    client: TestClient, run: str
) -> None:
    upload(client, run, "model/MLmodel", b"flavors: {}")
    client.post(f"{API}/registered-models/create", json={"name": "m"})
    for number, source in enumerate(
        (
            f"runs:/{run}/model",
            f"mlflow-artifacts:/0/{run}/artifacts/model/",
            f"mlflow-artifacts://host:80/0/{run}/artifacts/model",
        ),
        start=1,
    ):
        made = client.post(
            f"{API}/model-versions/create", json={"name": "m", "source": source, "run_id": run}
        )
        assert made.status_code == 200, made.text
        asked = {"name": "m", "version": number, "path": "MLmodel"}
        assert client.get("/model-versions/get-artifact", params=asked).content == b"flavors: {}"


def test_a_logged_models_file_is_given_out(client: TestClient, run: str) -> None:
    made = client.post(f"{API}/logged-models", json={"experiment_id": "0", "source_run_id": run})
    model = made.json()["model"]["info"]["model_id"]
    path = f"/api/2.0/mlflow-artifacts/artifacts/0/models/{model}/artifacts/MLmodel"
    assert client.put(path, content=b"flavors: {}").status_code == 200
    files = f"{API}/logged-models/{model}/artifacts/files"
    assert client.get(files, params={"artifact_file_path": "MLmodel"}).content == b"flavors: {}"
    assert client.get(files, params={"artifact_file_path": "../x"}).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/graphql",
        "/v1/traces",
        f"{API}/traces",
        f"{API}/webhooks",
        f"{PAGES}/get-trace-artifact",
        f"{PAGES}/runs/create-promptlab-run",
        f"{PAGES}/gateway-proxy",
        "/api/2.0/mlflow-artifacts/mpu/create/x",
        "/api/3.0/mlflow/traces/x/assessments",
        "/api/3.0/mlflow/scorers/list",
        "/api/3.0/mlflow/datasets/create",
        "/ajax-api/3.0/jobs/search",
        "/api/3.0/mlflow/whatever/comes",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_out_of_scope_says_so(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 501
    assert answer.json()["error_code"] == "NOT_IMPLEMENTED"
    assert "This is an Epochal server" in answer.json()["message"]


def test_the_version_is_a_version(client: TestClient) -> None:
    assert client.get("/version").text == __version__
