from __future__ import annotations

import io
import json

import pytest
from PIL import ExifTags, Image, ImageOps
from pycocotools.coco import COCO

from epochal.datasets import Content, export, pixel_leakage, scan, summarize_leaks, undecodable
from epochal.errors import InvalidInput, NotFound, Refused


def picture(shade, form="PNG", size=(40, 20), **how):
    out = io.BytesIO()
    Image.new("RGB", size, (shade, 0, 255 - shade)).save(out, form, **how)
    return out.getvalue()


def upright():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return exif


@pytest.fixture
def pictures(folder):
    """A dataset of real images."""
    for split, n in (("train", 4), ("val", 2)):
        for i in range(n):
            shade = 10 * i + (5 if split == "val" else 0)
            folder.image(split, f"{i:03}").write_bytes(picture(shade))
    return folder


def content_of(path):
    found = scan(path)
    return Content(found.manifest, "yolo", found_root(found), None)


def found_root(found):
    from pathlib import Path

    return Path(found.data.root)


def test_yolo_again_is_the_same_labels(pictures, tmp_path):
    pictures.add("train", "bare", None, picture(99))
    before = content_of(pictures.yaml)
    made = export(before, tmp_path / "out", "yolo")
    after = scan(made).manifest
    assert after.header.classes == before.manifest.header.classes
    assert after.splits == before.manifest.splits


def test_coco_is_what_pycocotools_reads(pictures, tmp_path, capsys):
    made = export(content_of(pictures.yaml), tmp_path / "out", "coco")
    coco = COCO(str(made / "instances_train.json"))
    assert len(coco.imgs) == 4
    assert [c["name"] for c in coco.cats.values()] == ["circle", "square", "triangle", "star"]
    (annotation,) = coco.imgToAnns[1]
    # 0 0.5 0.5 0.1 0.2 on 40 x 20 pixels
    assert annotation["bbox"] == pytest.approx([18, 8, 4, 4])
    assert annotation["area"] == pytest.approx(16)
    assert scan(made).manifest.splits["train"].objects == 4


def test_pixels_are_those_of_the_image_as_shown(pictures, tmp_path):
    pictures.image("train", "000").write_bytes(picture(1, "JPEG", exif=upright()))
    made = export(content_of(pictures.yaml), tmp_path / "coco", "coco")
    coco = COCO(str(made / "instances_train.json"))
    assert (coco.imgs[1]["width"], coco.imgs[1]["height"]) == (20, 40)
    # 0 0.5 0.5 0.1 0.2 on 20 x 40 pixels
    assert coco.imgToAnns[1][0]["bbox"] == pytest.approx([9, 16, 2, 8])
    lines = export(content_of(pictures.yaml), tmp_path / "ndjson", "ndjson").read_text()
    first = json.loads(lines.splitlines()[1])
    assert (first["width"], first["height"]) == (20, 40)


def test_ndjson_has_the_dataset_and_a_line_for_each_image(pictures, tmp_path):
    made = export(content_of(pictures.yaml), tmp_path / "out", "ndjson", name="shapes")
    assert made == tmp_path / "out" / "shapes.ndjson"
    first, *images = map(json.loads, made.read_text().splitlines())
    assert (first["type"], first["task"], first["path"]) == ("dataset", "detect", ".")
    assert first["class_names"]["3"] == "star"
    assert len(images) == 6
    assert images[0]["annotations"] == {"boxes": [[0, 0.5, 0.5, 0.1, 0.2]]}
    assert (images[0]["width"], images[0]["height"]) == (40, 20)
    assert all((tmp_path / "out/images" / i["split"] / i["file"]).is_file() for i in images)


def test_polygons_and_keypoints(pictures, tmp_path):
    pictures.label("train", "000").write_text("1 0.1 0.1 0.5 0.1 0.5 0.5\n")
    for split, n in (("train", 4), ("val", 2)):
        for i in range(n):
            if (split, i) != ("train", 0):
                pictures.label(split, f"{i:03}").write_text("1 0.1 0.1 0.5 0.1 0.5 0.9\n")
    content = content_of(pictures.yaml)
    made = export(content, tmp_path / "a", "coco")
    first = json.loads((made / "instances_train.json").read_text())["annotations"][0]
    assert first["segmentation"][0] == pytest.approx([4, 2, 20, 2, 20, 10])
    assert first["bbox"] == pytest.approx([4, 2, 16, 8])
    lines = export(content, tmp_path / "b", "ndjson").read_text().splitlines()
    assert "segments" in json.loads(lines[1])["annotations"]
    pictures.write_yaml(train="images/train", val="images/val", kpt_shape=[1, 3])
    for label in pictures.root.rglob("*.txt"):
        label.write_text("0 0.5 0.5 0.2 0.2 0.5 0.5 1\n")
    made = export(content_of(pictures.yaml), tmp_path / "c", "coco")
    first = json.loads((made / "instances_train.json").read_text())["annotations"][0]
    assert first["keypoints"] == pytest.approx([20, 10, 1])


