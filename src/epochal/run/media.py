"""Images as bytes: from a file, a PIL image or an array."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

from epochal.errors import InvalidInput

__all__ = ["image_bytes", "kept_boxes", "png"]

_BOXES = 300

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF")
_MODES = {1: 0, 3: 2, 4: 6}  # channels -> PNG colour type


def image_bytes(image: Any) -> bytes:
    """Return `image` as the bytes of a PNG, JPEG, GIF or WebP file."""
    if isinstance(image, (str, Path)):
        data = Path(image).read_bytes()
        if not data.startswith(_SIGNATURES):
            raise InvalidInput(f"{image} is no PNG, JPEG, GIF or WebP image")
        return data
    if hasattr(image, "save") and hasattr(image, "mode"):  # PIL, without importing it
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        return buffer.getvalue()
    if hasattr(image, "__array_interface__") or hasattr(image, "__array__"):
        import numpy as np

        return png(np.asarray(image))
    raise InvalidInput(f"{type(image).__name__} is no image", "give a path, a PIL image, an array")


def kept_boxes(boxes: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return the boxes that fit into one record: the true ones first, then the surest."""
    if len(boxes) <= _BOXES:
        return tuple(boxes)
    order = sorted(boxes, key=lambda b: (not b.get("truth"), -float(b.get("score") or 0)))
    return tuple(order[:_BOXES])


def png(array: Any) -> bytes:
    """Return an (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8 array as a PNG file."""
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in _MODES or array.dtype.name != "uint8":
        raise InvalidInput(
            f"an array of shape {array.shape} and type {array.dtype} is no image",
            "give (H, W), (H, W, 3) or (H, W, 4) of uint8",
        )
    height, width, channels = array.shape
    rows = b"".join(b"\0" + row.tobytes() for row in array)
    head = struct.pack(">IIBBBBB", width, height, 8, _MODES[channels], 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    return _SIGNATURES[0] + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
