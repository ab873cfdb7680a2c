from __future__ import annotations

import json

import pytest

from epochal.datasets import layout_of, scan
from epochal.errors import InvalidInput


@pytest.fixture
def classes(tmp_path):
    """A classification dataset: two classes in train, one of them in val."""
    root = tmp_path / "animals"
    for split, name, n in (("train", "cat", 3), ("train", "dog 🐶", 2), ("val", "cat", 1)):
        for i in range(n):
            file = root / split / name / f"{i}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(f"{split} {name} {i}".encode())
    return root


def document(**changes):
    found = {
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 100, "height": 50},
            {"id": 2, "file_name": "b c.jpg", "width": 100, "height": 50},
        ],
        "categories": [{"id": 7, "name": "drum"}, {"id": 3, "name": "pallet"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 10, 20, 20]},
            {"id": 2, "image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 5]},
        ],
    }
    return found | changes


@pytest.fixture
def coco(tmp_path):
    """A COCO dataset of two images with its annotations in a folder of their own."""
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    (root / "train2017").mkdir()
    for name in ("a.jpg", "b c.jpg"):
        (root / "train2017" / name).write_bytes(name.encode())
    file = root / "annotations" / "instances_train2017.json"
    file.write_text(json.dumps(document()))
    return file


def test_a_folder_of_classes(classes):
    assert layout_of(classes) == "classify"
    found = scan(classes)
    manifest = found.manifest
    assert manifest.header.task == "classify"
    assert manifest.header.classes == ("cat", "dog 🐶")
    assert manifest.header.splits == ("train", "val")
    assert manifest.balance("train") == {"cat": 3, "dog 🐶": 2}
    assert manifest.background("train") == 0
    (problem,) = found.problems
    assert problem.problem == "no images of class dog 🐶"
    assert problem.severity == "warning"


def test_moving_an_image_to_another_class_changes_its_label_alone(classes):
    before = scan(classes).manifest
    (classes / "train" / "cat" / "0.jpg").rename(classes / "train" / "dog 🐶" / "9.jpg")
    after = scan(classes).manifest
    assert after.digest != before.digest
    assert after.splits["train"].images_digest == before.splits["train"].images_digest
    assert after.splits["train"].labels_digest != before.splits["train"].labels_digest


def test_coco_annotations(coco):
    assert layout_of(coco) == layout_of(coco.parent) == "coco"
    manifest = scan(coco).manifest
    assert manifest.header.task == "detect"
    assert manifest.header.classes == ("pallet", "drum")
    assert manifest.header.splits == ("train",)
    first, second = manifest.entries
    assert first.path == "train2017/a.jpg"
    assert first.label == "annotations/instances_train2017.json"
    assert first.objects == ((0, 1), (1, 1))
    assert (second.label_digest, second.objects) == ("", ())
    assert scan(coco.parent).manifest.digest == manifest.digest


def test_ids_spacing_and_order_mean_nothing_in_coco_and_boxes_do(coco):
    before = scan(coco).manifest.digest
    changed = document()
    changed["annotations"].reverse()
    changed["annotations"][0]["id"] = 99
    coco.write_text(json.dumps(changed, indent=3))
    assert scan(coco).manifest.digest == before
    changed["annotations"][0]["bbox"][0] = 1
    coco.write_text(json.dumps(changed))
    assert scan(coco).manifest.digest != before


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        ({"image_id": 9, "category_id": 3, "bbox": [0, 0, 1, 1]}, "image 9 is not in images"),
        ({"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}, "category 1 is not in"),
        ({"image_id": 1, "category_id": 3, "bbox": [0, 0, 0, 1]}, "width 0"),
        ({"image_id": 1, "category_id": 3, "bbox": [0, 0, 1]}, "box of 3 numbers"),
        ({"image_id": 1, "category_id": 3, "bbox": [90, 0, 20, 9]}, "outside its image"),
        ({"image_id": 1, "category_id": 3}, "no box"),
    ],
)
def test_bad_annotations_are_rows_and_left_out(coco, annotation, says):
    coco.write_text(json.dumps(document(annotations=[annotation])))
    found = scan(coco)
    (problem,) = found.problems
    assert says in problem.problem
    assert problem.severity == "error"
    assert found.manifest.splits["train"].objects == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"images": 3}', "\xff"])
