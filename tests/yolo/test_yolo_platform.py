"""An unmodified Ultralytics that reports to its Platform, which is us."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.yolo.conftest import Yolo, arguments

from epochal.interop.ultralytics.wire import PREFIXES, platform_app
from epochal.journal.folder import Folder
from epochal.records import StopRequested
from epochal.store.store import Store

pytestmark = pytest.mark.slow


class OneStore:
    """A gate whose calls take turns."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.lock = asyncio.Lock()
        self.on_write: Callable[[Store], None] = lambda store: None

    async def read(self, answer: Callable[[Store], Any]) -> Any:
        async with self.lock:
            return await asyncio.to_thread(self._answer, answer)

    async def write(self, answer: Callable[[Store], Any]) -> Any:
        async with self.lock:
            return await asyncio.to_thread(
                self._answer, lambda s: (answer(s), self.on_write(s))[0]
            )

    def _answer(self, answer: Callable[[Store], Any]) -> Any:
        with Store(self.folder) as store:
            return answer(store)


@pytest.fixture
def gate(yolo: Yolo) -> OneStore:
    return OneStore(Folder.at(yolo.folder))


@pytest.fixture
def url(gate: OneStore) -> Iterator[str]:
    app = platform_app(gate)
    routes = [Mount(prefix, app=app) for prefix in PREFIXES]
    config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    started = threading.Event()
    startup = server.startup

    async def tell(*args: Any, **kwargs: Any) -> None:
        await startup(*args, **kwargs)
        started.set()

    server.startup = tell  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    assert started.wait(300)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(300)


def train(yolo: Yolo, url: str, shapes: Path, epochs: int) -> str:
    yolo_command = str(Path(yolo.python).parent / "yolo")
    command = arguments(data=shapes, epochs=epochs, project="shapes", name="v1_wire")
    return yolo.run(
        yolo_command,
        *("detect", "train", *command, "fraction=0.2"),
        ULTRALYTICS_PLATFORM_URL=url,
        ULTRALYTICS_API_KEY="anything",
    )


def test_it_is_recorded_as_it_is(yolo: Yolo, url: str, shapes: Path) -> None:
    train(yolo, url, shapes, 2)
    run = yolo.the_run()
    assert (run.project, run.name) == ("shapes", "v1_wire")
    best = yolo.folder / "runs/detect/shapes/v1_wire/weights/best.pt"
    with yolo.store() as store:
        assert store.status(run) == "finished"
        assert store.points.read(run.id, "train/box_loss").step.tolist() == [1, 2]
        assert store.blobs.get(run.artifacts["weights/best.pt"].body.digest) == best.read_bytes()
        console = "\n".join(part.text for part in store.console(run.id))
    assert "Starting training for 2 epochs" in console
    assert len(run.evaluations) == 1


def test_a_stop_request_reaches_it(yolo: Yolo, url: str, gate: OneStore, shapes: Path) -> None:
    def stop(store: Store) -> None:
        for run in store.runs():
            if run.metrics and not run.stop_requested:
                store.record(StopRequested(), run=run.id)

    gate.on_write = stop
    output = train(yolo, url, shapes, 200)
    assert "Training cancelled from Platform" in output
    assert yolo.the_run().summary["best_epoch"] < 100
