from __future__ import annotations

import json
import os
import shutil

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epochal.datasets import scan
from epochal.datasets.content import Content, changed_labels, content_of
from epochal.datasets.differences import difference
from epochal.datasets.restoring import restore
from epochal.datasets.snapshots import load_snapshot, make_snapshot, snapshot_path
from epochal.datasets.statistics import split_statistics
from epochal.errors import Damaged, NotFound, Refused
from epochal.store.blobs import Blobs


@pytest.fixture
def keep(tmp_path):
    """Keep a dataset: scan and snapshot it; return the snapshot."""
    datasets, blobs = tmp_path / "ws" / "datasets", Blobs(tmp_path / "ws" / "blobs")

    def make(path, **options):
        scanned = scan(path, **options)
        make_snapshot(datasets, blobs, scanned)
        return load_snapshot(datasets, blobs, scanned.manifest.digest), scanned.manifest

    make.datasets, make.blobs = datasets, blobs
    return make


def contents(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_what_was_kept_comes_back(folder, keep, tmp_path):
    folder.add("train", "big 🐘", "0 0.5 0.5 0.1 0.2\r\n", os.urandom(100_000))
    folder.add("val", "bare", None)
    before = contents(folder.root)
    snapshot, manifest = keep(folder.yaml)
    shutil.rmtree(folder.root)
    given = restore(snapshot, manifest, tmp_path / "back")
    assert given == tmp_path / "back" / "data.yaml"
    after = contents(tmp_path / "back")
    assert after.keys() == before.keys()
    assert {k: v for k, v in after.items() if k != "data.yaml"} == {
        k: v for k, v in before.items() if k != "data.yaml"
    }
    assert scan(given).manifest.digest == manifest.digest
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_data_yaml_keeps_what_else_it_says(folder, keep, tmp_path):
    folder.write_yaml(
        path=str(folder.root), train="images/train", val="images/val", nc=4, flip="x: é"
    )
    snapshot, manifest = keep(folder.yaml)
    given = restore(snapshot, manifest, tmp_path / "back")
    said = yaml.safe_load(given.read_text())
    assert (said["train"], said["val"], said["nc"], said["flip"]) == (
        "images/train",
        "images/val",
        4,
        "x: é",
    )
    assert "path" not in said


def test_lists_repeats_and_mixed_folders_come_back(folder, keep, tmp_path):
    names = [f"./images/train/{i:03}.jpg\n" for i in (0, 1, 1, 3)]
    (folder.root / "train.txt").write_text("".join(names))
    (folder.root / "val.txt").write_text("./images/train/002.jpg\n")
    folder.write_yaml(train="train.txt", val=["val.txt", "images/val"])
    snapshot, manifest = keep(folder.yaml)
    shutil.rmtree(folder.root)
    given = restore(snapshot, manifest, tmp_path / "back")
    assert scan(given).manifest == manifest


def test_images_outside_of_the_root_stay_inside_the_destination(folder, keep, tmp_path):
    outside = tmp_path / "other" / "images" / "more"
    outside.mkdir(parents=True)
    (outside / "x.jpg").write_bytes(b"x")
    folder.write_yaml(train=["images/train", str(outside)], val="images/val")
    snapshot, manifest = keep(folder.yaml)
    given = restore(snapshot, manifest, tmp_path / "deep" / "back")
    assert scan(given).manifest.digest == manifest.digest
    assert list((tmp_path / "deep").iterdir()) == [tmp_path / "deep" / "back"]


def test_other_layouts_come_back(tmp_path, keep):
    for name in ("cat", "dog"):
        (tmp_path / "animals" / "train" / name).mkdir(parents=True)
        (tmp_path / "animals" / "train" / name / "0.jpg").write_bytes(name.encode())
    (tmp_path / "coco" / "images").mkdir(parents=True)
    (tmp_path / "coco" / "images" / "a.jpg").write_bytes(b"a")
    (tmp_path / "coco" / "val.json").write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "a.jpg", "width": 10, "height": 20}],
                "categories": [{"id": 1, "name": "drum"}],
                "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
            }
        )
    )
    for name in ("animals", "coco/val.json"):
        snapshot, manifest = keep(tmp_path / name)
        given = restore(snapshot, manifest, tmp_path / "back" / name.replace("/", "_"))
        assert scan(given).manifest.digest == manifest.digest
    content = Content(manifest, "coco", None, snapshot)
    (shape,) = content.shapes(manifest.entries[0])
    assert shape.box == pytest.approx((0.1, 0.1, 0.4, 0.3))


