"""A folder that is no training's: the import says what it looks like, and what takes it in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from epochal.cli import main
from epochal.journal.folder import Folder


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Import what is named, which has to fail without a trace, and return what was said."""
    folder = Folder.create(tmp_path / "workspace")
    monkeypatch.setenv("EPOCHAL_WORKSPACE", str(folder.root))
    monkeypatch.chdir(tmp_path)

    def imported(*places):
        done = CliRunner().invoke(main, ["import", "ultralytics", *map(str, places)])
        assert done.exit_code == 2, done.output
        assert list(folder.run_folders()) == []
        return done.output

    return imported


def file(path: str, text: str = "") -> Path:
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


YAML = "train: images/train\nval: images/val\nnames: [pallet]\n"


@pytest.fixture
def yolo(imported):
    for split in ("train", "val"):
        file(f"data set/images/{split}/0.jpg")
        file(f"data set/labels/{split}/0.txt")
    return file("data set/data.yaml", YAML).parent


def test_dataset(imported, yolo):
    told = imported(yolo)
    assert "data set is a dataset, not a training's folder" in told
    assert "`epochal dataset tag 'data set' NAME@TAG`" in told
    assert "'data set/data.yaml' NAME@TAG" in imported(yolo / "data.yaml")


def test_dataset_without_its_yaml(imported, yolo):
    (yolo / "data.yaml").unlink()
    assert "is a dataset" in imported(yolo)


def test_coco_and_class_folders(imported):
    said = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "pallet"}]}
    assert "is a dataset" in imported(file("coco/train.json", json.dumps(said)).parent)
    file("classes/train/pallet/0.jpg")
    assert "is a dataset" in imported("classes")


@pytest.mark.parametrize(
    ("name", "what", "command"),
    [
        ("a/logs/events.out.tfevents.1.host", "event files", "epochal import tensorboard a"),
        ("a/offline-run-1/run-1.wandb", "runs of W&B", "epochal import wandb a"),
        ("a/0/meta.yaml", "an MLflow store", "epochal import mlflow a"),
        ("a/mlflow.db", "an MLflow store", "epochal import mlflow a"),
    ],
)
def test_folders_of_other_tools(imported, name, what, command):
    file(name)
    told = imported("a")
    assert what in told
    assert command in told


def test_files_of_a_training(imported):
    assert "name the folder: train" in imported(file("train/args.yaml"))
    assert "the training they are of" in imported(file("train/weights/best.pt"))
    assert "epochal import csv metrics.csv" in imported(file("metrics.csv"))


def test_nothing_that_is_known(imported):
    file("notes/a.txt")
    assert "notes is no training's folder: it has neither results.csv nor args.yaml" in imported(
        "notes"
    )
    assert "no folder nowhere" in imported("nowhere")
    assert "validation's folder" in imported(file("val/predictions.json", "[]").parent)


def test_several_places_are_named_one_by_one(imported, yolo):
    file("notes/a.txt")
    told = " ".join(imported(yolo, "notes").split())
    assert "left out: data set is a dataset" in told
    assert "notes is no training's folder" in told
