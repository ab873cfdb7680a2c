"""A training by YOLO needs train and val: an export has both, or says what is missing."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from epochal.cli import main
from epochal.datasets import Content, export, scan
from epochal.errors import InvalidInput
from epochal.journal.folder import Folder


@pytest.fixture
def coco(tmp_path):
    """Return the content of a COCO dataset with these files, each of one image."""

    def coco(*names):
        root = tmp_path / "coco"
        (root / "images").mkdir(parents=True)
        for shade, name in enumerate(names):
            out = io.BytesIO()
            Image.new("RGB", (100, 40), (shade, 0, 0)).save(out, "PNG")
            (root / f"images/{name}.png").write_bytes(out.getvalue())
            said = {
                "images": [{"id": 1, "file_name": f"images/{name}.png"}],
                "categories": [{"id": 1, "name": "pallet"}],
                "annotations": [{"image_id": 1, "category_id": 1, "bbox": [10, 20, 50, 10]}],
            }
            (root / f"{name}.json").write_text(json.dumps(said))
        found = scan(root)
        return Content(found.manifest, "coco", Path(found.data.root), None)

    return coco


def splits_of(data_yaml):
    said = yaml.safe_load(data_yaml.read_text())
    assert all((data_yaml.parent / said[key]).is_dir() for key in said if key != "names")
    return {key: value for key, value in said.items() if key != "names"}


@pytest.mark.parametrize(
    ("names", "missing", "remedy"),
    [
        (["train"], "val", "--val train"),
        (["val"], "train", "--train val"),
        (["annotations"], "train and val", "--train all --val all"),
        (["train", "test"], "val", "--val train"),
    ],
)
def test_missing_split_is_refused_with_the_option_that_helps(
    coco, tmp_path, names, missing, remedy
):
    with pytest.raises(InvalidInput, match=f"no images in {missing},") as refusal:
        export(coco(*names), tmp_path / "out", "yolo")
    assert remedy in refusal.value.remedy
    assert not (tmp_path / "out").exists()


def test_split_that_is_asked_for_stands_in(coco, tmp_path):
    content = coco("train", "test")
    made = export(content, tmp_path / "out", "yolo", val="test")
    assert splits_of(made) == {
        "train": "images/train",
        "val": "images/test",
        "test": "images/test",
    }


def test_only_split_is_both_if_asked_for(coco, tmp_path):
    made = export(coco("annotations"), tmp_path / "out", "yolo", train="all", val="all")
    assert splits_of(made) == {"train": "images/all", "val": "images/all"}


def test_split_whose_images_are_all_left_out_is_missing(folder, tmp_path):
    for label in (folder.root / "labels/val").iterdir():
        label.write_text("9 9 9")
    found = scan(folder.yaml)
    content = Content(found.manifest, "yolo", folder.root, None)
    with pytest.raises(InvalidInput, match="no images in val"):
        export(content, tmp_path / "out", "yolo")


@pytest.mark.parametrize(
    ("form", "asked", "told"),
    [
        ("yolo", {"val": "valid"}, "no images in split 'valid'"),
        ("yolo", {"train": "val"}, "has a split train already"),
        ("coco", {"val": "train"}, "COCO JSON has no val to set"),
    ],
)
def test_what_makes_no_sense_is_refused(coco, tmp_path, form, asked, told):
    with pytest.raises(InvalidInput, match=told):
        export(coco("train", "val"), tmp_path / "out", form, **asked)


def records(made):
    _, *images = map(json.loads, made.read_text().splitlines())
    assert all((made.parent / "images" / i["split"] / i["file"]).is_file() for i in images)
    return sorted((image["split"], image["file"]) for image in images)


def test_ndjson_needs_train_alone(coco, tmp_path):
    content = coco("train")
    assert records(export(content, tmp_path / "a", "ndjson")) == [("train", "train.png")]
    assert records(export(content, tmp_path / "b", "ndjson", val="train")) == [
        ("train", "train.png"),
        ("val", "train.png"),
    ]


def test_ndjson_says_no_other_splits(coco, tmp_path):
    with pytest.raises(InvalidInput, match="not extra"):
        export(coco("train", "extra"), tmp_path / "out", "ndjson")
    assert not (tmp_path / "out").exists()


def test_ndjson_of_an_only_split(tmp_path, coco):
    content = coco("annotations")
    with pytest.raises(InvalidInput, match="no images in train,"):
        export(content, tmp_path / "a", "ndjson")
    made = export(content, tmp_path / "b", "ndjson", train="all")
    assert records(made) == [("train", "annotations.png")]


def test_command(coco, tmp_path, monkeypatch):
    monkeypatch.setenv("EPOCHAL_WORKSPACE", str(tmp_path / "ws"))
    Folder.create(tmp_path / "ws")
    place = coco("train").root

    def epochal(*arguments, code=0):
        done = CliRunner().invoke(main, ["dataset", *map(str, arguments)])
        assert done.exit_code == code, done.output
        return done.output

    epochal("tag", place, "pallets@v1")
    told = epochal("export", "pallets@v1", tmp_path / "out", code=2)
    assert "--val train" in told
    epochal("export", "pallets@v1", tmp_path / "out", "--val", "train")
    assert splits_of(tmp_path / "out/data.yaml")["val"] == "images/train"
    assert "a tenth of train" in epochal(
        "export", "pallets@v1", tmp_path / "nd", "--format", "ndjson"
    )
    list_of_files = ("export", "pallets@v1", tmp_path / "list", "--format", "parquet")
    assert "leave it out" in epochal(*list_of_files, "--val", "train", code=2)