def test_names_that_would_meet_get_a_number(pictures, tmp_path):
    other = pictures.root / "images" / "train" / "more"
    other.mkdir()
    (other / "000.jpg").write_bytes(picture(77))
    made = export(content_of(pictures.yaml), tmp_path / "out", "yolo")
    names = sorted(path.name for path in (made.parent / "images" / "train").iterdir())
    assert names == ["000-2.jpg", "000.jpg", "001.jpg", "002.jpg", "003.jpg"]


def test_images_with_label_errors_are_left_out(pictures, tmp_path):
    pictures.label("train", "000").write_text("9 9 9\n")
    made = export(content_of(pictures.yaml), tmp_path / "out", "yolo")
    assert scan(made).manifest.splits["train"].images == 3


@pytest.mark.parametrize("form", ["yolo", "coco", "ndjson"])
def test_what_cannot_be_written_leaves_nothing(pictures, tmp_path, form):
    content = content_of(pictures.yaml)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(Refused, match="not empty"):
        export(content, tmp_path / "full", form)
    pictures.image("val", "001").write_bytes(b"changed since")
    with pytest.raises(NotFound, match="no longer to be had"):
        export(content, tmp_path / "out", form)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full", "pallets"]


def test_an_image_that_is_none_is_named(folder, tmp_path):
    with pytest.raises(InvalidInput, match=r"images/train/000.jpg cannot be read as an image"):
        export(content_of(folder.yaml), tmp_path / "out", "coco")


def test_pixels_that_are_equal_are_found_whatever_the_file(pictures):
    content = content_of(pictures.yaml)
    assert pixel_leakage(content) == ()
    pictures.add("val", "again", None, picture(10, "BMP"))
    pictures.add("val", "larger", None, picture(20, size=(41, 20)))
    (leak,) = leaks = pixel_leakage(content_of(pictures.yaml))
    assert leak.places == (("train", "images/train/001.jpg"), ("val", "images/val/again.jpg"))
    assert summarize_leaks(leaks) == "1 image is in train and val"


def test_image_that_was_turned_when_it_was_saved_again_is_found(pictures):
    upright_png = picture(10, exif=upright())
    pictures.add("train", "camera", None, upright_png)
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(upright_png)))
    turned.save(out := io.BytesIO(), "BMP")
    pictures.add("val", "edited", None, out.getvalue())
    (leak,) = pixel_leakage(content_of(pictures.yaml))
    assert [path for _, path in leak.places] == [
        "images/train/camera.jpg",
        "images/val/edited.jpg",
    ]


def test_images_that_a_trainer_would_ignore_or_rewrite_are_rows(pictures):
    image = pictures.image
    assert undecodable(scan(pictures.yaml)) == []
    image("train", "000").write_bytes(b"no picture")
    image("train", "001").write_bytes(picture(1)[:-30])
    image("train", "002").write_bytes(picture(1, size=(9, 40)))
    image("train", "003").write_bytes(picture(1, "JPEG") + b"\0")
    image("val", "000").write_bytes(picture(1, "JPEG"))
    image("val", "001").write_bytes(b"")
    seen = []
    found = undecodable(scan(pictures.yaml), progress=lambda *at: seen.append(at))
    assert [problem.severity for problem in found] == ["error", "error", "error", "warning"]
    assert [problem.file[-7:] for problem in found] == [f"{i:03}.jpg" for i in range(4)]
    assert "cannot be decoded" in found[0].problem
    assert "9 x 40 pixels" in found[2].problem
    assert "end marker" in found[3].problem
    assert seen[-1] == (5, 5)


def test_images_that_cannot_be_decoded_are_compared_by_bytes(folder):
    folder.add("val", "copy", None, folder.image("train", "000").read_bytes())
    assert len(pixel_leakage(content_of(folder.yaml))) == 1
