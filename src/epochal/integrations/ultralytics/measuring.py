"""Measuring a run's weights on a split, in a process that has Ultralytics."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from epochal.datasets.pins import tagged_versions
from epochal.errors import EpochalError, NotFound
from epochal.integrations.ultralytics.measure import Request
from epochal.records import Artifact, Evaluated
from epochal.store.blobs import digest_of_file
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["measure"]

_WEIGHTS = ("weights/best.pt", "weights/last.pt")
_LATE = 5_000_000  # microseconds: a trainer saves an epoch's weights after its numbers
# What makes two evaluations comparable, or belongs to the model as it was trained.
_KEPT = (
    *("imgsz", "batch", "workers", "single_cls", "classes"),
    *("iou", "max_det", "agnostic_nms", "half"),
)


def measure(
    store: Store,
    run: RunDocument,
    split: str,
    *,
    data: str | None = None,
    device: str | None = None,
    python: str | None = None,
    purpose: Literal["gate", "explore"] = "explore",
    revealed: Literal["nothing", "number"] = "number",
    progress: Callable[[int, int], None] | None = None,
) -> list[Evaluated]:
    """Validate the run's best weights as its training did, and return what was recorded.

    Parameters
    ----------
    data
        A data.yaml, a folder of classes or ``name@tag``; by default the data of the run.
    device
        As Ultralytics names it; by default its own choice, or the CPU where the run used it.
    python
        A Python with Ultralytics and Epochal; by default the one that trained the run.
    purpose, revealed
        Of the look, where `split` is test.
    progress
        Called with (batches done, batches).

    Raises
    ------
    NotFound
        If the run has no weights of Ultralytics', or the data or a Python is not found.
    EpochalError
        If the validation failed; the message ends with its own.
    """
    begun = time.time_ns() // 1000
    with tempfile.TemporaryDirectory(prefix="epochal-") as temporary:
        request = Request(
            weights=str(_weights(store, run, Path(temporary))),
            data=str(_data(store, run, data)),
            split=split,
            settings=_settings(run, device),
            workspace=str(store.folder.root),
            output=temporary,
            purpose=purpose,
            revealed=revealed,
        )
        with (Path(temporary) / "output.txt").open("w+b") as output:
            _validate(python or _python(run), request, run, output, progress)
    store.refresh()
    recorded = [s.body for s in store.run(run.id).evaluations if s.t >= begun]
    found = [body for body in recorded if isinstance(body, Evaluated)]
    if not found:
        raise EpochalError(
            f"the validation of {run.name} ended without an evaluation of its weights",
            f"`epochal show {run.name}` shows its notices",
        )
    return found


def _weights(store: Store, run: RunDocument, temporary: Path) -> Path:
    """Return the best weights: the trainer's file if it is still the same, else its copy."""
    if not any(key in run.artifacts for key in _WEIGHTS):
        run = _take_left_weights(store, run)
    for key in _WEIGHTS:
        artifact = run.artifacts[key].body if key in run.artifacts else None
        if not isinstance(artifact, Artifact):
            continue
        digest = artifact.digest
        file = _saved(run, key)
        if file.is_file() and digest_of_file(file) == digest:
            return file
        restored = temporary / Path(key).name
        restored.write_bytes(store.blobs.get(digest))
        return restored
    raise NotFound(
        f"{run.name} has no weights that can be measured here",
        "give what its model found: `epochal evaluate RUN --ground-truth GT --predictions PRED`",
    )


def _take_left_weights(store: Store, run: RunDocument) -> RunDocument:
    """Record the weights that a training left which ended before it could record them.

    Only what was written while it ran: its folder may have been used again since.
    """
    if store.status(run) == "running":
        return run
    for key in _WEIGHTS:
        file = _saved(run, key)
        if file.is_file() and run.created <= file.stat().st_mtime * 1e6 <= run.last_t + _LATE:
            digest = store.blobs.put_file(file)
            size = file.stat().st_size
            store.record(Artifact(key=key, digest=digest, size=size, role="weights"), run.id)
    return store.run(run.id)


def _saved(run: RunDocument, key: str) -> Path:
    return Path(str(run.effective.get("save_dir", ""))) / key


def _data(store: Store, run: RunDocument, given: str | None) -> Path:
    tagged = tagged_versions(store.folder)
    candidates: list[str] = [given] if given else []
    if not given and run.pin:
        candidates.append(run.pin.dataset)
    if not given and run.effective.get("data"):
        candidates.append(str(run.effective["data"]))
    cwd = Path(run.attempts[0].cwd) if run.attempts and not given else Path.cwd()
    is_classifier = {**run.config, **run.effective}.get("task") == "classify"
    for candidate in candidates:
        path = (
            cwd / Path(tagged[candidate].path if candidate in tagged else candidate).expanduser()
        )
        if path.is_file() or (is_classifier and path.is_dir()):
            return path
    raise NotFound(
        f"the data of {run.name} is not here: {', '.join(candidates) or 'none recorded'}",
        "--data DATA.yaml (or a folder of classes), or name@tag of a tagged version, names it",
    )


def _settings(run: RunDocument, device: str | None) -> dict[str, Any]:
    known = {**run.config, **run.effective}
    settings = {key: known[key] for key in _KEPT if known.get(key) is not None}
    if device is None and known.get("device") == "cpu":
        device = "cpu"
    return settings | ({"device": device} if device is not None else {})


def _python(run: RunDocument) -> str:
    """Return the Python that trained the run if it is here, else this one if it will do."""
    found = run.environment.get("python")
    trained_by = str(found.get("executable", "")) if isinstance(found, dict) else ""
    if trained_by and os.access(trained_by, os.X_OK):
        return trained_by
    if importlib.util.find_spec("ultralytics") is not None:
        return sys.executable
    raise NotFound(
        f"no Python with Ultralytics is here: {run.name} was trained by {trained_by or 'another'}",
        "--python PATH names one that has ultralytics and epochal",
    )


def _validate(
    python: str,
    request: Request,
    run: RunDocument,
    output: IO[bytes],
    progress: Callable[[int, int], None] | None,
) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith("EPOCHAL_")}
    cwd = run.attempts[0].cwd if run.attempts else ""
    reader, writer = os.pipe()
    argument = msgspec.json.encode(request).decode()
    try:
        process = subprocess.Popen(
            [python, "-m", "epochal.integrations.ultralytics.measure", argument, str(writer)],
            # A relative `path` in a data.yaml is looked for from the current folder first.
            cwd=cwd if cwd and Path(cwd).is_dir() else None,
            env=env | {"EPOCHAL_QUIET": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(writer,),
        )
    except OSError as error:
        os.close(reader)
        raise NotFound(f"{python} cannot be run: {error.strerror}", "--python PATH") from None
    finally:
        os.close(writer)
    try:
        with os.fdopen(reader) as lines:
            if progress is not None:
                progress(0, 1)  # the model is being loaded
            for line in lines:
                done, _, total = line.partition(" ")
                if progress is not None:
                    progress(int(done), int(total))
        process.wait()
    except BaseException:  # interrupted: nobody waits for its numbers any more
        process.terminate()
        process.wait()
        raise
    if process.returncode != 0:
        output.seek(0)
        said = output.read().decode(errors="replace").strip().splitlines()
        raise EpochalError(
            f"the validation of {run.name} failed: {said[-1] if said else process.returncode}",
            f"it ran with {python}; --python names another, --data other data",
        )
