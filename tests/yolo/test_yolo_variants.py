"""Several trainings in one process or folder, tuning, dataset policies, attaching to one model."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.yolo.conftest import SIZES, Yolo, arguments
from tests.yolo.test_yolo_endings import script

from epochal.decisions.charter_file import read_toml
from epochal.decisions.charter_in_force import apply, in_force
from epochal.demo.scenes import write_dataset

pytestmark = pytest.mark.slow


def test_names_given_twice_and_folders_used_twice_are_runs_of_their_own(
    yolo: Yolo, shapes: Path
) -> None:
    yolo.script(
        script(
            shapes,
            """
ARGUMENTS |= {"name": "v1_same", "epochs": 1}
YOLO("yolov8n.yaml").train(**ARGUMENTS)
YOLO("yolov8n.yaml").train(**ARGUMENTS)
YOLO("yolov8n.yaml").train(**ARGUMENTS, exist_ok=True, seed=1)
""",
        )
    )
    first, second, third = yolo.runs()
    assert (first.name, second.name, third.name) == ("v1_same", "v1_same-2", "v1_same")
    with yolo.store() as store:
        assert {store.status(run) for run in (first, second, third)} == {"finished"}
    digests = [run.artifacts["weights/best.pt"].body.digest for run in (first, second, third)]
    assert len(set(digests)) == 3 or digests[0] == digests[1] != digests[2]
    assert all(run.metrics["train/box_loss"].n == 1 for run in (first, second, third))


def test_a_script_keeps_its_own_run_and_attach_says_what_it_is(yolo: Yolo, shapes: Path) -> None:
    yolo.script(
        script(
            shapes,
            """
import epochal
from epochal.integrations.ultralytics import attach, uninstall
uninstall()
with epochal.init(project="mine", name="v1_script", config={"note": "kept"}):
    model = YOLO("yolov8n.yaml")
    attach(model, every_n_batches=1)
    model.train(**ARGUMENTS | {"epochs": 1})
model = YOLO("yolov8n.yaml")
attach(model, project="mine", name="v2_attached", parent="v1_script", tags=("attached",))
model.train(**ARGUMENTS | {"epochs": 1})
YOLO("yolov8n.yaml").train(**ARGUMENTS | {"epochs": 1})  # not attached: not recorded
""",
        )
    )
    script_run, attached = yolo.runs()
    assert script_run.config["note"] == "kept"
    assert script_run.config["imgsz"] == 64
    assert script_run.metrics["batch/box_loss"].n >= 1
    assert (attached.name, attached.parent, attached.tags) == (
        "v2_attached",
        "v1_script",
        ("attached",),
    )


def test_every_trial_of_a_tuning_is_a_run(yolo: Yolo, shapes: Path) -> None:
    (yolo.folder / "tune.py").write_text(
        script(
            shapes,
            """
given = {k: v for k, v in ARGUMENTS.items() if k not in ("model", "optimizer", "lr0")}
YOLO("yolov8n.yaml").tune(**given | {"epochs": 1, "iterations": 2}, use_ray=False)
""",
        ).replace("install()\n", "")
    )
    yolo.run("-m", "epochal", "run", "--group", "tuning", "--", yolo.python, "tune.py")
    runs = yolo.runs()
    assert len(runs) == 2
    assert {run.group for run in runs} == {"tuning"}
    with yolo.store() as store:
        assert {store.status(run) for run in runs} == {"finished"}
    assert len({run.attempts[0].launch for run in runs}) == 1
    # Ultralytics names trials after the dataset, and their projects multitrain, multitrain-2 ...
    assert len({run.project for run in runs}) == 1
    assert len({run.name for run in runs}) == 2
    assert all(run.name.startswith("v") for run in runs)
    assert runs[0].config != runs[1].config


def charter_policy(yolo: Yolo, rule: str) -> None:
    """Put the rule in force: the file only proposes once a training has recorded it."""
    toml = yolo.folder / "epochal.toml"
    toml.write_text(f'project = "p"\ndataset_policy = "{rule}"\n')
    with yolo.store() as store:
        if in_force(store, "p")[1]:
            apply(store, "p", read_toml(toml), "for the test")


@pytest.mark.parametrize("by_folder", [False, True])
def test_require_refuses_to_train_on_untagged_data(
    yolo: Yolo, shapes: Path, by_folder: bool
) -> None:
    """A folder is looked through by the trainer: only then is there a data.yaml to refuse."""
    charter_policy(yolo, "require")
    data = shapes.parent if by_folder else shapes
    output = yolo.run(*yolo.launch("detect", "train", *arguments(data=data, epochs=1)), code=1)
    assert "requires a tagged dataset" in output
    assert "epochal dataset tag" in output
    assert yolo.runs() == []


def test_auto_tags_and_drift_is_told(yolo: Yolo) -> None:
    data = write_dataset(yolo.folder / "data", sizes=SIZES | {"train": 16}, size=64)
    charter_policy(yolo, "auto")
    yolo.run(*yolo.launch("detect", "train", *arguments(data=data, epochs=1)))
    (run,) = yolo.runs()
    assert run.pin is not None
    assert run.pin.state == "verified"
    assert run.pin.dataset.startswith("data@auto-")
    label = next(path for path in (data.parent / "labels/train").glob("*.txt"))
    label.write_text("0 0.5 0.5 0.2 0.2\n")
    charter_policy(yolo, "warn")
    output = yolo.run(*yolo.launch("detect", "train", *arguments(data=data, epochs=1)))
    drifted = yolo.runs()[-1]
    assert drifted.pin is not None
    assert drifted.pin.state == "drifted"
    assert drifted.pin.dataset == run.pin.dataset
    assert "differs from" in output
    assert any(stamped.body.code == "dataset-drifted" for stamped in drifted.notices)
