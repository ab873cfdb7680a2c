"""Width and height of an image from its header, which a scan has in hand as it hashes.

They are those of the image as it is shown: a camera that was held upright stores its rows as they
left the sensor and says in the EXIF orientation that they have to be turned. Label tools, trainers
and browsers turn the image, so labels are shares of what is shown.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["UNKNOWN", "dimensions", "shown_size"]

UNKNOWN = (0, 0)
"""Of a file that is no image, or is broken."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_NOT_FRAMES = (0xC4, 0xC8, 0xCC)
"""Between the JPEG markers that begin a frame: Huffman tables, an extension, arithmetic coding."""
_APP1 = 0xE1
_EXIF = b"Exif\0\0"
_ORIENTATION = 0x0112
_SHORT = 3
_FIELDS = {b"II": struct.Struct("<HHIH"), b"MM": struct.Struct(">HHIH")}
"""Byte order of a TIFF structure -> tag, type, count and value of an entry (TIFF 6.0, 2)."""
_FIELD_BYTES = 12


def dimensions(head: bytes, handle: int) -> tuple[int, int]:
    """Return an image's width and height in pixels, as shown; (0, 0) where that cannot be told.

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
        return _turned(width, height, _png_orientation(head))
    if head.startswith(_JPEG) and (found := _jpeg(head)) is not None:
        return found
    return _by_pillow(handle) if head else UNKNOWN


def _jpeg(head: bytes) -> tuple[int, int] | None:
    """Walk the segments up to the frame header (ITU T.81, B.1 and B.2.2)."""
    at, orientation = 2, 0
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return _turned(width, height, orientation) if width and height else None
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:  # stands alone
            at += 2
        else:
            length = int(struct.unpack_from(">H", head, at + 2)[0])
            if marker == _APP1 and head.startswith(_EXIF, at + 4):
                orientation = orientation or _orientation(head[at + 10 : at + 2 + length])
            at += 2 + length
    return None


def _png_orientation(head: bytes) -> int:
    """Walk the chunks up to the pixels (PNG, third edition, 5.3 and 11.3.4.1)."""
    at = len(_PNG)
    while at + 8 <= len(head):
        length, kind = struct.unpack_from(">I4s", head, at)
        if kind == b"eXIf":
            return _orientation(head[at + 8 : at + 8 + length])
        if kind == b"IDAT":
            break
        at += 12 + length
    return 0


def _orientation(exif: bytes) -> int:
    """Return the orientation that the first directory holds, 1 to 8 (EXIF 2.32, 4.6.4), else 0."""
    field = _FIELDS.get(exif[:2])
    if field is None:
        return 0
    order = field.format[0]
    try:
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, at)
        for place in range(at + 2, at + 2 + count * _FIELD_BYTES, _FIELD_BYTES):
            tag, kind, _, value = field.unpack_from(exif, place)
            if tag == _ORIENTATION:
                return int(value) if kind == _SHORT else 0
    except struct.error:
        pass  # cut short or broken: a reader that cannot tell does not turn the image
    return 0


def _turned(width: int, height: int, orientation: int | None) -> tuple[int, int]:
    """Return the size as shown: orientations 5 to 8 turn by a quarter."""
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height of an opened image as it is shown, without decoding it."""
    if image.format == "TIFF":
        return image.size  # Pillow has turned it already
    return _turned(*image.size, image.getexif().get(_ORIENTATION))


def _by_pillow(handle: int) -> tuple[int, int]:
    from PIL import Image  # a reader of many formats, rarely needed

    try:
        with open(handle, "rb", closefd=False) as opened, Image.open(opened) as image:
            return shown_size(image)
    except Exception:  # noqa: BLE001 - what a reader says of a broken header is anybody's guess
        return UNKNOWN
