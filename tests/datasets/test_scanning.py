from __future__ import annotations

import os
import shutil

import pytest
from blake3 import blake3

from epochal.datasets import ScanCache, cache_path, scan
from epochal.errors import InvalidInput


def digest(folder, **options):
    return scan(folder.yaml, **options).manifest.digest


def test_entries_are_what_the_files_are(folder):
    folder.add("val", "empty", "")
    folder.add("val", "bare", None)
    found = scan(folder.yaml)
    manifest = found.manifest
    assert [(e.split, e.path) for e in manifest.entries] == sorted(
        (e.split, e.path) for e in manifest.entries
    )
    first = manifest.entries[0]
    content = folder.image("train", "000").read_bytes()
    assert (first.path, first.size, first.image) == (
        "images/train/000.jpg",
        len(content),
        blake3(content).hexdigest(),
    )
    assert first.label == "labels/train/000.txt"
    assert first.objects == ((0, 1),)
    assert list(manifest.splits) == ["train", "val"]
    assert (manifest.splits["train"].images, manifest.splits["train"].objects) == (4, 4)
    assert manifest.background("val") == 2
    assert manifest.balance("train") == {"circle": 1, "square": 1, "triangle": 1, "star": 1}
    assert found.problems == ()


def test_the_digest_does_not_depend_on_machine_time_or_order(make_folder, tmp_path):
    folder = make_folder()
    here = digest(folder)
    copy = make_folder("elsewhere/deep")
    shutil.rmtree(copy.root)
    copy.root.mkdir()
    for file in sorted(folder.root.rglob("*.*"), reverse=True):
        if file.is_file():
            target = copy.root / file.relative_to(folder.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
            os.utime(target, (1, 1))
    assert digest(copy) == here
    # and not on line ends, trailing newlines or trainers' caches
    label = copy.label("train", "000")
    label.write_bytes(label.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    (copy.root / "labels" / "train.cache").write_bytes(b"x")
    copy.image("train", "000").with_suffix(".npy").write_bytes(b"x")
    assert digest(copy) == here


def _rename(folder):
    folder.image("train", "000").rename(folder.image("train", "zzz"))
    folder.label("train", "000").rename(folder.label("train", "zzz"))


def _repeat(folder):
    lines = [f"./images/train/{i:03}.jpg\n" for i in (0, 1, 2, 3, 3)]
    (folder.root / "train.txt").write_text("".join(lines))
    folder.write_yaml(train="train.txt", val="images/val")


CHANGES = {
    "image": lambda f: f.image("train", "000").write_bytes(b"changed"),
    "box": lambda f: f.label("train", "000").write_text("0 0.5 0.5 0.1 0.200001\n"),
    "class": lambda f: f.label("train", "000").write_text("1 0.5 0.5 0.1 0.2\n"),
    "labels gone": lambda f: f.label("train", "000").unlink(),
    "image gone": lambda f: f.image("train", "000").unlink(),
    "image added": lambda f: f.add("train", "new", None),
    "renamed": _rename,
    "moved": lambda f: f.image("train", "000").rename(f.image("val", "x")),
    "class name": lambda f: f.write_yaml(
        train="images/train", val="images/val", names=list("abcd")
    ),
    "split added": lambda f: f.write_yaml(
        train="images/train", val="images/val", test="images/val"
    ),
    "splits swapped": lambda f: f.write_yaml(train="images/val", val="images/train"),
    "repeated": _repeat,
    "malformed": lambda f: f.label("train", "000").write_text("0 0.5 0.5 0.1 x\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_kind_of_change_makes_another_version(folder, change):
    before = digest(folder)
    change(folder)
    assert digest(folder) != before


def test_a_renamed_image_is_the_same_split_content(folder):
    before = scan(folder.yaml).manifest
    _rename(folder)
    after = scan(folder.yaml).manifest
    assert after.digest != before.digest
    assert after.splits == before.splits


def test_changed_labels_leave_the_images_digest(folder):
    before = scan(folder.yaml).manifest.splits["train"]
    CHANGES["box"](folder)
    after = scan(folder.yaml).manifest.splits["train"]
    assert after.images_digest == before.images_digest
    assert after.labels_digest != before.labels_digest
    assert after.digest != before.digest


def test_unchanged_files_are_not_read_again(folder, later, tmp_path):
    first = scan(folder.yaml, clock=later)
    assert first.read == 12
    file = cache_path(tmp_path / "datasets", folder.yaml)
    first.cache.save(file)
    again = scan(folder.yaml, previous=ScanCache.load(file), clock=later)
    assert again.read == 0
    assert again.manifest == first.manifest

    folder.label("val", "000").write_text("3 0.5 0.5 0.5 0.5")
    third = scan(folder.yaml, previous=again.cache, clock=later)
    assert third.read == 1
    assert third.manifest == scan(folder.yaml).manifest


def test_a_changed_file_is_found_even_with_its_old_time_and_size(folder, later):
    first = scan(folder.yaml, clock=later)
    image = folder.image("train", "000")
    status = image.stat()
    image.write_bytes(bytes(reversed(image.read_bytes())))
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert image.stat().st_size == status.st_size
    # the change time gives it away; nobody can set it back
    assert scan(folder.yaml, previous=first.cache, clock=later).read == 1


def test_young_files_are_read_again(folder):
    first = scan(folder.yaml)
    assert not first.cache.images
    assert scan(folder.yaml, previous=first.cache).read == 12


def test_labels_are_parsed_again_under_other_rules(folder, later):
    first = scan(folder.yaml, clock=later)
    folder.write_yaml(train="images/train", val="images/val", names=["only"])
    found = scan(folder.yaml, previous=first.cache, clock=later)
    assert found.read == 6
    assert found.problems


def test_malformed_labels_are_reported_every_time(folder, later):
    folder.label("train", "001").write_text("9 0.5 0.5 0.5 0.5")
    first = scan(folder.yaml, clock=later)
    again = scan(folder.yaml, previous=first.cache, clock=later)
    assert first.problems == again.problems
    assert len(first.problems) == 1
    assert first.manifest.digest == again.manifest.digest
    (entry,) = [e for e in first.manifest.entries if e.malformed]
    assert entry.path == "images/train/001.jpg"
    assert not entry.objects


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x28\xb5\x2f\xfd broken"])
def test_a_damaged_cache_is_no_cache(tmp_path, content):
    file = tmp_path / "cache"
    assert ScanCache.load(file) is None
    file.write_bytes(content)
    assert ScanCache.load(file) is None


def test_a_flipped_or_missing_byte_in_the_cache_is_noticed(folder, later, tmp_path):
    file = tmp_path / "cache"
    found = scan(folder.yaml, clock=later)
    found.cache.save(file)
    content = file.read_bytes()
    for i in range(len(content)):
        file.write_bytes(content[:i] + bytes([content[i] ^ 0x10]) + content[i + 1 :])
        assert ScanCache.load(file) in (None, found.cache)
        file.write_bytes(content[:i])
        assert ScanCache.load(file) in (None, found.cache)


@pytest.mark.parametrize(("writes", "problems"), [(1, 0), (99, 1)])
def test_a_file_that_changes_while_it_is_hashed(folder, monkeypatch, writes, problems):
    image = folder.image("train", "000")
    left = [writes]

    def writing(*content):
        hasher = blake3(*content)

        class Hasher:
            def update(self, block):
                hasher.update(block)
                if bytes(block).startswith(b"train 000") and left[0]:
                    left[0] -= 1
                    image.write_bytes(image.read_bytes() + b"!")

            def hexdigest(self):
                return hasher.hexdigest()

        return Hasher()

    monkeypatch.setattr("epochal.datasets.reading.blake3", writing)
    found = scan(folder.yaml)
    assert len(found.problems) == problems
    if problems:
        assert "changed while" in found.problems[0].problem
        assert found.problems[0].severity == "fatal"
    else:
        assert found.manifest.entries[0].image == blake3(image.read_bytes()).hexdigest()


def test_special_files_are_reported_and_never_opened(folder):
    os.mkfifo(folder.image("train", "pipe"))
    folder.image("train", "zero").symlink_to("/dev/zero")
    folder.image("train", "broken").symlink_to("nowhere")
    folder.image("train", "labelpipe").write_bytes(b"x")
    os.mkfifo(folder.label("train", "labelpipe"))
    found = scan(folder.yaml)
    assert [p.severity for p in found.problems] == ["fatal"] * 4
    assert found.manifest.splits["train"].images == 4


def test_deep_and_strangely_named_files(folder):
    train = os.open(folder.root / "images" / "train", os.O_RDONLY)
    here = train
    for _ in range(600):
        os.mkdir("d" * 10, dir_fd=here)
        deeper = os.open("d" * 10, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    (folder.root / "images" / "train" / os.fsdecode(b"\xff\n.jpg")).write_bytes(b"x")
    found = scan(folder.yaml)
    assert all(p.severity == "fatal" and "\n" not in p.file for p in found.problems)
    assert len(found.problems) == 2
    shutil.rmtree(folder.root)


def test_labels_without_images_are_listed(folder):
    folder.label("train", "lost").write_text("")
    (folder.root / "labels" / "train" / "classes.txt").write_text("circle")
    found = scan(folder.yaml)
    assert found.orphan_labels == (str(folder.label("train", "lost")),)

    (folder.root / "train.txt").write_text("./images/train/000.jpg\n")
    folder.write_yaml(train="train.txt", val="images/val")
    assert scan(folder.yaml).orphan_labels == (str(folder.label("train", "lost")),)


def test_progress_ends_at_the_total(folder):
    seen = []
    scan(folder.yaml, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (6, 6)


def test_no_image_can_be_read(folder):
    shutil.rmtree(folder.root / "images" / "val")
    with pytest.raises(InvalidInput):
        scan(folder.yaml)
