"""Telling a deployment system: a signed HTTP request, retried.

The body is JSON. ``X-Epochal-Signature: sha256=HEX`` is the HMAC-SHA256, under a secret that both
sides know, of the timestamp in ``X-Epochal-Timestamp`` (seconds since the Unix epoch), a full
stop, and the body. A receiver compares it in constant time and refuses an old timestamp.
``X-Epochal-Delivery`` is the same for all attempts of one delivery, so that it acts once.

An address in the private network is refused unless allowed, and the connection goes to the very
address that was judged: a name cannot point elsewhere in between. Redirects are not followed.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import secrets
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from epochal.errors import EpochalError, InvalidInput, Refused
from epochal.version import __version__

__all__ = ["Delivery", "check_receiver", "deliver", "signature"]

ATTEMPTS = 5
_TIMEOUT = 10.0
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_RETRIED = frozenset({408, 425, 429, *range(500, 600)})


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook was accepted."""

    url: str
    delivery: str
    status: int
    attempts: int


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return the value of ``X-Epochal-Signature``."""
    signed = hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256)
    return f"sha256={signed.hexdigest()}"


def check_receiver(url: str, secret: str, *, allow_private: bool = False) -> None:
    """Raise what `deliver` would raise about its arguments, before anything is done.

    Raises
    ------
    InvalidInput, Refused
        See `deliver`. A name that cannot be looked up now is no error yet.
    """
    parts = _checked(url, secret)
    try:
        _address(parts, allow_private=allow_private)
    except OSError:
        return


def deliver(
    url: str,
    event: str,
    payload: Any,
    secret: str,
    *,
    allow_private: bool = False,
    attempts: int = ATTEMPTS,
    wait: Callable[[float], None] = time.sleep,
) -> Delivery:
    """Send `payload` to `url` and return once it was accepted (2xx).

    Parameters
    ----------
    event
        What happened, for ``X-Epochal-Event``.
    allow_private
        Also send to addresses that are not on the public internet.
    attempts
        How often to try where the other side is down, busy or failing: after 1, 2, 4 ... seconds.

    Raises
    ------
    InvalidInput
        If `url` is no http(s) address, or there is no secret to sign with.
    Refused
        If the address is private.
    EpochalError
        If the request was refused, or every attempt failed.
    """
    parts = _checked(url, secret)
    body = msgspec.json.encode(payload)
    delivery = secrets.token_hex(16)
    failure = ""
    for attempt in range(1, attempts + 1):
        if attempt > 1:
            wait(2.0 ** (attempt - 2))
        try:
            address = _address(parts, allow_private=allow_private)
            status = _post(parts, address, _headers(event, delivery, secret, body), body)
        except (OSError, http.client.HTTPException) as error:
            failure = str(error) or type(error).__name__
            continue
        if 200 <= status < 300:
            return Delivery(url=url, delivery=delivery, status=status, attempts=attempt)
        failure = f"it answered {status} {http.client.responses.get(status, '')}".strip()
        if status not in _RETRIED:
            break
    raise EpochalError(
        f"the webhook {_shown(parts)} was not delivered: {failure}",
        "see that the receiver is up and its secret is the same, then send it again",
    )


def _checked(url: str, secret: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidInput(f"{url[:200]!r} is no address", "give one like https://host/path")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("the address holds a password", "the signature proves who is speaking")
    if not secret:
        raise InvalidInput(
            "there is no secret to sign the webhook with",
            "set EPOCHAL_WEBHOOK_SECRET to what the receiver also knows",
        )
    return parts


def _shown(parts: SplitResult) -> str:
    # A query often holds a token.
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _address(parts: SplitResult, *, allow_private: bool) -> str:
    """Return the address of the host, having judged all that it has."""
    assert parts.hostname is not None
    found = socket.getaddrinfo(parts.hostname, _port(parts), type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not allow_private:
        for address in addresses:
            if not _is_public(address):
                raise Refused(
                    f"the webhook's host {parts.hostname} is at {address}, a private address",
                    "allow it with --allow-private where that is meant",
                )
    return addresses[0]


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        else:
            ip = ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


def _headers(event: str, delivery: str, secret: str, body: bytes) -> dict[str, str]:
    timestamp = int(time.time())
    return {
        "Content-Type": "application/json",
        "User-Agent": f"epochal/{__version__}",
        "X-Epochal-Event": event,
        "X-Epochal-Delivery": delivery,
        "X-Epochal-Timestamp": str(timestamp),
        "X-Epochal-Signature": signature(secret, timestamp, body),
    }


def _post(parts: SplitResult, address: str, headers: dict[str, str], body: bytes) -> int:
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, _port(parts), timeout=_TIMEOUT)
    plain = socket.create_connection((address, _port(parts)), timeout=_TIMEOUT)
    try:
        connection.sock = plain
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(plain, server_hostname=parts.hostname)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, {"Host": parts.netloc, **headers})
        response = connection.getresponse()
        response.read(1 << 16)
        return response.status
    finally:
        connection.close()
        plain.close()
