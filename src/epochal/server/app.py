"""The application: guard, API, live updates, other systems' wires, the page."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from epochal.server import openapi
from epochal.server.answering import route_of
from epochal.server.answers import handler
from epochal.server.changes import Changes
from epochal.server.operations import OPERATIONS, PREFIX
from epochal.server.pages import Pages
from epochal.server.problems import problem, problem_of
from epochal.server.security import Guard, Policy
from epochal.server.service import Service
from epochal.server.tailer import Tailer
from epochal.server.wires import mounts

__all__ = ["create_app"]

_MAX_STREAMS = 200


def create_app(
    service: Service,
    policy: Policy | None = None,
    *,
    url: str = "",
    heartbeat: float = 15.0,
) -> ASGIApp:
    """Return the application that serves a workspace.

    Parameters
    ----------
    url
        Where the page is, for clients that print a link to their run.
    heartbeat
        Seconds of silence after which a stream of events carries a comment.
    """
    tailer = Tailer(service)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tailer.start()
        yield
        service.changes.close()
        tailer.stop()
        service.close()

    routes: list[BaseRoute] = [
        Route("/health", _health),
        Route(f"{PREFIX}/openapi.json", _openapi),
    ]
    for operation in OPERATIONS:
        if operation.name == "events":
            routes.append(Route(PREFIX + operation.path, _events(service.changes, heartbeat)))
        else:
            routes.append(route_of(operation, handler(operation.name), service))
    routes += mounts(service, (lambda run: f"{url}run?id={run}") if url else None)
    routes.append(Route("/{path:page}", Pages().answer))
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={404: _failed, 405: _failed, Exception: _failed},
    )
    app.router.redirect_slashes = False  # an address has one spelling
    # Outside of everything, so that no answer leaves without its headers.
    return Guard(app, policy or Policy())


async def _health(_: Request) -> Response:
    return JSONResponse({"ok": True})


async def _openapi(_: Request) -> Response:
    return Response(openapi.PATH.read_bytes(), media_type="application/json")


async def _failed(_: Request, error: Exception) -> Response:
    return problem_of(error)


def _events(
    changes: Changes, heartbeat: float
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    open_streams = 0

    async def stream(since: int | None) -> AsyncIterator[bytes]:
        nonlocal open_streams
        open_streams += 1
        try:
            yield b"retry: 1000\n\n"
            async for event in changes.listen(since, heartbeat):
                if event is None:
                    yield b": still here\n\n"
                else:
                    data = msgspec.json.encode(event)
                    yield b"id: %d\nevent: change\ndata: %s\n\n" % (event.change, data)
        finally:
            open_streams -= 1

    async def endpoint(request: Request) -> Response:
        given = request.headers.get("last-event-id") or request.query_params.get("since")
        if given is not None and not (given.isascii() and given.isdigit() and len(given) < 19):
            return problem(400, "invalid-request", "an event's id is a number")
        if open_streams >= _MAX_STREAMS:
            return problem(503, "busy", "too many pages are listening", "close some of them")
        return StreamingResponse(
            stream(None if given is None else int(given)), media_type="text/event-stream"
        )

    return endpoint
