from __future__ import annotations

import msgspec
import pytest

from epochal import records
from epochal.datasets import check_pin, find_version, parse_ref, save_manifest, tag
from epochal.errors import InvalidInput, Refused


@pytest.mark.parametrize("text", ["pallets@v3", "a@1", "Größe_2@v1.0-rc+1"])
def test_references(text):
    assert str(parse_ref(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "pallets",
        "@v3",
        "pallets@",
        "a@b@c",
        "a b@c",
        "../x@v1",
        "a/b@c",
        "a@\n",
        "a@" + "v" * 101,
        "",
    ],
)
def test_other_text_is_no_reference(text):
    with pytest.raises(InvalidInput, match="pallets@v3") as caught:
        parse_ref(text)
    assert "\n" not in str(caught.value)


def test_tagging(folder):
    manifest, record, is_new, _ = tag(
        folder.yaml, "pallets@v1", "first", existing={}, author="ada"
    )
    assert is_new
    assert record.digest == manifest.digest
    assert record.splits == manifest.splits
    assert record.classes == ("circle", "square", "triangle", "star")
    assert (record.name, record.tag, record.author, record.message) == (
        "pallets",
        "v1",
        "ada",
        "first",
    )
    existing = {"pallets@v1": record}
    again = tag(folder.yaml, "pallets@v1", "again", existing=existing)
    assert again.record is record
    assert not again.is_new
    other = tag(folder.yaml, "pallets@also", existing=existing)
    assert other.record.digest == record.digest
    assert find_version(record.digest, [record, other.record]) is record
    assert find_version("0" * 64, [record]) is None


def test_a_tag_never_changes(folder):
    record = tag(folder.yaml, "pallets@v1", existing={}).record
    folder.add("train", "new", None)
    with pytest.raises(Refused) as caught:
        tag(folder.yaml, "pallets@v1", existing={"pallets@v1": record})
    assert record.digest[:12] in str(caught.value)
    now = tag(folder.yaml, "pallets@v2", existing={"pallets@v1": record}).record
    assert now.digest[:12] in str(caught.value)


def test_malformed_labels_refuse_a_tag_unless_told_otherwise(folder):
    label = folder.label("train", "001")
    label.write_text("0 0.5 0.5 0.5 0.5\n0 0.5 0.5 7 0.5\n0 0 0\n")
    with pytest.raises(InvalidInput) as caught:
        tag(folder.yaml, "pallets@v1", existing={})
    message = str(caught.value)
    assert f"{label}:2: coordinate 7 is outside 0..1 (and 1 more). " in message
    assert "\n" not in message
    tagged = tag(folder.yaml, "pallets@v1", existing={}, allow_label_errors=True)
    assert sum(entry.malformed for entry in tagged.manifest.entries) == 1

    folder.image("train", "gone").symlink_to("nowhere")
    with pytest.raises(InvalidInput, match="cannot be read"):
        tag(folder.yaml, "pallets@v1", existing={}, allow_label_errors=True)


def test_a_record_with_very_many_classes_is_still_one_line(folder):
    names = [f"a class with a long name {i}" for i in range(5_000)]
    folder.write_yaml(train="images/train", val="images/val", names=names)
    tagged = tag(folder.yaml, "pallets@v1", "m" * 8_000, existing={})
    assert len(msgspec.json.encode(tagged.record)) < records.MAX_LINE
    assert len(tagged.manifest.header.classes) == 5_000
    with pytest.raises(InvalidInput, match="message"):
        tag(folder.yaml, "pallets@v1", "m" * 8_001, existing={})


def test_a_training_checks_its_pin(folder, tmp_path):
    manifest, record, _, found = tag(folder.yaml, "pallets@v1", existing={})
    kept = save_manifest(tmp_path / "datasets", manifest)
    version = kept.parent, manifest.digest
    state, detail, checked = check_pin(folder.yaml, *version, found.cache)
    assert (state, detail) == ("verified", "")
    folder.add("train", "new", None)
    state, detail, _ = check_pin(folder.yaml, *version, checked.cache)
    assert (state, detail) == ("drifted", "+1 image in train")
    folder.image("train", "gone").symlink_to("nowhere")
    unreadable = folder.image("train", "gone")
    _, detail, _ = check_pin(folder.yaml, *version, checked.cache)
    assert detail == f"+1 image in train; 1 file cannot be read: {unreadable}"
    kept.unlink()
    state, detail, _ = check_pin(folder.yaml, *version, checked.cache)
    assert state == "drifted"
    assert "no manifest" in detail
    folder.yaml.unlink()
    state, detail, nothing = check_pin(folder.yaml, *version)
    assert state == "unchecked"
    assert "does not exist" in detail
    assert nothing is None
    assert records.Pinned(dataset="pallets@v1", digest=record.digest, state=state, detail=detail)
