"""COCO boxes are pixels: they become shares of the size that the JSON or the image tells."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import ExifTags, Image
from pycocotools.coco import COCO

from epochal.datasets import Content, export, scan, split_statistics, tag
from epochal.errors import InvalidInput, NotFound


def picture(size=(100, 40), form="PNG", **how):
    out = io.BytesIO()
    Image.new("RGB", size).save(out, form, **how)
    return out.getvalue()


@pytest.fixture
def write(tmp_path):
    """Write a COCO dataset of one image, a.png of 100 x 40 with a box of 50 x 10 at (10, 20)."""

    def write(content=None, *, categories=None, name="train", **image):
        root = tmp_path / "coco"
        (root / "images").mkdir(parents=True, exist_ok=True)
        (root / "images/a.png").write_bytes(picture() if content is None else content)
        said = {
            "images": [{"id": 1, "file_name": "images/a.png", **image}],
            "categories": categories or [{"id": 3, "name": "pallet"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 20, 50, 10]}],
        }
        change(root / f"{name}.json", said)
        return root / f"{name}.json"

    return write


def change(file: Path, said: dict[str, object]) -> None:
    file.write_text(json.dumps(said))


def annotated(file: Path, **keys: object) -> None:
    """Change the keys of the annotation in `file`; None takes one away."""
    said = json.loads(file.read_text())
    said["annotations"][0].update(keys)
    said["annotations"] = [
        {k: v for k, v in a.items() if v is not None} for a in said["annotations"]
    ]
    change(file, said)


def content_of(file: Path) -> Content:
    found = scan(file)
    return Content(found.manifest, "coco", Path(found.data.root), None)


@pytest.fixture
def row(tmp_path):
    """Export to YOLO and return the label's only row."""

    def row(file):
        content = content_of(file)
        splits = content.manifest.header.splits
        export(content, tmp_path / "out", "yolo", val="" if "val" in splits else "train")
        (line,) = (tmp_path / "out/labels/train/a.txt").read_text().splitlines()
        return [float(word) for word in line.split()]

    return row


@pytest.mark.parametrize("said", [{}, {"width": 100}, {"width": 0, "height": 0}])
def test_size_is_taken_from_the_image_where_the_json_has_none(write, row, said):
    assert row(write(**said)) == pytest.approx([0, 0.35, 0.625, 0.5, 0.25])


def test_size_is_of_the_image_as_shown(write, row):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    assert row(write(picture((40, 100), "JPEG", exif=exif))) == pytest.approx(
        [0, 0.35, 0.625, 0.5, 0.25]
    )


def test_size_in_the_json_is_what_its_boxes_are_shares_of(write, row):
    assert row(write(width=200, height=80)) == pytest.approx([0, 0.175, 0.3125, 0.25, 0.125])


def test_other_size_in_the_json_is_a_warning(write):
    (problem,) = scan(write(width=200, height=80)).problems
    assert problem.severity == "warning"
    assert problem.problem == "gives 200 x 80 as the size of a.png, which is 100 x 40"
    assert scan(write(width=100, height=40)).problems == ()


def test_box_outside_an_image_without_a_stated_size_is_an_error(write):
    file = write(picture((50, 40)))
    (problem,) = scan(file).problems
    assert (problem.severity, Path(problem.file).name) == ("error", "train.json")
    assert problem.problem == "a box outside its image a.png, which is 50 x 40"
    with pytest.raises(InvalidInput, match="outside its image"):
        tag(file, "pallets@v1", existing={})


@pytest.mark.parametrize("form", ["yolo", "ndjson", "coco"])
def test_image_whose_size_nothing_tells_is_named(write, tmp_path, form):
    content = content_of(write(b"no image"))
    with pytest.raises(InvalidInput, match=r"images/a\.png: neither train\.json nor the file"):
        export(content, tmp_path / "out", form, val="" if form == "coco" else "train")
    assert not (tmp_path / "out").exists()
    (numbers,) = split_statistics(content)
    assert (numbers.objects, numbers.unknown) == (1, 1)


def test_ndjson_and_coco_without_sizes(write, tmp_path):
    content = content_of(write())
    lines = export(content, tmp_path / "a", "ndjson").read_text().splitlines()
    image = json.loads(lines[1])
    assert (image["width"], image["height"]) == (100, 40)
    assert image["annotations"]["boxes"][0] == pytest.approx([0, 0.35, 0.625, 0.5, 0.25])
    coco = COCO(str(export(content, tmp_path / "b", "coco") / "instances_train.json"))
    assert (coco.imgs[1]["width"], coco.imgs[1]["height"]) == (100, 40)
    assert coco.imgToAnns[1][0]["bbox"] == pytest.approx([10, 20, 50, 10])


def test_annotation_that_was_left_out_of_the_version_is_left_out_of_its_export(write, row):
    file = write(width=100, height=40)
    said = json.loads(file.read_text())
    flat = {"id": 2, "image_id": 1, "category_id": 3, "bbox": [10, 20, 0, 10]}
    said["annotations"].append(flat)
    change(file, said)
    assert len(scan(file).problems) == 1
    assert row(file) == pytest.approx([0, 0.35, 0.625, 0.5, 0.25])


def test_outline_without_a_box(write, row):
    file = write()
    annotated(file, bbox=None, segmentation=[[10, 20, 60, 20, 60, 30, 10, 30]])
    assert row(file) == pytest.approx([0, 0.1, 0.5, 0.6, 0.5, 0.6, 0.75, 0.1, 0.75])


def test_run_length_mask_without_a_box_cannot_be_exported(write, row):
    file = write()
    annotated(file, bbox=None, segmentation={"size": [40, 100], "counts": "x"})
    with pytest.raises(NotFound, match="labels of images/a"):
        row(file)


def test_files_that_number_their_categories_apart(write, row):
    write(name="val", categories=[{"id": 3, "name": "box"}])
    train = write(categories=[{"id": 2, "name": "box"}, {"id": 3, "name": "pallet"}])
    assert content_of(train.parent).manifest.header.classes == ("box", "pallet")
    assert row(train.parent)[0] == 1
