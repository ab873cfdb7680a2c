"""Taking in a log directory: each folder that holds event files is a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from epochal.errors import InvalidInput, NotFound
from epochal.interop.importing import (
    NO_PROCESS,
    ImportedRun,
    ImportReport,
    Stream,
    derived_id,
    purged_runs,
)
from epochal.interop.tensorboard.event_files import EventFile
from epochal.interop.tensorboard.values import Translator
from epochal.journal.folder import Folder
from epochal.records import Finished, Opened
from epochal.store.blobs import Blobs

__all__ = ["Logdir", "import_logdir"]

_QUIET = 120.0
"""Seconds after which a file that does not grow is taken to be finished."""


def import_logdir(
    path: Path,
    *,
    workspace: Folder,
    project: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Take in all runs below a TensorBoard log directory.

    Parameters
    ----------
    project
        Project of the runs; by default the directory's name.
    progress
        Called with (bytes done, bytes in all).

    Raises
    ------
    NotFound
        If `path` holds no event files.
    """
    logdir = Logdir(path, workspace=workspace, project=project)
    try:
        logdir.poll(progress)
        return logdir.report()
    finally:
        logdir.close()


class Logdir:
    """A log directory that can be followed while trainings write into it.

    Parameters
    ----------
    path
        The directory that one would give to ``tensorboard --logdir``.
    """

    def __init__(self, path: Path, *, workspace: Folder, project: str = "") -> None:
        self.path = path.expanduser().resolve()
        if not self.path.is_dir():
            raise InvalidInput(f"{path} is not a folder", "name what --logdir would be")
        if next(_event_files(self.path), None) is None:
            raise NotFound(f"no event files (*tfevents*) in {path}", "is it the log directory?")
        self.folder = workspace
        self.project = project or self.path.name
        self._purged = purged_runs(self.folder)
        self._runs: dict[Path, _Run] = {}

    def poll(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Take in what was written since the last call; return the number of new records."""
        files = sorted(_event_files(self.path), key=lambda f: (f.parent, f.name))
        total, done, before = sum(f.stat().st_size for f in files), 0, self._new()
        for file in files:
            run = self._run_of(file.parent, files)
            if run is not None:
                run.take(file)
            done += file.stat().st_size
            if progress:
                progress(done, max(total, done))
        for run in self._runs.values():
            run.finish_if_quiet()
        return self._new() - before

    def _new(self) -> int:
        return sum(run.new for run in self._runs.values())

    def _run_of(self, place: Path, files: list[Path]) -> _Run | None:
        """Return the run that a folder's events belong to; None for one that was purged."""
        owner = _owner(place, files, self.path)
        if owner not in self._runs:
            first = next(f for f in files if f.parent == owner)
            relative = owner.relative_to(self.path).as_posix()
            # The first file's name holds time, host and process: the run is known by it even
            # when the directory is moved.
            run = derived_id("tensorboard", relative, first.name)
            if run in self._purged:
                return None
            name = self.path.name if relative == "." else relative
            self._runs[owner] = _Run(self.folder, run, name, self.project, owner)
        return self._runs[owner]

    def report(self) -> ImportReport:
        """Return what was done so far."""
        return ImportReport(
            system="tensorboard",
            source=str(self.path),
            runs=tuple(run.imported() for run in self._runs.values()),
            problems=tuple(p for run in self._runs.values() for p in run.problems()),
            left_out=tuple(
                dict.fromkeys(text for run in self._runs.values() for text in run.left_out())
            ),
        )

    def close(self) -> None:
        """Make everything durable."""
        for run in self._runs.values():
            run.close()


def _event_files(root: Path) -> Iterator[Path]:
    for file in root.rglob("*tfevents*"):
        if file.is_file() and not file.is_symlink():
            yield file


def _owner(place: Path, files: list[Path], root: Path) -> Path:
    """Return the folder whose run `place` belongs to.

    ``add_scalars("loss", {"a": ..})`` writes into folders ``loss_a`` (or ``loss/a``) beside the
    run's own file, and ``add_hparams`` into one named by the time: parts of the run above them.
    """
    for above in place.parents:
        if not above.is_relative_to(root):
            break
        own = [f for f in files if f.parent == above]
        if not own:
            continue
        below = place.relative_to(above).as_posix()
        first = next(f for f in files if f.parent == place)
        if below.replace(".", "").isdigit() or _main_tag(first, below):
            return above
        break
    return place


def _main_tag(file: Path, below: str) -> str:
    """Return the tag whose sub-curves `file` in folder `below` holds; empty if it does not."""
    tags = set()
    for count, event in enumerate(EventFile(file).events()):
        tags |= {value.tag for value in event.summary.value}
        if len(tags) > 1 or count > 20:
            break
    tag = tags.pop() if len(tags) == 1 else ""
    plain = tag.replace("/", "_")
    return tag if tag and below.startswith((f"{tag}/", f"{plain}_", f"{plain}/")) else ""


class _Run:
    def __init__(self, folder: Folder, run: str, name: str, project: str, place: Path) -> None:
        self._folder, self._place = folder, place
        self.id, self.name, self.project = run, name, project
        self._streams: dict[Path, tuple[EventFile, Stream, Translator]] = {}
        self._opened = False
        self._ended: Stream | None = None

    @property
    def new(self) -> int:
        return sum(stream.new for _, stream, _ in self._streams.values())

    def take(self, path: Path) -> None:
        if path not in self._streams:
            relative = path.relative_to(self._place).as_posix()
            below = path.parent.relative_to(self._place).as_posix()
            tag = _main_tag(path, below) if below != "." else ""
            sub = below.removeprefix(tag.replace("/", "_")).lstrip("_/") if tag else ""
            self._streams[path] = (
                EventFile(path),
                Stream(self._folder, self.id, self.name, relative),
                Translator(Blobs(self._folder.blobs), sub),
            )
        file, stream, translator = self._streams[path]
        for event in file.events():
            t = _microseconds(event)
            if not self._opened:
                self._opened = True
                stream.say(self._opening(), t)
            for body in translator.bodies(event):
                stream.say(body, t)

    def _opening(self) -> Opened:
        return Opened(
            run=self.id,
            attempt=1,
            project=self.project,
            name=self.name,
            source=f"tensorboard:{self._place}",
            owner=NO_PROCESS,
        )

    def finish_if_quiet(self) -> None:
        """Say that the run ended, once its files have not grown for a while."""
        latest = max(path.stat().st_mtime for path in self._streams)
        if self._ended is None and self._opened and time.time() - latest > _QUIET:
            ends = [t.ended for _, _, t in self._streams.values() if t.ended]
            self._ended = Stream(self._folder, self.id, self.name, "end")
            self._ended.say(ends[-1] if ends else Finished(status="finished"), int(latest * 1e6))

    def imported(self) -> ImportedRun:
        return ImportedRun(
            id=self.id,
            name=self.name,
            project=self.project,
            source=str(self._place),
            new=self.new,
            known=sum(stream.known for _, stream, _ in self._streams.values()),
        )

    def problems(self) -> Iterator[str]:
        for path, (file, _, _) in self._streams.items():
            if file.problem:
                yield f"{path}: {file.problem}"
            if file.skipped:
                events = "event" if file.skipped == 1 else "events"
                yield f"{path}: {file.skipped} damaged {events} left out"

    def left_out(self) -> Iterator[str]:
        for _, _, translator in self._streams.values():
            yield from translator.left_out

    def close(self) -> None:
        for _, stream, _ in self._streams.values():
            stream.close()
        if self._ended is not None:
            self._ended.close()


def _microseconds(event: Any) -> int:
    seconds = event.wall_time
    return int(seconds * 1e6) if 0 <= seconds < 1e11 else 0
