"""COCO annotations apart from their images, outlines in COCO, and the manifest as a table."""

from __future__ import annotations

import io
import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from epochal.cli import main
from epochal.datasets import LabelRules, parse_labels, scan
from epochal.journal.folder import Folder

SQUARES = [[10, 10, 30, 10, 30, 20, 10, 20], [60, 10, 80, 10, 80, 20, 60, 20]]


@pytest.fixture
def apart(tmp_path):
    """An annotation file, and the images in a folder that nobody would guess."""
    elsewhere = tmp_path / "volume" / "photos"
    elsewhere.mkdir(parents=True)
    out = io.BytesIO()
    Image.new("RGB", (100, 40)).save(out, "PNG")
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 10, 70, 10],
         "area": 400, "iscrowd": 0, "segmentation": SQUARES},
        {"id": 2, "image_id": 1, "category_id": 3, "bbox": [0, 0, 50, 20],
         "area": 1000, "iscrowd": 1, "segmentation": {"size": [40, 100], "counts": "x"}},
    ]  # fmt: skip
    (elsewhere / "a.png").write_bytes(out.getvalue())
    file = tmp_path / "notes" / "train.json"
    file.parent.mkdir()
    images = [{"id": 1, "file_name": "a.png", "width": 100, "height": 40}]
    categories = [{"id": 3, "name": "pallet"}]
    said = {"images": images, "categories": categories, "annotations": annotations}
    file.write_text(json.dumps(said))
    return file, elsewhere


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("EPOCHAL_WORKSPACE", str(tmp_path / "ws"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Folder.create(tmp_path / "ws")


def epochal(*arguments, code=0):
    done = CliRunner().invoke(main, ["dataset", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


def test_folder_of_images_is_remembered(apart):
    file, elsewhere = apart
    epochal("tag", file, "pallets@v1", "--images", elsewhere)
    assert "verified" in epochal("status")
    assert "verified" in epochal("status", file)
    assert "verified" in epochal("verify", "pallets@v1")
    assert "100 x 40" in epochal("show", "pallets@v1")
    epochal("tag", file, "pallets@v2")  # without being told again
    (elsewhere / "a.png").write_bytes(b"other")
    assert "drifted" in epochal("status", "pallets@v2")


def test_outlines_are_exported_as_outlines(apart, tmp_path):
    file, elsewhere = apart
    epochal("tag", file, "pallets@v1", "--images", elsewhere)
    epochal("export", "pallets@v1", tmp_path / "out", "--format", "yolo", "--val", "train")
    content = (tmp_path / "out/labels/train/a.txt").read_bytes()
    labels = parse_labels(content, LabelRules(classes=1))
    assert (labels.form, labels.flaws) == ("polygons", ())
    lines = content.decode().splitlines()
    outlines = [[float(word) for word in line.split()[1:]] for line in lines]
    areas = sorted(round(area(outline) * 100 * 40, 6) for outline in outlines)
    assert areas == [400, 1000]  # two squares joined by a way of no area; a box as its corners


def area(outline):
    """Return the area of a polygon by the shoelace formula."""
    points = list(zip(outline[::2], outline[1::2], strict=True))
    turns = zip(points, [*points[1:], points[0]], strict=True)
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in turns)) / 2


def test_manifest_as_parquet(apart, tmp_path):
    file, elsewhere = apart
    epochal("tag", file, "pallets@v1", "--images", elsewhere)
    made = tmp_path / "files.parquet"
    epochal("export", "pallets@v1", made, "--format", "parquet")
    table = pq.read_table(made)
    (row,) = table.to_pylist()
    assert (row["split"], row["width"], row["height"]) == ("train", 100, 40)
    assert row["path"].endswith("photos/a.png")
    assert row["objects"] == [("pallet", 2)]
    (entry,) = scan(file, images=elsewhere).manifest.entries
    assert row["image"] == entry.image
    assert (
        scan(file, images=elsewhere).manifest.digest in table.schema.metadata[b"epochal"].decode()
    )
    before = made.read_bytes()
    epochal("export", "pallets@v1", made, "--format", "parquet", code=2)
    assert made.read_bytes() == before
