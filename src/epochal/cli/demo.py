"""``epochal demo``: two small trainings, told as the commands a user would give."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from epochal.cli.common import console, json_option, print_json
from epochal.errors import Refused

if TYPE_CHECKING:
    import epochal
    from epochal.demo.training import Settings

__all__ = ["demo_command"]

_MARKER = ".made-by-epochal-demo"
_DATASET = "shapes@v1"
_TOML = """\
# The demo's charter; everything it does not name is the default. `epochal init` writes a full,
# commented one.
project = "shapes"
metric = "mAP50-95"
min_gain = 0.5
dataset_policy = "require"
"""


@click.command("demo")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("epochal-demo"))
@click.option("--again", is_flag=True, help="Start over where an earlier demo left its folder.")
@json_option
def demo_command(folder: Path, again: bool, as_json: bool) -> None:
    """See the whole path: two real trainings, compared, noted and decided.

    Draws a dataset of coloured shapes in FOLDER, trains a small detector on it twice (NumPy only,
    the second with larger images), and asks the questions that Epochal is for. About a minute.
    """
    _prepare(folder, again)
    _one_thread()
    with _inside(folder):
        if as_json:
            with contextlib.redirect_stdout(io.StringIO()):
                _story()
            print_json(_outcome(folder))
        else:
            _story()
            _what_next(folder)


def _one_thread() -> None:
    """Keep NumPy from splitting products this small: threads that wait cost more than they do."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _prepare(folder: Path, again: bool) -> None:
    """Make an empty folder; one with somebody's files in it is left alone."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARKER).is_file():
            raise Refused(f"{folder} is not empty", "name a folder that does not exist yet")
        if not again:
            raise Refused(
                f"{folder} holds an earlier demo",
                f"look at it with `epochal runs --workspace {folder}`, or start over with --again",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARKER).touch()


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Act in `folder` and its own workspace, whatever the environment says."""
    told = {key: os.environ.pop(key) for key in list(os.environ) if key.startswith("EPOCHAL_")}
    os.environ["EPOCHAL_QUIET"] = "1"
    # Named, because one that is only found would be that of a repository around the folder.
    os.environ["EPOCHAL_WORKSPACE"] = str(folder.absolute())
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        del os.environ["EPOCHAL_QUIET"], os.environ["EPOCHAL_WORKSPACE"]
        os.environ.update(told)


def _story() -> None:
    from epochal.demo.measuring import measure
    from epochal.demo.scenes import write_dataset
    from epochal.demo.training import Settings

    _say("A dataset, and rules that are fixed before there are numbers.")
    data = write_dataset(Path("shapes").absolute())
    Path("epochal.toml").write_text(_TOML)
    _command("init")
    _command("dataset", "tag", "shapes/data.yaml", _DATASET, "-m", "first labelling campaign")

    _say("A first training, pinned to that version.")
    first, first_weights = _train("v1_baseline", Settings(imgsz=64), None, "", data)
    measure(first, first_weights, data, "val", _DATASET)
    first.finish()
    _command("baseline", "v1_baseline", "-m", "the first run is what others are measured against")

    _say("One thing changed: the image size. What is expected is written down before.")
    second, second_weights = _train(
        "v2_imgsz_96",
        Settings(imgsz=96),
        "v1_baseline",
        "small shapes vanish at 64 pixels; at 96 all classes gain",
        data,
    )
    measure(second, second_weights, data, "val", _DATASET)
    second.finish()

    _say("Side by side.")
    _command("compare", "v1_baseline", "v2_imgsz_96")

    _say("Does it ship? Val alone does not decide.")
    _command("decide", "v2_imgsz_96")

    _say("Val has earned the look at the test images. The ledger counts it.")
    _look(first.id, first_weights, data)
    _look(second.id, second_weights, data)
    _command("ledger", "show")
    _command("decide", "v2_imgsz_96")

    _say("The lesson, drafted from the numbers, found again by searching.")
    _command("lesson", "v2_imgsz_96", "--accept-draft", "--next", "try 128 pixels, mind latency")
    _command("lessons", "small shapes")


def _train(
    name: str, settings: Settings, parent: str | None, hypothesis: str, data: Path
) -> tuple[epochal.Run, Path]:
    """Train and record a run, as a script with `epochal.init` does; the run stays open."""
    from dataclasses import asdict

    import epochal
    from epochal.demo.training import train

    run = epochal.init(
        "shapes",
        name,
        config=asdict(settings),
        parent=parent,
        dataset=_DATASET,
        hypothesis=hypothesis,
    )
    with _epochs(name, settings.epochs) as on_epoch:
        return run, train(run, data, settings, on_epoch)


class _epochs:
    """A line that follows the epochs; where nobody watches, only the last value is printed."""

    def __init__(self, name: str, epochs: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._value = 0.0
        self._name = name
        self._console = console()
        self._bar = Progress(
            TextColumn("  training {task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("epochs   val mAP50-95 {task.fields[value]:.1f}"),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task(name, total=epochs, value=0.0)

    def __enter__(self) -> _epochs:
        self._bar.start()
        return self

    def __call__(self, epoch: int, value: float) -> None:
        self._value = 100 * value
        self._bar.update(self._task, completed=epoch, value=self._value)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        self._console.print(f"  trained {self._name}: val mAP50-95 {self._value:.1f} at the end\n")


def _look(run: str, weights: Path, data: Path) -> None:
    """Measure a finished run on test, from outside its training."""
    from epochal.demo.measuring import measure
    from epochal.journal.folder import Folder
    from epochal.run.opening import join
    from epochal.store.store import Store

    folder = Folder.at(Path())
    with Store(folder) as store:
        document = store.run(run)
    joined = join(str(folder.root), run, document.name, document.project, attempt=1)
    measure(joined, weights, data, "test", _DATASET)
    joined.finish()


def _say(text: str) -> None:
    click.echo(click.style(f"\n# {text}", fg="cyan", bold=True))


def _command(*arguments: str) -> None:
    """Show a command as a user would give it, and run it."""
    from epochal.cli import main

    click.echo(click.style(f"$ epochal {shlex.join(arguments)}", bold=True))
    try:
        main.main(list(arguments), prog_name="epochal", standalone_mode=False)
    except SystemExit as ended:
        # `decide` tells by its exit code; an error would have been printed, and ends the demo.
        if ended.code not in (None, 0, 1):
            raise
    click.echo()


def _what_next(folder: Path) -> None:
    program = "epochal" if shutil.which("epochal") else _relative(Path(sys.argv[0]))
    here = f"--workspace {shlex.quote(str(folder))}"
    click.echo(click.style("# What to look at next", fg="cyan", bold=True))
    for command, why in (
        (f"ui {shlex.quote(str(folder))}", "the same in the browser: curves, classes, gates"),
        (f"decide v2_imgsz_96 --explain {here}", "every number behind the verdict"),
        (f"show v2_imgsz_96 {here}", "all that was recorded about a run"),
        ("init", "in your own project; then `epochal run -- yolo train ...`"),
    ):
        click.echo(f"  {program} {command}\n      {why}")


def _relative(path: Path) -> str:
    """Return `path` as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _outcome(folder: Path) -> dict[str, object]:
    """Return the demo's result for programs."""
    from epochal.decisions.decision import decisions
    from epochal.journal.folder import Folder
    from epochal.store.store import Store

    with Store(Folder.at(Path())) as store:
        return {
            "folder": str(folder),
            "runs": [{"id": d.id, "name": d.name} for d in store.runs("shapes")],
            "decision": decisions(store, "shapes")[-1],
        }
