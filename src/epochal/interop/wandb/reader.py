"""Taking in what W&B's client wrote: ``wandb/offline-run-*`` and ``wandb/run-*`` folders."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from epochal.errors import EpochalError, InvalidInput
from epochal.interop.importing import (
    NO_PROCESS,
    ImportedRun,
    ImportReport,
    Stream,
    derived_id,
    purged_runs,
)
from epochal.interop.wandb.transaction_log import TransactionLog
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
    to_wire,
)
from epochal.store.blobs import Blobs, artifact_key

__all__ = ["import_wandb"]

_SYSTEM = "wandb"
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
                    stream = Stream(self._workspace, opened.run, opened.name, "log")
                    stream.say(opened, self._t)
                assert stream is not None
                for body in self._bodies(record):
                    stream.say(body, self._t)
        finally:
            if stream is not None:
                stream.close()
        if opened is None or stream is None:
            raise InvalidInput(f"{self._log.path} holds no run")
        return ImportedRun(
            id=opened.run,
            name=opened.name,
            project=opened.project,
            source=opened.source,
            new=stream.new,
            known=stream.known,
        )

    def problems(self) -> Iterator[str]:
        """Yield what of the log could not be read."""
        if self._log.damaged:
            yield f"{self._log.path}: {self._log.damaged} damaged blocks, read around"
        if self._log.undecoded:
            yield f"{self._log.path}: {self._log.undecoded} records left out"

    def _opened(self, run: Any) -> Opened:
        self._t = _microseconds(run.start_time)
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
            self._set_by_hand |= _flat(record.summary.update)
        elif record.HasField("stats"):
            self._t = _microseconds(record.stats.timestamp) or self._t
            values = _tree(record.stats.item)
            numbers = {k: to_wire(float(v)) for k, v in values.items() if _is_number(v)}
            if numbers:
                yield System(values=numbers)
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
            yield LessonWritten(text=run.notes)

    def _history(self, history: Any) -> Iterator[AnyBody]:
        values = _flat(history.item)
        stamp: Any = values.get("_timestamp")
        if _is_number(stamp):
            self._t = int(stamp * 1e6)
        step = values.get("_step", history.step.num)
        step = step if isinstance(step, int) else history.step.num
        epoch = values.get("epoch")
        numbers: dict[str, Number] = {}
        for key, value in values.items():
            if key in _OWN:
                continue
            if _is_number(value):
                numbers[key] = to_wire(float(value))
            elif isinstance(value, dict):
                yield from self._media(key, value, step)
            elif isinstance(value, str):
                yield Summary(values={key: value[:2000]})
            elif value is not None:
                self.left_out.add(f"values of {key} that are no numbers")
        if numbers:
            self._metrics |= numbers.keys()
            whole = isinstance(epoch, int) and not isinstance(epoch, bool)
            yield Metrics(values=numbers, step=step, epoch=epoch if whole else None)

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
            key: _plain(value)
            for key, value in self._set_by_hand.items()
            if not key.startswith(_OWN)
            and not isinstance(value, dict)
            and not any(key == m or key.startswith(f"{m}.") for m in self._metrics)
        }
        if own:
            yield Summary(values=own)

    def _file(self, path: Path, key: str) -> Iterator[Artifact]:
        try:
            if not path.resolve().is_relative_to(self._files.resolve()) or not path.is_file():
                self.left_out.add(f"{key}: not in the run's folder")
                return
            digest = self._blobs.put_file(path)
            size = self._blobs.path(digest).stat().st_size
            yield Artifact(key=artifact_key(key), digest=digest, size=size)
        except (OSError, EpochalError) as error:
            self.left_out.add(f"{key}: {error}")

    def _artifact(self, artifact: Any) -> Iterator[Artifact]:
        for content in artifact.manifest.contents:
            key = f"artifacts/{artifact.name}/{content.path}"
            local = Path(content.local_path)
            if not content.local_path or not local.is_file():
                self.left_out.add(f"{key}: its file is not on this machine any more")
                continue
            try:
                digest = self._blobs.put_file(local)
                size = self._blobs.path(digest).stat().st_size
                role = "weights" if artifact.type == "model" else "file"
                yield Artifact(key=artifact_key(key), digest=digest, size=size, role=role)
            except (OSError, EpochalError) as error:
                self.left_out.add(f"{key}: {error}")

    def _output(self, output: Any) -> Iterator[Console]:
        """Yield whole lines: the log has fragments."""
        self._t = _microseconds(output.timestamp) or self._t
        kind = 0 if output.output_type == 0 else 1
        *lines, self._lines[kind] = (self._lines[kind] + output.line).split("\n")
        if lines:
            yield _console(kind, "\n".join(lines) + "\n")

    def _rest_of_output(self) -> Iterator[Console]:
        for kind, rest in self._lines.items():
            if rest:
                yield _console(kind, rest)
                self._lines[kind] = ""


def _console(kind: int, text: str) -> Console:
    return Console(stream="stderr" if kind == 0 else "stdout", text=text[:32_000])


def _config(items: Iterable[Any]) -> Iterator[Config]:
    values = {
        key: _plain(value) for key, value in _tree(items).items() if not key.startswith(_OWN)
    }
    if values:
        yield Config(values=values)


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
    if values:
        yield Environment(values=values)


def _tree(items: Iterable[Any]) -> dict[str, Any]:
    """Return what items say as one nested dict: the log names leaves by their path."""
    root: dict[str, Any] = {}
    for item in items:
        *parents, last = list(item.nested_key) or [item.key]
        at = root
        for part in parents:
            inner = at.setdefault(part, {})
            at = inner if isinstance(inner, dict) else at.setdefault(f"{part}.", {})
        at[last] = _value(item)
    return root


def _flat(items: Iterable[Any]) -> dict[str, Any]:
    """Return what items say under dotted keys; media stay dicts."""
    values: dict[str, Any] = {}
    for key, value in _tree(items).items():
        _flatten(key, value, values)
    return values


def _value(item: Any) -> Any:
    try:
        return json.loads(item.value_json)  # with NaN and Infinity as the client writes them
    except (ValueError, RecursionError):
        return item.value_json[:2000]


def _flatten(key: str, value: Any, into: dict[str, Any], depth: int = 0) -> None:
    """Put nested plain dicts under dotted keys; media stay dicts."""
    if isinstance(value, dict) and "_type" not in value and depth < 20:
        for inner, one in value.items():
            _flatten(f"{key}.{inner}", one, into, depth + 1)
    else:
        into[key] = value


def _plain(value: Any) -> Any:
    """Return a value as JSON can have it."""
    if isinstance(value, float) and not math.isfinite(value):
        return to_wire(value)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _microseconds(time: Any) -> int:
    return int(time.seconds) * 1_000_000 + int(time.nanos) // 1000
