from __future__ import annotations

import json
from pathlib import Path

import pytest

from epochal.datasets import read_data_yaml, scan
from epochal.datasets.yolo import label_file
from epochal.errors import InvalidInput


def paths(data_yaml, split="train"):
    entries = scan(data_yaml).manifest.entries
    return [entry.path for entry in entries if entry.split == split]


def test_labels_replace_the_last_images_folder():
    assert label_file("/images/a/images/x.y.jpg") == "/images/a/labels/x.y.txt"
    assert label_file("/data/x.jpg") == "/data/x.txt"


def test_root_is_the_yamls_folder_without_path(folder):
    data = read_data_yaml(folder.yaml)
    assert data.root == str(folder.root)
    assert data.splits == ("train", "val")
    assert data.classes == ("circle", "square", "triangle", "star")


def test_root_absolute(folder, tmp_path):
    folder.write_yaml(path=str(folder.root), train="images/train", val="images/val")
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text(folder.yaml.read_text())
    assert paths(elsewhere) == [f"images/train/{i:03}.jpg" for i in range(4)]


def test_root_relative_to_the_working_directory_then_to_ultralytics(folder, tmp_path, monkeypatch):
    folder.write_yaml(path="pallets", train="images/train", val="images/val")
    monkeypatch.chdir(tmp_path)
    assert read_data_yaml(folder.yaml).root == str(folder.root)

    monkeypatch.chdir("/")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "config"))
    with pytest.raises(InvalidInput, match="not below"):
        read_data_yaml(folder.yaml)
    settings = tmp_path / "config" / "Ultralytics" / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"datasets_dir": str(tmp_path)}))
    assert read_data_yaml(folder.yaml).root == str(folder.root)


def test_one_parent_too_many_as_exporters_write(folder):
    folder.write_yaml(train="../images/train", val="../images/val")
    assert paths(folder.yaml) == [f"images/train/{i:03}.jpg" for i in range(4)]


def test_a_split_as_list_file_and_as_list(folder, monkeypatch):
    (folder.root / "train.txt").write_text(
        "./images/train/000.jpg\n"
        f"{folder.root}/images/train/001.jpg\n"
        "images/train/002.jpg\n"
        "./images/train/000.jpg\n"
        "./notes.md\n"
    )
    folder.write_yaml(train=["train.txt", "images/val"], val="images/val")
    monkeypatch.chdir(folder.root)
    found = scan(folder.yaml)
    train = {e.path: e.repeats for e in found.manifest.entries if e.split == "train"}
    assert train == {
        "images/train/000.jpg": 2,
        "images/train/001.jpg": 1,
        "images/train/002.jpg": 1,
        "images/val/000.jpg": 1,
        "images/val/001.jpg": 1,
    }
    (odd,) = found.problems
    assert (odd.line, odd.severity) == (5, "warning")


def test_a_listed_image_that_is_missing_is_reported(folder):
    (folder.root / "train.txt").write_text("./images/train/000.jpg\n./images/train/999.jpg\n")
    folder.write_yaml(train="train.txt", val="images/val")
    found = scan(folder.yaml)
    assert [(p.severity, p.file[-7:]) for p in found.problems] == [("fatal", "999.jpg")]
    assert found.manifest.splits["train"].images == 1


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        ({"names": {1: "b", 0: "a"}}, ("a", "b")),
        ({"names": {"0": "a", "1": True}}, ("a", "True")),
        ({"nc": 2}, ("class_0", "class_1")),
        ({"names": ["a"], "nc": 1}, ("a",)),
    ],
)
def test_classes(folder, names, classes):
    folder.write_yaml(train="images/train", val="images/val", **({"names": None} | names))
    folder.yaml.write_text(folder.yaml.read_text().replace("names: None\n", ""))
    assert read_data_yaml(folder.yaml).classes == classes


