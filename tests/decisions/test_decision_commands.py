"""``epochal decide``, ``charter`` and ``ledger`` as a shell sees them."""

import json

import pytest
from click.testing import CliRunner
from simulator import Model, world

from epochal.cli import main

VAL, TEST = world(300, 3, 1), world(300, 3, 2)
BASE, BETTER = Model(1.0, 11, 3), Model(2.4, 12, 3)


@pytest.fixture
def shell(workshop, monkeypatch):
    """Call the command line in a workspace with a baseline, a winner and one that equals it."""
    base = workshop.run("v1_base", val=BASE.run(VAL), test=BASE.run(TEST))
    workshop.baseline(base)
    workshop.run("v2_better", config={"imgsz": 1024}, val=BETTER.run(VAL), test=BETTER.run(TEST))
    workshop.run("v3_equal", config={"imgsz": 800}, val=Model(1.0, 13, 3).run(VAL))
    monkeypatch.chdir(workshop.folder.root.parent)
    monkeypatch.delenv("EPOCHAL_WORKSPACE", raising=False)

    def call(*arguments, code=0):
        found = CliRunner().invoke(main, arguments)
        assert found.exit_code == code, (found.exception, found.output)
        return found

    call.folder = workshop.folder.root.parent
    return call


def test_the_exit_code_is_the_verdict(shell):
    assert "SHIP" in shell("decide", "v2_better").stdout
    lost = shell("decide", "v3_equal", code=1).stdout
    assert "MORE EXPERIMENTS" in lost
    assert "val has to earn the look first" in " ".join(lost.split())
    assert "did you mean" in shell("decide", "v2_bettr", code=2).stderr
    assert "no candidate" in shell("decide", code=2).stderr


def test_json_is_the_document_and_can_be_shown_again(shell):
    made = json.loads(shell("decide", "v2_better", "--json").stdout)
    assert made["verdict"] == "ship"
    assert [gate["outcome"] for gate in made["gates"]][:3] == ["pass"] * 3
    shown = json.loads(shell("decide", "--show", made["id"][:10], "--json").stdout)
    assert shown == made
    listed = json.loads(shell("decide", "--list", "--json").stdout)
    assert [one["id"] for one in listed] == [made["id"]]
    assert made["id"][:8] in shell("decide", "--list").stdout


def test_explaining_names_what_every_sentence_rests_on(shell):
    said = " ".join(shell("decide", "v2_better", "--explain", "--dry-run").stdout.split())
    for words in ("standard error", "draws from seed", "published spread", "not stored"):
        assert words in said


def test_pages_are_written_beside_the_answer(shell, tmp_path):
    shell(
        "decide",
        "v2_better",
        "--html",
        str(tmp_path / "d.html"),
        "--markdown",
        str(tmp_path / "d.md"),
    )
    assert (tmp_path / "d.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "d.md").read_text().startswith("# pallets: v2_better")


def test_an_override_ships_with_its_reason(shell):
    assert "BY OVERRIDE" in shell("decide", "v3_equal", "--override", "contract").stdout
    assert "override" in shell("decide", "--list").stdout


def test_deciding_is_refused_while_the_file_says_otherwise(shell):
    (shell.folder / "epochal.toml").write_text('project = "pallets"\n')
    shell("decide", "v2_better")
    (shell.folder / "epochal.toml").write_text('project = "pallets"\nmin_gain = 2.0\n')
    refused = shell("decide", "v2_better", code=2)
    assert "min_gain: 0.5 is in force, 2.0 is proposed" in refused.stderr
    assert "epochal charter apply" in refused.stderr
    assert "min_gain: 0.5 is in force" in shell("charter").stdout
    assert (
        "min_gain: 0.5 -> 2.0" in shell("charter", "apply", "-m", "half a point is noise").stdout
    )
    shell("decide", "v2_better")
    versions = json.loads(shell("charter", "history", "--json").stdout)
    assert [v["version"] for v in versions] == [1, 2]
    assert versions[1]["reason"] == "half a point is noise"
    assert "nothing to apply" in shell("charter", "apply", "-m", "again", code=2).stderr


def test_the_ledger_is_shown_verified_and_exported(shell, tmp_path):
    shell("decide", "v2_better")
    shown = shell("ledger").stdout
    assert "1 of 10 looks" in shown
    assert "free" in shown
    shell("ledger", "verify")
    shell("ledger", "export", "-o", str(tmp_path / "ledger.json"))
    assert (
        "exists" in shell("ledger", "export", "-o", str(tmp_path / "ledger.json"), code=2).stderr
    )
    shell("ledger", "verify", "--against", str(tmp_path / "ledger.json"))
    newest = max((shell.folder / ".epochal" / "journal").glob("*.jsonl"), key=lambda p: p.name)
    newest.unlink()
    gone = shell("ledger", "verify", "--against", str(tmp_path / "ledger.json"), "--json", code=2)
    assert any("gone" in line for line in json.loads(gone.stdout)["problems"])
