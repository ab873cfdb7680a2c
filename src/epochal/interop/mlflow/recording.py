"""What an MLflow client says, as records."""

from __future__ import annotations

import functools
import json
import math
import posixpath
import re
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from epochal.interop.importing import NO_PROCESS
from epochal.interop.mlflow.entities import (
    SYSTEM,
    Experiment,
    lifecycle,
    params_of,
    tags_of,
)
from epochal.interop.mlflow.errors import MlflowError, invalid, missing, unusable
from epochal.interop.mlflow.logged_models import said_of_models
from epochal.interop.mlflow.routing import entries, text
from epochal.records import (
    AnyBody,
    Config,
    Environment,
    Finished,
    Foreign,
    LessonWritten,
    Metrics,
    Number,
    Opened,
    Renamed,
    to_wire,
)
from epochal.store.documents import RunDocument
from epochal.store.store import Said, Store

__all__ = [
    "Point",
    "create_run",
    "delete_tag",
    "end_run",
    "log_batch",
    "read_points",
    "said_tags",
    "typed",
]

_KEY = re.compile(r"[/\w.\- :]{1,250}")
_MOST_VALUE, _MOST_TAG = 6000, 8000
_MOST_METRICS, _MOST_OTHERS, _MOST_ALL = 1000, 100, 1000
_ENDED = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "killed"}
_LIVE = ("RUNNING", "SCHEDULED")
_NAME, _NOTE, _PARENT, _COMMIT = (
    "mlflow.runName",
    "mlflow.note.content",
    "mlflow.parentRunId",
    "mlflow.source.git.commit",
)


class Point(msgspec.Struct, frozen=True):
    """One value of a metric; MLflow's points are a set of these."""

    key: str
    step: int
    timestamp: int
    """Milliseconds since the Unix epoch."""
    value: Number


# --- runs ----------------------------------------------------------------------------------------


def create_run(store: Store, experiment: Experiment, request: Mapping[str, Any]) -> str:
    """Open a run and return its id."""
    if not experiment.active:
        raise invalid(f"The experiment {experiment.id} must be in the 'active' state.")
    tags = _pairs(entries(request, "tags"), "tags")
    given = text(request, "run_name")
    if given and tags.get(_NAME, given) != given:
        raise invalid(
            f"Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different "
            f"values (run_name='{given}', mlflow.runName='{tags[_NAME]}')."
        )
    run = secrets.token_hex(16)
    name = given or tags.get(_NAME) or f"run-{run[:8]}"
    user = str(request.get("user_id") or tags.get("mlflow.user") or "")
    started = _integer(request.get("start_time") or int(time.time() * 1000), "start_time")
    opened = Opened(
        run=run,
        attempt=1,
        project=experiment.project,
        name=name,
        parent=tags.get(_PARENT),
        source=f"{SYSTEM}:{tags.get('mlflow.source.name', '')}",
        owner=NO_PROCESS,
    )
    said: list[Said] = [(Foreign(system=SYSTEM, type="info", key="user_id", value=user), None)]
    said += [(body, None) for body in said_tags(tags, None)]
    store.open_run(opened, said, started * 1000)
    return run


def end_run(
    store: Store, document: RunDocument, status: str, end_time: Any, name: str
) -> RunDocument:
    """Set status and end of a run, or its name."""
    said: list[Said] = []
    t = _integer(end_time, "end_time") * 1000 if end_time else None
    if status in _ENDED:
        said.append((Finished(status=_ENDED[status]), t))  # type: ignore[arg-type] # by the table
        said.append((Foreign(system=SYSTEM, type="info", key="status"), None))
    elif status in _LIVE:
        # An attempt that ended stays ended here; the client is told what it said.
        said.append((Foreign(system=SYSTEM, type="info", key="status", value=status), None))
    elif status:
        raise invalid(f"Invalid value {status} for parameter 'status' supplied")
    if said:
        store.record_all(said, document.id)
    if name and name != document.name:
        store.record(Renamed(name=name), document.id)
        _set_foreign(store, document.id, "tag", _NAME, name)
    return store.run(document.id)


def _set_foreign(store: Store, run: str, type: str, key: str, value: Any) -> None:
    store.record_all([(Foreign(system=SYSTEM, type=type, key=key, value=value), None)], run)


# --- params, metrics, tags -----------------------------------------------------------------------


