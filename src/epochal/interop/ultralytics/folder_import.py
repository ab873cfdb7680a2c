"""Taking in a finished training's folder, exactly once.

The run's id comes from what the training says of itself (its folder at birth and its first
epoch), so that a copy on another disk is the same run and a second import changes nothing.
Epochs are a stream: a later import goes on where the earlier one stopped. Files, evaluations and
the end are facts: each is said once, and again only when it has changed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from epochal.analysis.ultralytics_defaults import ULTRALYTICS_DEFAULTS
from epochal.capture.redaction import redact
from epochal.errors import EpochalError, InvalidInput, NotFound
from epochal.evaluation import Evaluation, ultralytics_evaluator
from epochal.evaluation.files import evaluate_files
from epochal.evaluation.storage import store_evaluation
from epochal.interop.importing import (
    NO_PROCESS,
    ImportedRun,
    ImportReport,
    Stream,
    derived_id,
    purged_runs,
)
from epochal.interop.ultralytics.checkpoint import checkpoint_facts
from epochal.interop.ultralytics.facts import Facts
from epochal.interop.ultralytics.layout import given_name, given_project, output_files
from epochal.interop.ultralytics.marker import read_marker
from epochal.interop.ultralytics.results_table import Row, Table, read_table
from epochal.journal.folder import Folder
from epochal.journal.reader import read_journal
from epochal.records import (
    AnyBody,
    Artifact,
    Config,
    Finished,
    Metrics,
    Notice,
    Opened,
    Pinned,
    Summary,
    to_wire,
)
from epochal.run.mirror import portions
from epochal.run.naming import suggested_name
from epochal.run.opening import default_project
from epochal.run.values import plain
from epochal.store.blobs import Blobs, artifact_key
from epochal.version import __version__

__all__ = ["import_folder"]

_SYSTEM = "ultralytics"
_STILL_WRITTEN = 3600.0
"""Seconds since the last write after which an unfinished training is taken for dead."""
_MOST_YAML = 1 << 20
_COLUMNS = 100
"""Of one record, so that its line keeps its limit."""


def import_folder(path: Path, *, workspace: Path, **intent: Any) -> ImportReport:
    """Take in the training that left the folder `path`.

    Parameters
    ----------
    path
        The folder with ``results.csv``, such as ``runs/detect/train``.
    workspace
        Where to record.
    **intent
        ``project``, ``name``, ``parent``, ``dataset``, ``hypothesis``, ``tags``, ``group``: what
        a person says about the run; stronger than what the folder says.

    Returns
    -------
    ImportReport
        With every file, line and entry that could not be taken in.

    Raises
    ------
    NotFound
        If there is no such folder.
    InvalidInput
        If nothing in it is a training's.
    """
    if not path.is_dir():
        raise NotFound(f"no folder {path}", "name a training's folder, such as runs/detect/train")
    return _FolderImport(path, Folder.at(workspace), intent).report()


class _FolderImport:
    """One import of one folder."""

    def __init__(self, path: Path, folder: Folder, intent: dict[str, Any]) -> None:
        self.path = path.absolute()
        self.called = str(plain(self.path.name))  # a name on disk need not be text
        self.folder = folder
        self.blobs = Blobs(folder.blobs)
        self.intent = {key: value for key, value in intent.items() if value}
        self.source = f"{_SYSTEM}:{plain(str(self.path))}"
        self.problems: list[str] = []
        self.left_out: list[str] = []
        self.args = self._read_args()
        asked = self.args.get("epochs")
        self.epochs = asked if isinstance(asked, int) else None
        self.table = self._read_table()
        self.checkpoint = self._read_checkpoint()
        self.version = str(self.checkpoint.get("version", ""))

    def report(self) -> ImportReport:
        """Import, and say what was done."""
        runs: tuple[ImportedRun, ...] = ()
        live = self._recorded_live()
        if live:
            self.left_out.append(f"{self.path}: recorded while it trained, as run {live[:8]}")
        elif not self.table.attempts:
            self._refuse_what_is_no_training()
            self.left_out.append(f"{self.path}: no epoch was completed")
        else:
            runs = self._import()
        return ImportReport(
            system=_SYSTEM,
            source=str(plain(str(self.path))),
            runs=runs,
            problems=tuple(plain(self.problems)),
            left_out=tuple(plain(self.left_out)),
        )

    # --- what the folder says ------------------------------------------------------------------

    def _read_args(self) -> dict[str, Any]:
        path = self.path / "args.yaml"
        try:
            with path.open("rb") as file:
                found = yaml.safe_load(file.read(_MOST_YAML))
        except FileNotFoundError:
            self.problems.append(f"{path}: not there; what was asked for is unknown")
            return {}
        except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
            self.problems.append(f"{path}: {_first_line(error)}")
            return {}
        if not isinstance(found, dict):
            self.problems.append(f"{path}: holds no arguments")
            return {}
        # Arguments are flat. What is not is none, and a few aliases can stand for gigabytes.
        odd = [str(key)[:40] for key, value in found.items() if not _is_argument(value)]
        self.problems += [f"{path}: {key!r} holds no argument" for key in odd[:10]]
        flat = {str(key): plain(value) for key, value in found.items() if _is_argument(value)}
        clean, _ = redact(flat)
        return dict(clean)

    def _read_table(self) -> Table:
        path = self.path / "results.csv"
        try:
            table = read_table(path, self.epochs)
        except FileNotFoundError:
            return Table()
        except OSError as error:
            self.problems.append(f"{path}: {error.strerror}")
            return Table()
        self.problems += table.problems
        return table

    def _read_checkpoint(self) -> dict[str, str | int | float]:
        for name in ("last.pt", "best.pt"):
            path = self.path / "weights" / name
            if path.is_file():
                facts = checkpoint_facts(path)
                if facts:
                    return facts
                self.problems.append(f"{path}: no checkpoint that can be read; kept as it is")
        return {}

    def _recorded_live(self) -> str:
        marker = read_marker(self.path)
        return marker.run if marker and self.folder.run_folder(marker.run) else ""

    def _refuse_what_is_no_training(self) -> None:
        if self.args or (self.path / "results.csv").exists():
            return
        if (self.path / "predictions.json").is_file() or (self.path / "labels").is_dir():
            raise InvalidInput(
                f"{self.path} is a validation's folder: nothing in it says whose weights it used",
                f"`epochal evaluate RUN --ground-truth DATA.yaml --predictions {self.path}`",
            )
        raise InvalidInput(
            f"{self.path} is no training's folder: it has neither results.csv nor args.yaml",
            "name one such as runs/detect/train",
        )

    # --- the run -------------------------------------------------------------------------------

    def _import(self) -> tuple[ImportedRun, ...]:
        born = str(self.args.get("save_dir") or self.args.get("name") or self.called)
        run = derived_id(_SYSTEM, born, self.table.first_line)
        if run in purged_runs(self.folder):
            self.left_out.append(f"{self.path}: its run {run[:8]} was purged")
            return ()
        config, effective = self._config()
        opened = self._opened(run, config) or self._opening(run, config)
        new, known = self._say_config(run, opened.name, config, effective)
        for number, (rows, begun) in enumerate(self._timed_attempts(), start=1):
            first = opened if number == 1 else msgspec.structs.replace(opened, attempt=number)
            with Stream(
                self.folder, run, opened.name, f"attempt {number}", attempt=number
            ) as stream:
                stream.say(first, begun)
                for row in rows:
                    for metrics in _metrics(row):
                        stream.say(metrics, _time_of(row, begun))
                new, known = new + stream.new, known + stream.known
            is_last = number == len(self.table.attempts)
            facts = Facts(self.folder, run, number, derived_id("facts", run, str(number)))
            try:
                for body in self._facts(opened, is_last):
                    facts.say(body, self._ended(rows, begun))
            finally:
                facts.close()
            new, known = new + facts.new, known + facts.known
        return (
            ImportedRun(
                id=run,
                name=opened.name,
                project=opened.project,
                source=self.source,
                new=new,
                known=known,
            ),
        )

    def _say_config(
        self, run: str, name: str, config: dict[str, Any], effective: dict[str, Any]
    ) -> tuple[int, int]:
        """Record the arguments; those of the first import stand, as resuming rewrites them."""
        _, begun = next(self._timed_attempts())
        with Stream(self.folder, run, name, "arguments") as stream:
            for part in portions(config):
                stream.say(Config(values=part), begun)
            for part in portions(effective):
                stream.say(Config(values=part, role="effective"), begun)
            return stream.new, stream.known

    def _config(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was asked for, as far as it can be told from the defaults; and all."""
        always = ("task", "model", "data", "imgsz", "epochs", "batch")
        asked = {
            key: value
            for key, value in self.args.items()
            if value is not None
            and key not in ("mode", "save_dir")
            and (key in always or ULTRALYTICS_DEFAULTS.get(key, value) != value)
        }
        return asked, self.args

    def _opened(self, run: str, config: dict[str, Any]) -> Opened | None:
        """Return what an earlier import said when it opened the run."""
        place = self.folder.run_folder(run)
        path = place / "journal" if place else None
        writer = derived_id("stream", run, "attempt 1")
        if path is None or not (path / f"{writer}.jsonl").is_file():
            return None
        for line in read_journal(path / f"{writer}.jsonl").lines:
            if line.entry is not None and isinstance(line.entry.body, Opened):
                return line.entry.body
        return None

    def _opening(self, run: str, config: dict[str, Any]) -> Opened:
        args_name, args_project = (str(self.args.get(k) or "") for k in ("name", "project"))
        project = str(
            self.intent.get("project")
            or given_project(args_project)
            or default_project(self.folder)
        )
        parent = self.intent.get("parent")
        name = self.intent.get("name") or given_name(self.called, args_project)
        if not name:
            name = given_name(args_name, args_project)
        return Opened(
            run=run,
            attempt=1,
            project=project,
            name=str(name or suggested_name(self.folder, project, parent, config)),
            parent=parent,
            dataset=self.intent.get("dataset") or str(self.args.get("data") or "") or None,
            hypothesis=str(self.intent.get("hypothesis", "")),
            group=str(self.intent.get("group", "")),
            tags=tuple(self.intent.get("tags", ())),
            source=self.source,
            owner=NO_PROCESS,
        )

    # --- when ----------------------------------------------------------------------------------

    def _timed_attempts(self) -> Iterator[tuple[list[Row], int]]:
        """Yield each attempt with its beginning: the file knows only when it was last written."""
        end = (self.path / "results.csv").stat().st_mtime
        begun: list[float] = []
        for rows in reversed(self.table.attempts):
            last = rows[-1].time
            end -= last if math.isfinite(last) and last > 0 else 0.0
            begun.append(end)
        for rows, seconds in zip(self.table.attempts, reversed(begun), strict=True):
            yield rows, int(seconds * 1e6)

    @staticmethod
    def _ended(rows: list[Row], begun: int) -> int:
        return _time_of(rows[-1], begun)

    # --- facts ---------------------------------------------------------------------------------

    def _facts(self, opened: Opened, is_last: bool) -> Iterator[AnyBody]:
        if not is_last:
            yield Finished(status="killed", reason="ended without a word; a later start went on")
            return
        if opened.name != self.called:
            text = f"imported from a folder called {self.called}"
            yield Notice(code="name", text=text)
        yield from self._artifacts()
        yield from self._pin(opened)
        yield Summary(values=self._summary())
        yield from self._evaluations()
        if outcome := self._outcome():
            yield Finished(status=outcome[0], reason=outcome[1])

    def _artifacts(self) -> Iterator[AnyBody]:
        for key, path, role in output_files(self.path):
            try:
                key = artifact_key(key)
                digest = self.blobs.put_file(path)
                size = self.blobs.path(digest).stat().st_size
            except (OSError, EpochalError) as error:
                self.problems.append(f"{path}: {_first_line(error)}")
                continue
            yield Artifact(key=key, digest=digest, size=size, role=role)

    def _pin(self, opened: Opened) -> Iterator[AnyBody]:
        if opened.dataset:
            yield Pinned(
                dataset=opened.dataset,
                state="unchecked",
                detail="imported: the data may have changed since it was trained on",
            )

    def _summary(self) -> dict[str, Any]:
        best = self.path / "weights" / "best.pt"
        found: dict[str, Any] = {"epochs_done": self.table.epochs}
        if self.epochs is not None:
            found["stopped_early"] = self.table.epochs < self.epochs
        if best.is_file():
            found["model_size"] = best.stat().st_size
        if self.version:
            found["ultralytics"] = self.version
        return found

    def _evaluations(self) -> Iterator[AnyBody]:
        if self.table.final is not None:
            printed = self._printed(self.table.final)
            if printed is not None:
                yield store_evaluation(self.blobs, printed)
        predictions = self.path / "predictions.json"
        if not predictions.is_file():
            predictions = self.path / "labels"
        if not predictions.exists():
            return
        data = self.path / str(self.args.get("data") or "")
        if not data.is_file():
            self.left_out.append(
                f"{predictions}: the data they were made on is not here ({data.name or 'unknown'})"
            )
            return
        try:
            evaluation, matches, boxes = evaluate_files(
                data, predictions, split="val", weights=self._best(), weights_name="best.pt"
            )
        except (EpochalError, OSError) as error:
            self.problems.append(f"{predictions}: {_first_line(error)}")
            return
        yield store_evaluation(self.blobs, evaluation, matches, boxes)

    def _printed(self, row: Row) -> Evaluation | None:
        """Return the final row as the evaluation it is: numbers of the best weights."""
        names = {
            key: key.removeprefix("metrics/").removesuffix("(B)")
            for key in row.values
            if key.startswith("metrics/")
        }
        if not names:
            return None
        return Evaluation(
            task=str(self.args.get("task") or "detect"),
            split="val",
            dataset=str(self.args.get("data") or ""),
            images=0,
            weights=self._best(),
            weights_name="best.pt",
            evaluator=ultralytics_evaluator(self.version or "unknown"),
            classes=(),
            metrics={name: _known(row.values[key]) for key, name in names.items()},
            source=f"{_SYSTEM} {self.version} last row of results.csv".replace("  ", " "),
            created_by=f"epochal/{__version__}",
        )

    def _best(self) -> str:
        best = self.path / "weights" / "best.pt"
        return self.blobs.put_file(best) if best.is_file() else ""

    def _outcome(self) -> tuple[Literal["finished", "killed"], str] | None:
        """Return how the last attempt ended; None while it may still be trained."""
        is_stripped = self.checkpoint.get("epoch") == -1
        is_drawn = (self.path / "results.png").is_file()
        done = self.table.epochs
        if is_stripped or is_drawn or (self.epochs is not None and done >= self.epochs):
            return "finished", ""
        written = (self.path / "results.csv").stat().st_mtime
        if time.time() - written < _STILL_WRITTEN:
            return None
        when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(written))
        of = f" of {self.epochs}" if self.epochs is not None else ""
        return "killed", f"epoch {done}{of} was the last; nothing was written since {when} UTC"


def _is_argument(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return not any(isinstance(item, list | dict | set | tuple) for item in items)


def _metrics(row: Row) -> Iterator[Metrics]:
    items = [(key, to_wire(value)) for key, value in row.values.items()]
    for start in range(0, len(items), _COLUMNS):
        values = dict(items[start : start + _COLUMNS])
        yield Metrics(values=values, step=row.epoch, epoch=row.epoch)


def _time_of(row: Row, begun: int) -> int:
    return begun + int(row.time * 1e6) if math.isfinite(row.time) else begun + row.epoch


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
