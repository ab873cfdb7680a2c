"""Who may ask, and how: checked before any route is looked at.

The server listens on loopback and has no accounts, so whatever page a browser has open could
try to talk to it. Three things stop that: the Host header must name this server (DNS rebinding),
a request that changes something must come from our own page (cross-site requests), and there is
no CORS, so that no other page can read an answer. A strict content policy keeps what users log
from running as code.

A non-browser client sends neither Origin nor Sec-Fetch-Site; it is on this machine, or holds
the token.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from epochal.server.problems import Rejected, problem_of, reject

__all__ = ["CONTENT_POLICY", "LOOPBACK", "SANDBOX_POLICY", "Guard", "Policy", "is_loopback"]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""For our own page: nothing inline, nothing from elsewhere, in nobody's frame."""

SANDBOX_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
"""For bytes that users logged: opened directly, they are nobody's origin and run nothing."""

_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-frame-options": "DENY",
}

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_SAFE = ("GET", "HEAD")
_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)(?::(\d{1,5}))?")
_MAX_PATH = 4096
_MAX_QUERY = 16 << 10  # MLflow's pages ask for a hundred runs at once
_MAX_TOKEN = 512
_MAX_HEADERS = 16 << 10


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server that listens on `host`."""
    return host in ("localhost", "::1", "[::1]") or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))


@dataclass(frozen=True, slots=True)
class Policy:
    """What one server allows.

    Parameters
    ----------
    hosts
        Names besides the loopback ones that it is reached under, exactly and in lower case.
        Any port: a tunnel or a proxy may stand in front, and which port a page was asked on is
        not what rebinding is stopped by.
    token
        What every request must show, as a bearer token or by the cookie that ``/login`` sets;
        None: nothing.
    """

    hosts: frozenset[str] = frozenset()
    token: str | None = None
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    """Value of the cookie: it dies with the process, and the token is not in it."""

    def allows_host(self, name: str) -> bool:
        """Tell whether a request may be addressed to `name`."""
        return name in LOOPBACK or name in self.hosts

    @property
    def cookie(self) -> str:
        """Name of the cookie; cookies are shared by all ports of a host, so it is one's own."""
        return f"epochal-{self.session[:6]}"


class Guard:
    """ASGI middleware that refuses what must not be asked, and adds headers to every answer."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no websockets: the server does not offer them

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("content-security-policy", CONTENT_POLICY)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            answer = self._answer(scope)
        except Rejected as error:
            answer = self._explain(error, scope)
        if answer is not None:
            await answer(scope, receive, guarded)
        else:
            await self._app(scope, receive, guarded)

    def _answer(self, scope: Scope) -> Response | None:
        """Return the answer that needs no route; None: go on.

        Raises
        ------
        Rejected
            If the request must not be answered.
        """
        if sum(len(name) + len(value) for name, value in scope["headers"]) > _MAX_HEADERS:
            reject(431, "too-long", f"headers may have {_MAX_HEADERS} bytes here")
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        host = self._check_host(headers.get("host", []))
        self._check_target(scope)
        method = scope["method"]
        if method not in _METHODS:
            reject(405, "method-not-allowed", "this method is not known here")
        if self._policy.token is not None:
            if scope["path"] == "/login" and method == "GET":
                return self._login(scope)
            self._check_token(headers)
        elif scope["path"] == "/login":
            return RedirectResponse("/", 303)
        self._check_origin(method, host, headers)
        return None

    def _check_host(self, given: list[str]) -> str:
        match = _HOST.fullmatch(given[0].lower()) if len(given) == 1 else None
        if match is None or int(match[2] or 1) > 65535:
            reject(400, "bad-host", "the Host header is missing, doubled or malformed")
        if not self._policy.allows_host(match[1]):
            reject(
                421,
                "host-not-allowed",
                "this server is not reached under that name",
                "use the address that `epochal ui` printed, or start it with --allow-host",
            )
        return match[0]

    @staticmethod
    def _check_target(scope: Scope) -> None:
        path: str = scope["path"]
        if not path.startswith("/") or any(c < " " or c == "\x7f" for c in path):
            reject(400, "bad-target", "the request target is malformed")
        if len(path) > _MAX_PATH or len(scope.get("query_string", b"")) > _MAX_QUERY:
            limits = f"{_MAX_PATH} characters here, a query {_MAX_QUERY}"
            reject(414, "too-long", f"an address may have {limits}")

    def _check_origin(self, method: str, host: str, headers: dict[str, list[str]]) -> None:
        site = headers.get("sec-fetch-site", [])
        foreign = any(value not in ("same-origin", "none") for value in site)
        if method in _SAFE:
            # A page elsewhere may link here; it may not load, embed or frame what is here.
            opened = headers.get("sec-fetch-mode") == ["navigate"] and headers.get(
                "sec-fetch-dest"
            ) == ["document"]
            if foreign and not opened:
                reject(403, "cross-site", "another site may not load what is here")
            return
        origins = headers.get("origin", [])
        own = {f"http://{host}"}
        if host.partition(":")[0] not in LOOPBACK and not host.startswith("[::1]"):
            own.add(f"https://{host}")  # behind a proxy that speaks TLS
        if foreign or len(origins) > 1 or any(origin.lower() not in own for origin in origins):
            reject(403, "cross-site", "only this server's own page may change something here")

    # --- the token -----------------------------------------------------------------------------

    def _check_token(self, headers: dict[str, list[str]]) -> None:
        shown = headers.get("authorization", [])
        if len(shown) == 1:
            scheme, _, token = shown[0].partition(" ")
            if scheme.lower() == "bearer" and self._is_token(token.strip()):
                return
        cookie = self._cookie(headers.get("cookie", []))
        if hmac.compare_digest(cookie.encode(), self._policy.session.encode()):
            return
        reject(
            401,
            "unauthorized",
            "this server asks for its token",
            "open the address that `epochal ui` printed, or send `Authorization: Bearer TOKEN`",
        )

    def _is_token(self, shown: str) -> bool:
        expected = (self._policy.token or "").encode()
        return hmac.compare_digest(shown[:_MAX_TOKEN].encode("utf-8", "replace"), expected)

    def _cookie(self, lines: Iterable[str]) -> str:
        cookie: SimpleCookie = SimpleCookie()
        try:
            for line in lines:
                cookie.load(line[:8192])
        except CookieError:
            return ""
        found = cookie.get(self._policy.cookie)
        return found.value if found is not None else ""

    def _login(self, scope: Scope) -> Response:
        try:
            shown = parse_qs(scope["query_string"].decode("ascii"), max_num_fields=4)
        except ValueError:
            shown = {}
        tokens = shown.get("token", [])
        if len(tokens) != 1 or not self._is_token(tokens[0]):
            reject(401, "unauthorized", "that is not this server's token")
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            self._policy.cookie, self._policy.session, httponly=True, samesite="strict", path="/"
        )
        return answer

    @staticmethod
    def _explain(error: Rejected, scope: Scope) -> Response:
        accepts = dict(scope["headers"]).get(b"accept", b"")
        if error.status == 401 and b"text/html" in accepts:
            return HTMLResponse(_LOCKED, 401)
        answer = problem_of(error)
        if error.status == 405:
            answer.headers["allow"] = ", ".join(_METHODS)
        if error.status == 401:
            answer.headers["www-authenticate"] = 'Bearer realm="epochal"'
        return answer


_LOCKED = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Epochal</title>
<main><h1>This Epochal asks for its token</h1>
<p>Open the whole address that <code>epochal ui</code> printed, with its token.</p></main></html>
"""