TAIL = "train: images/train\nval: images/val\n"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "just text",
        "- a\n- b\n",
        "train: [images/train\nval: x\n",
        "\0\0\0",
        "names: [a]\ntrain: images/train\n",
        "names: [a]\nval: images/val\n",
        TAIL,
        TAIL + "nc: many\n",
        TAIL + "nc: 99999999999\n",
        TAIL + "nc: .inf\n",
        TAIL + "names: []\n",
        TAIL + "names: {0: a, 2: b}\n",
        TAIL + "names: {zero: a}\n",
        TAIL + "names: [a, [b]]\n",
        TAIL + "names: [a, b]\nnc: 3\n",
        TAIL + "names: [a]\nkpt_shape: [17]\n",
        TAIL + "names: [a]\npath: [x]\n",
        TAIL + "names: [a]\ntest: {a: b}\n",
        TAIL + "names: [a]\ntest: images/missing\n",
        TAIL + "names: [a]\ntest: data.yaml\n",
        TAIL + "names: [a]\nwhen: 2024-99-99\n",
        TAIL + "names: " + "[" * 100_000,
        TAIL + "names: &a [*a]\n",
        "names: !!python/object/apply:os.system [true]\n" + TAIL,
        "names: [a]\ntrain: images/*/\nval: images/val\n",
    ],
    ids=lambda text: text[-40:].replace("\n", " "),
)
def test_a_yaml_that_cannot_be_used_is_refused_in_one_line(folder, content):
    folder.yaml.write_text(content)
    with pytest.raises(InvalidInput) as caught:
        scan(folder.yaml)
    assert str(folder.root) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pattern_is_named_as_such(folder):
    folder.write_yaml(train="images/tr*", val="images/val")
    with pytest.raises(InvalidInput, match="pattern"):
        scan(folder.yaml)


def test_a_syntax_error_names_its_line(folder):
    folder.yaml.write_text(TAIL + "names: [a\nnc: 1\n")
    with pytest.raises(InvalidInput, match=r"data\.yaml:4"):
        scan(folder.yaml)


def test_missing_and_unreadable_files(folder, tmp_path):
    with pytest.raises(InvalidInput, match="does not exist"):
        scan(tmp_path / "none.yaml")
    with pytest.raises(InvalidInput, match="not a data"):
        scan(tmp_path, layout="yolo")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(InvalidInput, match="cannot be read"):
        scan(tmp_path / "folder.yaml")
    (folder.root / "train.txt").write_bytes(b"\xff\xfe\x00")
    folder.write_yaml(train="train.txt", val="images/val")
    with pytest.raises(InvalidInput, match="not a text file"):
        scan(folder.yaml)


def test_a_split_without_images_is_refused(folder):
    (folder.root / "images" / "test").mkdir()
    (folder.root / "images" / "test" / "a.txt").touch()
    folder.write_yaml(train="images/train", val="images/val", test="images/test")
    with pytest.raises(InvalidInput, match="test: no images"):
        scan(folder.yaml)


def test_a_dataset_of_links_has_the_names_that_the_yaml_gives(folder, tmp_path):
    store = tmp_path / "store"
    (folder.root / "images").rename(store)
    (folder.root / "images").symlink_to(store)
    assert paths(folder.yaml) == [f"images/train/{i:03}.jpg" for i in range(4)]
    # as in the trainer, the labels of a linked folder lie where the link leads
    assert not scan(folder.yaml).manifest.splits["train"].objects

    links = tmp_path / "links" / "images"
    links.mkdir(parents=True)
    for image in sorted((store / "train").iterdir()):
        (links / image.name).symlink_to(image)
    linked = tmp_path / "links" / "data.yaml"
    linked.write_text("train: images\nval: images\nnames: [a]\n")
    assert paths(linked) == [f"images/{i:03}.jpg" for i in range(4)]


def test_hidden_names_are_skipped_and_loops_not_followed(folder):
    train = folder.root / "images" / "train"
    (train / ".hidden").mkdir()
    (train / ".hidden" / "a.jpg").touch()
    (train / "._000.jpg").touch()
    (train / "again").symlink_to(train)
    (train / "self.jpg").symlink_to("self.jpg")
    found = scan(folder.yaml)
    assert found.manifest.splits["train"].images == 4
    assert sorted(p.severity for p in found.problems) == ["fatal", "warning"]


def test_names_and_images_agree_with_ultralytics_glob(folder):
    import glob

    (folder.root / "images" / "train" / "deep.er" / "down").mkdir(parents=True)
    for name in ("deep.er/a.JPG", "deep.er/down/b.tiff", "noext", "c.gif", "d.npy", "e.jpg.cache"):
        (folder.root / "images" / "train" / name).write_bytes(name.encode())
    expected = {
        str(Path(p).relative_to(folder.root))
        for p in glob.glob(f"{folder.root}/images/train/**/*.*", recursive=True)  # noqa: PTH207
        if p.rpartition(".")[-1].lower() in {"jpg", "tiff"}
    }
    assert set(paths(folder.yaml)) == expected
    assert len(expected) == 6
