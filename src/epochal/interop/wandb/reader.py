"""Taking in what W&B's client wrote: ``wandb/offline-run-*`` and ``wandb/run-*`` folders."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from epochal.errors import EpochalError, InvalidInput
from epochal.interop.facts import Facts
from epochal.interop.importing import (
    NO_PROCESS,
    ImportedRun,
    ImportReport,
    Stream,
    derived_id,
    purged_runs,
)
from epochal.interop.wandb.transaction_log import TransactionLog
from epochal.interop.wandb.values import (
    flat,
    is_number,
    microseconds,
    number,
    pieces,
    plain,
    tree,
)
from epochal.journal.folder import Folder
from epochal.records import (
    Alert,
    AnyBody,
    Artifact,
    Config,
    Console,
    Environment,
    Finished,
    ImageLogged,
    LessonWritten,
    Metrics,
    Number,
    Opened,
    Summary,
    System,
)
from epochal.store.blobs import Blobs, artifact_key

__all__ = ["import_wandb"]

_SYSTEM = "wandb"
_LATEST = 253_402_300_799  # seconds: the end of the year 9999
_MOST_NOTES = 10_000
_PIECE = 10_000
"""Characters of console in one record; each may take six bytes."""
_OWN = ("_timestamp", "_runtime", "_step", "_wandb")
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


def import_wandb(
    path: Path,
    *,
    workspace: Folder,
    project: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Take in one W&B run folder, or all below a ``wandb`` folder.

    Parameters
    ----------
    project
        Project of all runs; by default each run's own.
    progress
        Called with (folders done, folders in all).

    Raises
    ------
    InvalidInput
        If there is no W&B log in `path`.
    """
    logs = sorted(path.rglob("run-*.wandb")) if path.is_dir() else [path]
    logs = [log for log in logs if log.is_file() and not log.is_symlink()]
    if not logs:
        raise InvalidInput(
            f"no W&B log (run-*.wandb) in {path}", "name a folder such as wandb/offline-run-*"
        )
    purged = purged_runs(workspace)
    runs: list[ImportedRun | None] = []
    problems: list[str] = []
    left_out: list[str] = []
    for done, log in enumerate(logs, start=1):
        try:
            one = _Import(log, workspace, project, purged)
            runs.append(one.run())
            problems += one.problems()
            left_out += sorted(one.left_out)
        except EpochalError as error:
            problems.append(error.message)
        if progress:
            progress(done, len(logs))
    return ImportReport(
        system=_SYSTEM,
        source=str(path),
        runs=tuple(run for run in runs if run is not None),
        problems=tuple(problems),
        left_out=tuple(dict.fromkeys(left_out)),
    )


