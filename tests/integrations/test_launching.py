"""``epochal run -- CMD``: the command as it would have run by itself, and a trace of its end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import epochal
from epochal.integrations.intent import Intent
from epochal.integrations.launches import numbered
from epochal.journal.folder import Folder
from epochal.store.documents import RunDocument
from epochal.store.store import Store

CURVES = Path(__file__).parent.parent / "data" / "curves"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    Folder.create(tmp_path)
    return tmp_path


def launch(here: Path, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "epochal", "run", *argv],
        cwd=here,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=300,
    )


def environment(**env: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("EPOCHAL_")} | env


def python(code: str) -> tuple[str, str, str]:
    return sys.executable, "-c", textwrap.dedent(code)


def runs(here: Path) -> list[tuple[RunDocument, str]]:
    with Store(Folder.at(here)) as store:
        return [(run, store.status(run)) for run in store.runs()]


def test_output_and_exit_code_are_the_commands(here: Path) -> None:
    done = launch(here, "--", *python("print('out'); import sys; sys.exit(7)"))
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert launch(here, "--", "true").returncode == 0
    assert launch(here, "true", "--help").returncode == 0  # what follows is the command's own


def test_a_command_that_failed_leaves_a_failed_run(here: Path) -> None:
    launch(here, "--name", "v1_typo", "--project", "p", "--tags", "a,b", "--", "false")
    ((run, status),) = runs(here)
    assert status == "failed"
    assert (run.name, run.project, run.tags) == ("v1_typo", "p", ("a", "b"))
    assert run.attempts[0].reason == "exit code 1 before a training began"
    assert run.config == {"command": "false"}


def test_a_command_that_went_well_and_trained_nothing_leaves_nothing(here: Path) -> None:
    launch(here, "--name", "v1_nothing", "--", "true")
    assert runs(here) == []


@pytest.fixture
def strict(here: Path) -> str:
    """A data.yaml that nobody tagged, in a project whose charter requires tags."""
    (here / "epochal.toml").write_text('project = "p"\ndataset_policy = "require"\n')
    (here / "images").mkdir()
    (here / "images/0.jpg").write_bytes(b"image")
    (here / "data.yaml").write_text("train: images\nval: images\nnames: [pallet]\n")
    return "data.yaml"


def test_a_training_whose_data_is_refused_leaves_no_run(here: Path, strict: str) -> None:
    train = "import epochal; epochal.init(dataset='data.yaml', capture=False)"
    done = launch(here, "--", *python(train))
    assert done.returncode == 1
    assert "Refused: the charter requires a tagged dataset" in done.stderr
    assert "epochal dataset tag" in done.stderr
    assert runs(here) == []
    assert not list(Folder.at(here).root.glob(".refused*"))
    untold = python("import epochal; epochal.init(capture=False)")
    assert launch(here, "--dataset", strict, "--", *untold).returncode == 1
    assert runs(here) == []


def test_a_failure_whose_data_would_be_refused_keeps_its_exit_code(
    here: Path, strict: str
) -> None:
    done = launch(here, "--dataset", strict, "--", *python("import sys; sys.exit(7)"))
    assert done.returncode == 7
    assert "the failure is not recorded: the charter requires a tagged dataset" in done.stderr
    assert runs(here) == []


def test_no_such_command(here: Path) -> None:
    done = launch(here, "--", "no-such-command")
    assert done.returncode == 127
    assert "there is no command 'no-such-command'" in done.stderr
    (here / "plain.txt").write_text("")
    assert launch(here, "--", "./plain.txt").returncode == 126
    assert launch(here).returncode == 2
    assert runs(here) == []


def test_what_was_said_reaches_a_script_that_records_itself(here: Path) -> None:
    script = """
        import epochal
        with epochal.init(config={"lr": 1}, capture=False) as run:
            run.log({"loss": 1.0})
        """
    said = ("--name", "v1_said", "--project", "p", "--hypothesis", "it works", "--group", "g")
    done = launch(here, *said, "--", *python(script))
    assert done.returncode == 0, done.stderr
    ((run, status),) = runs(here)
    assert status == "finished"
    assert (run.name, run.project, run.group) == ("v1_said", "p", "g")
    assert run.hypothesis == "it works"
    assert run.attempts[0].launch


def test_a_script_that_recorded_and_then_failed_is_recorded_once(here: Path) -> None:
    script = """
        import epochal
        epochal.init(name="v1_breaks", capture=False)
        raise ValueError("too much")
        """
    assert launch(here, "--", *python(script)).returncode == 1
    ((run, status),) = runs(here)
    assert status == "failed"
    assert run.attempts[0].reason == "ValueError: too much"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_signals_go_on_to_the_command(here: Path, number: signal.Signals) -> None:
    script = """
        import signal, sys, time
        def leave(number, frame):
            sys.exit(40 + number)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, leave)
        print("ready", flush=True)
        time.sleep(600)
        """
    with subprocess.Popen(
        [sys.executable, "-m", "epochal", "run", "--", *python(script)],
        cwd=here,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(timeout=300) == 40 + number


def test_a_command_that_was_killed_says_so(here: Path) -> None:
    done = launch(here, "--", *python("import os; os.kill(os.getpid(), 9)"))
    assert done.returncode == 128 + signal.SIGKILL
    ((run, status),) = runs(here)
    assert status == "killed"
    assert "signal 9" in run.attempts[0].reason


def test_a_python_without_epochal_is_followed_by_its_output_folder(here: Path) -> None:
    shutil.copy(CURVES / "yolov8n_imgsz96.csv", here / "table.csv")
    # -I: neither PYTHONPATH nor the user's packages, as in an environment of its own.
    script = """
        import pathlib, shutil
        folder = pathlib.Path("runs/detect/train"); folder.mkdir(parents=True)
        shutil.copyfile("table.csv", folder / "results.csv")
        (folder / "args.yaml").write_text("epochs: 12\\nimgsz: 96\\n")
        """
    code = textwrap.dedent(script)
    said = ("--name", "v1_apart", "--tags", "x")
    done = launch(here, *said, "--", sys.executable, "-I", "-c", code)
    assert "took in" in done.stderr
    ((run, status),) = runs(here)
    assert status == "finished"
    assert (run.name, run.tags) == ("v1_apart", ("x",))
    assert run.metrics["metrics/mAP50-95(B)"].n == 12


def test_an_older_folder_is_not_taken_for_the_commands(here: Path) -> None:
    folder = here / "runs" / "detect" / "train"
    folder.mkdir(parents=True)
    shutil.copyfile(CURVES / "yolov8n_imgsz96.csv", folder / "results.csv")
    old = time.time() - 3600
    os.utime(folder / "results.csv", (old, old))
    launch(here, "--", "true")
    assert runs(here) == []


def test_the_users_own_sitecustomize_still_runs(here: Path) -> None:
    (here / "own").mkdir()
    (here / "own" / "sitecustomize.py").write_text("import builtins; builtins.OWN = 'yes'\n")
    done = launch(here, "--", *python("print(OWN)"), PYTHONPATH=str(here / "own"))
    assert done.stdout == "yes\n"


def test_a_framework_is_armed_when_it_is_imported_and_not_before(here: Path) -> None:
    package = here / "lib" / "ultralytics"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("value = 1\n")
    script = """
        import sys
        assert not any(name.startswith("epochal") for name in sys.modules)
        import ultralytics
        print(ultralytics.value, ultralytics.__spec__.loader.__class__.__name__)
        """
    done = launch(here, "--", *python(script), PYTHONPATH=str(here / "lib"))
    # It has no callbacks to arm, which is told only to those who ask.
    assert done.stdout == "1 SourceFileLoader\n"
    assert done.stderr == ""
    strict = launch(here, "--", *python(script), PYTHONPATH=str(here / "lib"), EPOCHAL_STRICT="1")
    assert "ultralytics is not recorded" in strict.stderr


def test_a_launch_that_trains_more_than_once_gives_each_its_name(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder.at(here)
    monkeypatch.setenv("EPOCHAL_LAUNCH", "0123456789abcdef")
    for expected in ("v1_seeds", "v1_seeds_2", "v1_seeds_3"):
        name = numbered(folder, "v1_seeds", "0123456789abcdef")
        assert name == expected
        epochal.init(name=name, project="p", workspace=here, capture=False).finish()
    assert numbered(folder, "v1_seeds", "another") == "v1_seeds"
    assert numbered(folder, "v1_other", "0123456789abcdef") == "v1_other"
    assert numbered(folder, "v1_seeds", "") == "v1_seeds"


def test_intent_survives_the_environment() -> None:
    intent = Intent(project="p", name="v1", hypothesis="a, b", tags=("x", "y"))
    assert Intent.from_environment(intent.environment()) == intent
    assert Intent.from_environment({}) == Intent()
    assert intent.arguments() == {
        "project": "p",
        "name": "v1",
        "hypothesis": "a, b",
        "tags": ("x", "y"),
    }


@pytest.mark.skipif(shutil.which("script") is None, reason="needs script(1) for a terminal")
def test_ctrl_c_reaches_the_command_once(here: Path) -> None:
    (here / "command.py").write_text(
        textwrap.dedent("""
        import signal, sys, time
        count = 0
        def interrupted(number, frame):
            global count
            count += 1
        signal.signal(signal.SIGINT, interrupted)
        print("ready", flush=True)
        until = time.monotonic() + 300
        while not count and time.monotonic() < until:
            signal.sigtimedwait([], 0.05)
        end = time.monotonic() + 0.5  # a second one would come at once
        while time.monotonic() < end:
            signal.sigtimedwait([], 0.05)
        print("interrupted", count, flush=True)
        sys.exit(count)
        """)
    )
    # exec: a shell in between is interrupted too, and dash then answers 130 for its child.
    command = f"exec {sys.executable} -m epochal run -- {sys.executable} command.py"
    with subprocess.Popen(
        ["script", "-qec", command, "/dev/null"],
        cwd=here,
        env={**environment(), "SHELL": "/bin/sh"},  # script asks the user's, which may be any
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert b"ready" in process.stdout.readline()
        process.stdin.write(b"\x03")
        process.stdin.flush()
        said = process.stdout.read()
        assert b"interrupted 1" in said, said
        assert process.wait(timeout=300) == 1
