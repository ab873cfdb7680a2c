"""`init`, `runs`, `show`, edits, `baseline`, `backup`, `doctor`, as a user meets them."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from epochal.cli import main
from epochal.records import (
    Artifact,
    Console,
    Dropped,
    Evaluated,
    LessonWritten,
    Metrics,
    Notice,
    Pinned,
)


@pytest.fixture
def epochal():
    """Return a function that runs a command and checks its exit code."""

    def run(*arguments, code=0, columns=100, **options):
        runner = CliRunner(env={"COLUMNS": str(columns), "NO_COLOR": "1"})
        result = runner.invoke(main, list(arguments), prog_name="epochal", **options)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def workspace(folder, record_run):
    record_run(
        "v1_baseline",
        config={"imgsz": 640, "optimizer": {"lr": 0.01}},
        metrics={"metrics/mAP50-95(B)": [0.1, 0.4, 0.3], "train/box_loss": [3, 2, 1]},
        bodies=[Pinned(dataset="pallets@v3", digest="0" * 64, state="verified")],
    )
    record_run(
        "v2_imgsz_1024",
        config={"imgsz": 1024, "optimizer": {"lr": 0.01}},
        metrics={"metrics/mAP50-95(B)": [0.2, 0.45]},
        parent="v1_baseline",
        tags=("candidate",),
        bodies=[
            Pinned(dataset="pallets@v3", state="drifted", detail="2 files differ"),
            LessonWritten(result="larger images help"),
        ],
    )
    record_run("v3_crashed", status="failed", reason="CUDA out of memory")
    return folder


def lines(result):
    return [line.rstrip() for line in result.stdout.splitlines()]


# --- init ----------------------------------------------------------------------------------------


def test_init_sets_up_and_says_what_next(tmp_path, monkeypatch, epochal):
    monkeypatch.delenv("EPOCHAL_WORKSPACE", raising=False)
    place = tmp_path / "pallets"
    place.mkdir()
    monkeypatch.chdir(place)
    said = epochal("init").stdout
    assert "epochal dataset tag data.yaml pallets@v1" in said
    toml = (place / "epochal.toml").read_text()
    assert 'project = "pallets"' in toml
    assert (place / ".epochal" / "format").is_file()
    (place / "epochal.toml").write_text(toml + "\n# mine\n")
    report = json.loads(epochal("init", "--json").stdout)
    assert (report["workspace_created"], report["charter_created"]) == (False, False)
    assert (place / "epochal.toml").read_text().endswith("# mine\n")
    refused = epochal("init", "--project", "bolts", code=2)
    assert "is for project 'pallets'" in refused.stderr


def test_init_in_a_folder_that_is_not_there(tmp_path, monkeypatch, epochal):
    monkeypatch.delenv("EPOCHAL_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert "cd new/place" in epochal("init", "new/place", "--project", "p").stdout
    assert (tmp_path / "new/place/.epochal").is_dir()
    assert not (tmp_path / ".epochal").exists()


# --- runs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
def test_the_list_fits_any_terminal(workspace, epochal, columns):
    found = lines(epochal("runs", columns=columns))
    assert found[0].startswith("pallets  3 runs")
    assert all(len(line) <= columns for line in found)
    body = "\n".join(found)
    for expected in ("✗", "v3_crashed", "0.450", "0.400"):
        assert expected in body
    if columns >= 100:
        assert "pallets@v3 ≠ drifted" in body
        assert "missing" in body


def test_filter_sort_and_columns(workspace, epochal):
    def names(*options):
        found = json.loads(epochal("runs", "--json", *options).stdout)
        return [run["name"] for run in found["runs"]]

    assert names() == ["v3_crashed", "v2_imgsz_1024", "v1_baseline"]
    assert names("--where", 'metrics."mAP50-95" > 0.3 and tags has candidate') == ["v2_imgsz_1024"]
    assert names("--sort", "config.imgsz") == ["v1_baseline", "v2_imgsz_1024", "v3_crashed"]
    assert names("--limit", "1") == ["v3_crashed"]
    assert names("--where", "lesson is null and pin = verified") == ["v1_baseline"]
    shown = epochal("runs", "--columns", "config.optimizer.lr, max(metrics.train/box_loss)").stdout
    assert "optimizer.lr" in shown
    assert "3" in shown


def test_json_is_whole(workspace, epochal):
    found = json.loads(epochal("runs", "--json", "--columns", "config.imgsz").stdout)
    assert (found["project"], found["metric"], found["direction"], found["total"]) == (
        "pallets",
        "mAP50-95",
        "max",
        3,
    )
    second = found["runs"][1]
    assert (second["best"], second["last"], second["lesson"]) == (0.45, 0.45, True)
    assert second["columns"] == {"config.imgsz": 1024.0}
    assert found["runs"][0]["best"] is None


def test_only_differing_parameters(workspace, epochal):
    shown = epochal("runs", "--diff", "--where", "not status = failed").stdout
    assert "imgsz" in shown
    assert "optimizer.lr" not in shown


def test_groups(workspace, epochal):
    shown = epochal("runs", "--group-by", "config.imgsz").stdout
    assert "1024" in shown
    assert "0.450" in shown
    groups = json.loads(epochal("runs", "--group-by", "config.imgsz", "--json").stdout)
    assert [group["n"] for group in groups] == [1, 1, 1]


def test_an_error_in_a_filter_shows_the_place(workspace, epochal):
    said = epochal("runs", "--where", "config.imgz = 640", code=2).stderr
    assert "no run has config.imgz" in said
    assert "    ^" in said
    assert "did you mean config.imgsz?" in said
    assert "Traceback" not in said


def test_runs_of_several_projects(workspace, record_run, epochal):
    record_run("v1_bolts", "bolts")
    assert "all projects" in epochal("runs").stdout
    assert lines(epochal("runs", "--project", "bolts"))[0].startswith("bolts  1 run")
    (workspace.root.parent / "epochal.toml").write_text('project = "bolts"\n')
    assert lines(epochal("runs"))[0].startswith("bolts  1 run")
    assert "v1_baseline" in epochal("runs", "--all").stdout


def test_strange_runs_are_listed(folder, record_run, epochal):
    record_run("[bold]not markup[/]", metrics={"metrics/mAP50-95(B)": [float("nan")]})
    record_run("日本語 " + "x" * 200, bodies=[Dropped(count=12, reason="disk full")])
    record_run("a\x1b[31mred\nline", status=None)
    record_run("v9_inf", bodies=[Metrics(values={"metrics/mAP50-95(B)": "Infinity"}, step=0)])
    shown = epochal("runs").stdout
    for expected in ("[bold]not markup[/]", "NaN", "12 records of 日本語", "▶", "∞"):
        assert expected in shown
    assert "\x1b" not in shown
    json.loads(epochal("runs", "--json").stdout)


# --- show ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [60, 200])
def test_show_has_all_there_is(workspace, epochal, columns):
    shown = epochal("show", "v2_imgsz_1024", columns=columns).stdout
    for expected in ("finished", "drifted", "2 files differ", "0.450", "larger images help"):
        assert expected in shown
    assert "CUDA out of memory" in epochal("show", "v3_crashed").stdout
    assert "epochal lesson v3_crashed" in epochal("show", "v3_crashed").stdout


def test_show_survives_strange_values(folder, record_run, epochal):
    record_run(
        config={"a": {"b": [1, {"c": None}]}, "long": "x" * 5000, "esc": "\x1b[31m"},
        metrics={"loss": [float("nan")], "k" * 300: [1]},
        summary={"best": float("1e300")},
        bodies=[
            Artifact(key="weights/best.pt", digest="0" * 64, size=123456),
            Notice(code="x", text="[red]text"),
            Dropped(count=2, reason="full"),
        ],
    )
    shown = epochal("show", "v1_baseline").stdout
    assert "2 records were lost: full (2)" in shown
    assert "[red]text" in shown
    assert "\x1b" not in shown
    assert json.loads(epochal("show", "v1_baseline", "--json").stdout)["run"]["dropped"] == 2


def test_show_keeps_test_numbers_back(folder, record_run, epochal):
    measured = {"evaluator": "epochal/coco101", "fingerprint": "0" * 64, "digest": "0" * 64}
    record_run(
        bodies=[
            Evaluated(split="val", metrics={"mAP50-95": 0.4321}, **measured),
            Evaluated(split="test", metrics={"mAP50-95": 0.8765}, look="1", **measured),
        ]
    )
    for options in ([], ["--json"]):
        shown = epochal("show", "v1_baseline", *options).stdout
        assert "0.432" in shown
        assert "0.876" not in shown


def test_console(folder, record_run, epochal):
    record_run(bodies=[Console(stream="stdout", text="epoch 1\n")])
    assert epochal("show", "v1_baseline", "--console").stdout == "epoch 1\n"


# --- edits ---------------------------------------------------------------------------------------


def test_rename_and_tag(workspace, epochal):
    epochal("rename", "v2_imgsz_1024", "v2_larger_images")
    warned = epochal("rename", "v3_crashed", "train3")
    assert "note:" in warned.stderr
    epochal("tag", "v2_larger_images", "good", "--remove", "candidate")
    assert epochal("tag", "v2_larger_images").stdout == "v2_larger_images: good\n"
    assert "no tag 'bad'" in epochal("tag", "v2_larger_images", "--remove", "bad", code=2).stderr
    assert "cannot be a name" in epochal("rename", "train3", " ", code=2).stderr


def test_a_charter_can_refuse_a_name(workspace, epochal):
    (workspace.root.parent / "epochal.toml").write_text(
        'project = "pallets"\nnaming_policy = "refuse"\n'
    )
    epochal("rename", "v3_crashed", "train3", code=2)
    assert "v3_crashed" in epochal("runs").stdout


def test_trash_and_back(workspace, epochal):
    epochal("trash", "v3_crashed", "v1_baseline")
    assert "v3_crashed" not in epochal("runs").stdout
    assert "v3_crashed" in epochal("runs", "--trashed").stdout
    epochal("trash", "--undo", "v3_crashed")
    assert "v3_crashed" in epochal("runs").stdout


def test_purge_needs_a_word_and_leaves_nothing(workspace, epochal):
    assert "--yes" in epochal("purge", "v3_crashed", code=2).stderr
    epochal("purge", "v3_crashed", "--yes")
    assert "no run" in epochal("show", "v3_crashed", code=2).stderr
    assert len(list(workspace.runs.iterdir())) == 2
    epochal("baseline", "v1_baseline")
    assert "is the baseline" in epochal("purge", "v1_baseline", "--yes", code=2).stderr


def test_baseline(workspace, epochal):
    assert "no baseline yet" in epochal("baseline").stdout
    epochal("baseline", "v1_baseline", "-m", "the first")
    epochal("baseline", "v2_imgsz_1024", "-m", "it ships")
    shown = epochal("baseline").stdout
    assert "v2_imgsz_1024" in shown
    assert "it ships" in shown
    assert len(lines(epochal("baseline", "--history"))) == 2
    assert "★baseline" in epochal("runs").stdout


# --- keeping -------------------------------------------------------------------------------------


def test_backup_and_restore(workspace, tmp_path, epochal):
    epochal("backup", "b.tar.zst")
    epochal("restore", "b.tar.zst", "copy")
    shown = epochal("runs", "--workspace", str(tmp_path / "copy")).stdout
    assert "v2_imgsz_1024" in shown
    assert "exists" in epochal("restore", "b.tar.zst", "copy", code=2).stderr
    assert "no file" in epochal("restore", "missing", "copy2", code=2).stderr


def test_doctor(workspace, epochal):
    assert "in order" in epochal("doctor").stdout
    assert json.loads(epochal("doctor", "--json").stdout)["findings"] == []
    path = next(workspace.root.glob("runs/*v1*/journal/*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"train/box_loss":2', b'"train/box_loss":9'))
    shown = epochal("doctor", "--rebuild", code=1).stdout
    assert "1 damaged line" in shown
    assert path.name in shown
    assert "v1_baseline" in epochal("runs").stdout


def test_doctor_after_a_crash(workspace, epochal):
    path = next(workspace.root.glob("runs/*v3*/journal/*.jsonl"))
    with path.open("ab") as file:
        file.write(b'{"crc":"0000')
    # This very process wrote the journal: while it lives the line may still be completed.
    path.write_bytes(path.read_bytes().replace(b'"pid":', b'"pix":'))
    epochal("doctor", "--rebuild", code=1)


def test_a_broken_index_is_named_and_rebuilt(workspace, epochal):
    epochal("runs")
    index = next(workspace.root.glob("index-*.sqlite"))
    data = bytearray(index.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    index.write_bytes(data)
    epochal("doctor", "--rebuild")
    assert "v1_baseline" in epochal("runs").stdout


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["show", "v2_imgsz_1042"], "did you mean v2_imgsz_1024"),
        (["runs", "--project", "screws"], "no project 'screws'"),
        (["runs", "--limit", "-1"], "--limit is -1"),
        (["runs", "--sort", "metrics.nope"], "no run has metrics.nope"),
        (["show", ""], "no run"),
    ],
)
def test_an_error_is_told_in_a_line(workspace, epochal, arguments, expected):
    result = epochal(*arguments, code=2)
    assert expected in result.stderr
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) <= 4
    as_json = json.loads(epochal(*arguments, "--json", code=2).stderr)
    assert as_json["error"]["message"]


def test_an_ambiguous_prefix(folder, record_run, epochal):
    record_run("v1_a", run="aaaa" + "0" * 28)
    record_run("v1_b", run="aaaa" + "1" * 28)
    assert "2 runs are named by 'aaaa'" in epochal("show", "aaaa", code=2).stderr


def test_no_workspace_and_a_newer_one(tmp_path, monkeypatch, epochal):
    monkeypatch.delenv("EPOCHAL_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert "epochal init" in epochal("runs", code=2).stderr
    (tmp_path / ".epochal").mkdir()
    (tmp_path / ".epochal" / "format").write_text("99\n")
    assert "upgrade epochal" in epochal("runs", code=2).stderr


def test_an_empty_workspace_says_how_to_begin(folder, epochal):
    assert "no runs yet" in epochal("runs").stdout


def test_as_a_real_process(workspace):
    command = [sys.executable, "-m", "epochal"]
    listed = subprocess.run(
        [*command, "runs", "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(listed.stdout)["total"] == 3
    failed = subprocess.run(
        [*command, "show", "nope"], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 2
    assert "Traceback" not in failed.stderr
    piped = subprocess.run(
        f"{sys.executable} -m epochal --help | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert piped.stdout.startswith("Usage")
    assert piped.stderr == ""


def test_completion_of_run_names(workspace):
    completed = subprocess.run(
        [sys.executable, "-m", "epochal"],
        env={
            **__import__("os").environ,
            "_EPOCHAL_COMPLETE": "bash_complete",
            "COMP_WORDS": "epochal show v2",
            "COMP_CWORD": "2",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "v2_imgsz_1024" in completed.stdout


def test_a_metric_that_nobody_logged_is_told_with_what_there_is(folder, record_run, epochal):
    record_run("v1_baseline", metrics={"accuracy": [0.5, 0.6]})
    record_run("v2_lr", metrics={"accuracy": [0.5, 0.7]})
    shown = " ".join(epochal("runs").stdout.split())
    assert "no run here logged mAP50-95; there are accuracy" in shown
    assert "`metric` in epochal.toml" in shown
    assert "no run here" not in epochal("runs", "--metric", "accuracy").stdout
    assert "epochal charter apply" in epochal("compare", "v1_baseline", "v2_lr", code=2).stderr


def test_wrong_usage_is_json_too_where_json_is_asked_for(folder, epochal):
    for arguments in (["compare"], ["charter", "apply"], ["runs", "--nonsense"]):
        error = json.loads(epochal(*arguments, "--json", code=2).stderr)["error"]
        assert error["type"] == "InvalidInput"
        assert (
            error["remedy"]
            == f"`epochal {' '.join(arguments[:2]).split(' --')[0]} --help` tells how"
        )


def test_a_terminal_without_unicode_gets_plain_signs(workspace):
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    for arguments in (["runs"], ["show", "v2_imgsz_1024"], ["show", "v2_\xfc"]):
        done = subprocess.run(
            [sys.executable, "-m", "epochal", *arguments],
            env=environment,
            capture_output=True,
            check=False,
        )
        assert (done.stdout + done.stderr).isascii()
        assert b"Traceback" not in done.stderr
        assert done.returncode == (2 if "\xfc" in arguments[-1] else 0)
