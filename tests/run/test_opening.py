"""`init`: what it takes, what it refuses, and that a training process stays light."""

from __future__ import annotations

import argparse
import dataclasses
import enum
import subprocess
import sys
import types
from pathlib import Path

import pytest

import epochal
from epochal.errors import EpochalError, InvalidInput, NewerFormat, NotFound, Refused
from epochal.journal.folder import Folder
from epochal.records import FORMAT, Config, Notice, Opened, Renamed


@dataclasses.dataclass
class Optimizer:
    name: str = "SGD"
    momentum: float = 0.937


@dataclasses.dataclass
class Settings:
    lr: float = 0.01
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)


class Colour(enum.Enum):
    RED = "red"


class Model:
    """As pydantic's: it dumps itself."""

    def model_dump(self):
        return {"lr": 0.01}


@pytest.mark.parametrize(
    ("config", "recorded"),
    [
        ({"lr": 0.01, "imgsz": 640}, {"lr": 0.01, "imgsz": 640}),
        (Settings(), {"lr": 0.01, "optimizer": {"name": "SGD", "momentum": 0.937}}),
        (types.SimpleNamespace(lr=0.01, _hidden=1), {"lr": 0.01}),
        (argparse.Namespace(lr=0.01, data="x.yaml"), {"lr": 0.01, "data": "x.yaml"}),
        (Model(), {"lr": 0.01}),
        ({"big": 2**63, "huge": 10**30}, {"big": 2**63, "huge": str(10**30)}),
        ({"path": Path("a/b"), "colour": Colour.RED, "set": {2, 1}},
         {"path": "a/b", "colour": "red", "set": [1, 2]}),
        ({"nan": float("nan"), "none": None, 3: "x"}, {"nan": "NaN", "none": None, "3": "x"}),
        ({"fn": len, "cls": Settings}, {"fn": "builtins.len",
                                        "cls": f"{__name__}.Settings"}),
        ({"api_key": "sk-abcdefghijklmnop1234567890"}, {"api_key": "[redacted]"}),
        ({"role": "teacher"}, {"role": "teacher"}),
    ],
    ids=["dict", "dataclass", "namespace", "argparse", "pydantic", "digits", "types", "json",
         "code", "secret", "role"],
)  # fmt: skip
def test_a_config_of_any_kind(start, records, config, recorded):
    run = start(config=config)
    assert dict(run.config) == recorded
    found = {}
    for body in records(run, Config):
        found |= body.values
    assert found == recorded


def test_config_and_summary_change_like_dicts(start, records, document):
    run = start(config={"lr": 0.1})
    run.config["lr"] = 0.2
    run.config.update(role="teacher", epochs=3)
    run.config.update({"batch": 16}, role="effective")
    run.summary["best"] = 0.5
    run.summary.update(role="effective")
    with pytest.raises(TypeError, match="never deleted"):
        del run.config["lr"]
    assert dict(run.config) == {"lr": 0.2, "role": "teacher", "epochs": 3}
    run.finish()
    found = document(run)
    assert found.config == {"lr": 0.2, "role": "teacher", "epochs": 3}
    assert found.effective == {"batch": 16}
    assert found.summary == {"best": 0.5, "role": "effective"}


def test_a_config_larger_than_a_line_is_kept_in_parts(start, document):
    config = {f"key{n}": "x" * 1000 for n in range(200)}
    run = start(config=config)
    run.finish()
    assert document(run).config == config


def test_what_is_given_is_in_the_opening_record(start, records, tmp_path):
    run = start(
        "v2_imgsz_1024",
        parent="v1_baseline",
        hypothesis="larger images find smaller pallets",
        tags=["night", "trial"],
        group="imgsz",
    )
    (opened,) = records(run, Opened)
    assert (opened.project, opened.name, opened.attempt) == ("pallets", "v2_imgsz_1024", 1)
    assert (opened.parent, opened.tags, opened.group) == (
        "v1_baseline",
        ("night", "trial"),
        "imgsz",
    )
    assert opened.hypothesis == "larger images find smaller pallets"
    assert opened.cwd == str(tmp_path)


def test_the_environment_stands_in_for_what_is_not_given(start, records, monkeypatch):
    for name, value in {
        "PROJECT": "from_env",
        "NAME": "v3_env",
        "PARENT": "v2_x",
        "HYPOTHESIS": "why not",
        "TAGS": "a, b,",
        "GROUP": "g",
        "LAUNCH": "l" * 8,
    }.items():
        monkeypatch.setenv(f"EPOCHAL_{name}", value)
    run = start(name=None, project=None)
    (opened,) = records(run, Opened)
    assert (opened.project, opened.name, opened.parent) == ("from_env", "v3_env", "v2_x")
    assert (opened.hypothesis, opened.tags, opened.group) == ("why not", ("a", "b"), "g")
    assert opened.launch == "l" * 8


