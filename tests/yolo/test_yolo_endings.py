"""How trainings end: resumed, interrupted, failed, out of memory, stopped on request."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.yolo.conftest import QUICK, Yolo, arguments

from epochal.records import StopRequested

pytestmark = pytest.mark.slow

SCRIPT = """
import os, signal
from epochal.integrations.ultralytics import install
install()
from ultralytics import YOLO
ARGUMENTS = {arguments!r}
{body}
"""


def script(shapes: Path, body: str, **changed: object) -> str:
    given = {**QUICK, "data": str(shapes), "fraction": 0.1, "epochs": 2, **changed}
    return SCRIPT.format(arguments=given, body=body)


def wait_for(found: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def epochs_of(yolo: Yolo) -> int:
    runs = yolo.runs()
    return runs[0].metrics["epoch_time"].n if runs and "epoch_time" in runs[0].metrics else 0


def test_a_killed_training_goes_on_as_the_same_run(yolo: Yolo, shapes: Path) -> None:
    yolo.script(
        script(
            shapes,
            """
model = YOLO("yolov8n.yaml")
def kill(trainer):
    if trainer.epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)
model.add_callback("on_train_epoch_start", kill)
model.train(**ARGUMENTS)
""",
            epochs=3,
        ),
        code=-9,
    )
    run = yolo.the_run()
    with yolo.store() as store:
        assert store.status(run) == "killed"
    assert not run.evaluations
    yolo.run("-m", "epochal", "evaluate", run.name)  # what it had saved can still be measured
    (measured, *_) = yolo.the_run().evaluations
    assert measured.body.weights == yolo.the_run().artifacts["weights/best.pt"].body.digest
    first_config = run.config
    last = yolo.folder / "runs/detect/train/weights/last.pt"
    yolo.run(*yolo.launch("detect", "train", "resume=True", f"model={last}"))
    resumed = yolo.the_run()
    assert resumed.id == run.id
    assert [attempt.status for attempt in resumed.attempts] == ["", "finished"]
    assert resumed.config == first_config  # what resuming rewrote is not what was asked for
    assert resumed.effective["model"] == "yolov8n.yaml"
    with yolo.store() as store:
        assert store.status(resumed) == "finished"
        steps = store.points.read(run.id, "train/box_loss").step.tolist()
    assert steps == [1, 2, 3]


def test_ctrl_c_is_a_killed_run(yolo: Yolo, shapes: Path) -> None:
    process = yolo.start(*yolo.launch("detect", "train", *arguments(data=shapes, epochs=500)))
    wait_for(lambda: epochs_of(yolo) >= 1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode in (1, 130), output
    run = yolo.the_run()
    with yolo.store() as store:
        assert store.status(run) == "killed"
    assert run.attempts[0].reason == "KeyboardInterrupt"
    assert "weights/last.pt" in run.artifacts


def test_a_dataset_that_is_not_there_is_a_failed_run(yolo: Yolo) -> None:
    yolo.run(
        *yolo.launch("detect", "train", *arguments(data="missing.yaml", epochs=1, name="v1_x")),
        code=1,
    )
    run = yolo.the_run()
    assert run.name == "v1_x"
    with yolo.store() as store:
        assert store.status(run) == "failed"
    assert "missing.yaml" in run.attempts[0].reason


def test_out_of_memory_is_a_failed_run_with_its_reason(yolo: Yolo, shapes: Path) -> None:
    yolo.script(
        script(
            shapes,
            """
import torch
def burst(trainer):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
model = YOLO("yolov8n.yaml")
model.add_callback("on_train_epoch_end", burst)
model.train(**ARGUMENTS)
""",
        ),
        code=1,
    )
    run = yolo.the_run()
    with yolo.store() as store:
        assert store.status(run) == "failed"
    assert run.attempts[0].reason.startswith("OutOfMemoryError: CUDA out of memory")
    assert "args.yaml" in run.artifacts


def test_a_stop_request_ends_it_at_the_next_epoch(yolo: Yolo, shapes: Path) -> None:
    process = yolo.start(*yolo.launch("detect", "train", *arguments(data=shapes, epochs=500)))
    wait_for(lambda: epochs_of(yolo) >= 1)
    with yolo.store() as store:
        store.record(StopRequested(reason="enough"), run=store.runs()[0].id)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    run = yolo.the_run()
    with yolo.store() as store:
        assert store.status(run) == "finished"
    assert run.summary["stopped_early"] is True
    assert run.summary["epochs_done"] < 100
    assert "weights/best.pt" in run.artifacts
    assert {stamped.body.split for stamped in run.evaluations} == {"val"}


def test_no_error_of_ours_reaches_the_training(yolo: Yolo, shapes: Path) -> None:
    yolo.script(
        script(
            shapes,
            """
from epochal.integrations.ultralytics import handlers
from epochal.integrations.ultralytics.hooks import EVENTS
real = {event: getattr(handlers, event) for event in EVENTS}
def failing(event, after):
    def handler(subject, options):
        if after:
            real[event](subject, options)
        raise ValueError(f"ours, at {event}")
    return handler
for after in (True, False):
    for event in EVENTS:
        setattr(handlers, event, failing(event, after))
    results = YOLO("yolov8n.yaml").train(**ARGUMENTS)
    assert "metrics/mAP50(B)" in results.results_dict
""",
            epochs=1,
        )
    )
    run = yolo.the_run()  # the second training could open none
    said = "\n".join(stamped.body.text for stamped in run.notices)
    for event in ("on_pretrain_routine_start", "on_pretrain_routine_end", "on_fit_epoch_end"):
        assert f"{event}: ValueError: ours, at {event}" in said


def test_broken_insides_are_notices(yolo: Yolo, shapes: Path) -> None:
    yolo.script(
        script(
            shapes,
            """
from epochal.integrations.ultralytics import capture, pins, results, settings, training
def broken(*args, **kwargs):
    raise ValueError("ours")
capture.Capture.add = broken
results.build_evaluation = broken
training.output_files = broken
training.effective = broken
YOLO("yolov8n.yaml").train(**ARGUMENTS)
""",
        )
    )
    run = yolo.the_run()
    assert run.notices
    assert run.metrics["train/box_loss"].n == 2
