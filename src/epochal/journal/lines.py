"""The format of one journal line: a JSON record with its checksum.

    {"crc":"1c291ca3","seq":7,"t":1764000000123456,"body":{"kind":"metrics", ...}}\n

The checksum is CRC-32 over everything behind it up to the newline, seeded with the CRC-32 of the
writer's id: a line that was copied into another writer's file does not pass. The line stays one
valid JSON object, so ``jq`` and ``tail -f`` work on a journal.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import msgspec

from epochal.records import Entry

__all__ = ["Unknown", "decode_line", "encode_line", "seed_of"]

_PREFIX = b'{"crc":"'
_BODY_AT = len(_PREFIX) + 8 + 2  # behind the eight digits and `",`

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class _Loose(msgspec.Struct):
    seq: int
    t: int


_decode_loose = msgspec.json.Decoder(_Loose).decode


class Unknown(NamedTuple):
    """An intact line whose kind or fields this version does not know."""

    seq: int
    t: int


def seed_of(writer: str) -> int:
    """Return the checksum's seed for `writer`."""
    return zlib.crc32(writer.encode())


def encode_line(entry: Entry, seed: int) -> bytes:
    """Return the line for `entry`, with its newline."""
    rest = _encode(entry)[1:] + b"\n"
    return b'%b%08x",%b' % (_PREFIX, zlib.crc32(rest[:-1], seed), rest)


def decode_line(line: bytes, seed: int) -> Entry | Unknown | None:
    """Return the entry of `line` (without its newline), or None where the line is damaged."""
    # Compared as written, not as a number: a damaged digit may still read as the same one.
    if line[:_BODY_AT] != b'%b%08x",' % (_PREFIX, zlib.crc32(line[_BODY_AT:], seed)):
        return None
    try:
        return _decode(line)
    except msgspec.ValidationError:
        pass  # a newer version wrote it: keep its place in the sequence
    except msgspec.DecodeError:
        return None
    try:
        loose = _decode_loose(line)
    except msgspec.DecodeError:
        return None
    return Unknown(loose.seq, loose.t)
