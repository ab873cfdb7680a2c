"""Opening a run: where it is recorded, what it is called, what is watched around it."""

from __future__ import annotations

import atexit
import os
import re
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Literal

from epochal.errors import EpochalError, InvalidInput, NotFound
from epochal.journal.folder import Folder
from epochal.journal.reader import read_journal
from epochal.records import Notice, Opened
from epochal.run.naming import settle_name
from epochal.run.run import Run, strict
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
        charter refuses. A disk that cannot be written never raises: the run is silent then.
    """
    global _current
    rank = _rank()
    if rank > 0 and os.environ.get("EPOCHAL_RANKS") != "all":
        return _silent(project, name)
    try:
        run = _open(
            project=project or os.environ.get("EPOCHAL_PROJECT"),
            name=name or os.environ.get("EPOCHAL_NAME"),
            config=config,
            parent=parent or os.environ.get("EPOCHAL_PARENT") or None,
            dataset=str(dataset or os.environ.get("EPOCHAL_DATASET", "")) or None,
            hypothesis=hypothesis or os.environ.get("EPOCHAL_HYPOTHESIS", ""),
            tags=tuple(tags) or _split(os.environ.get("EPOCHAL_TAGS", "")),
            group=group or os.environ.get("EPOCHAL_GROUP", ""),
            resume=resume,
            workspace=None if workspace is None else Path(workspace),
            capture=capture,
            source=source,
            rank=rank,
        )
    except OSError as error:
        if strict():
            raise
        say(f"this run is NOT recorded: {error}")
        return _silent(project, name)
    if _current is not None and not _current.finished:
        say(f"run {_current.name} was still open; it is finished now")
        _current.finish()
    _current = run
    _watch_exit(run)
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
        run_folder, opened, attempt = _last_attempt(folder, resume)
        run_id, project, name = opened.run, opened.project, opened.name
        notices: list[Notice] = []
    else:
        project = project or default_project(folder)
        name, notices = settle_name(folder, project, name, parent, config)
        run_id, attempt = secrets.token_hex(16), 1
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
    from epochal.capture.redaction import redact

    argv, _ = redact(list(sys.argv))
    writer = run._open_writer()
    run.record(
        Opened(
            run=run_id,
            attempt=attempt,
            project=project,
            name=name,
            parent=parent,
            dataset=dataset,
            hypothesis=hypothesis,
            group=group,
            tags=tags,
            argv=tuple(argv)[:200],
            cwd=str(Path.cwd()),
            launch=os.environ.get("EPOCHAL_LAUNCH", ""),
            source=source,
            owner=writer.id,
        )
    )
    if config is not None:
        run.config.update(config)
    for notice in notices:
        run.record(notice)
    _pin(run, dataset)
    run.sync()
    run.start_background = lambda r: start_background(r, capture=capture)
    run._background = run.start_background(run)
    run._background.start()
    say(f"recording {project}/{name} ({run_id[:8]}) in {folder.root}")
    return run


def _pin(run: Run, dataset: str | None) -> None:
    if dataset:
        from epochal.run.pinning import pin_dataset

        try:
            pin_dataset(run, dataset)
        except EpochalError as error:
            run.finish("failed", str(error))
            raise


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


def _last_attempt(folder: Folder, run: str) -> tuple[Path, Opened, int]:
    run_folder = folder.resolve_run(run)
    attempt, opened = 0, None
    for path in sorted((run_folder / "journal").glob("*.jsonl")):
        report = read_journal(path)
        if report.header is not None:
            attempt = max(attempt, report.header.attempt)
        for line in report.lines[:4]:
            if line.entry is not None and isinstance(line.entry.body, Opened):
                opened = opened or line.entry.body
    if opened is None or not opened.run.startswith(run.lower()):
        raise NotFound(
            f"no run with the id {run!r} in {folder.root}", "`epochal runs` lists the ids"
        )
    return run_folder, opened, attempt + 1


def _rank() -> int:
    # Only RANK says that the processes train one model together; a SLURM task may stand alone.
    text = os.environ.get("RANK", "")
    return int(text) if re.fullmatch(r"-?\d+", text) else 0


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


# --- how the process ends ------------------------------------------------------------------------

_ending: tuple[Literal["finished", "failed", "killed"], str] = ("finished", "")
_watching = False


def _watch_exit(run: Run) -> None:
    """Arrange that however this process ends, the run does not say more than the truth.

    Hooks are chained, never replaced; a signal whose handler belongs to the script is left
    alone. What no hook sees (``kill -9``, a power cut) the reader derives.
    """
    global _watching
    if _watching:
        return
    _watching = True
    atexit.register(_finish_at_exit)
    sys.excepthook = _chain_excepthook(sys.excepthook)
    sys.exit = _chain_exit(sys.exit)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _on_signal)


def _finish_at_exit() -> None:
    if run := current():
        run.finish(*_ending)


def _chain_excepthook(
    before: Callable[[type[BaseException], BaseException, TracebackType | None], Any],
) -> Callable[[type[BaseException], BaseException, TracebackType | None], Any]:
    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
        global _ending
        if issubclass(kind, KeyboardInterrupt):
            _ending = ("killed", "KeyboardInterrupt")
        else:
            _ending = ("failed", f"{kind.__name__}: {error}")
        return before(kind, error, trace)

    return hook


def _chain_exit(before: Callable[[Any], Any]) -> Callable[..., Any]:
    def exit(status: Any = None, /) -> Any:
        global _ending
        if status not in (None, 0) and threading.current_thread() is threading.main_thread():
            _ending = ("failed", f"sys.exit({status!r})"[:500])
        return before(status)

    return exit


def _on_signal(number: int, _frame: FrameType | None) -> None:
    if run := current():
        run.finish("killed", signal.Signals(number).name)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
