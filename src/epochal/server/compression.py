"""Answers made smaller for the wire, with what the client says it can read."""

from __future__ import annotations

import gzip

import zstandard

__all__ = ["compress", "encoding_for"]

_WORTH_IT = 2048
"""Bytes below which an answer fits into a packet or two anyway."""


def encoding_for(accepted: str) -> str:
    """Return ``zstd``, ``gzip`` or nothing, from an Accept-Encoding header."""
    offered = {
        part.partition(";")[0].strip()
        for part in accepted.lower().split(",")
        if not part.replace(" ", "").endswith(";q=0")
    }
    return "zstd" if "zstd" in offered else "gzip" if "gzip" in offered else ""


def compress(data: bytes, encoding: str, *, once: bool = False) -> bytes | None:
    """Return `data` compressed; None where it is not worth it.

    Parameters
    ----------
    encoding
        From `encoding_for`.
    once
        It is done once and sent often, so that more work pays. Otherwise it must cost less time
        than it saves on a loopback or a tunnel.
    """
    if len(data) < _WORTH_IT or not encoding:
        return None
    if encoding == "zstd":
        return zstandard.ZstdCompressor(level=15 if once else 1).compress(data)
    return gzip.compress(data, 9 if once else 1, mtime=0)
