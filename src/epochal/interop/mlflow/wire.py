"""The routes of MLflow's REST protocol, for an unmodified ``mlflow`` client.

``MLFLOW_TRACKING_URI=http://host:port`` is all a client needs. Below ``/api/2.0/mlflow`` (and
``/api/2.0/preview/mlflow``, ``/ajax-api/2.0/mlflow`` for old clients and notebooks), and a few
files at the root. What Epochal has no counterpart for (traces, prompts, gateway, webhooks, all of
MLflow's API 3.0) answers 501 with a reason.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router

from epochal.errors import EpochalError
from epochal.interop.mlflow import (
    experiment_routes,
    files,
    history_routes,
    logged_model_routes,
    registry_routes,
    run_routes,
)
from epochal.interop.mlflow.errors import MlflowError, invalid
from epochal.interop.mlflow.routing import Answer, Call, required
from epochal.interop.serving import Gate
from epochal.store.store import Store
from epochal.version import __version__

__all__ = ["CALLS", "mlflow_app", "mlflow_routes"]

_PREFIXES = ("/api/2.0", "/ajax-api/2.0")
_OUTSIDE = ("/api/3.0", "/ajax-api/3.0", "/graphql", "/v1/traces")
"""What only tracing, evaluation and MLflow's own pages speak to."""

_MOST_BODY = 8 << 20
_UNSUPPORTED = (
    "This is an Epochal server: it tracks experiments and models, and has no {what}. "
    "Everything else of this client works."
)

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


CALLS = (
    *experiment_routes.CALLS,
    *run_routes.CALLS,
    *history_routes.CALLS,
    *logged_model_routes.CALLS,
    *registry_routes.CALLS,
)


def mlflow_routes(gate: Gate) -> list[BaseRoute]:
    """Return everything that MLflow's clients ask a server for, to stand behind its own guard.

    Parameters
    ----------
    gate
        The server's way to the workspace.
    """
    app = mlflow_app(gate)
    outside = _guarded(_unsupported)
    return [
        *(Mount(prefix, app) for prefix in _PREFIXES),
        *(
            Route(path, outside, methods=_ANY)
            for prefix in _OUTSIDE
            for path in (prefix, prefix + "/{rest:path}")
        ),
        Route("/get-artifact", _guarded(functools.partial(_download, gate))),
        Route("/model-versions/get-artifact", _guarded(functools.partial(_version_file, gate))),
        Route("/version", _version),
    ]


def mlflow_app(gate: Gate) -> Router:
    """Return the application that speaks MLflow's protocol over a workspace.

    Parameters
    ----------
    gate
        The server's way to the workspace.
    """
    routes: list[BaseRoute] = [
        Route(base + call.path, _endpoint(gate, call), methods=[call.method])
        for call in CALLS
        for base in ("/mlflow", "/preview/mlflow")
    ]
    artifacts = _guarded(functools.partial(_artifacts, gate))
    routes += [
        Route(path, artifacts, methods=["GET", "PUT", "DELETE"])
        for path in ("/mlflow-artifacts/artifacts/{path:path}", "/mlflow-artifacts/artifacts")
    ]
    for path, method, endpoint in (
        ("/mlflow/upload-artifact", "POST", _upload),
        ("/mlflow/get-artifact", "GET", _download),
        ("/mlflow/logged-models/{model_id}/artifacts/files", "GET", _download),
    ):
        routes.append(Route(path, _guarded(functools.partial(endpoint, gate)), methods=[method]))
    routes.append(Route("/{rest:path}", _guarded(_unsupported), methods=_ANY))
    return Router(routes)


