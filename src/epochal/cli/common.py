"""What commands share: the workspace they act on, how they print, the options all have."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from epochal.errors import EpochalError, InvalidInput, NotFound
from epochal.journal.folder import Folder

if TYPE_CHECKING:
    from rich.console import Console

    from epochal.decisions.charter import Charter
    from epochal.store.documents import RunDocument
    from epochal.store.store import Store

__all__ = [
    "age",
    "console",
    "default_project",
    "duration",
    "in_force",
    "json_option",
    "needing",
    "open_store",
    "print_json",
    "progress",
    "project_option",
    "run_argument",
    "run_name",
    "shortened",
    "workspace_option",
]

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Add ``--json``: the same content for programs, on stdout, nothing else."""
    return click.option("as_json", "--json", is_flag=True, help="Print JSON.")(command)


def workspace_option(command: F) -> F:
    """Add ``--workspace``."""
    return click.option(
        "--workspace",
        type=click.Path(path_type=Path),
        help="Folder with .epochal; default: EPOCHAL_WORKSPACE, or found upwards from here.",
    )(command)


def project_option(command: F) -> F:
    """Add ``-p``, ``--project``."""
    return click.option(
        "-p", "--project", help="Project; default: that of epochal.toml, or the only one there is."
    )(command)


@contextlib.contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Import inside what only an extra of the package brings; say which where it is missing.

    Parameters
    ----------
    what
        What it is for, as the beginning of a sentence: ``reading event files``.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"{what} needs {error.name}", f"install it: pip install 'epochal[{extra}]'"
        ) from None


def folder_of(workspace: Path | None) -> Folder:
    """Return the workspace a command acts on."""
    if workspace is not None:
        return Folder.at(workspace)
    found = Folder.find()
    if found is None:
        raise NotFound(
            f"no workspace in {Path.cwd()} or above it",
            "`epochal init` sets one up here; `epochal demo` shows what for",
        )
    return found


def open_store(workspace: Path | None) -> Store:
    """Open the workspace for reading, with a progress bar while many records come in."""
    from epochal.store.store import Store

    store = Store(folder_of(workspace), refresh=False)
    with progress("taking in new records", unit="bytes") as advance:
        report = store.refresh(advance)
    if report.busy:
        click.echo(f"note: {report.busy}; the newest records may be missing", err=True)
    return store


def default_project(store: Store, given: str | None) -> str:
    """Return the project a command means.

    Raises
    ------
    NotFound
        If none is named and there is not exactly one, or the named one has no runs.
    """
    projects = store.projects()
    if given is not None:
        if given not in projects:
            known = ", ".join(projects) or "none"
            raise NotFound(f"no project {given!r}; there are: {known}", "check the spelling")
        return given
    from epochal.decisions.charter_file import find_toml, read_toml

    file = find_toml(Path.cwd())
    if file is not None:
        return read_toml(file).project
    if len(projects) == 1:
        return projects[0]
    if not projects:
        raise NotFound(
            f"there are no runs in {store.folder.root}",
            "`epochal run -- yolo train ...` records one",
        )
    raise NotFound(
        f"there are {len(projects)} projects: {', '.join(projects)}", "choose one with --project"
    )


def in_force(store: Store, project: str) -> tuple[Charter, int]:
    """Return the project's charter and its version, recording version 1 on the first read."""
    from epochal.decisions.charter_file import find_toml
    from epochal.decisions.charter_in_force import sync_charter

    state = sync_charter(store, project, find_toml(Path.cwd()))
    if state.differences:
        click.echo(
            f"note: epochal.toml differs from the charter in force ({len(state.differences)} "
            f"{'rule' if len(state.differences) == 1 else 'rules'}); "
            "`epochal charter` shows it, `epochal charter apply -m REASON` puts it in force",
            err=True,
        )
    return state.charter, state.version


def console(*, stderr: bool = False) -> Console:
    """Return the terminal to draw on: colour only where there is one, NO_COLOR respected."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def print_json(value: Any) -> None:
    """Print `value` (structs allowed) as one line of JSON on stdout."""
    import msgspec

    click.echo(msgspec.json.encode(value).decode())


class progress:
    """A bar on stderr for work that takes longer than a moment; nothing where no one watches.

    Yields a function to call with (done, total).
    """

    def __init__(self, text: str, *, unit: str = "") -> None:
        self._text = text
        self._unit = unit
        self._bar: Any = None

    def __enter__(self) -> Callable[[int, int], None]:
        return self._advance

    def _advance(self, done: int, total: int) -> None:
        if self._bar is None:
            if not sys.stderr.isatty() or done >= total:
                return
            self._start(total)
        self._bar.update(self._task, completed=done, total=total)

    def _start(self, total: int) -> None:
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        in_bytes = self._unit == "bytes"
        count = (DownloadColumn(), TransferSpeedColumn()) if in_bytes else (MofNCompleteColumn(),)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            *count,
            TimeRemainingColumn(),
            console=console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(self._text, total=total)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def age(microseconds: int) -> str:
    """Return how long ago a time was, as a person would say it."""
    import time

    seconds = max(0.0, time.time() - microseconds / 1e6)
    for size, unit in (
        (86400 * 365, "y"),
        (86400 * 7, "w"),
        (86400, "d"),
        (3600, "h"),
        (60, "min"),
    ):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "just now"


def run_name(document: RunDocument) -> str:
    """Return the run's name with the first digits of its id."""
    return f"{document.name} ({document.id[:8]})"


def duration(seconds: float) -> str:
    """Return a length of time in at most two units: ``45 s``, ``12 min``, ``3 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02} min"
    return f"{hours // 24} d {hours % 24} h"


def shortened(text: str, width: int) -> str:
    """Return `text` on one line, without control characters, in at most `width` characters."""
    line = "".join(c if c.isprintable() else " " for c in text).strip()
    return line if len(line) <= width else f"{line[: width - 1]}…"


def run_argument(*, required: bool = True, many: bool = False) -> Callable[[F], F]:
    """Add the argument RUN (or RUN ...), with completion of names in the shell."""
    return click.argument(
        "runs" if many else "run",
        metavar="RUN..." if many else "RUN",
        required=required,
        nargs=-1 if many else 1,
        shell_complete=_complete_run,
    )


def _complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    try:
        with open_store(ctx.params.get("workspace")) as store:
            names = dict.fromkeys(d.name for d in store.newest(1000, ctx.params.get("project")))
    except (EpochalError, OSError):
        return []  # completing has no place to say what is wrong; the command will
    return [name for name in names if name.startswith(incomplete)]
