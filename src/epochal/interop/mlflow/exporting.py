"""Giving a run to any MLflow server, through MLflow's own client."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from epochal.errors import InvalidInput
from epochal.interop.mlflow.entities import milliseconds, params_of, tags_of
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["export_to_server"]

_ORIGIN = "epochal.run"
"""Tag of an exported run: its id here, by which a second export finds it."""
_BATCH, _PARAMS, _MOST_VALUE = 1000, 100, 6000
_ENDED = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}


def export_to_server(
    store: Store,
    document: RunDocument,
    address: str,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Copy a run to the MLflow server at `address` and return the run's address there.

    A second export adds what is new to the same run.

    Raises
    ------
    InvalidInput
        If MLflow's client is not installed, or the server does not answer.
    """
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ModuleNotFoundError:
        raise InvalidInput(
            "giving a run to MLflow needs its client", "install it: pip install mlflow-skinny"
        ) from None
    # Its default is to try for minutes; a wrong address should be told at once.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    client = MlflowClient(tracking_uri=address)
    try:
        run = _run_there(client, document)
        _copy(client, run, store, document, progress)
    except MlflowException as error:
        first = str(error).partition("\n")[0][:300]
        raise InvalidInput(f"the MLflow server at {address} refused: {first}") from None
    return f"{address.rstrip('/')}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def _run_there(client: Any, document: RunDocument) -> Any:
    name = document.project or "Default"
    experiment = client.get_experiment_by_name(name)
    id = experiment.experiment_id if experiment else client.create_experiment(name)
    found = client.search_runs([id], f"tags.`{_ORIGIN}` = '{document.id}'", max_results=1)
    if found:
        return found[0]
    return client.create_run(
        id,
        start_time=milliseconds(document.created),
        run_name=document.name,
        tags={_ORIGIN: document.id},
    )


def _copy(
    client: Any,
    run: Any,
    store: Store,
    document: RunDocument,
    progress: Callable[[int, int], None] | None,
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    id, there = run.info.run_id, run.data
    params = [
        Param(key, value[:_MOST_VALUE])
        for key, value in params_of(document).items()
        if key not in there.params
    ]
    for start in range(0, len(params), _PARAMS):
        client.log_batch(id, params=params[start : start + _PARAMS])
    tags = [RunTag(k, v) for k, v in tags_of(document).items() if there.tags.get(k) != v]
    for start in range(0, len(tags), _PARAMS):
        client.log_batch(id, tags=tags[start : start + _PARAMS])
    total, done = sum(s.n for s in document.metrics.values()) or 1, 0
    for key in sorted(document.metrics):
        points = store.points.read(document.id, key)
        known = {(m.step, m.timestamp) for m in client.get_metric_history(id, key)}
        metrics = [
            Metric(key, value, milliseconds(t), step)
            for step, _, t, value in points.rows()
            if (step, milliseconds(t)) not in known
        ]
        for start in range(0, len(metrics), _BATCH):
            client.log_batch(id, metrics=metrics[start : start + _BATCH])
        done += len(points)
        if progress:
            progress(min(done, total), total)
    _copy_files(client, id, store, document)
    status = _ENDED.get(store.status(document))
    if status is not None:
        ended = document.attempts[-1].ended if document.attempts else None
        end_time = milliseconds(ended) if ended else None
        client.set_terminated(id, status=status, end_time=end_time)


def _copy_files(client: Any, id: str, store: Store, document: RunDocument) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for key, stamped in sorted(document.artifacts.items()):
            digest = stamped.body.digest  # type: ignore[union-attr] # artifacts only
            if digest not in store.blobs:
                continue
            # MLflow takes a file's name from the file: a link gives it one, without a copy.
            link = Path(folder) / Path(key).name
            link.symlink_to(store.blobs.path(digest))
            parent = str(Path(key).parent)
            client.log_artifact(id, str(link), None if parent == "." else parent)
            link.unlink()
