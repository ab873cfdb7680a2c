"""A COCO annotation file: how it is written, and which of its annotations are left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from epochal.errors import InvalidInput

__all__ = ["Annotation", "Box", "Document", "Image", "flaw", "is_inside", "load", "parse"]

_MAX_BYTES = 4 << 30
_SLACK = 1.0
"""Pixels that a box may reach over the edge: exporters round."""
_REMEDY = "A COCO annotation file has the keys images, annotations and categories"

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


class Image(msgspec.Struct):
    """One of the images."""

    id: int | str
    file_name: str
    width: float | None = None
    height: float | None = None

    @property
    def size(self) -> tuple[float, float] | None:
        """Width and height in pixels; None where the file does not say both."""
        return (self.width, self.height) if self.width and self.height else None


class Category(msgspec.Struct):
    """One of the classes."""

    id: int
    name: str


class Annotation(msgspec.Struct):
    """One object on an image."""

    image_id: int | str
    category_id: int
    bbox: list[float] | None = None
    segmentation: Any = None
    keypoints: list[float] | None = None
    iscrowd: int = 0

    @property
    def box(self) -> Box | None:
        """The box; None where there is none."""
        if self.bbox is None:
            return None
        x, y, width, height = self.bbox
        return x, y, x + width, y + height


class Document(msgspec.Struct):
    """The file, as far as it is read."""

    images: list[Image]
    categories: list[Category] = []
    annotations: list[Annotation] = []


_decode = msgspec.json.Decoder(Document, strict=False).decode


def load(file: Path) -> Document:
    """Read an annotation file.

    Raises
    ------
    InvalidInput
        It cannot be read, or is no COCO JSON.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise InvalidInput(f"{file}: too large for an annotation file", _REMEDY)
        content = file.read_bytes()
    except FileNotFoundError:
        raise InvalidInput(f"{file}: does not exist", "Check the path") from None
    except OSError as error:
        raise InvalidInput(f"{file}: cannot be read ({error.strerror})") from error
    return parse(content, str(file))


def parse(content: bytes, name: str) -> Document:
    """Return what the content of the file called `name` says.

    Raises
    ------
    InvalidInput
        It is no COCO JSON.
    """
    try:
        return _decode(content.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{name}: not a COCO annotation file ({error})", _REMEDY) from error


def flaw(
    annotation: Annotation, images: dict[int | str, Image], categories: dict[int, int]
) -> str:
    """Return what is wrong with an annotation; empty where nothing is."""
    image = images.get(annotation.image_id)
    if image is None:
        return f"image {annotation.image_id} is not in images"
    if annotation.category_id not in categories:
        return f"category {annotation.category_id} is not in categories"
    box = annotation.bbox
    if box is None:
        return "" if annotation.segmentation or annotation.keypoints else "no box"
    if len(box) != 4:
        return f"a box of {len(box)} numbers, 4 expected"
    width, height = box[2:]
    # written so that NaN, which fails every comparison, is wrong
    if not (width > 0 and height > 0):
        return f"a box of width {width:g} and height {height:g}"
    if image.size and annotation.box and not is_inside(annotation.box, image.size):
        return f"a box outside its image {image.file_name[:80]}"
    return ""


def is_inside(box: Box, size: tuple[float, float]) -> bool:
    """Whether a box lies in an image of this width and height, but for rounding."""
    left, top, right, bottom = box
    fits = right <= size[0] + _SLACK and bottom <= size[1] + _SLACK
    return left >= -_SLACK and top >= -_SLACK and fits
