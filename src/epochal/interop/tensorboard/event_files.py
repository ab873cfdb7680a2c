"""The frames of an event file: length, its checksum, the event, its checksum.

    uint64 length | uint32 check of the length | event | uint32 check of the event

little-endian, as TFRecord (TensorFlow's ``record_writer.cc``); a check is a masked CRC-32C. Files
grow while they are read: a frame that is not whole is left for the next time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
from google.protobuf.message import DecodeError

from epochal.interop.tensorboard.messages import Event

__all__ = ["EventFile", "frame"]

_LENGTH = struct.Struct("<Q")
_CHECK = struct.Struct("<I")
_HEAD = _LENGTH.size + _CHECK.size
_MOST = 256 << 20
"""Bytes that one event may have; a longer one is damage, or an attack on memory."""


def _masked(data: bytes) -> int:
    check = int(google_crc32c.value(data))
    return ((check >> 15 | check << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """Return `data` as one frame."""
    length = _LENGTH.pack(len(data))
    return b"".join((length, _CHECK.pack(_masked(length)), data, _CHECK.pack(_masked(data))))


@dataclass(slots=True)
class EventFile:
    """One event file, read from `offset` on.

    Attributes
    ----------
    offset
        Behind the last whole frame; where to go on when the file has grown.
    problem
        Why reading ended before the end of the file; empty where it did not, and for a frame that
        is still being written.
    skipped
        Frames whose event did not match its checksum or could not be decoded.
    """

    path: Path
    offset: int = 0
    problem: str = ""
    skipped: int = 0

    def events(self) -> Iterator[Any]:
        """Yield the events from `offset` to the last whole frame."""
        with self.path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(self.offset)
            while self.offset + _HEAD + _CHECK.size <= size:
                data = self._next(file, size)
                if data is None:
                    return
                if not data:
                    continue
                try:
                    event = Event.FromString(data)
                except DecodeError:
                    self.skipped += 1
                    continue
                yield event

    def _next(self, file: BinaryIO, size: int) -> bytes | None:
        """Return the next event's bytes, empty where it is damaged; None at the end."""
        head = file.read(_HEAD)
        (length,) = _LENGTH.unpack_from(head)
        if _masked(head[: _LENGTH.size]) != _CHECK.unpack_from(head, _LENGTH.size)[0]:
            # Without a length there is no way to find the next frame.
            self.problem = f"damaged from byte {self.offset} of {size} on"
            return None
        if length > _MOST:
            self.problem = f"an event of {length} bytes at byte {self.offset}"
            return None
        end = self.offset + _HEAD + length + _CHECK.size
        if end > size:
            return None  # torn, or being written
        data = file.read(length)
        check = _CHECK.unpack(file.read(_CHECK.size))[0]
        self.offset = end
        if _masked(data) != check:
            self.skipped += 1
            return b""
        return data