def test_what_is_no_coco_json_is_refused(coco, content):
    coco.write_text(content, encoding="latin-1")
    with pytest.raises(InvalidInput, match="not a COCO annotation file"):
        scan(coco)


def test_images_that_are_elsewhere_can_be_named(coco, tmp_path):
    before = scan(coco).manifest
    elsewhere = tmp_path / "coco" / "disk"
    (coco.parent.parent / "train2017").rename(elsewhere)
    with pytest.raises(InvalidInput, match="is not beside it"):
        scan(coco)
    found = scan(coco, images=elsewhere).manifest
    assert [e.image for e in found.entries] == [e.image for e in before.entries]


def test_polygons_and_keypoints_are_another_task(coco):
    annotation = document()["annotations"][0]
    outline = annotation | {"segmentation": [[1, 1, 2, 2, 3, 3]]}
    coco.write_text(json.dumps(document(annotations=[outline])))
    assert scan(coco).manifest.header.task == "segment"
    points = annotation | {"keypoints": [1, 1, 2]}
    coco.write_text(json.dumps(document(annotations=[points])))
    assert scan(coco).manifest.header.task == "pose"


def test_a_plain_folder_and_a_file(tmp_path):
    root = tmp_path / "texts"
    (root / "a").mkdir(parents=True)
    (root / "a" / "x y.txt").write_text("one")
    (root / ".hidden").write_text("no")
    (root / "train.cache").write_text("no")
    assert layout_of(root) == "files"
    manifest = scan(root).manifest
    assert [e.path for e in manifest.entries] == ["a/x y.txt"]
    assert manifest.header.task == "files"
    assert manifest.header.splits == ("all",)
    one = scan(root / "a" / "x y.txt").manifest
    assert [e.path for e in one.entries] == ["x y.txt"]
    with pytest.raises(InvalidInput, match="no folders of images"):
        scan(root, layout="classify")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no files"):
        scan(tmp_path / "empty")
    with pytest.raises(InvalidInput, match="does not exist"):
        scan(tmp_path / "nothing")


def test_a_folder_with_a_data_yaml_is_that_dataset(folder):
    assert scan(folder.root).manifest.digest == scan(folder.yaml).manifest.digest


def test_names_that_differ_in_unicode_form_alone_are_told(folder):
    folder.add("train", "caf\u00e9", None)
    folder.add("train", "cafe\u0301", None)
    found = scan(folder.yaml)
    assert [p.severity for p in found.problems] == ["warning"]
    assert "Unicode form" in found.problems[0].problem
    assert len(found.manifest.entries) == 8


def test_empty_images_are_rows(folder):
    folder.image("val", "000").write_bytes(b"")
    (problem,) = scan(folder.yaml).problems
    assert problem.file.endswith("images/val/000.jpg")
    assert (problem.severity, "empty" in problem.problem) == ("error", True)


def coco_file(file, image, box=(1, 2, 3, 4)):
    """Write an annotation file of one image, which lies at `image` below the file's folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    said = {
        "images": [{"id": 1, "file_name": image.name}],
        "categories": [{"id": 1, "name": "pallet"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": box}],
    }
    file.write_text(json.dumps(said))
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_bytes(image.as_posix().encode())


def splits_of(place):
    assert layout_of(place) == "coco"
    return {name: split.objects for name, split in scan(place).manifest.splits.items()}


def test_root_of_coco_as_it_is_downloaded(tmp_path):
    for split in ("train2017", "val2017"):
        coco_file(tmp_path / f"annotations/instances_{split}.json", tmp_path / split / "0.jpg")
        (tmp_path / f"annotations/captions_{split}.json").write_text("{}")
    assert splits_of(tmp_path) == splits_of(tmp_path / "annotations") == {"train": 1, "val": 1}
    assert [e.path for e in scan(tmp_path).manifest.entries] == [
        "train2017/0.jpg",
        "val2017/0.jpg",
    ]


def test_coco_with_a_file_beside_the_images_of_each_split(tmp_path):
    for split in ("train", "valid"):
        coco_file(tmp_path / split / "_annotations.coco.json", tmp_path / split / "0.jpg")
    assert splits_of(tmp_path) == {"train": 1, "val": 1}
    assert splits_of(tmp_path / "train") == {"all": 1}


def test_json_that_is_not_called_like_coco_is_a_file_among_images(tmp_path):
    (tmp_path / "0.jpg").write_bytes(b"image")
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/more.json").write_text("{}")
    assert layout_of(tmp_path) == "files"
