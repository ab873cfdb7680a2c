"""From an operation to a route: decode, answer in a thread, encode."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from epochal.server.compression import compress, encoding_for
from epochal.server.context import Context
from epochal.server.operations import PREFIX, Operation
from epochal.server.problems import problem_of, reject
from epochal.server.service import Service

__all__ = ["MAX_BODY", "Payload", "route_of"]

MAX_BODY = 1 << 20
"""Bytes that the body of a request may have."""
_BODY_SECONDS = 10.0
_MAX_PARAMETERS = 50

Handler = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Payload:
    """An answer that is no JSON struct."""

    data: bytes
    media_type: str
    headers: dict[str, str] = field(default_factory=dict)
    small: bool = False
    """Compressed already, as images are: compressing again costs time and saves nothing."""
    file: Path | None = None
    """Where the data is, instead of `data`: too large to hold."""


def route_of(operation: Operation, handler: Handler, service: Service) -> Route:
    """Return the route that answers `operation` with ``handler(context, ..., **path)``.

    The handler gets the query or body as its second argument where the operation has one, and
    the parts of the path by name. It runs in a thread and may raise any `EpochalError`.
    """
    call = service.write if operation.writes else service.read

    async def endpoint(request: Request) -> Response:
        try:
            given = await _given(operation, request)
            encoding = encoding_for(request.headers.get("accept-encoding", ""))
            return await call(_answer, handler, given, request.path_params, encoding)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:  # noqa: BLE001 # the last resort tells an id and nothing else
            return problem_of(error)

    return Route(_pattern(operation.path), endpoint, methods=[operation.method])


class _Part(Convertor[str]):
    """A part of a path that must look like its `regex`: anything else is no address at all."""

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _Run(_Part):
    regex = "[0-9a-f]{32}"


class _Digest(_Part):
    regex = "[0-9a-f]{64}"


class _Page(_Part):
    """Any path but the API's."""

    regex = "(?!api(?:/|$)).*"


register_url_convertor("run", _Run())
register_url_convertor("digest", _Digest())
register_url_convertor("page", _Page())
_PARTS = {"{run}": "{run:run}"} | {
    f"{{{name}}}": f"{{{name}:digest}}" for name in ("digest", "other", "image")
}


def _pattern(path: str) -> str:
    for part, typed in _PARTS.items():
        path = path.replace(part, typed)
    return PREFIX + path


def _answer(
    context: Context,
    handler: Handler,
    given: list[msgspec.Struct],
    path: dict[str, Any],
    encoding: str,
) -> Response:
    answer = handler(context, *given, **path)
    if not isinstance(answer, Payload):
        answer = Payload(msgspec.json.encode(answer), "application/json")
    headers = {"vary": "accept-encoding", **answer.headers}
    if answer.file is not None:
        headers["content-length"] = str(answer.file.stat().st_size)
        return StreamingResponse(_pieces(answer.file), 200, headers, answer.media_type)
    smaller = None if answer.small else compress(answer.data, encoding)
    if smaller is not None:
        headers["content-encoding"] = encoding
    return Response(
        answer.data if smaller is None else smaller, 200, headers, media_type=answer.media_type
    )


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(1 << 20):
            yield piece


async def _given(operation: Operation, request: Request) -> list[msgspec.Struct]:
    """Return the decoded query or body, in a list; empty where the operation takes neither."""
    if operation.query is not None:
        return [_query(request, operation.query)]
    if request.url.query:
        _invalid("there are no query parameters here")
    if operation.body is not None:
        return [_decode(await _body(request), operation.body)]
    return []


def _query(request: Request, kind: type[msgspec.Struct]) -> msgspec.Struct:
    pairs = request.query_params.multi_items()
    named = dict(pairs)
    if len(pairs) > _MAX_PARAMETERS or len(named) < len(pairs):
        _invalid("a query parameter is given twice")
    try:
        return msgspec.convert(named, kind, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        _invalid(str(error))


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        reject(415, "unsupported-media-type", "a body must be application/json")
    if request.headers.get("content-encoding", "identity") != "identity":
        reject(415, "unsupported-media-type", "a body must not be compressed")
    length = request.headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or int(length[:20]) > MAX_BODY:
        _too_large()
    data = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.stream():
                data += piece
                if len(data) > MAX_BODY:
                    _too_large()
    except TimeoutError:
        reject(408, "timeout", f"the body did not arrive within {_BODY_SECONDS:g} seconds")
    return bytes(data)


def _too_large() -> NoReturn:
    reject(413, "too-large", f"a body may have {MAX_BODY} bytes here")


def _decode(data: bytes, kind: type[msgspec.Struct]) -> msgspec.Struct:
    try:
        decoded = msgspec.json.decode(data, type=kind)
        # msgspec takes the last of two equal keys; whoever checks before us may take the first.
        json.loads(data, object_pairs_hook=_unique)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        _invalid(str(error))
    return decoded


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is given twice")


def _invalid(detail: str) -> NoReturn:
    reject(400, "invalid-request", detail[:500], "see /api/v1/openapi.json")