@pytest.mark.parametrize(
    "given",
    [
        {"tags": "one,two"},
        {"tags": [1, None]},
        {"tags": ["t" * 5000] * 300},
        {"hypothesis": "x" * 100_000},
        {"group": 5, "parent": 7},
        {"hypothesis": "half \ud800"},
        {"name": "v9_" + "x" * 5000},
        {"name": 5},
        {"config": object()},
        {"config": 5},
    ],
    ids=["text", "numbers", "many", "long", "types", "surrogate", "longname", "intname", "object",
         "intconfig"],
)  # fmt: skip
def test_odd_input_still_opens_a_run(start, records, given):
    """F12: what cannot be recorded as given is recorded as near as possible."""
    run = start(**given)
    assert not run.silent
    assert len(records(run, Opened)) == 1


def test_a_command_line_of_any_size_and_encoding(start, records, monkeypatch):
    secret = "hf_" + "a1B2" * 9
    monkeypatch.setattr(sys, "argv", ["train.py", "--token", secret, "\udcff", *["x" * 500] * 900])
    run = start()
    (opened,) = records(run, Opened)
    assert opened.argv[0] == "train.py"
    assert not any(secret in argument for argument in opened.argv)
    assert "more arguments" in opened.argv[-1]


def test_a_run_object_is_a_parent(start, records):
    one = start("v1_baseline")
    two = start("v2_lr", parent=one)
    assert records(two, Opened)[0].parent == one.id


def test_a_parent_that_nobody_knows_is_said(start, records, capsys):
    run = start("v2_lr", parent="v1_basline")
    assert [n.code for n in records(run, Notice)] == ["parent"]
    assert "no run 'v1_basline'" in capsys.readouterr().err
    assert records(run, Opened)[0].parent == "v1_basline"


def test_a_renamed_parent_is_known(start, records):
    one = start("v1_baseline")
    one.record(Renamed(name="v1_start"))
    one.finish()
    assert records(start("v2_lr", parent="v1_start"), Notice) == []


def test_opening_a_second_run_finishes_the_first(start, capsys):
    one = start("v1_baseline")
    two = start("v2_lr")
    assert one.finished
    assert epochal.current() is two
    assert "v1_baseline was still open" in capsys.readouterr().err


# --- names ---------------------------------------------------------------------------------------


def test_without_a_name_one_is_suggested_and_said(start, records, capsys):
    run = start(name=None)
    assert run.name == "v1_baseline"
    assert [n.code for n in records(run, Notice)] == ["name"]
    assert "no name was given" in capsys.readouterr().err


def test_a_name_is_suggested_from_what_changed(start):
    start("v1_baseline", config={"imgsz": 640, "lr": 0.01}).finish()
    run = start(name=None, parent="v1_baseline", config={"imgsz": 1024, "lr": 0.01})
    assert run.name == "v2_imgsz_1024"


def test_the_parent_is_found_among_many_runs(start, monkeypatch):
    from epochal.run import naming

    start("v1_baseline", config={"imgsz": 640}).finish()
    for n in range(4):
        start(f"v{n + 2}_other", config={"imgsz": 1}).finish()
    monkeypatch.setattr(naming, "_RUNS", 1)
    run = start(name=None, parent="v1_baseline", config={"imgsz": 1024})
    assert run.name.endswith("_imgsz_1024")


def test_a_default_name_is_told(start, records):
    run = start("train")
    assert run.name == "train"
    assert [n.code for n in records(run, Notice)] == ["name"]


def test_a_charter_may_refuse_a_name(start, folder, tmp_path):
    (tmp_path / "epochal.toml").write_text('project = "pallets"\nnaming_policy = "refuse"\n')
    with pytest.raises(Refused):
        start("exp3")
    assert list(folder.run_folders()) == []


# --- workspace and project -----------------------------------------------------------------------


def test_the_project_is_that_of_the_nearest_charter(start, tmp_path, monkeypatch):
    (tmp_path / "epochal.toml").write_text('project = "boxes"\n')
    deep = tmp_path / "src"
    deep.mkdir()
    monkeypatch.chdir(deep)
    assert start(project=None).project == "boxes"


def test_else_the_project_is_the_folder(start, tmp_path):
    assert start(project=None).project == tmp_path.name


def test_a_charter_that_cannot_be_read_is_an_error_with_its_place(start, tmp_path):
    (tmp_path / "epochal.toml").write_text("project = \n")
    with pytest.raises(InvalidInput, match=r"epochal\.toml"):
        start(project=None)


