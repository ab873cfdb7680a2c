from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from epochal.datasets import Manifest, difference, leakage, scan, summarize_leaks


def applied(old, change):
    """Carry out a difference: the property that says it tells everything."""
    entries = {(e.split, e.path): e for e in old.entries}
    pairs = [*change.moved, *change.renamed, *change.changed]
    for gone in [*change.removed, *(pair.before for pair in pairs)]:
        del entries[gone.split, gone.path]
    for came in [*change.added, *(pair.after for pair in pairs)]:
        assert (came.split, came.path) not in entries
        entries[came.split, came.path] = came
    return Manifest(change.after, entries.values())


@given(st.data())
def test_applied_to_the_old_it_gives_the_new(manifests, data):
    old, new = data.draw(manifests), data.draw(manifests)
    change = difference(old, new)
    assert applied(old, change).digest == new.digest
    assert change.is_empty == (old.digest == new.digest)
    assert (change.summary() == "no differences") == change.is_empty
    assert all(pair.before.split != pair.after.split and not pair.image for pair in change.moved)
    assert all(pair.before.split == pair.after.split and not pair.image for pair in change.renamed)
    # nothing that could be matched is left as both added and removed
    assert not {e.image for e in change.added} & {e.image for e in change.removed}


@given(st.data())
def test_it_travels_as_json_and_back(manifests, data):
    change = difference(data.draw(manifests), data.draw(manifests))
    assert msgspec.json.decode(msgspec.json.encode(change), type=type(change)) == change


@given(st.data())
def test_backwards_it_is_the_opposite(manifests, data):
    old, new = data.draw(manifests), data.draw(manifests)
    there, back = difference(old, new), difference(new, old)
    assert {id(e) for e in there.added} == {id(e) for e in back.removed}
    assert len(there.moved) + len(there.renamed) == len(back.moved) + len(back.renamed)
    for split, counts in there.balance.items():
        assert back.balance[split] == {name: (b, a) for name, (a, b) in counts.items()}


def test_a_summary_that_a_person_can_read(folder):
    old = scan(folder.yaml).manifest
    for i in range(80):
        folder.add("train", f"new{i}", "2 0.5 0.5 0.1 0.1\n")
    folder.label("val", "000").write_text("")
    folder.image("train", "000").rename(folder.image("val", "000x"))
    folder.image("train", "001").write_bytes(b"other")
    names = ["circle", "drum", "triangle", "star"]
    folder.write_yaml(train="images/train", val="images/val", names=names)
    change = difference(old, scan(folder.yaml).manifest)
    assert change.summary() == (
        "+80 images in train, 1 image moved from train to val, 1 image changed in train, "
        "2 labels changed in val, 1 class added (drum), 1 class removed (square)"
    )
    assert change.balance["train"] == {
        "circle": (1, 0),
        "square": (1, 0),
        "drum": (0, 1),
        "triangle": (1, 81),
    }


def test_reordered_classes_are_told(folder):
    old = scan(folder.yaml).manifest
    names = ["square", "circle", "triangle", "star"]
    folder.write_yaml(train="images/train", val="images/val", names=names)
    assert difference(old, scan(folder.yaml).manifest).summary() == "classes reordered"


def test_many_copies_are_matched_in_linear_time(folder):
    header = scan(folder.yaml).manifest.header
    entry = scan(folder.yaml).manifest.entries[0]

    def copies(split):
        return [
            msgspec.structs.replace(entry, split=split, path=f"{split}/{i}.jpg")
            for i in range(20_000)
        ]

    change = difference(Manifest(header, copies("train")), Manifest(header, copies("val")))
    assert change.summary() == "20000 images moved from train to val"


def test_leaks_are_the_same_bytes_in_two_splits(folder):
    assert leakage(scan(folder.yaml).manifest) == ()
    folder.add("val", "copy", None, folder.image("train", "000").read_bytes())
    folder.add("val", "twin", None, folder.image("val", "000").read_bytes())
    (leak,) = leaks = leakage(scan(folder.yaml).manifest)
    assert leak.places == (("train", "images/train/000.jpg"), ("val", "images/val/copy.jpg"))
    assert summarize_leaks(leaks) == "1 image is in train and val"


def test_minival_may_be_part_of_val(folder):
    folder.write_yaml(train="images/train", val="images/val", minival="images/val")
    assert leakage(scan(folder.yaml).manifest) == ()
    folder.write_yaml(train="images/val", val="images/val", minival="images/val")
    assert summarize_leaks(leakage(scan(folder.yaml).manifest)) == (
        "2 images are in minival and train and val"
    )


@given(st.data())
def test_leaks_against_a_plain_count(manifests, data):
    manifest = data.draw(manifests)
    splits = {}
    for entry in manifest.entries:
        splits.setdefault(entry.image, set()).add(entry.split)
    assert {leak.image for leak in leakage(manifest)} == {
        i for i, s in splits.items() if len(s) > 1
    }