def test_versions_share_what_they_have_in_common(folder, keep):
    for i in range(40):
        folder.add("train", f"big{i}", "0 0.5 0.5 0.1 0.2\n", os.urandom(40_000))
    keep(folder.yaml)
    before = set(keep.blobs.folder.rglob("*"))
    folder.add("train", "new", "1 0.5 0.5 0.1 0.2\n", os.urandom(40_000))
    keep(folder.yaml)
    new = [path for path in keep.blobs.folder.rglob("*") if path not in before and path.is_file()]
    assert sum(path.stat().st_size > 32_000 for path in new) == 1
    keep(folder.yaml)
    assert len([p for p in keep.blobs.folder.rglob("*") if p.is_file()]) == len(
        [p for p in before if p.is_file()]
    ) + len(new)


def test_a_snapshot_does_not_change_with_the_files(folder, keep, tmp_path):
    folder.add("train", "big", None, b"a" * 100_000)
    snapshot, manifest = keep(folder.yaml)
    with folder.image("train", "big").open("r+b") as file:
        file.write(b"b" * 100)
    restore(snapshot, manifest, tmp_path / "back")
    assert (tmp_path / "back" / "images" / "train" / "big.jpg").read_bytes() == b"a" * 100_000


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_file_that_changed_after_the_scan_stops_the_snapshot(folder, keep, size):
    folder.add("train", "x", None, b"a" * size)
    scanned = scan(folder.yaml)
    folder.image("train", "x").write_bytes(b"b" * size)
    with pytest.raises(Refused, match="changed after it was scanned"):
        make_snapshot(keep.datasets, keep.blobs, scanned)
    assert not snapshot_path(keep.datasets, scanned.manifest.digest).exists()


@pytest.mark.parametrize("damage", ["change", "remove"])
@pytest.mark.parametrize("size", [10, 100_000])
def test_damage_is_found_and_nothing_is_restored(folder, keep, tmp_path, damage, size):
    folder.add("train", "x", None, b"a" * size)
    snapshot, manifest = keep(folder.yaml)
    kept = snapshot.find("images/train/x.jpg")
    blob = keep.blobs.path(kept.pack or kept.digest)
    if damage == "change":
        content = bytearray(blob.read_bytes())
        content[kept.offset] ^= 1
        blob.chmod(0o644)
        blob.write_bytes(content)
    else:
        blob.unlink()
    with pytest.raises((Damaged, NotFound)):
        restore(snapshot, manifest, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_restore_goes_on_where_it_was_killed(folder, keep, tmp_path):
    for i in range(5):
        folder.add("train", f"big{i}", None, os.urandom(50_000))
    snapshot, manifest = keep(folder.yaml)

    class Killed(Exception):
        pass

    def kill(done, total):
        if done > total / 2:
            raise Killed

    with pytest.raises(Killed):
        restore(snapshot, manifest, tmp_path / "back", progress=kill)
    assert not (tmp_path / "back").exists()
    (partial,) = (p for p in tmp_path.iterdir() if "restoring" in p.name)
    there = {p: p.stat().st_ino for p in partial.rglob("*.jpg")}
    assert there
    restore(snapshot, manifest, tmp_path / "back")
    back = tmp_path / "back"
    assert all(
        (back / path.relative_to(partial)).stat().st_ino == inode for path, inode in there.items()
    )


def test_a_destination_with_something_in_it_is_refused(folder, keep):
    snapshot, manifest = keep(folder.yaml)
    with pytest.raises(Refused, match="not empty"):
        restore(snapshot, manifest, folder.root)
    with pytest.raises(Refused, match="not empty"):
        restore(snapshot, manifest, folder.yaml)


def test_without_a_snapshot_the_remedy_is_told(keep):
    with pytest.raises(NotFound, match="no snapshot"):
        load_snapshot(keep.datasets, keep.blobs, "a" * 64)


def test_a_damaged_index_is_found(folder, keep):
    _, manifest = keep(folder.yaml)
    path = snapshot_path(keep.datasets, manifest.digest)
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"x" * 100, whole[:-9] + b"123456789"):
        path.write_bytes(content)
        with pytest.raises(Damaged):
            load_snapshot(keep.datasets, keep.blobs, manifest.digest)


