"""Labels as shapes on an image: what is drawn and counted, not what is hashed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from epochal.datasets.labels import LabelRules

__all__ = ["Shape", "parse_rows", "parse_shapes"]


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One object."""

    category: int
    box: tuple[float, float, float, float]
    """Left, top, right, bottom as shares of the image's width and height; of a polygon, and of
    keypoints, what encloses them."""
    points: tuple[tuple[float, float], ...] = ()
    """Corners of a polygon or keypoints, as shares."""


def parse_shapes(content: bytes, rules: LabelRules) -> list[Shape]:
    """Return the objects of a YOLO label file; lines that are none are left out."""
    shapes = (_shape(int(row[0]), row[1:], rules) for row in parse_rows(content, rules))
    return [shape for shape in shapes if shape is not None]


def parse_rows(content: bytes, rules: LabelRules) -> list[list[float]]:
    """Return the rows of a YOLO label file, class first; lines that are none are left out."""
    found = []
    for line in content.decode("utf-8-sig", errors="replace").splitlines():
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            continue
        if not row or not all(map(math.isfinite, row)) or row[0] != int(row[0]):
            continue
        if _shape(int(row[0]), row[1:], rules) is not None:
            found.append(row)
    return found


def _shape(category: int, values: list[float], rules: LabelRules) -> Shape | None:
    if not 0 <= category < rules.classes:
        return None
    if rules.keypoints:
        points, numbers = rules.keypoints
        if len(values) != 4 + points * numbers:
            return None
        rest = values[4:]
        corners = tuple((rest[i], rest[i + 1]) for i in range(0, len(rest), numbers))
        return Shape(category=category, box=_corners(*values[:4]), points=corners)
    if len(values) == 4:
        return Shape(category=category, box=_corners(*values))
    if len(values) < 6 or len(values) % 2:
        return None
    xs, ys = values[::2], values[1::2]
    return Shape(
        category=category,
        box=(min(xs), min(ys), max(xs), max(ys)),
        points=tuple(zip(xs, ys, strict=True)),
    )


def _corners(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2