class _Import:
    def __init__(
        self, path: Path, workspace: Folder, project: str, purged: frozenset[str]
    ) -> None:
        self._log = TransactionLog(path)
        self._files = path.parent / "files"
        self._workspace, self._project, self._purged = workspace, project, purged
        self._blobs = Blobs(workspace.blobs)
        self._t = 0
        self._metrics: set[str] = set()
        self._set_by_hand: dict[str, Any] = {}
        self._lines = {0: "", 1: ""}
        self.left_out: set[str] = set()

    def run(self) -> ImportedRun | None:
        stream: Stream | None = None
        files: Facts | None = None
        opened: Opened | None = None
        try:
            for record in self._log.records():
                if opened is None:
                    if not record.HasField("run"):
                        continue  # the header, before it
                    opened = self._opened(record.run)
                    if opened.run in self._purged:
                        self.left_out.add(f"{opened.name}: it was purged here")
                        return None
                    # A run that was resumed offline has several logs, each with its own start.
                    identity = f"log {self._t}"
                    stream = Stream(self._workspace, opened.run, opened.name, identity)
                    stream.say(opened, self._t)
                    files = Facts(
                        self._workspace,
                        opened.run,
                        1,
                        derived_id("stream", opened.run, f"files of {identity}"),
                    )
                assert stream is not None
                assert files is not None
                for body in self._bodies(record):
                    # Files may come and go: what is said of them must not move the positions of
                    # what the log says.
                    if isinstance(body, Artifact | ImageLogged):
                        files.say(body, self._t)
                    else:
                        stream.say(body, self._t)
        finally:
            for journal in (stream, files):
                if journal is not None:
                    journal.close()
        if opened is None or stream is None or files is None:
            raise InvalidInput(f"{self._log.path} holds no run")
        return ImportedRun(
            id=opened.run,
            name=opened.name,
            project=opened.project,
            source=opened.source,
            new=stream.new + files.new,
            known=stream.known + files.known,
        )

    def problems(self) -> Iterator[str]:
        """Yield what of the log could not be read."""
        if self._log.damaged:
            yield f"{self._log.path}: {self._log.damaged} damaged blocks, read around"
        if self._log.undecoded:
            yield f"{self._log.path}: {self._log.undecoded} records left out"

    def _opened(self, run: Any) -> Opened:
        self._t = microseconds(run.start_time)
        where = "/".join(part for part in (run.entity, run.project, run.run_id) if part)
        return Opened(
            run=derived_id(_SYSTEM, run.entity, run.project, run.run_id),
            attempt=1,
            project=self._project or run.project or "uncategorized",
            name=run.display_name or run.run_id,
            group=run.run_group,
            tags=tuple(run.tags),
            source=f"{_SYSTEM}:{where}",
            owner=NO_PROCESS,
        )

    def _bodies(self, record: Any) -> Iterator[AnyBody]:
        if record.HasField("history"):
            yield from self._history(record.history)
        elif record.HasField("run"):
            yield from self._run_facts(record.run)
        elif record.HasField("config"):
            yield from _config(record.config.update)
        elif record.HasField("summary"):
            self._set_by_hand |= flat(record.summary.update)
        elif record.HasField("stats"):
            self._t = microseconds(record.stats.timestamp) or self._t
            values = tree(record.stats.item)
            numbers = {k: number(v) for k, v in values.items() if is_number(v)}
            for part in pieces(numbers):
                yield System(values=part)
        elif record.HasField("output_raw"):
            yield from self._output(record.output_raw)
        elif record.HasField("output"):
            yield from self._output(record.output)
        elif record.HasField("files"):
            for file in record.files.files:
                yield from self._file(self._files / file.path, f"files/{file.path}")
        elif record.HasField("artifact"):
            yield from self._artifact(record.artifact)
        elif record.HasField("alert"):
            level = {"WARN": "warning", "ERROR": "error"}.get(record.alert.level, "info")
            yield Alert(title=record.alert.title, text=record.alert.text, level=level)  # type: ignore[arg-type]
        elif record.HasField("environment"):
            yield from _environment(record.environment)
        elif record.HasField("exit"):
            yield from self._rest_of_output()
            yield from self._summary()
            code = record.exit.exit_code
            yield (
                Finished(status="failed", reason=f"exit code {code}")
                if code
                else Finished(status="finished")
            )

    def _run_facts(self, run: Any) -> Iterator[AnyBody]:
        yield from _config(run.config.update)
        if run.git.commit:
            yield Environment(values={"git": {"commit": run.git.commit}})
        if run.job_type:
            yield Summary(values={"job_type": run.job_type})
        if run.notes:
            if len(run.notes) > _MOST_NOTES:
                self.left_out.add(f"notes beyond their first {_MOST_NOTES} characters")
            yield LessonWritten(text=run.notes[:_MOST_NOTES])

    def _history(self, history: Any) -> Iterator[AnyBody]:
        values = flat(history.item)
        stamp: Any = values.get("_timestamp")
        if is_number(stamp) and 0 <= stamp < _LATEST:
            self._t = int(stamp * 1e6)
        said: Any = values.get("_step")
        step: int = said if _is_count(said) else history.step.num
        epoch = values.get("epoch")
        numbers: dict[str, Number] = {}
        for key, value in values.items():
            if key in _OWN:
                continue
            if is_number(value):
                numbers[key] = number(value)
            elif isinstance(value, dict):
                yield from self._media(key, value, step)
            elif isinstance(value, str):
                yield Summary(values={key: value[:2000]})
            elif value is not None:
                self.left_out.add(f"values of {key} that are no numbers")
        if numbers:
            self._metrics |= numbers.keys()
            whole = epoch if _is_count(epoch) else None
            for part in pieces(numbers):
                yield Metrics(values=part, step=step, epoch=whole)

    def _media(self, key: str, value: dict[str, Any], step: int) -> Iterator[AnyBody]:
        path = value.get("path")
        if value.get("_type") == "histogram" and "bins" in value:
            data = json.dumps({"step": step, **value}).encode()
            yield Artifact(
                key=f"histograms/{key}.json",
                digest=self._blobs.put(data),
                size=len(data),
                role="histograms",
                step=step,
            )
            return
        if not isinstance(path, str):
            self.left_out.add(f"{value.get('_type', 'dicts')} under {key}")
            return
        file = self._files / path
        for body in self._file(file, f"files/{path}"):
            if file.suffix.lower() in _IMAGES:
                caption = str(value.get("caption") or "")
                yield ImageLogged(key=key, digest=body.digest, step=step, caption=caption)
            else:
                yield body

    def _summary(self) -> Iterator[AnyBody]:
        """Yield what was set by hand: the last value of each metric is known anyway.

        Said once, at the end: the client repeats the summary with every step.
        """
        own = {
            key: plain(value)
            for key, value in self._set_by_hand.items()
            if not key.startswith(_OWN)
            and not isinstance(value, dict)
            and not any(key == m or key.startswith(f"{m}.") for m in self._metrics)
        }
        for part in pieces(own):
            yield Summary(values=part)

    def _file(self, path: Path, key: str) -> Iterator[Artifact]:
        try:
            if not path.resolve().is_relative_to(self._files.resolve()) or not path.is_file():
                self.left_out.add(f"{key}: not in the run's folder")
                return
            digest = self._blobs.put_file(path)
            size = self._blobs.path(digest).stat().st_size
            yield Artifact(key=artifact_key(key), digest=digest, size=size)
        except (OSError, ValueError, EpochalError) as error:
            self.left_out.add(f"{key}: {error}")

    def _artifact(self, artifact: Any) -> Iterator[Artifact]:
        for content in artifact.manifest.contents:
            key = f"artifacts/{artifact.name}/{content.path}"
            try:
                local = Path(content.local_path)
                if not content.local_path or not local.is_file():
                    self.left_out.add(f"{key}: its file is not on this machine any more")
                # The log may name any file of this machine: it has to know what is in it.
                elif _md5(local) != content.digest:
                    self.left_out.add(f"{key}: its file is not what it was")
                else:
                    digest = self._blobs.put_file(local)
                    size = self._blobs.path(digest).stat().st_size
                    role = "weights" if artifact.type == "model" else "file"
                    yield Artifact(key=artifact_key(key), digest=digest, size=size, role=role)
            except (OSError, ValueError, EpochalError) as error:
                self.left_out.add(f"{key}: {error}")

    def _output(self, output: Any) -> Iterator[Console]:
        """Yield whole lines: the log has fragments."""
        self._t = microseconds(output.timestamp) or self._t
        kind = 0 if output.output_type == 0 else 1
        *lines, self._lines[kind] = (self._lines[kind] + output.line).split("\n")
        if lines:
            yield from _console(kind, "\n".join(lines) + "\n")

    def _rest_of_output(self) -> Iterator[Console]:
        for kind, rest in self._lines.items():
            if rest:
                yield from _console(kind, rest)
                self._lines[kind] = ""


def _console(kind: int, text: str) -> Iterator[Console]:
    for at in range(0, len(text), _PIECE):
        yield Console(stream="stderr" if kind == 0 else "stdout", text=text[at : at + _PIECE])


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _md5(file: Path) -> str:
    with file.open("rb") as content:
        found = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False))
    return base64.b64encode(found.digest()).decode()


def _config(items: Iterable[Any]) -> Iterator[Config]:
    values = {key: plain(value) for key, value in tree(items).items() if not key.startswith(_OWN)}
    for part in pieces(values):
        yield Config(values=part)


def _environment(found: Any) -> Iterator[Environment]:
    values: dict[str, Any] = {
        name: getattr(found, name)
        for name in ("os", "python", "host", "executable", "program", "gpu_type", "gpu_count")
        if getattr(found, name)
    }
    if found.args:
        values["args"] = list(found.args)
    if found.git.commit:
        values["git"] = {"commit": found.git.commit, "remote": found.git.remote_url}
    for part in pieces(values):
        yield Environment(values=part)
