"""The Platform protocol, with what a real Ultralytics 8.4.190 sent while it trained."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from epochal.evaluation.storage import load_evaluation
from epochal.interop.ultralytics import platform_records
from epochal.interop.ultralytics.wire import PREFIXES, platform_app
from epochal.journal.folder import Folder
from epochal.records import StopRequested
from epochal.store.documents import RunDocument
from epochal.store.store import Store

SENT = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "data" / "ultralytics" / "platform.jsonl")
    .read_text()
    .splitlines()
]
STARTED = SENT[0]["body"]
METRICS = "/api/webhooks/training/metrics"


class OneStore:
    """A gate without threads."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    async def read(self, answer: Callable[[Store], Any]) -> Any:
        with Store(self.folder) as store:
            return answer(store)

    async def write(self, answer: Callable[[Store], Any]) -> Any:
        return await self.read(answer)


@pytest.fixture
def workspace(tmp_path: Path) -> Folder:
    return Folder.create(tmp_path)


@pytest.fixture
def client(workspace: Folder) -> Iterator[TestClient]:
    app = platform_app(OneStore(workspace), lambda run: f"http://here/runs/{run}")
    with TestClient(Starlette(routes=[Mount(p, app=app) for p in PREFIXES])) as found:
        yield found


def say(client: TestClient, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(METRICS, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def replay(client: TestClient, sent: list[dict[str, Any]]) -> str:
    """Send a whole training; return its model's id."""
    started = say(client, STARTED)
    model, run = started["modelId"], started["runId"]
    for request in sent[1:]:
        body = request["body"] | {"modelId": model}
        if request["path"] == METRICS:
            say(client, body)
        else:
            place = client.post(request["path"], json=body | {"runId": run}).json()
            assert client.put(place["uploadUrl"], content=b"weights").status_code == 200
    return str(model)


def the_run(workspace: Folder) -> RunDocument:
    with Store(workspace) as store:
        (run,) = store.runs()
    return run


def test_a_training_becomes_a_run(client: TestClient, workspace: Folder) -> None:
    model = replay(client, SENT)
    run = the_run(workspace)
    assert run.id == model
    # Their own slug of the name is v1platform.
    assert (run.project, run.name) == ("shapes", "v1_platform")
    with Store(workspace) as store:
        assert store.status(run) == "finished"
        console = "\n".join(part.text for part in store.console(run.id))
        points = store.points.read(run.id, "metrics/mAP50-95(B)")
    assert run.config["lr0"] == 0.003
    assert "momentum" not in run.config
    assert run.effective["momentum"] == 0.937
    assert run.effective["deterministic"] is True
    assert run.environment["ultralytics"]["version"] == "8.4.190"
    assert points.step.tolist() == [1, 2, 3, 4, 5, 6]  # the final evaluation is no epoch
    assert run.system
    assert run.summary["best_epoch"] == 6
    assert run.summary["parameters"] > 1_000_000
    assert run.artifacts["weights/best.pt"].body.size == len(b"weights")
    assert console.index("Starting training for 6 epochs") < console.index("6 epochs completed")
    assert "\x1b" not in console


def test_the_final_evaluation_has_classes_and_curves(
    client: TestClient, workspace: Folder
) -> None:
    replay(client, SENT)
    run = the_run(workspace)
    (stamped,) = run.evaluations
    with Store(workspace) as store:
        found = load_evaluation(store.blobs, stamped.body.digest)
    complete = next(
        s["body"]["data"] for s in SENT if s["body"].get("event") == "training_complete"
    )
    printed = complete["results"]["metrics"]
    assert found.metrics["mAP50-95"] == printed["metrics/mAP50-95(B)"]
    assert found.evaluator == "ultralytics/8.4.180"
    assert found.images == 24
    assert found.weights == run.artifacts["weights/best.pt"].body.digest
    aps = [result.ap for result in found.per_class if result.ap is not None]
    assert sum(aps) / len(aps) == pytest.approx(found.metrics["mAP50-95"], abs=1e-5)
    assert sum(result.instances for result in found.per_class) == 60
    assert found.curves is not None
    assert len(found.curves.f1) == 4
    assert len(found.curves.f1[0]) == len(found.curves.confidence) == 101
    assert found.confusion is not None
    assert found.confusion.confidence == 0.001


@pytest.mark.parametrize("seed", range(3))
def test_messages_that_overtake_each_other_and_come_twice(
    client: TestClient, workspace: Folder, seed: int
) -> None:
    rest = [request for request in SENT[1:] for _ in range(2)]
    random.Random(seed).shuffle(rest)
    rest = [r for r in rest if r["body"].get("event") != "console_output"]
    replay(client, [SENT[0], *rest])
    run = the_run(workspace)
    with Store(workspace) as store:
        points = store.points.read(run.id, "train/box_loss")
        assert store.status(run) == "finished"
    assert sorted(points.step.tolist()) == [1, 2, 3, 4, 5, 6]
    assert len({stamped.body.digest for stamped in run.evaluations}) <= 2  # with weights, without


def test_an_announcement_sent_again_is_the_same_training(
    client: TestClient, workspace: Folder
) -> None:
    assert say(client, STARTED) == say(client, STARTED)
    the_run(workspace)


def test_a_stop_request_comes_back_as_cancelled(client: TestClient, workspace: Folder) -> None:
    model = say(client, STARTED)["modelId"]
    epochs = [s["body"] for s in SENT if s["body"].get("event") == "epoch_end"]
    assert "cancelled" not in say(client, epochs[0] | {"modelId": model})
    with Store(workspace) as store:
        store.record(StopRequested(reason="enough"), run=model)
    assert say(client, epochs[1] | {"modelId": model})["cancelled"] is True


def test_a_resumed_training_is_the_next_attempt(client: TestClient, workspace: Folder) -> None:
    model = say(client, STARTED)["modelId"]
    resumed = {"modelId": model, "event": "training_started", "data": STARTED["data"]}
    answer = say(client, resumed)
    assert answer["modelId"] == model
    assert answer["runId"].endswith("-2")
    assert answer["modelSlug"] == model  # the end of the link that older releases print
    epoch = next(s["body"] for s in SENT if s["body"].get("event") == "epoch_end")
    say(client, epoch | {"modelId": model})
    run = the_run(workspace)
    assert [attempt.number for attempt in run.attempts] == [1, 2]
    # A model that is not here is answered such that the client begins anew.
    unknown = client.post(METRICS, json=resumed | {"modelId": "gone"})
    assert unknown.status_code == 404


def test_a_failed_training_says_why(client: TestClient, workspace: Folder) -> None:
    model = say(client, STARTED)["modelId"]
    say(client, {"modelId": model, "event": "training_failed", "data": {"error": "no memory"}})
    assert the_run(workspace).attempts[0].reason == "no memory"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"event": 3}',
        b'{"event": "epoch_end"}',
        b'{"event": "nonsense", "modelId": "MODEL"}',
        b'{"event": "epoch_end", "modelId": "MODEL", "data": {"epoch": -1}}',
        b'{"event": "epoch_end", "modelId": "MODEL", "data": {"epoch": "one"}}',
        b'{"event": "epoch_end", "modelId": "../../etc"}',
        b"\xff\xfe",
    ],
)
def test_malformed_messages_are_refused_in_their_format_and_change_nothing(
    client: TestClient, workspace: Folder, body: bytes
) -> None:
    model = say(client, STARTED)["modelId"]
    before = the_run(workspace)
    answer = client.post(METRICS, content=body.replace(b"MODEL", model.encode()))
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]
    assert the_run(workspace).metrics == before.metrics


def test_uploads_go_where_they_were_announced_and_nowhere_else(
    client: TestClient, workspace: Folder
) -> None:
    model = say(client, STARTED)["modelId"]
    assert client.put("/api/webhooks/models/upload/guess", content=b"x").status_code == 404
    place = client.post(
        "/api/webhooks/models/upload", json={"filename": "../../../evil.pt", "modelId": model}
    ).json()
    assert client.put(place["uploadUrl"], content=b"x").status_code == 200
    assert set(the_run(workspace).artifacts) == {"weights/evil.pt"}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = ("trainArgs", "epoch", "metrics", "system", "results", "plots", "classNames", "content")
keys = st.sampled_from((*KEYS, "environment", "gpus", "fitness", "modelInfo"))


@given(st.dictionaries(keys, values, max_size=4))
def test_nothing_that_is_sent_breaks_the_translation(data: dict[str, Any]) -> None:
    data = {"epoch": 0} | data
    list(platform_records.configs(data))
    platform_records.environment(data)
    platform_records.summary(data)
    platform_records.system(data.get("system"))
    list(platform_records.console(data))
    platform_records.identity(data, "p", "n")
    platform_records.evaluation(data, "8.4.190", {}, "")
