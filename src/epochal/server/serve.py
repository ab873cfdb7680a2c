"""Running the server: a port, a line that says where, an end at once."""

from __future__ import annotations

import contextlib
import errno
import logging
import resource
import secrets
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvicorn

from epochal.errors import InvalidInput, Refused
from epochal.journal.folder import Folder
from epochal.server.app import create_app
from epochal.server.security import Policy, is_loopback
from epochal.server.service import Service

__all__ = ["PORT", "Address", "listen", "new_token", "serve"]

PORT = 8642
"""Where the UI is, unless that port is taken."""

_TRIED = 20
"""Ports from the wanted one on that are tried."""
_MIN_TOKEN = 16


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The address to open; for all interfaces, the one of this machine."""
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"http://{f'[{shown}]' if ':' in shown and shown[0] != '[' else shown}:{self.port}/"


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(32)


def listen(host: str = "127.0.0.1", port: int | None = None) -> tuple[socket.socket, Address]:
    """Return a listening socket and where it is.

    Parameters
    ----------
    port
        None: `PORT`, or the next free one after it.

    Raises
    ------
    InvalidInput
        If the port is taken, or the host is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = range(PORT, PORT + _TRIED) if port is None else (port,)
    for one in wanted:
        # Named, so that asyncio sends small answers at once: it asks sockets what they are.
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host.strip("[]"), one))
            found.listen(256)
        except OSError as error:
            found.close()
            if port is not None or error.errno != errno.EADDRINUSE:
                raise InvalidInput(
                    f"cannot listen on {host} port {one}: {error.strerror}",
                    "choose another one with --port",
                ) from None
            continue
        return found, Address(host, found.getsockname()[1])
    raise InvalidInput(
        f"ports {PORT} to {PORT + _TRIED - 1} are all taken", "choose one with --port"
    )


def policy(host: str, token: str | None, names: tuple[str, ...] = ()) -> Policy:
    """Return what a server on `host` allows.

    Parameters
    ----------
    names
        Further names that it is reached under.

    Raises
    ------
    Refused
        If others could reach it and no token is asked for.
    InvalidInput
        If the token is short enough to be guessed.
    """
    if token is not None and len(token) < _MIN_TOKEN:
        raise InvalidInput(
            f"a token needs at least {_MIN_TOKEN} characters", "--token alone makes a good one"
        )
    if not is_loopback(host) and token is None:
        raise Refused(
            f"listening on {host} lets others in, and nothing would ask who they are",
            "add --token, or leave --host away and use an SSH tunnel",
        )
    hosts = {name.lower() for name in names}
    if host not in ("0.0.0.0", "::"):
        hosts.add(f"[{host.strip('[]')}]" if ":" in host else host.lower())
    return Policy(frozenset(hosts), token)


def serve(
    folder: Folder,
    listening: socket.socket,
    allowed: Policy,
    *,
    url: str = "",
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve the workspace until the process is asked to end.

    Parameters
    ----------
    url
        Where the page is, for clients that print a link to their run.
    ready
        Called once requests are answered.
    """
    service = Service(folder)
    app = create_app(service, allowed, url=url)
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=16 << 10,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    _more_files()
    with _closed_at_exit(listening):
        _Server(config, service, ready).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Tells when it is ready; ends streams of events before it waits for connections to end."""

    def __init__(
        self, config: uvicorn.Config, service: Service, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._service = service
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer no more."""
        self._service.changes.close()
        await super().shutdown(sockets)


@contextlib.contextmanager
def _closed_at_exit(listening: socket.socket) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        pass  # asked to end, and it has
    finally:
        listening.close()


def _more_files() -> None:
    """Allow as many connections as the system does: idle ones must not keep others out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
