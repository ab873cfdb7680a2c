"""An error inside Epochal is Epochal's: the training neither sees nor pays for it (F12)."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import epochal
from epochal.records import Metrics

# Each place where a training's call enters another part of ours.
BOUNDARIES = [
    "epochal.run.recorder:Writer.append",
    "epochal.run.recorder:Writer.sync",
    "epochal.run.recorder:Writer.close",
    "epochal.run.recorder:Recorder._sync_others",
    "epochal.run.run:metric_values",
    "epochal.run.run:plain",
    "epochal.run.run:portions",
    "epochal.run.run:stop_all",
    "epochal.run.mirror:config_values",
    "epochal.run.mirror:plain",
    "epochal.run.mirror:portions",
    "epochal.run.opening:settle_name",
    "epochal.run.opening:start_background",
    "epochal.run.opening:Folder.new_run_folder",
    "epochal.run.opening:Folder.at",
    "epochal.run.pinning:pin_dataset",
    "epochal.run.pinning:charter_for_training",
    "epochal.run.pinning:find_pin",
    "epochal.run.pinning:_found",
    "epochal.run.background:Background.start",
    "epochal.run.background:Background.stop",
    "epochal.run.background:Background.join",
    "epochal.run.surroundings:ConsoleCapture.install",
    "epochal.run.surroundings:ConsoleCapture.uninstall",
    "epochal.run.surroundings:ConsoleCapture.flush",
    "epochal.run.surroundings:_record_environment",
    "epochal.run.surroundings:_StopListener",
    "epochal.run.storing:plain",
    "epochal.run.storing:image_bytes",
    "epochal.capture.redaction:redact",
    "epochal.capture.system_metrics:Sampler",
    "epochal.store.blobs:Blobs.put",
    "epochal.store.blobs:Blobs.put_file",
]


def train(workspace, dataset, file):
    """A training that uses everything there is."""
    run = epochal.init(
        "pallets",
        "v1_baseline",
        workspace=workspace,
        config={"lr": 0.1},
        dataset=dataset,
        capture=True,
    )
    with run:
        for step in range(3):
            run.log({"k": step * 1.0, "n": step}, step=step)
            epochal.log({"module": 1.0})
        run.config["lr"] = 0.2
        run.summary["best"] = np.float32(0.5)
        run.system({"cpu": 1})
        run.environment({"x": 1})
        run.artifact(file)
        run.image("i", np.zeros((2, 2), np.uint8))
        run.alert("title")
        run.note("text")
        run.sync()
        print("printed")
    run.finish()
    return run


@pytest.fixture
def inputs(tmp_path):
    data = tmp_path / "data.yaml"
    data.write_text("train: .\nval: .\nnames: [a]\n")
    file = tmp_path / "weights.pt"
    file.write_bytes(b"weights")
    return data, file


@pytest.mark.parametrize("error", [RuntimeError, OSError])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_no_error_of_ours_reaches_the_training(folder, inputs, monkeypatch, boundary, error):
    module, _, path = boundary.partition(":")
    *owner, name = path.split(".")
    place = importlib.import_module(module)
    for part in owner:
        place = getattr(place, part)

    def fail(*arguments, **named):
        raise error("broken inside")

    monkeypatch.setattr(place, name, fail)
    train(folder.root, *inputs)


def test_the_training_that_uses_everything_works(folder, inputs, records):
    run = train(folder.root, *inputs)
    assert len(records(run, Metrics)) == 6