def log_batch(
    store: Store,
    document: RunDocument,
    *,
    metrics: Iterable[Mapping[str, Any]] = (),
    params: Iterable[Mapping[str, Any]] = (),
    tags: Iterable[Mapping[str, Any]] = (),
    known: set[tuple[str, int, int, Number]] | None = None,
) -> None:
    """Record a batch, whole or not at all.

    Parameters
    ----------
    known
        Points of the run that were recorded before; what is resent is passed over, what is new is
        added. None: found in the store.
    """
    if document.trashed:
        raise invalid(
            f"The run {document.id} must be in the 'active' state. Current state is "
            f"{lifecycle(False)}."
        )
    metrics = list(metrics)
    points = read_points(metrics)
    given = _pairs(params, "params", _MOST_VALUE)
    set_tags = _pairs(tags, "tags", _MOST_TAG)
    for count, most, what in (
        (len(points), _MOST_METRICS, "metrics"),
        (len(given), _MOST_OTHERS, "params"),
        (len(set_tags), _MOST_OTHERS, "tags"),
        (len(points) + len(given) + len(set_tags), _MOST_ALL, "entities"),
    ):
        if count > most:
            raise invalid(
                f"A batch logging request can contain at most {most} {what}. Got {count} {what}. "
                f"Please split up {what} across multiple requests and try again."
            )
    _check_params(document, given)
    said: list[Said] = [(body, None) for body in said_params(given)]
    said += [(body, None) for body in said_tags(set_tags, document)]
    values = [point.value for point in points]
    said += [(body, None) for body in said_of_models(store, document, metrics, values)]
    said += said_points(
        points, recorded_points(store, document, points) if known is None else known
    )
    if said:
        store.record_all(said, document.id)
    for body in _edits(document, set_tags):
        store.record(body, document.id)


def _check_params(document: RunDocument, given: Mapping[str, str]) -> None:
    old = params_of(document)
    changed = [key for key, value in given.items() if key in old and old[key] != value]
    if changed:
        key = changed[0]
        raise invalid(
            f"Changing param values is not allowed. Params with key='{key}' was already logged "
            f"with value='{old[key]}' for run ID='{document.id}'. Attempted logging new value "
            f"'{given[key]}'."
        )


def said_params(given: Mapping[str, str]) -> Iterator[AnyBody]:
    """Yield the records of params: typed where that is certain, with the text where it differs."""
    values = {key: typed(value) for key, value in given.items()}
    if values:
        yield Config(values=values)
    for key, value in given.items():
        if str(values[key]) != value:
            yield Foreign(system=SYSTEM, type="param", key=key, value=value)


def typed(value: str) -> Any:
    """Return a param as what it was before a client turned it into a string."""
    if re.fullmatch(r"[+-]?\d{1,18}", value):
        return int(value)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", value):
        number = float(value)
        return number if math.isfinite(number) else value
    if value in ("True", "False", "true", "false"):
        return value in ("True", "true")
    if value in ("None", "null"):
        return None
    if value[:1] in "[{" and len(value) <= _MOST_VALUE:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def read_points(metrics: Iterable[Mapping[str, Any]]) -> list[Point]:
    """Return the points of a request.

    Raises
    ------
    MlflowError
        If one cannot be used, naming it.
    """
    found = []
    for index, one in enumerate(metrics):
        key: Any = one.get("key")
        value: Any = one.get("value")
        step: Any = one.get("step") or 0
        timestamp: Any = one.get("timestamp")
        # What a well-behaved client sends needs no second look.
        plain = type(key) is str and type(step) is type(timestamp) is int and _is_key(key)
        if (
            not plain
            or type(value) is not float
            or max(step.bit_length(), timestamp.bit_length()) > 60
        ):
            where = f"metrics[{index}]"
            for name in ("key", "value", "timestamp"):
                if one.get(name) is None:
                    raise missing(f"{where}.{name}")
            _check_key(key, f"{where}.key")
            step = _integer(step, f"{where}.step")
            timestamp = _integer(timestamp, f"{where}.timestamp")
            value = _double(value, f"{where}.value")
        found.append(Point(key, step, timestamp, to_wire(value)))
    return found