def test_boxes_before_and_after_a_label_changed(folder, keep):
    old, before = keep(folder.yaml)
    folder.label("train", "000").write_text("3 0.5 0.5 0.5 0.5\n1 0.25 0.25 0.5 0.5\n")
    after = scan(folder.yaml).manifest
    (change,) = difference(before, after).changed_labels
    found = changed_labels(
        Content(before, "yolo", folder.root, old),
        Content(after, "yolo", folder.root, None),
        change,
    )
    assert [shape.category for shape in found.before] == [0]
    assert [shape.box for shape in found.after] == [(0.25, 0.25, 0.75, 0.75), (0, 0, 0.5, 0.5)]
    # Without the snapshot the older boxes are gone, and not mistaken for the newer ones.
    gone = Content(before, "yolo", folder.root, None)
    assert changed_labels(gone, gone, change).before is None


def test_statistics_count_what_there_is(folder, keep):
    folder.label("train", "000").write_text("0 0.5 0.5 0.5 0.5\n0 0.9 0.1 0.1 0.1\n")
    snapshot, manifest = keep(folder.yaml)
    train, val = split_statistics(Content(manifest, "yolo", None, snapshot))
    assert (train.split, train.images, train.objects, train.background) == ("train", 4, 5, 0)
    assert [(c.name, c.objects, c.images) for c in train.classes][:2] == [
        ("circle", 2, 1),
        ("square", 1, 1),
    ]
    assert sum(map(sum, train.centres)) == sum(train.side.counts) == 5
    assert train.centres[8][8] == 4
    assert train.centres[1][14] == 1
    assert sum(train.per_image.counts) == 4
    assert val.unknown == 0
    nowhere = split_statistics(Content(manifest, "yolo", None, None))[0]
    assert (nowhere.unknown, nowhere.side, nowhere.objects) == (4, None, 5)


_names = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"),
    min_size=1,
    max_size=8,
).filter(lambda name: not name.startswith(".") and len(name.encode()) < 60)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
@given(
    files=st.dictionaries(
        _names, st.tuples(st.binary(max_size=40), st.sampled_from(["train", "val"])), max_size=8
    )
)
def test_any_names_and_bytes_come_back(make_folder, tmp_path_factory, files):
    place = tmp_path_factory.mktemp("any")
    folder = make_folder(f"any-{place.name}")
    for stem, (content, split) in files.items():
        folder.add(split, f"x{stem}", "1 0.5 0.5 0.1 0.1\n", content)
    scanned = scan(folder.yaml)
    blobs = Blobs(place / "blobs")
    make_snapshot(place / "datasets", blobs, scanned)
    snapshot = load_snapshot(place / "datasets", blobs, scanned.manifest.digest)
    given_yaml = restore(snapshot, scanned.manifest, place / "back")
    assert scan(given_yaml).manifest == scanned.manifest


def test_the_content_of_a_tag_is_its_folder_or_its_snapshot(folder, tmp_path):
    from epochal.datasets import save_manifest, tag
    from epochal.journal.folder import Folder

    workspace = Folder.create(tmp_path)
    done = tag(folder.yaml, "pallets@v1", existing={})
    save_manifest(workspace.datasets, done.manifest)
    blobs = Blobs(workspace.blobs)
    content = content_of(workspace, blobs, done.record)
    entry = done.manifest.entries[0]
    assert content.image(entry) == b"train 000"
    assert len(content.shapes(entry)) == 1
    folder.image("train", "000").write_bytes(b"changed")
    assert content_of(workspace, blobs, done.record).image(entry) is None