_ANY = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def _guarded(endpoint: Endpoint) -> Endpoint:
    """Answer errors in the client's own format, and never with a status that it retries."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except MlflowError as error:
            return JSONResponse(error.body(), error.status)
        except EpochalError as error:
            return JSONResponse(invalid(str(error)).body(), 400)

    return answer


def _endpoint(gate: Gate, call: Call) -> Endpoint:
    async def answer(request: Request) -> Response:
        given = await _request(request) if call.method != "GET" else {}
        given = {**_query(request, call.lists), **given, **request.path_params}
        run = gate.write if call.writes else gate.read
        return JSONResponse(await run(functools.partial(_call, call.answer, given)))

    return _guarded(answer)


def _call(answer: Answer, given: dict[str, Any], store: Store) -> dict[str, Any]:
    return answer(store, given)


def _query(request: Request, lists: tuple[str, ...]) -> dict[str, Any]:
    query = request.query_params
    return {key: query.getlist(key) if key in lists else query[key] for key in query}


async def _request(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BODY:
            raise MlflowError(413, "INVALID_PARAMETER_VALUE", "The request is too large")
    if not body:
        return {}
    try:
        given = msgspec.json.decode(bytes(body))
    except (msgspec.DecodeError, RecursionError):
        raise MlflowError(400, "BAD_REQUEST", "The request is not JSON") from None
    if not isinstance(given, dict):
        raise MlflowError(400, "BAD_REQUEST", "The request is not a JSON object")
    return given


async def _artifacts(gate: Gate, request: Request) -> Response:
    path = request.path_params.get("path", "")
    if request.method == "GET" and not path:
        return JSONResponse(
            await gate.read(lambda s: _listing(s, request.query_params.get("path", "")))
        )
    place = await gate.read(lambda store: files.locate(store, path))
    if request.method == "PUT":
        blobs = await gate.read(lambda store: store.blobs)
        digest, size = await files.receive(blobs, request.stream())
        await gate.write(lambda store: files.keep(store, place, digest, size))
        return JSONResponse({})
    if request.method == "DELETE":
        await gate.write(lambda store: files.remove(store, place))
        return JSONResponse({})
    return await _file(gate, place)


async def _upload(gate: Gate, request: Request) -> Response:
    """Take in one file of a run, as MLflow's own pages send it."""
    run, path = _named(request, "run_uuid"), _named(request, "path")
    place = await gate.read(lambda store: files.locate_in(store, run, path))
    blobs = await gate.read(lambda store: store.blobs)
    digest, size = await files.receive(blobs, request.stream())
    if not size:
        raise invalid("Request must specify data.")
    await gate.write(lambda store: files.keep(store, place, digest, size))
    return JSONResponse({})


async def _download(gate: Gate, request: Request) -> Response:
    """Give out one file of a run or of a logged model, as MLflow's own pages ask for it."""
    query = request.query_params
    if model := request.path_params.get("model_id"):
        path = f"0/models/{model}/artifacts/{required(query, 'artifact_file_path')}"
        place = await gate.read(lambda store: files.locate(store, path))
    else:
        run = query.get("run_id") or _named(request, "run_uuid")
        path = _named(request, "path")
        place = await gate.read(lambda store: files.locate_in(store, run, path))
    return await _file(gate, place)


async def _version_file(gate: Gate, request: Request) -> Response:
    """Give out one file of a model version, as MLflow's own pages ask for it."""
    name, version, path = (_named(request, field) for field in ("name", "version", "path"))
    return await _file(
        gate, await gate.read(lambda store: files.locate_version(store, name, version, path))
    )


async def _version(_: Request) -> Response:
    """Say which version of a server this is; clients ask before they send spans, never metrics."""
    return PlainTextResponse(__version__)


def _named(request: Request, field: str) -> str:
    found = request.query_params.get(field)
    if not found:
        raise invalid(f"Request must specify {field}.")
    return found


async def _file(gate: Gate, place: files.Place) -> Response:
    blob = await gate.read(lambda store: files.blob_of(store, place))
    headers = files.content_headers(place.key.rpartition("/")[2])
    return FileResponse(blob, headers=headers)


def _listing(store: Store, path: str) -> dict[str, Any]:
    place = files.locate(store, path)
    found = files.list_place(store, place)
    cut = f"{place.key}/" if place.key else ""
    # Here, unlike in artifacts/list, names are relative to the folder that was asked for.
    return {"files": [{**f, "path": f["path"].removeprefix(cut)} for f in found]}


async def _unsupported(request: Request) -> Response:
    path = request.url.path
    for word, what in _OUT_OF_SCOPE.items():
        if word in path:
            raise MlflowError(501, "NOT_IMPLEMENTED", _UNSUPPORTED.format(what=what))
    raise MlflowError(
        404, "ENDPOINT_NOT_FOUND", f"There is no {request.method} {request.url.path}"
    )


_OUT_OF_SCOPE = {
    "trace": "traces",
    "graphql": "GraphQL",
    "prompt": "prompts",
    "gateway": "gateway",
    "webhook": "webhooks of MLflow's kind",
    "scorer": "scorers",
    "mpu": "multipart uploads",
    "assessment": "assessments",
    "jobs": "jobs",
    "workspaces": "workspaces of MLflow's kind",
    "secrets": "secrets",
    "/3.0/mlflow/datasets": "evaluation datasets of MLflow's kind",
    "/3.0/": "counterpart to this part of MLflow's API 3.0",
}
