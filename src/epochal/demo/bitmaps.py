"""Images as Windows bitmaps: a format that needs no library, and that trainers and browsers read.

Only what the demo needs: 24 bits a pixel, uncompressed (BITMAPINFOHEADER, `BI_RGB`).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Pixels", "read_bitmap", "write_bitmap"]

Pixels: TypeAlias = "NDArray[np.uint8]"
"""(height, width, 3) red, green, blue."""

# Magic, file size, two reserved, offset of the pixels; size of the second header, width, height,
# planes, bits a pixel, compression, size of the pixels, pixels a metre (x, y), two for palettes.
_HEADER = struct.Struct("<2sIHHIIiiHHIIiiII")
_INFO_SIZE = 40
_BITS = 24
_PIXELS_PER_METRE = 2835  # 72 dpi, as everybody writes


def write_bitmap(path: Path, image: Pixels) -> None:
    """Write `image` (height, width, 3) to `path`."""
    height, width, _ = image.shape
    rows = np.zeros((height, _stride(width)), np.uint8)
    rows[:, : width * 3] = image[::-1, :, ::-1].reshape(height, width * 3)
    header = _HEADER.pack(
        *(b"BM", _HEADER.size + rows.nbytes, 0, 0, _HEADER.size),
        *(_INFO_SIZE, width, height, 1, _BITS, 0, rows.nbytes),
        *(_PIXELS_PER_METRE, _PIXELS_PER_METRE, 0, 0),
    )
    path.write_bytes(header + rows.tobytes())


def read_bitmap(path: Path) -> Pixels:
    """Return the image (height, width, 3) in `path`.

    Raises
    ------
    InvalidInput
        Not an uncompressed bitmap of 24 bits a pixel, or a shortened one.
    """
    content = path.read_bytes()
    if len(content) < _HEADER.size:
        raise InvalidInput(f"{path}: not a bitmap", "The demo's detector reads .bmp images only")
    magic, _, _, _, offset, _, width, height, _, bits, compression, *_ = _HEADER.unpack_from(
        content
    )
    if magic != b"BM" or bits != _BITS or compression != 0 or width <= 0 or height == 0:
        raise InvalidInput(
            f"{path}: not an uncompressed 24-bit bitmap",
            "The demo's detector reads .bmp images only",
        )
    stride, bottom_up, height = _stride(width), height > 0, abs(height)
    if len(content) < offset + stride * height:
        raise InvalidInput(f"{path}: the bitmap is cut short", "Write the data set again")
    rows = np.frombuffer(content, np.uint8, stride * height, offset).reshape(height, stride)
    image = rows[:, : width * 3].reshape(height, width, 3)[:, :, ::-1]
    return np.ascontiguousarray(image[::-1] if bottom_up else image)


def _stride(width: int) -> int:
    """Return the bytes of a row: three a pixel, filled up to a multiple of four."""
    return -(-width * 3 // 4) * 4
