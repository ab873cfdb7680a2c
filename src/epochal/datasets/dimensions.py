"""Width and height of an image from its header, which a scan has in hand as it hashes."""

from __future__ import annotations

import struct

__all__ = ["UNKNOWN", "dimensions"]

UNKNOWN = (0, 0)
"""Of a file that is no image, or is broken."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_NOT_FRAMES = (0xC4, 0xC8, 0xCC)
"""Between the JPEG markers that begin a frame: Huffman tables, an extension, arithmetic coding."""


def dimensions(head: bytes, handle: int) -> tuple[int, int]:
    """Return an image's width and height in pixels, as stored; (0, 0) where that cannot be told.

    Parameters
    ----------
    head
        The beginning of the file. Of PNG and JPEG, which nearly all datasets are made of, it is
        enough; Pillow takes a hundred times as long and is asked for other formats only.
    handle
        Of the file, open for reading; its position is moved.
    """
    if head.startswith(_PNG) and head[12:16] == b"IHDR" and len(head) >= 24:
        width, height = struct.unpack_from(">II", head, 16)
        return width, height
    if head.startswith(_JPEG) and (found := _jpeg(head)) is not None:
        return found
    return _by_pillow(handle) if head else UNKNOWN


def _jpeg(head: bytes) -> tuple[int, int] | None:
    """Walk the segments up to the frame header (ITU T.81, B.1 and B.2.2)."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return (width, height) if width and height else None
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:  # stands alone
            at += 2
        else:
            at += 2 + int(struct.unpack_from(">H", head, at + 2)[0])
    return None


def _by_pillow(handle: int) -> tuple[int, int]:
    from PIL import Image  # a reader of many formats, rarely needed

    try:
        with open(handle, "rb", closefd=False) as opened, Image.open(opened) as image:
            return image.size
    except Exception:  # noqa: BLE001 - what a reader says of a broken header is anybody's guess
        return UNKNOWN