def recorded_points(
    store: Store, document: RunDocument, points: Iterable[Point]
) -> set[tuple[str, int, int, Number]]:
    """Return which of the run's points might be among `points`: those at the same steps.

    Steps beyond the last one of their key are new, so that a training that goes on costs no read.
    """
    asked: dict[str, list[int]] = defaultdict(list)
    for point in points:
        summary = document.metrics.get(point.key)
        if summary is not None and point.step <= summary.hi:
            asked[point.key].append(point.step)
    found = set()
    for key, steps in asked.items():
        there = store.points.read(document.id, key)
        there = there[np.isin(there.step, steps)]
        found |= {(key, step, t // 1000, to_wire(value)) for step, _, t, value in there.rows()}
    return found


def said_points(
    points: Iterable[Point], known: set[tuple[str, int, int, Number]]
) -> Iterator[Said]:
    """Yield the records of points that are not `known`, and add them to it.

    Values of one step and time go into one record, as a training of ours would log them.
    """
    rows: dict[tuple[int, int], list[dict[str, Number]]] = defaultdict(lambda: [{}])
    for point in points:
        identity = (point.key, point.step, point.timestamp, point.value)
        if identity in known:
            continue
        known.add(identity)
        lines = rows[(point.step, point.timestamp)]
        if point.key in lines[-1] or len(lines[-1]) >= 100:
            lines.append({})
        lines[-1][point.key] = point.value
    for (step, timestamp), lines in rows.items():
        for values in lines:
            yield Metrics(values=values, step=step), timestamp * 1000


def said_tags(tags: Mapping[str, str], document: RunDocument | None) -> Iterator[AnyBody]:
    """Yield the records of tags; what a tag means here is said as well."""
    for key, value in tags.items():
        yield Foreign(system=SYSTEM, type="tag", key=key, value=value)
    if _COMMIT in tags:
        git = document.environment.get("git", {}) if document is not None else {}
        yield Environment(values={"git": {**git, "commit": tags[_COMMIT]}})


def _edits(document: RunDocument, tags: Mapping[str, str]) -> Iterator[AnyBody]:
    """Yield what tags change that people can change too."""
    if tags.get(_NAME, document.name) != document.name:
        yield Renamed(name=tags[_NAME])
    if _NOTE in tags:
        lesson = document.lesson or LessonWritten()
        if lesson.text != tags[_NOTE]:
            yield msgspec.structs.replace(lesson, text=tags[_NOTE])


def delete_tag(store: Store, document: RunDocument, key: str) -> None:
    """Remove a tag.

    Raises
    ------
    MlflowError
        If the run has none of that name.
    """
    if key not in tags_of(document):
        raise MlflowError(
            404,
            "RESOURCE_DOES_NOT_EXIST",
            f"No tag with name: {key} in run with id {document.id}",
        )
    _set_foreign(store, document.id, "tag", key, None)


# --- fields --------------------------------------------------------------------------------------


def _pairs(given: Iterable[Any], what: str, most: int = _MOST_TAG) -> dict[str, str]:
    """Return keys and values of a request, checked."""
    found: dict[str, str] = {}
    for index, one in enumerate(given):
        key = one.get("key") if isinstance(one, Mapping) else None
        if key is None:
            raise missing(f"{what}[{index}].key")
        _check_key(key, f"{what}[{index}].key")
        value = one.get("value", "")
        if not isinstance(value, str):
            raise unusable(value, f"{what}[{index}].value")
        if len(value) > most:
            raise invalid(
                f"'{what}[{index}].value' exceeds the maximum length of {most} characters"
            )
        if what == "params" and found.get(key, value) != value:
            raise invalid(f"Duplicate parameter keys have been submitted: {[key]}.")
        found[key] = value
    return found


@functools.lru_cache(4096)
def _is_key(key: str) -> bool:
    """Tell whether `key` is a name that MLflow allows: known characters, a normal path."""
    normal = bool(key) and posixpath.normpath(key) == key and not key.startswith(("/", ".."))
    return normal and key != "." and _KEY.fullmatch(key) is not None


def _check_key(key: Any, where: str) -> None:
    if not isinstance(key, str):
        raise unusable(key, where)
    if not _is_key(key):
        raise invalid(
            f"Invalid value \"{key[:300]}\" for parameter '{where}' supplied: Names may only "
            "contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), "
            "colon(:) and slashes (/)."
        )


def _integer(value: Any, where: str) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise unusable(value, where) from None
    if isinstance(value, bool) or not -(1 << 63) <= number < 1 << 63:
        raise unusable(value, where)
    return number


def _double(value: Any, where: str) -> float:
    if isinstance(value, bool):
        raise unusable(value, where)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise unusable(value, where) from None
