"""What comes from other systems: event files, and MLflow's protocol."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import Figure, Measurements
from epochal.journal.folder import Folder
from epochal.store.store import Store

__all__ = ["event_files", "mlflow_wire"]

_THEIR_READER = """
import sys, time
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
begun = time.process_time()
reader = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
reader.Reload()
print(sum(len(reader.Scalars(tag)) for tag in reader.Tags()["scalars"]))
print(time.process_time() - begun)
"""


def event_files(place: Path, peers: Path | None, steps: int = 100_000) -> Measurements:
    """Ten series as one event file: into journals, beside what TensorBoard takes to load them."""
    from epochal.interop.tensorboard import import_logdir
    from epochal.interop.tensorboard.event_files import frame
    from epochal.interop.tensorboard.messages import Event

    logdir = place / "logs"
    logdir.mkdir()
    event = Event()
    value = event.summary.value.add()
    with (logdir / "events.out.tfevents.1700000000.host").open("wb") as file:
        file.write(frame(Event(wall_time=1.7e9, file_version="brain.Event:2").SerializeToString()))
        for step in range(steps):
            event.wall_time, event.step = 1.7e9 + step, step
            for key in range(10):
                value.tag, value.simple_value = f"train/m{key}", step * 0.5 + key
                file.write(frame(event.SerializeToString()))
    folder = Folder.create(place / "event-files")
    begun = time.process_time()
    report = import_logdir(logdir, workspace=folder)
    ours = time.process_time() - begun
    assert not report.problems
    count = f"{10 * steps:,} scalars"
    yield Figure(what="TensorBoard import, into synced journals", value=ours, unit="s",
                 detail=count)  # fmt: skip
    if peers is None:
        return
    asked = subprocess.run(
        [str(peers / "bin" / "python"), "-c", _THEIR_READER, str(logdir)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if asked.returncode:
        return  # not installed there
    read, theirs = asked.stdout.split()[-2:]
    assert int(read) == 10 * steps
    yield Figure(what="  the same, loaded by TensorBoard's reader", value=float(theirs), unit="s")
    yield Figure(what="TensorBoard import, of TensorBoard's reader", value=ours / float(theirs),
                 unit="x", budget=1)  # fmt: skip


def mlflow_wire(place: Path, batches: int = 100) -> Measurements:
    """Batches of 1,000 points, one after another, each synced before the server answers."""
    bodies = [
        [
            {
                "key": f"m{key}",
                "value": step / 7,
                "timestamp": 1_700_000_000_000 + step,
                "step": step,
            }
            for step in range(batch * 100, batch * 100 + 100)
            for key in range(10)
        ]
        for batch in range(batches)
    ]
    folder = Folder.create(place / "wire")
    command = [sys.executable, "-m", "epochal", "ui", str(folder.root), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = next(line for line in server.stdout if line.startswith("http://")).strip()
            connection = http.client.HTTPConnection(address.split("/")[2], timeout=60)
            run = _post(connection, "runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
            sent = [json.dumps({"run_id": run, "metrics": body}) for body in bodies]
            begun = time.perf_counter()
            for body in sent:
                _post(connection, "runs/log-batch", body)
            took = time.perf_counter() - begun
            connection.close()
        finally:
            server.terminate()
    with Store(folder) as store:
        assert store.run(run).metrics["m0"].n == batches * 100
    yield Figure(what="MLflow's protocol over HTTP, synced", value=batches * 1000 / took,
                 unit="points/s", budget=50_000, better="high")  # fmt: skip


def _post(connection: http.client.HTTPConnection, call: str, body: Any) -> Any:
    data = body if isinstance(body, str) else json.dumps(body)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", f"/api/2.0/mlflow/{call}", data, headers)
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status == 200, said
    return json.loads(said)
