"""Errors as a client meets them: ``application/problem+json`` with a stable code (RFC 9457)."""

from __future__ import annotations

import errno
import http
import logging
import secrets
import traceback
from collections.abc import Mapping
from typing import NoReturn

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from epochal.errors import (
    Ambiguous,
    Damaged,
    EpochalError,
    InvalidInput,
    NewerFormat,
    NotFound,
    Refused,
)
from epochal.server.schema.common import Problem
from epochal.store.database import Busy

__all__ = ["Conflict", "Rejected", "problem", "problem_of", "reject"]

_log = logging.getLogger("epochal.server")


class Conflict(EpochalError):
    """Somebody else changed it since it was read."""


class Rejected(Exception):
    """A request that is refused for how it was made, before it is looked at."""

    def __init__(self, status: int, code: str, detail: str, remedy: str = "") -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.remedy = status, code, detail, remedy


def reject(status: int, code: str, detail: str, remedy: str = "") -> NoReturn:
    """Refuse the request at hand."""
    raise Rejected(status, code, detail, remedy)


def problem(
    status: int,
    code: str,
    detail: str,
    remedy: str = "",
    *,
    id: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the response that tells a problem."""
    body = Problem(
        type=f"urn:epochal:problem:{code}",
        title=http.HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        remedy=remedy,
        id=id,
    )
    return Response(
        msgspec.json.encode(body), status, headers, media_type="application/problem+json"
    )


_STATUS: tuple[tuple[type[EpochalError], int, str], ...] = (
    (Ambiguous, 404, "ambiguous"),
    (NotFound, 404, "not-found"),
    (InvalidInput, 400, "invalid-input"),
    (Refused, 409, "refused"),
    (Conflict, 409, "conflict"),
    (NewerFormat, 409, "newer-format"),
    (Damaged, 500, "damaged"),
)


def problem_of(error: Exception) -> Response:
    """Return the response that tells what went wrong, and no more than the client may know."""
    match error:
        case Rejected():
            return problem(error.status, error.code, error.detail, error.remedy)
        case Busy():
            return problem(
                503,
                "busy",
                "another process is writing the index",
                "ask again in a moment",
                headers={"retry-after": "1"},
            )
        case EpochalError():
            for kind, status, code in _STATUS:
                if isinstance(error, kind):
                    return problem(status, code, error.message, error.remedy)
            return problem(500, "error", error.message, error.remedy)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return problem(507, "disk-full", "the disk is full: nothing was changed", "free space")
        case OSError(errno=errno.EROFS | errno.EACCES | errno.EPERM):
            return problem(
                409, "read-only", "the workspace cannot be written to", "check its permissions"
            )
        case HTTPException():
            code = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "refused")
            detail = "there is nothing here" if error.status_code == 404 else error.detail
            return problem(error.status_code, code, detail, headers=error.headers)
        case _:
            return _internal(error)


def _internal(error: Exception) -> Response:
    """Log what happened under an id; tell the client the id and nothing else."""
    id = secrets.token_hex(4)
    # repr keeps what a user typed from forging lines of the log
    frames = "".join(traceback.format_tb(error.__traceback__)[-8:])
    _log.error("request %s failed: %s: %r\n%s", id, type(error).__name__, str(error)[:500], frames)
    return problem(
        500,
        "internal",
        "something went wrong inside Epochal",
        f"the server's terminal tells more under {id}",
        id=id,
    )
