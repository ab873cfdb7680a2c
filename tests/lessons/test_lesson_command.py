from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from epochal.cli import main
from epochal.lessons import known_workspaces

RISE = [0.5 * (1 - 0.8**i) for i in range(1, 31)]


@pytest.fixture
def run(lab, monkeypatch):
    monkeypatch.setenv("EPOCHAL_WORKSPACE", str(lab.folder.root))
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.delenv("VISUAL", raising=False)
    lab.train("v1_a", RISE, config={"imgsz": 96})
    lab.train(
        "v2_b",
        [v + 0.02 for v in RISE],
        config={"imgsz": 160},
        parent="v1_a",
        hypothesis="more pixels",
    )
    return "v2_b"


@pytest.fixture
def editor(tmp_path, monkeypatch):
    """Set an editor that replaces text in the file it is given."""

    def make(old, new):
        script = tmp_path / "editor.py"
        script.write_text(
            "import sys, pathlib\n"
            "p = pathlib.Path(sys.argv[1])\n"
            f"p.write_text(p.read_text().replace({old!r}, {new!r}))\n"
        )
        monkeypatch.setenv("EDITOR", f"{shlex.quote(sys.executable)} {shlex.quote(str(script))}")

    return make


def called(*words, code=0, text=None):
    found = CliRunner().invoke(main, list(words), input=text)
    assert found.exit_code == code, found.output
    return found.output


def lesson(name):
    return json.loads(called("lesson", name, "--json"))


def test_the_editor_gets_the_draft_and_what_comes_back_is_recorded(run, editor):
    editor("mAP50-95", "mAP")
    assert "recorded the lesson of v2_b" in called("lesson", run)
    found = lesson(run)["lesson"]
    assert found["hypothesis"] == "more pixels"
    assert found["change"] == "1 change: imgsz 96 -> 160 (against v1_a)"
    assert found["result"].startswith("mAP 0.519 (at epoch 30), +2.0 points against v1_a")


def test_a_text_that_was_not_edited_records_nothing(run, editor):
    editor("zebra", "giraffe")
    assert "nothing was recorded" in called("lesson", run)
    assert lesson(run)["lesson"] is None


def test_a_text_that_was_emptied_records_nothing(run, monkeypatch):
    empty = "import sys; open(sys.argv[1], 'w')"
    monkeypatch.setenv("EDITOR", shlex.join([sys.executable, "-c", empty]))
    assert "nothing was recorded" in called("lesson", run)
    assert lesson(run)["lesson"] is None


def test_a_text_that_cannot_be_read_is_kept(run, editor):
    editor("## Hypothesis", "words before\n## Hypothesis")
    text = called("lesson", run, code=2)
    assert "nothing was recorded, your text is in" in text
    (kept,) = (Path(word) for word in text.split() if "epochal-lesson-" in word)
    assert "words before" in kept.read_text()
    kept.unlink()


def test_without_a_terminal_and_an_editor_the_options_are_named(run):
    assert "--accept-draft" in called("lesson", run, code=2)


def test_fields_can_be_given_for_scripts(run):
    called("lesson", run, "--result", "better", "--next", "more", "--text", "-", text="# Why\n")
    found = lesson(run)["lesson"]
    assert (found["result"], found["next"], found["text"]) == ("better", "more", "# Why")
    assert "nothing was recorded" in called("lesson", run, "--result", "better")
    called("lesson", run, "--accept-draft")
    found = lesson(run)["lesson"]
    assert found["result"] == "better"
    assert found["hypothesis"] == "more pixels"
    assert len(json.loads(called("lesson", run, "--history", "--json"))) == 2
    text = called("lesson", run, "--history")
    assert text.index("next: more") < text.rindex("next: more")


def test_show_draws_the_draft_until_there_is_a_lesson(run):
    assert "No lesson yet" in called("lesson", run, "--show")
    called("lesson", run, "--result", "[red]fine[/red]")
    assert "[red]fine[/red]" in called("lesson", run, "--show")


def test_lessons_are_searched_listed_and_written_out(run, tmp_path, lab):
    called("lesson", run, "--result", "pallets at night still fail")
    assert known_workspaces() == [lab.folder.root]
    text = called("lessons", "night")
    assert "v2_b" in text
    assert "pallets at night still fail" in text
    assert json.loads(called("lessons", "night", "--everywhere", "--json"))[0]["name"] == "v2_b"
    assert "no lesson in this workspace has 'zebra'" in called("lessons", "zebra")
    assert "without 'zebra'" in called("lessons", "night", "zebra")
    assert "pallets at night" in called("lessons", "--tried", "imgsz=160")
    assert "nothing like" in called("lessons", "--tried", "mosaic=0")
    (tried,) = json.loads(called("lessons", "--tried", "imgsz=320", "--json"))
    assert tried["similarity"] == 0.6
    assert "1 run has no lesson yet" in called("lessons", "--undocumented")
    called("lessons", "--digest", str(tmp_path / "lessons.md"))
    assert "### `v2_b`" in (tmp_path / "lessons.md").read_text()
    assert "### `v2_b`" in called("lessons", "--digest", "-")
    assert "no project" in called("lessons", "--project", "nobody", code=2)
    assert "leave --project out" in called(
        "lessons", "x", "--everywhere", "--project", "p", code=2
    )
