"""The objects that a COCO annotation file has on each image, as shapes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from epochal.datasets.coco_document import Annotation, Box, flaw, parse
from epochal.datasets.shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["CocoImage", "coco_images"]


class CocoImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image of an annotation file, with its objects in pixels."""

    size: tuple[float, float] | None
    """Width and height that the file gives; None where it does not."""
    objects: list[tuple[int, Annotation]]
    """(class, annotation) of those that are not left out."""

    def shapes(self, width: float, height: float) -> list[Shape]:
        """Return the objects as shapes, in shares of an image of this size."""
        return [
            Shape(
                category=category,
                box=(left / width, top / height, right / width, bottom / height),
                points=tuple((x / width, y / height) for x, y in outline),
            )
            for category, annotation in self.objects
            for outline in [_joined(annotation.segmentation)]
            for left, top, right, bottom in _corners(annotation, outline)
        ]


def coco_images(content: bytes, name: str, classes: Sequence[str]) -> dict[str, CocoImage]:
    """Return file name -> the image, of a COCO JSON.

    Parameters
    ----------
    content
        Of the file called `name`.
    classes
        Of the version, by which the objects' classes are numbered.

    Raises
    ------
    InvalidInput
        It is no COCO JSON.
    """
    document = parse(content, name)
    index = {label: i for i, label in enumerate(classes)}
    number = {c.id: index[c.name] for c in document.categories if c.name in index}
    known = {image.id: image for image in document.images}
    found = {image.file_name: CocoImage(size=image.size, objects=[]) for image in document.images}
    for annotation in document.annotations:
        if not flaw(annotation, known, number):
            objects = found[known[annotation.image_id].file_name].objects
            objects.append((number[annotation.category_id], annotation))
    return found


def _corners(annotation: Annotation, outline: list[tuple[float, float]]) -> Iterator[Box]:
    """Yield the box, or what encloses the outline; nothing of a run-length mask without a box."""
    if annotation.box is not None:
        yield annotation.box
    elif outline:
        xs, ys = zip(*outline, strict=True)
        yield min(xs), min(ys), max(xs), max(ys)


def _joined(segmentation: Any) -> list[tuple[float, float]]:
    """Return one outline of polygons that are parts of an object; none of a run-length mask.

    Each part is entered and left where it is closest to those before it, so that the way there
    and back encloses nothing.
    """
    outline: list[tuple[float, float]] = []
    for part in segmentation if isinstance(segmentation, list) else ():
        if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
            continue
        try:
            numbers = [float(value) for value in part]
        except (TypeError, ValueError):
            continue
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        if not outline:
            outline = points
            continue
        pairs = (
            (math.dist(a, b), i, j) for i, a in enumerate(outline) for j, b in enumerate(points)
        )
        _, here, there = min(pairs)
        there_and_back = [*points[there:], *points[: there + 1]]
        outline = [*outline[: here + 1], *there_and_back, *outline[here:]]
    return outline
