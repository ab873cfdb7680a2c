"""The frames of a ``.wandb`` file: LevelDB's log format with a header of its own.

Blocks of 32 KiB; in them chunks of ``crc32 | uint16 length | type | data``, little-endian, where
the type says whether a record is whole in it or its first, middle or last part. The checksum is
plain CRC-32 over type and data. The first block begins with seven bytes: ``:W&B``, a magic number,
a version.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from epochal.errors import InvalidInput
from epochal.interop.wandb.messages import Record

__all__ = ["TransactionLog"]

_BLOCK = 32 * 1024
_CHUNK = struct.Struct("<IHB")
_IDENT, _MAGIC, _HEADER = b":W&B", 0xBEE1, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_LOST = -1
"""Stands for the damaged rest of a block: what was begun before is not completed after it."""
_MOST = 64 << 20


class TransactionLog:
    """One ``.wandb`` file.

    Attributes
    ----------
    damaged
        Blocks of which the rest was given up because a checksum failed.
    undecoded
        Whole records that no decoder could read.

    Raises
    ------
    InvalidInput
        If the file is not a W&B log.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self.undecoded = 0
        with path.open("rb") as file:
            head = file.read(_HEADER)
        if len(head) < _HEADER or head[:4] != _IDENT or head[4:6] != struct.pack("<H", _MAGIC):
            raise InvalidInput(
                f"{path} is no W&B log", "name a folder such as wandb/offline-run-*"
            )

    def records(self) -> Iterator[Any]:
        """Yield the records in their order, up to the last whole one."""
        parts: list[bytes] = []
        for kind, data in self._chunks():
            if kind in (_FULL, _FIRST):
                parts = [data]
            elif kind == _LOST:
                parts = []
            elif parts:
                parts.append(data)
            if kind not in (_FULL, _LAST) or not parts:
                if sum(map(len, parts)) > _MOST:
                    parts = []
                continue
            whole, parts = b"".join(parts), []
            try:
                record = Record.FromString(whole)
            except DecodeError:
                self.undecoded += 1
                continue
            yield record

    def _chunks(self) -> Iterator[tuple[int, bytes]]:
        with self.path.open("rb") as file:
            at = _HEADER
            while block := file.read(_BLOCK):
                while at + _CHUNK.size <= len(block):
                    check, length, kind = _CHUNK.unpack_from(block, at)
                    start, end = at + _CHUNK.size, at + _CHUNK.size + length
                    if end > len(block):
                        # At the end of the file: still being written, or torn.
                        if len(block) == _BLOCK:
                            self.damaged += 1
                            yield _LOST, b""
                        break
                    data = block[start:end]
                    if zlib.crc32(bytes([kind]) + data) != check:
                        self.damaged += 1
                        yield _LOST, b""
                        break
                    yield kind, data
                    at = end
                at = 0
