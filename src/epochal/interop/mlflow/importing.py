"""Taking MLflow's runs in: each keeps its id, and comes in once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from epochal.errors import EpochalError
from epochal.interop.facts import Facts
from epochal.interop.importing import (
    NO_PROCESS,
    ImportedRun,
    ImportReport,
    derived_id,
    purged_runs,
)
from epochal.interop.mlflow.entities import SYSTEM
from epochal.interop.mlflow.recording import said_params, said_points, said_tags
from epochal.interop.mlflow.sources import FoundRun, open_source
from epochal.journal.folder import Folder
from epochal.journal.reader import read_journal
from epochal.journal.writer import Writer
from epochal.records import (
    AnyBody,
    Artifact,
    Finished,
    Foreign,
    LessonWritten,
    Metrics,
    Number,
    Opened,
    Pinned,
    Trashed,
)
from epochal.store.blobs import Blobs, artifact_key

__all__ = ["import_mlflow"]

_NOTE = "mlflow.note.content"
_ENDED = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "killed"}


def import_mlflow(
    source: str,
    *,
    workspace: Folder,
    project: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Take in all runs of an MLflow database, ``mlruns`` folder or server.

    Parameters
    ----------
    project
        Project of all runs; by default each run's experiment.
    progress
        Called with (runs done, runs in all).
    """
    opened = open_source(source)
    total, purged = opened.count(), purged_runs(workspace)
    runs, left_out = [], []
    for done, found in enumerate(opened.runs(), start=1):
        run = found.id if re.fullmatch(r"[0-9a-f]{32}", found.id) else derived_id(SYSTEM, found.id)
        if run in purged:
            left_out.append(f"{found.name}: it was purged here")
        elif _is_our_own(workspace, run):
            left_out.append(f"{found.name}: it was recorded here")
        else:
            runs.append(_import(workspace, run, found, project or found.experiment, left_out))
        if progress:
            progress(done, max(done, total))
    return ImportReport(
        system=SYSTEM,
        source=source,
        runs=tuple(runs),
        problems=tuple(opened.problems),
        left_out=tuple(dict.fromkeys((*opened.left_out, *left_out))),
    )


def _writer_id(run: str, topic: str) -> str:
    return derived_id("stream", run, f"{SYSTEM}-{topic}")


def _is_our_own(workspace: Folder, run: str) -> bool:
    """Tell whether the run is here otherwise than by an import."""
    place = workspace.run_folder(run)
    return (
        place is not None
        and not (place / "journal" / f"{_writer_id(run, 'facts')}.jsonl").exists()
    )


def _import(
    workspace: Folder, run: str, found: FoundRun, project: str, left_out: list[str]
) -> ImportedRun:
    if workspace.run_folder(run) is None:
        workspace.new_run_folder(run, found.name)
    facts = Facts(workspace, run, 1, _writer_id(run, "facts"))
    try:
        begun = found.started * 1000
        for body in _facts(run, found, project):
            facts.say(body, begun)
        for body in _artifacts(Blobs(workspace.blobs), found, left_out):
            facts.say(body, begun)
        if found.status in _ENDED:
            ended = Finished(status=_ENDED[found.status])  # type: ignore[arg-type] # by the table
            facts.say(ended, (found.ended or found.started) * 1000)
    finally:
        facts.close()
    new, known = _import_points(workspace, run, found)
    return ImportedRun(
        id=run,
        name=found.name,
        project=project,
        source=f"{SYSTEM}:{found.id}",
        new=facts.new + new,
        known=facts.known + known,
    )


def _facts(run: str, found: FoundRun, project: str) -> Iterator[AnyBody]:
    yield Opened(
        run=run,
        attempt=1,
        project=project,
        name=found.name,
        parent=found.tags.get("mlflow.parentRunId"),
        source=f"{SYSTEM}:{found.id}",
        owner=NO_PROCESS,
    )
    yield Foreign(system=SYSTEM, type="info", key="user_id", value=found.user)
    yield from said_params(found.params)
    yield from said_tags(found.tags, None)
    if found.tags.get(_NOTE):
        yield LessonWritten(text=found.tags[_NOTE])
    for index, one in enumerate(found.datasets):
        name = f"{one['dataset']['name']}@{one['dataset']['digest']}"
        yield Foreign(system=SYSTEM, type="dataset-input", key=name, value=one)
        if index == 0:
            detail = "named by MLflow; its files were not checked"
            yield Pinned(dataset=name, state="unchecked", detail=detail)
    if not found.active:
        yield Trashed(on=True)


def _artifacts(blobs: Blobs, found: FoundRun, left_out: list[str]) -> Iterator[Artifact]:
    for key, path in found.artifacts.items():
        try:
            digest = blobs.put_file(path)
            size = blobs.path(digest).stat().st_size
            yield Artifact(key=artifact_key(key), digest=digest, size=size)
        except (OSError, EpochalError) as error:
            left_out.append(f"{path}: {error}")


def _import_points(workspace: Folder, run: str, found: FoundRun) -> tuple[int, int]:
    """Append the points that no earlier import brought; return how many, and how many it had."""
    place = workspace.run_folder(run)
    assert place is not None  # made above
    id = _writer_id(run, "points")
    path = place / "journal" / f"{id}.jsonl"
    known: set[tuple[str, int, int, Number]] = set()
    if path.exists():
        for line in read_journal(path).lines:
            body: Any = line.entry.body if line.entry is not None else None
            if isinstance(body, Metrics):
                known |= {(k, body.step, line.t // 1000, v) for k, v in body.values.items()}
    before = len(known)
    writer = Writer(place / "journal", run=run, writer=id)
    try:
        for body, t in said_points(found.points, known):
            writer.append(body, t)
    finally:
        writer.close()
    return len(known) - before, before
