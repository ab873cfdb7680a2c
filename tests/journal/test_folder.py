"""Where a workspace is found, and what is refused."""

from __future__ import annotations

import subprocess

import pytest

from epochal.errors import Ambiguous, InvalidInput, NewerFormat, NotFound
from epochal.journal.folder import Folder
from epochal.journal.writer import Writer
from epochal.records import FORMAT


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch):
    monkeypatch.delenv("EPOCHAL_WORKSPACE", raising=False)


def test_a_created_workspace_is_found_from_below(tmp_path):
    Folder.create(tmp_path)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    found = Folder.find(below)
    assert found is not None
    assert found.root == tmp_path / ".epochal"


def test_creating_again_changes_nothing(tmp_path):
    first = Folder.create(tmp_path)
    (first.root / ".gitignore").write_text("mine\n")
    assert Folder.create(tmp_path).root == first.root
    assert (first.root / ".gitignore").read_text() == "mine\n"


def test_the_variable_decides_before_the_place(tmp_path, monkeypatch):
    Folder.create(tmp_path / "here")
    other = Folder.create(tmp_path / "there")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("EPOCHAL_WORKSPACE", str(tmp_path / "there"))
    found = Folder.find()
    assert found is not None
    assert found.root == other.root


def test_a_variable_that_names_no_workspace_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("EPOCHAL_WORKSPACE", str(tmp_path / "gone"))
    with pytest.raises(NotFound, match="no workspace at"):
        Folder.find()


def test_a_new_workspace_is_made_at_the_top_of_the_repository(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    deep = tmp_path / "src" / "train"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    folder, created = Folder.find_or_create()
    assert created
    assert folder.root == tmp_path / ".epochal"
    assert not Folder.find_or_create()[1]


def test_a_workspace_of_a_newer_version_is_refused_and_untouched(tmp_path):
    """F38: by name, with the remedy, nothing changed."""
    folder = Folder.create(tmp_path)
    (folder.root / "format").write_text(f"{FORMAT + 1}\n")
    before = sorted(folder.root.rglob("*"))
    with pytest.raises(NewerFormat, match=f"format {FORMAT + 1}") as caught:
        Folder.at(tmp_path)
    assert "upgrade" in caught.value.remedy
    assert sorted(folder.root.rglob("*")) == before


@pytest.mark.parametrize("text", ["", "one", "-1", "1.5", "\u00b2"])
def test_a_format_that_is_no_number_is_an_error(tmp_path, text):
    folder = Folder.create(tmp_path)
    (folder.root / "format").write_text(text)
    with pytest.raises(InvalidInput, match="does not hold a number"):
        Folder.at(tmp_path)


def test_a_format_that_is_no_text_is_an_error(tmp_path):
    folder = Folder.create(tmp_path)
    (folder.root / "format").write_bytes(b"\xff\xfe1")
    with pytest.raises(InvalidInput, match="does not hold a number"):
        Folder.at(tmp_path)


@pytest.fixture
def runs(folder):
    ids = ["abcd1111" + "0" * 24, "abcd2222" + "0" * 24, "ffff0000" + "0" * 24]
    return {one: folder.new_run_folder(one, "v1_baseline") for one in ids}


def test_a_run_is_resolved_by_its_id_or_a_prefix(folder, runs):
    for one, place in runs.items():
        assert folder.resolve_run(one) == place
        assert folder.resolve_run(one[:8].upper()) == place
        assert folder.run_folder(one) == place
    assert folder.resolve_run("f") == runs["ffff0000" + "0" * 24]


def test_a_prefix_that_fits_two_is_ambiguous(folder, runs):
    with pytest.raises(Ambiguous, match="2 runs"):
        folder.resolve_run("abcd")


@pytest.mark.parametrize("text", ["", "xyz", "../..", "abcd*", "0000", "v1_baseline"])
def test_what_is_no_id_or_no_run_is_not_found(folder, runs, text):
    with pytest.raises(NotFound):
        folder.resolve_run(text)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("v1 größer/kleiner", "v1_groer_kleiner"),
        ("../../etc", "etc"),
        ("损失", "run"),
        ("a" * 200, "a" * 60),
    ],
)
def test_a_runs_folder_has_a_portable_name(folder, name, slug):
    place = folder.new_run_folder("ab" * 16, name)
    assert place.parent == folder.runs
    assert place.name.split("-", 1)[1] == f"{slug}-abababab"


def test_journals_are_those_of_the_workspace_then_those_of_runs(folder, runs, tmp_path):
    own = Writer(folder.journal)
    own.close()
    place = next(iter(runs.values()))
    of_run = Writer(place / "journal", run="ab" * 16)
    of_run.close()
    (place / "journal" / "notes.txt").write_text("not a journal")
    (place / "journal" / "link.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    assert [(j.path, j.run_folder) for j in folder.journals()] == [
        (own.path, None),
        (of_run.path, place),
    ]
