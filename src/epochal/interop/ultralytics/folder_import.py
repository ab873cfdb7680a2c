"""Taking in a finished training's folder, exactly once.

The run's id comes from what the training says of itself (its folder at birth and its first
epoch), so that a copy on another disk is the same run and a second import changes nothing.
Epochs are a stream: a later import goes on where the earlier one stopped. Files, evaluations and
the end are facts: each is said once, and again only when it has changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from epochal.errors import EpochalError, InvalidInput, NotFound
from epochal.evaluation import Evaluation, ultralytics_evaluator
from epochal.evaluation.files import evaluate_files
from epochal.evaluation.storage import store_evaluation
from epochal.interop.facts import Facts
from epochal.interop.importing import (
    NO_PROCESS,
    ImportedRun,
    ImportReport,
    Stream,
    derived_id,
    purged_runs,
)
from epochal.interop.ultralytics.arguments import asked_for
from epochal.interop.ultralytics.layout import given_name, given_project, output_files
from epochal.interop.ultralytics.marker import read_marker
from epochal.interop.ultralytics.results_table import Row
from epochal.interop.ultralytics.training_folder import TrainingFolder, first_line
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
from epochal.run.naming import suggested_name
from epochal.run.opening import default_project
from epochal.run.values import plain, portions
from epochal.store.blobs import Blobs, artifact_key
from epochal.version import __version__

__all__ = ["import_folder"]

_SYSTEM = "ultralytics"
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
    said = {key: value for key, value in intent.items() if value}
    return _FolderImport(TrainingFolder(path), Folder.at(workspace), said).report()


class _FolderImport:
    """One import of one folder."""

    def __init__(
        self, training: TrainingFolder, workspace: Folder, intent: dict[str, Any]
    ) -> None:
        self.training = training
        self.workspace = workspace
        self.blobs = Blobs(workspace.blobs)
        self.intent = intent
        self.source = f"{_SYSTEM}:{plain(str(training.path))}"
        self.left_out: list[str] = []

    def report(self) -> ImportReport:
        """Import, and say what was done."""
        place = self.training.path
        runs: tuple[ImportedRun, ...] = ()
        marker = read_marker(place)
        if marker and self.workspace.run_folder(marker.run):
            self.left_out.append(f"{place}: recorded while it trained, as run {marker.run[:8]}")
        elif not self.training.is_training:
            self._refuse()
        elif not self.training.table.attempts:
            self.left_out.append(f"{place}: no epoch was completed")
        else:
            runs = self._import()
        return ImportReport(
            system=_SYSTEM,
            source=str(plain(str(place))),
            runs=runs,
            problems=tuple(plain(self.training.problems)),
            left_out=tuple(plain(self.left_out)),
        )

    def _refuse(self) -> None:
        place = self.training.path
        if self.training.predictions is not None:
            raise InvalidInput(
                f"{place} is a validation's folder: nothing in it says whose weights it used",
                f"`epochal evaluate RUN --ground-truth DATA.yaml --predictions {place}`",
            )
        raise InvalidInput(
            f"{place} is no training's folder: it has neither results.csv nor args.yaml",
            "name one such as runs/detect/train",
        )

    # --- the run -------------------------------------------------------------------------------

    def _import(self) -> tuple[ImportedRun, ...]:
        training = self.training
        born = training.text("save_dir") or training.text("name") or training.name
        run = derived_id(_SYSTEM, born, training.table.first_line)
        if run in purged_runs(self.workspace):
            self.left_out.append(f"{training.path}: its run {run[:8]} was purged")
            return ()
        opened = self._opened(run) or self._opening(run)
        counts = [self._say_arguments(opened)]
        for number, (rows, begun) in enumerate(training.attempts(), start=1):
            attempt = msgspec.structs.replace(opened, attempt=number)
            counts.append(self._say_epochs(attempt, rows, begun))
            counts.append(self._say_facts(attempt, _time_of(rows[-1], begun)))
        return (
            ImportedRun(
                id=run,
                name=opened.name,
                project=opened.project,
                source=self.source,
                new=sum(new for new, _ in counts),
                known=sum(known for _, known in counts),
            ),
        )

    def _opened(self, run: str) -> Opened | None:
        """Return what an earlier import said when it opened the run."""
        place = self.workspace.run_folder(run)
        writer = derived_id("stream", run, "attempt 1")
        if place is None or not (place / "journal" / f"{writer}.jsonl").is_file():
            return None
        for line in read_journal(place / "journal" / f"{writer}.jsonl").lines:
            if line.entry is not None and isinstance(line.entry.body, Opened):
                return line.entry.body
        return None

    def _opening(self, run: str) -> Opened:
        training, said = self.training, self.intent
        in_project = training.text("project")
        project = str(
            said.get("project") or given_project(in_project) or default_project(self.workspace)
        )
        parent = said.get("parent")
        name = (
            said.get("name")
            or given_name(training.name, in_project)
            or given_name(training.text("name"), in_project)
            or suggested_name(self.workspace, project, parent, asked_for(training.args))
        )
        return Opened(
            run=run,
            attempt=1,
            project=project,
            name=str(name),
            parent=parent,
            dataset=said.get("dataset") or training.text("data") or None,
            hypothesis=str(said.get("hypothesis", "")),
            group=str(said.get("group", "")),
            tags=tuple(said.get("tags", ())),
            source=self.source,
            owner=NO_PROCESS,
        )

    def _say_arguments(self, opened: Opened) -> tuple[int, int]:
        """Record the arguments; those of the first import stand, as resuming rewrites them."""
        _, begun = next(self.training.attempts())
        with Stream(self.workspace, opened.run, opened.name, "arguments") as stream:
            for part in portions(asked_for(self.training.args)):
                stream.say(Config(values=part), begun)
            for part in portions(self.training.args):
                stream.say(Config(values=part, role="effective"), begun)
            return stream.new, stream.known

    def _say_epochs(self, opened: Opened, rows: list[Row], begun: int) -> tuple[int, int]:
        number = opened.attempt
        with Stream(
            self.workspace, opened.run, opened.name, f"attempt {number}", attempt=number
        ) as stream:
            stream.say(opened, begun)
            for row in rows:
                for metrics in _metrics(row):
                    stream.say(metrics, _time_of(row, begun))
            return stream.new, stream.known

    # --- facts ---------------------------------------------------------------------------------

    def _say_facts(self, opened: Opened, t: int) -> tuple[int, int]:
        writer = derived_id("facts", opened.run, str(opened.attempt))
        facts = Facts(self.workspace, opened.run, opened.attempt, writer)
        try:
            for body in self._facts(opened):
                facts.say(body, t)
        finally:
            facts.close()
        return facts.new, facts.known

    def _facts(self, opened: Opened) -> Iterator[AnyBody]:
        if opened.attempt < len(self.training.table.attempts):
            yield Finished(status="killed", reason="ended without a word; a later start went on")
            return
        if opened.name != self.training.name:
            text = f"imported from a folder called {self.training.name}"
            yield Notice(code="name", text=text)
        yield from self._artifacts()
        if opened.dataset:
            yield Pinned(
                dataset=opened.dataset,
                state="unchecked",
                detail="imported: the data may have changed since it was trained on",
            )
        yield Summary(values=self._summary())
        yield from self._evaluations()
        if outcome := self.training.outcome():
            yield Finished(status=outcome[0], reason=outcome[1])

    def _artifacts(self) -> Iterator[AnyBody]:
        for name, path, role in output_files(self.training.path):
            try:
                key = artifact_key(name)
                digest = self.blobs.put_file(path)
                size = self.blobs.path(digest).stat().st_size
            except (OSError, EpochalError) as error:
                self.training.problems.append(f"{path}: {first_line(error)}")
                continue
            yield Artifact(key=key, digest=digest, size=size, role=role)

    def _summary(self) -> dict[str, Any]:
        training = self.training
        best = training.path / "weights" / "best.pt"
        found: dict[str, Any] = {"epochs_done": training.table.epochs}
        if training.epochs is not None:
            found["stopped_early"] = training.table.epochs < training.epochs
        if best.is_file():
            found["model_size"] = best.stat().st_size
        if training.version:
            found["ultralytics"] = training.version
        return found

    def _evaluations(self) -> Iterator[AnyBody]:
        training = self.training
        if training.table.final is not None:
            printed = self._printed(training.table.final)
            if printed.metrics:
                yield store_evaluation(self.blobs, printed)
        predictions = training.predictions
        if predictions is None:
            return
        data = training.path / training.text("data")
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
            training.problems.append(f"{predictions}: {first_line(error)}")
            return
        yield store_evaluation(self.blobs, evaluation, matches, boxes)

    def _printed(self, row: Row) -> Evaluation:
        """Return the final row as the evaluation it is: numbers of the best weights."""
        training = self.training
        metrics = {
            key.removeprefix("metrics/").removesuffix("(B)"): value
            for key, value in row.values.items()
            if key.startswith("metrics/")
        }
        return Evaluation(
            task=training.text("task") or "detect",
            split="val",
            dataset=training.text("data"),
            images=0,
            weights=self._best(),
            weights_name="best.pt",
            evaluator=ultralytics_evaluator(training.version or "unknown"),
            classes=(),
            metrics={n: v if math.isfinite(v) else None for n, v in metrics.items()},
            source=f"{_SYSTEM}/{training.version or 'unknown'} last row of results.csv",
            created_by=f"epochal/{__version__}",
        )

    def _best(self) -> str:
        best = self.training.path / "weights" / "best.pt"
        return self.blobs.put_file(best) if best.is_file() else ""


def _metrics(row: Row) -> Iterator[Metrics]:
    items = [(key, to_wire(value)) for key, value in row.values.items()]
    for start in range(0, len(items), _COLUMNS):
        values = dict(items[start : start + _COLUMNS])
        yield Metrics(values=values, step=row.epoch, epoch=row.epoch)


def _time_of(row: Row, begun: int) -> int:
    return begun + int(row.time * 1e6) if math.isfinite(row.time) else begun + row.epoch
