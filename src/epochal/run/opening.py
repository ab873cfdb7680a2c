"""Opening a run: where it is recorded, what it is called, what is watched around it."""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path
from typing import Any

from epochal.decisions.charter_in_force import record_first_charter
from epochal.errors import EpochalError, InvalidInput, NotFound
from epochal.journal.folder import Folder
from epochal.journal.reader import LineReader, read_journal, writer_of
from epochal.records import Metrics, Notice, Opened, Pinned
from epochal.run.naming import settle_name
from epochal.run.process_end import watch_exit
from epochal.run.recorder import strict
from epochal.run.run import Run
from epochal.run.surroundings import start_background
from epochal.run.telling import say

__all__ = ["current", "init", "join"]

_current: Run | None = None


def current() -> Run | None:
    """Return the run that was opened last in this process and has not finished."""
    return _current if _current is not None and not _current.finished else None


def init(
    project: str | None = None,
    name: str | None = None,
    *,
    config: Any = None,
    parent: str | None = None,
    dataset: str | Path | None = None,
    hypothesis: str = "",
    tags: tuple[str, ...] | list[str] = (),
    group: str = "",
    resume: str | None = None,
    workspace: str | Path | None = None,
    capture: bool = True,
    source: str = "",
) -> Run:
    """Open a run.

    Parameters
    ----------
    project
        Default: EPOCHAL_PROJECT, else the project of the nearest ``epochal.toml``, else the name
        of the folder that holds the workspace.
    name
        ``<version>_<what_changed>``; suggested from the config difference to `parent` where
        none is given. Default: EPOCHAL_NAME.
    config
        The parameters: a mapping, dataclass, namespace or argparse result.
    parent
        The run this one was derived from: name, id or unique prefix. Default: EPOCHAL_PARENT.
    dataset
        ``name@tag`` of a tagged version, or the path of a data.yaml, which is checked against
        the versions there are. Default: EPOCHAL_DATASET.
    hypothesis
        What you expect and why; pre-registered with the opening. Default: EPOCHAL_HYPOTHESIS.
    resume
        Id of a run, or a unique prefix: opens its next attempt.
    workspace
        Where to record. Default: EPOCHAL_WORKSPACE, else found upwards like ``.git``, else
        created at the top of the git repository or here.
    capture
        Record console, git state, environment and system metrics.

    Raises
    ------
    EpochalError
        If what was asked for cannot be: an unknown run to resume, a name or dataset that the
        charter refuses. Nothing else raises, a disk that cannot be written for one: the run is
        silent then.
    """
    rank = _rank()
    if rank > 0 and os.environ.get("EPOCHAL_RANKS") != "all":
        return _become_current(_silent(project, name))
    try:
        run = _open(
            project=_given(project, "PROJECT") or None,
            name=_given(name, "NAME") or None,
            config=config,
            parent=_given(getattr(parent, "id", parent), "PARENT") or None,
            dataset=_given(dataset, "DATASET") or None,
            hypothesis=_given(hypothesis, "HYPOTHESIS", most=10_000),
            tags=_tags(tags or os.environ.get("EPOCHAL_TAGS", "")),
            group=_given(group, "GROUP"),
            resume=getattr(resume, "id", resume),
            workspace=None if workspace is None else Path(workspace),
            capture=capture,
            source=source,
            rank=rank,
        )
    except EpochalError:
        raise
    except Exception as error:
        if strict():
            raise
        say(f"this run is NOT recorded: {type(error).__name__}: {error}")
        return _become_current(_silent(project, name))
    watch_exit(run)
    return _become_current(run)


def _become_current(run: Run) -> Run:
    global _current
    before, _current = current(), run
    if before is not None and before.is_owner:
        say(f"run {before.name} was still open; it is finished now")
        before.finish()
    return run


def _open(
    *,
    project: str | None,
    name: str | None,
    config: Any,
    parent: str | None,
    dataset: str | None,
    hypothesis: str,
    tags: tuple[str, ...],
    group: str,
    resume: str | None,
    workspace: Path | None,
    capture: bool,
    source: str,
    rank: int,
) -> Run:
    folder = _workspace(workspace)
    if resume is not None:
        run_folder, opened, attempt, next_step = _last_attempt(folder, resume)
        run_id, project, name = opened.run, opened.project, opened.name
        notices: list[Notice] = []
        pinned = _find_pin(folder, project, dataset)
    else:
        project = project or default_project(folder)
        pinned = _find_pin(folder, project, dataset)
        name, notices = settle_name(folder, project, name, parent, config)
        run_id, attempt, next_step = secrets.token_hex(16), 1, 0
        run_folder = folder.new_run_folder(run_id, name)
    run = Run(
        id=run_id,
        name=name,
        project=project,
        attempt=attempt,
        workspace=folder,
        folder=run_folder,
        owner=True,
        rank=rank,
    )
    writer = run.recorder.open()
    opened_body = Opened(
        run=run_id,
        attempt=attempt,
        project=project,
        name=name,
        parent=parent,
        dataset=dataset,
        hypothesis=hypothesis,
        group=group,
        tags=tags,
        argv=_argv(),
        cwd=_cwd(),
        launch=os.environ.get("EPOCHAL_LAUNCH", ""),
        source=source,
        owner=writer.id,
    )
    if not run.record(opened_body):
        run.recorder.discard()
        raise OSError("the run's opening could not be written")
    run.go_on_from(next_step)
    if config is not None:
        run.config.update(config)
    for notice in notices:
        run.record(notice)
    if resume is None:
        record_first_charter(folder, project, Path.cwd())
    _pin(run, dataset, pinned)
    run.sync()
    try:
        start_background(run, capture=capture)
    except Exception as error:
        run.recorder.trouble("background", error)
    say(f"recording {project}/{name} ({run_id[:8]}) in {folder.root}")
    return run


