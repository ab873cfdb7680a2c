from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from epochal.cli import main
from epochal.datasets import changed_meanwhile, pin_of, scan
from epochal.journal.folder import Folder
from epochal.records import Pinned


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    (tmp_path / "ws").mkdir()
    monkeypatch.setenv("EPOCHAL_WORKSPACE", str(tmp_path / "ws"))
    monkeypatch.setenv("EPOCHAL_AUTHOR", "Ada")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Folder.create(tmp_path / "ws")


def called(*words, code=0):
    found = CliRunner().invoke(main, ["dataset", *map(str, words)])
    assert found.exit_code == code, found.output
    return found.output


def data(*words, code=0):
    return json.loads(called(*words, "--json", code=code))


def test_from_tag_to_diff(folder):
    assert "tagged" in called("tag", folder.yaml, "pallets@v1", "-m", "first")
    assert "already" in called("tag", folder.yaml, "pallets@v1")
    assert [row["state"] for row in data("status")] == ["verified"]
    folder.add("train", "new", "1 0.5 0.5 0.1 0.1\n")
    (row,) = data("status")
    assert (row["state"], row["detail"]) == ("drifted", "+1 image in train")
    assert "exists" not in called("diff", "pallets@v1")
    assert "is version" in called("tag", folder.yaml, "pallets@v1", code=2)
    called("tag", folder.yaml, "pallets@v2", "-m", "one more")
    assert [row["tag"] for row in data("list")] == ["v2", "v1"]
    text = called("diff", "pallets@v1", "pallets")
    assert "pallets@v1 -> pallets: +1 image in train" in text
    assert "+ train images/train/new.jpg" in text
    assert len(data("diff", "pallets@v1", "pallets@v2")["added"]) == 1
    assert data("diff", "pallets@v2", folder.yaml)["added"] == []
    assert data("status", "pallets@v1")[0]["state"] == "drifted"
    assert data("status", folder.yaml)[0]["dataset"] == "pallets@v2"


def test_a_first_tag_makes_the_workspace(folder, tmp_path, monkeypatch):
    monkeypatch.delenv("EPOCHAL_WORKSPACE")
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    assert "does not exist" in called("tag", "nowhere.yaml", "pallets@v1", code=2)
    assert list((tmp_path / "new").iterdir()) == []
    assert "created the workspace" in called("tag", folder.yaml, "pallets@v1")
    assert [row["state"] for row in data("status")] == ["verified"]


def test_label_errors_are_a_table_and_block_unless_allowed(folder):
    folder.label("train", "000").write_text("9 0.5 0.5 0.1 0.1\r\n")
    text = called("tag", folder.yaml, "pallets@v1", code=2)
    assert "labels/train/000.txt:1" in text
    assert "--allow-label-errors" in text
    assert data("list") == []
    found = data("tag", folder.yaml, "pallets@v1", "--allow-label-errors")
    assert [row["severity"] for row in found["problems"]] == ["error"]


def test_broken_images_are_found_on_request(folder):
    text = called("tag", folder.yaml, "pallets@v1", "--decode", code=2)
    assert "cannot be decoded" in text
    assert "6 errors" in text
    called("tag", folder.yaml, "pallets@v1", "--decode", "--allow-label-errors")


def test_leaks_are_told_at_the_tag(folder):
    folder.add("val", "copy", None, folder.image("train", "000").read_bytes())
    assert "LEAKAGE: 1 image is in train and val" in called("tag", folder.yaml, "pallets@v1")
    assert "val: images/val/copy.jpg" in called("leakage", "pallets@v1")
    assert len(data("leakage", folder.yaml)) == 1
    assert len(data("leakage", "pallets@v1", "--pixels")) == 1


def test_snapshot_restore_verify_and_gc(folder, tmp_path):
    called("tag", folder.yaml, "pallets@v1", "--snapshot")
    folder.image("train", "000").write_bytes(b"other")
    found = data("verify", "pallets@v1", code=1)
    assert (found["state"], found["snapshot"]) == ("drifted", "intact")
    called("gc", "--days", "0")
    assert "verified" in called("restore", "pallets@v1", tmp_path / "back")
    assert data("verify", "pallets@v1", tmp_path / "back" / "data.yaml")["state"] == "verified"
    assert "not empty" in called("restore", "pallets@v1", tmp_path / "back", code=2)
    assert "no snapshot" in called_without_snapshot(folder, tmp_path)


def called_without_snapshot(folder, tmp_path):
    called("tag", folder.yaml, "pallets@v2")
    return called("restore", "pallets@v2", tmp_path / "other", code=2)


def test_a_destination_may_be_relative_and_lead_up(folder, tmp_path, monkeypatch):
    called("tag", folder.yaml, "pallets@v1", "--snapshot")
    monkeypatch.chdir(folder.root)
    called("restore", "pallets@v1", "../back é")
    assert (tmp_path / "back é" / "data.yaml").is_file()
    called("export", "pallets@v1", "../out")
    assert (tmp_path / "out" / "data.yaml").is_file()


def test_verify_finds_a_damaged_snapshot(folder, workspace):
    called("tag", folder.yaml, "pallets@v1", "--snapshot")
    (blob,) = (p for p in workspace.blobs.rglob("*") if p.is_file())
    content = blob.read_bytes()
    blob.write_bytes(b"\0" + content[1:])
    found = data("verify", "pallets@v1", code=1)
    assert (found["state"], found["snapshot"]) == ("verified", "damaged")
    assert found["damaged"]