def test_a_missing_workspace_is_made_and_said_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = epochal.init("p", "v1_baseline", capture=False)
    run.finish()
    assert Folder.at(tmp_path).root == run.workspace.root
    assert "created the workspace" in capsys.readouterr().err


def test_a_newer_workspace_is_refused_and_untouched(folder, start):
    """F38."""
    (folder.root / "format").write_text(f"{FORMAT + 1}\n")
    with pytest.raises(NewerFormat, match="upgrade"):
        start()
    assert list(folder.run_folders()) == []


@pytest.mark.parametrize("resume", ["ffffffff", "", "zz", "../../etc"])
def test_an_unknown_run_cannot_be_resumed(start, resume):
    with pytest.raises(NotFound):
        start(resume=resume)


# --- resuming ------------------------------------------------------------------------------------


def test_resuming_opens_the_next_attempt_and_hides_the_overlap(start, document, folder):
    """F44: resumed three times from earlier checkpoints: one clean line, nothing lost."""
    from epochal.store.store import Store

    run = start(config={"lr": 0.1})
    for step in range(10):
        run.log({"k": float(step)}, step=step)
    run.finish("killed")
    for attempt, begin in ((2, 7), (3, 5), (4, 8)):
        again = start(resume=run.id[:8])
        assert (again.id, again.attempt, again.name) == (run.id, attempt, run.name)
        assert again.folder == run.folder
        for step in range(begin, 10):
            again.log({"k": 100.0 * attempt + step}, step=step)
        again.finish()
    found = document(run)
    assert [a.number for a in found.attempts] == [1, 2, 3, 4]
    assert found.config == {"lr": 0.1}
    with Store(folder) as store:
        line = store.points.read(run.id, "k")
        assert line.step.tolist() == list(range(10))
        assert line.value.tolist() == [*range(5), 305, 306, 307, 408, 409]
        assert len(store.points.read(run.id, "k", superseded=True)) == 10 + 3 + 5 + 2


def test_a_resumed_run_counts_its_steps_on(start, document):
    """F43, F44: without steps of its own it must not hide what was there."""
    run = start()
    for _ in range(5):
        run.log({"k": 1.0})
    run.finish()
    again = start(resume=run.id)
    again.log({"k": 2.0})
    again.finish()
    found = document(run).metrics["k"]
    assert (found.n, found.hi) == (6, 5)


def test_two_that_resume_at_once_are_both_kept(start, document):
    """F45: a double submission."""
    run = start()
    run.log({"k": 0.0}, step=0)
    run.finish()
    one = start(resume=run.id)
    two = epochal.run.opening._open(
        project=None, name=None, config=None, parent=None, dataset=None, hypothesis="", tags=(),
        group="", resume=run.id, workspace=None, capture=False, source="", rank=0,
    )  # fmt: skip
    one.log({"one": 1.0}, step=1)
    two.log({"two": 2.0}, step=1)
    one.finish()
    two.finish()
    assert {k: s.n for k, s in document(run).metrics.items()} == {"k": 1, "one": 1, "two": 1}


# --- lightness -----------------------------------------------------------------------------------

HEAVY = [
    "numpy", "rich", "plotext", "psutil", "zstandard", "blake3", "lark", "yaml", "torch",
    "ultralytics", "sqlite3", "click", "starlette", "uvicorn", "asyncio", "http", "ssl",
    "epochal.store", "epochal.cli", "epochal.evaluation", "epochal.datasets", "epochal.server",
]  # fmt: skip


@pytest.mark.parametrize(
    "source",
    [
        "import epochal",
        "import epochal; epochal.init('p', 'v1_baseline', capture=False).log({'k': 1.0})",
        "import epochal; epochal.init('p', parent='x', config={'lr': 1}, capture=False)",
    ],
    ids=["import", "log", "unnamed"],
)
def test_a_training_process_stays_light(tmp_path, source):
    """G8, G35: the standard library and msgspec, until something asks for more."""
    check = f"{source}\nimport sys\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_error_of_ours_at_the_opening_does_not_stop_the_training(start, monkeypatch, capsys):
    """F12: whatever breaks inside, the script goes on with a silent run."""
    from epochal.run import opening

    monkeypatch.setattr(opening, "settle_name", lambda *a: 1 / 0)
    run = start()
    run.log({"k": 1.0})
    run.finish()
    assert run.silent
    assert "NOT recorded: ZeroDivisionError" in capsys.readouterr().err


def test_errors_on_purpose_are_all_of_one_kind():
    for kind in (InvalidInput, NewerFormat, NotFound, Refused):
        assert issubclass(kind, EpochalError)