def _argv() -> tuple[str, ...]:
    from epochal.capture.redaction import redact

    argv, _ = redact(list(sys.argv))
    room = 8_000
    kept: list[str] = []
    for argument in argv:
        if room < len(argument):
            return (*kept, f"[{len(argv) - len(kept)} more arguments]")
        kept.append(argument)
        room -= len(argument) + 1
    return tuple(kept)


def _cwd() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was deleted
        return ""


def _find_pin(folder: Folder, project: str, dataset: str | None) -> Pinned | None:
    """Return the pin of `dataset`, or refuse it while nothing of the run is recorded."""
    if not dataset:
        return None
    try:
        from epochal.run.pinning import find_pin

        return find_pin(folder, project, dataset)
    except EpochalError:
        raise
    except Exception:
        return None  # `_pin` meets it again, and has a run to say it in


def _pin(run: Run, dataset: str | None, pinned: Pinned | None) -> None:
    if dataset:
        from epochal.run.pinning import pin_dataset

        try:
            pin_dataset(run, dataset, pinned)
        except EpochalError as error:
            run.finish("failed", str(error))
            raise
        except Exception as error:
            run.recorder.trouble("dataset", error)


def join(workspace: str | None, run: str, name: str, project: str, attempt: int) -> Run:
    """Return a run that another process opened, to record into it under a writer of its own."""
    if workspace is None:
        return _silent(project, name)
    folder = Folder.at(Path(workspace))
    return Run(
        id=run,
        name=name,
        project=project,
        attempt=attempt,
        workspace=folder,
        folder=folder.run_folder(run),
        owner=False,
        rank=max(_rank(), 0),
    )


def _silent(project: str | None, name: str | None) -> Run:
    return Run(
        id=secrets.token_hex(16),
        name=name or "",
        project=project or "",
        attempt=1,
        workspace=None,
        folder=None,
        owner=False,
    )


def _workspace(given: Path | None) -> Folder:
    if given is not None:
        try:
            return Folder.at(given)
        except NotFound:
            return Folder.create(given)
    folder, created = Folder.find_or_create()
    if created:
        say(f"created the workspace {folder.root}")
    return folder


def default_project(folder: Folder, start: Path | None = None) -> str:
    """Return the project of the nearest ``epochal.toml``, else the workspace's folder's name."""
    import tomllib

    here = (start or Path.cwd()).absolute()
    for place in (here, *here.parents):
        file = place / "epochal.toml"
        if file.is_file():
            try:
                found = tomllib.loads(file.read_text()).get("project")
            except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                raise InvalidInput(
                    f"{file} cannot be read: {error}", "mend it or remove it"
                ) from None
            if isinstance(found, str) and found:
                return found
    return folder.root.parent.name or "default"


_PIECE = 256 * 1024
"""Bytes that are read of each end of a journal: the opening stands in one, the last step in the
other, whatever the length of the training."""


def _last_attempt(folder: Folder, run: str) -> tuple[Path, Opened, int, int]:
    """Return folder and opening of the run, the number of its next attempt, and its next step."""
    run_folder = folder.resolve_run(run)
    attempt, opened, last_step = 0, None, -1
    for path in sorted((run_folder / "journal").glob("*.jsonl")):
        report = read_journal(path, limit=_PIECE)
        if report.header is not None:
            attempt = max(attempt, report.header.attempt)
        for line in report.lines[:4]:
            if line.entry is not None and isinstance(line.entry.body, Opened):
                opened = opened or line.entry.body
        last_step = max(last_step, _last_step(path))
    if opened is None or not opened.run.startswith(run.lower()):
        raise NotFound(
            f"no run with the id {run!r} in {folder.root}", "`epochal runs` lists the ids"
        )
    return run_folder, opened, attempt + 1, last_step + 1


def _last_step(path: Path) -> int:
    with path.open("rb") as file:
        first = file.readline()
        file.seek(max(file.seek(0, 2) - _PIECE, 0))
        data = file.read()
    reader = LineReader(writer_of(path, first.rstrip(b"\n")))
    bodies = (line.entry.body for line in reader.lines(data) if line.entry is not None)
    return max((body.step for body in bodies if isinstance(body, Metrics)), default=-1)


def _rank() -> int:
    # Only RANK says that the processes train one model together; a SLURM task may stand alone.
    text = os.environ.get("RANK", "")
    return int(text) if re.fullmatch(r"-?\d+", text) else 0


def _given(value: Any, variable: str, most: int = 1_000) -> str:
    """Return what was given, else the variable of the environment, as text that fits a record."""
    return str(value or os.environ.get(f"EPOCHAL_{variable}", ""))[:most]


def _tags(given: Any) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else map(str, given)
    return tuple(part.strip()[:250] for part in parts if part.strip())[:100]