def test_show_and_export(folder, tmp_path):
    called("tag", folder.yaml, "pallets@v1", "-m", "first 🐘")
    text = called("show", "pallets@v1")
    assert "first 🐘" in text
    assert "circle" in text
    found = data("show", "pallets@v1")
    assert [split["split"] for split in found["statistics"]] == ["train", "val"]
    assert found["snapshot"] is None
    assert "data.yaml" in called("export", "pallets@v1", tmp_path / "out")
    assert scan(tmp_path / "out" / "data.yaml").manifest.splits["train"].images == 4


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("status",), "no dataset is tagged"),
        (("status", "pallets@v1"), "no dataset version 'pallets@v1'"),
        (("show", "pallets@v9"), "no dataset version"),
        (("diff", "a@1", "b@2"), "no dataset version 'a@1'"),
        (("tag", "nowhere.yaml", "pallets@v1"), "does not exist"),
        (("tag", "nowhere.yaml", "pallets"), "does not name a dataset version"),
        (("leakage", "x"), "no dataset version 'x'"),
    ],
)
def test_what_is_not_there_is_one_line_and_2(words, says):
    assert says in called(*words, code=2)


def test_a_message_that_is_text_for_a_terminal_is_printed_as_it_is(folder):
    called("tag", folder.yaml, "pallets@v1", "-m", "[red]not markup[/red]")
    assert "[red]not markup[/red]" in called("list")


def test_data_that_changes_during_a_training_is_noticed_at_its_end(folder, workspace):
    called("tag", folder.yaml, "pallets@v1")
    pinned = pin_of(workspace, str(folder.yaml))
    assert pinned.state == "verified"
    assert changed_meanwhile(workspace, pinned) is None
    folder.label("val", "000").write_text("1 0.5 0.5 0.1 0.1\n")
    now = changed_meanwhile(workspace, pinned, str(folder.yaml))
    assert (now.state, now.digest) == ("drifted", pinned.digest)
    assert now.detail == "changed during the training: 1 label changed in val"
    assert changed_meanwhile(workspace, Pinned(dataset="x", state="untagged")) is None


def test_a_folder_of_a_data_yaml_is_pinned_as_that_dataset(folder, workspace):
    called("tag", folder.root, "pallets@v1")
    assert pin_of(workspace, str(folder.yaml)).state == "verified"
    assert pin_of(workspace, str(folder.root)).state == "verified"


@pytest.mark.slow
@pytest.mark.parametrize("kept", [0, 1, 100, 300])
def test_a_tag_that_is_killed_is_there_as_a_whole_or_not_at_all(folder, workspace, kept):
    for i in range(300):
        folder.add("train", f"big{i}", "0 0.5 0.5 0.1 0.1\n", os.urandom(40_000))
    command = [sys.executable, "-m", "epochal", "dataset", "tag", str(folder.yaml), "big@v1"]
    process = subprocess.Popen([*command, "--snapshot"], start_new_session=True)
    while process.poll() is None:
        if len([p for p in workspace.blobs.rglob("*") if p.is_file()]) >= kept:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    for record in data("list"):
        assert data("verify", f"{record['name']}@{record['tag']}")["snapshot"] == "intact"
    called("tag", folder.yaml, "big@v1", "--snapshot")
    assert data("verify", "big@v1")["snapshot"] == "intact"


def narrow_and_wide(monkeypatch, *words, code=0):
    said = []
    for columns in ("60", "120"):
        monkeypatch.setenv("COLUMNS", columns)
        said.append(called(*words, code=code))
        # the last two lines of an error are for copying, and not broken
        lines = said[-1].splitlines()[: -2 if code else None]
        assert max(map(len, lines)) <= int(columns)
    return said


def test_what_cannot_be_part_of_a_version_is_said_first(folder, monkeypatch):
    folder.label("train", "001").write_text("9 9 9\n")
    folder.image("train", "gone").symlink_to("nowhere")
    narrow, wide = narrow_and_wide(monkeypatch, "tag", folder.yaml, "pallets@v1", code=2)
    assert "fatal images/train/gone.jpg\n  cannot be read (No such file or directory)\n" in narrow
    assert "1 fatal problem, 1 error" in wide
    for said in narrow, wide:
        assert said.index("gone.jpg") < said.index("001.txt")
        assert f"error: {folder.image('train', 'gone')}: cannot be read" in said
        assert "--allow-label-errors" not in said


def test_leaks_whose_places_are_long_have_a_line_for_each(folder, monkeypatch):
    name = "a_name_that_is_rather_long_" * 2
    folder.add("train", name, None, b"one image")
    folder.add("val", name, None, b"one image")
    narrow, _ = narrow_and_wide(monkeypatch, "leakage", folder.yaml)
    assert [line[:20].rstrip() for line in narrow.splitlines() if "images/" in line] == [
        "  train  images/trai",
        "= val    images/val/",
    ]
    folder.image("val", name).rename(folder.image("val", "b"))
    folder.image("train", name).rename(folder.image("train", "a"))
    narrow, _ = narrow_and_wide(monkeypatch, "leakage", folder.yaml)
    assert "  train: images/train/a.jpg  =  val: images/val/b.jpg" in narrow


def test_status_of_a_copy_names_the_copy(folder, make_folder):
    called("tag", folder.yaml, "pallets@v1")
    copy = make_folder("copy")
    said = "".join(called("status", copy.yaml).split())
    assert str(copy.yaml) in said
    assert str(folder.yaml) not in said


def test_layout_that_was_named_is_remembered(folder):
    called("tag", folder.root, "raw@v1", "--layout", "files")
    assert data("status", "raw@v1")[0]["state"] == "verified"
    assert data("verify", "raw@v1")["state"] == "verified"
    assert data("diff", "raw@v1")["added"] == []
    folder.label("train", "001").write_text("0 0.1 0.1 0.1 0.1\n")
    (row,) = data("status", "raw@v1")
    assert row["detail"] == "1 image changed in all"
