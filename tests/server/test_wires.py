"""Other systems' clients reach the workspace through the same door, and past the same guard."""

import pytest

API = "/api/v1"
MLFLOW = "/api/2.0/mlflow"


def test_what_an_mlflow_client_sends_is_there_for_the_page(writable):
    client = writable.client
    made = client.post(f"{MLFLOW}/runs/create", json={"experiment_id": "0", "run_name": "v3_x"})
    assert made.status_code == 200, made.text
    run = made.json()["run"]["info"]["run_id"]
    logged = client.post(
        f"{MLFLOW}/runs/log-batch",
        json={
            "run_id": run,
            "metrics": [
                {"key": "loss", "value": 1 / (step + 1), "step": step, "timestamp": 10**12}
                for step in range(5)
            ],
        },
    )
    assert logged.status_code == 200
    curve = client.post(f"{API}/curves", json={"runs": [run], "keys": ["loss"]}).json()
    assert curve["curves"][0]["runs"][run]["last"] == pytest.approx(
        [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5], rel=1e-6
    )
    assert client.get(f"{API}/runs/{run}").json()["document"]["name"] == "v3_x"


def test_a_wire_is_behind_the_guard(writable):
    body = {"experiment_id": "0"}
    for headers in (
        {"origin": "http://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example"},
    ):
        answer = writable.client.post(f"{MLFLOW}/runs/create", json=body, headers=headers)
        assert answer.status_code in (403, 421)
        answer = writable.client.post("/api/webhooks/training/metrics", json={}, headers=headers)
        assert answer.status_code in (403, 421)
