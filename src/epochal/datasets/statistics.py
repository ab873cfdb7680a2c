"""A version in numbers for charts: class balance, sizes and places of objects."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from epochal.datasets.content import Content
    from epochal.datasets.shapes import Shape

__all__ = ["ClassCount", "Histogram", "Resolution", "SplitStatistics", "split_statistics"]

_SIZES = 24
_ASPECTS = 21
_MOST_FREQUENT = 10
_SMALL, _MEDIUM = 5.0, 6.584962500721156
"""log2 of 32 and of 96 pixels: COCO's bounds."""
_GRID = 16


class ClassCount(msgspec.Struct, frozen=True, kw_only=True):
    """One class in one split."""

    name: str
    objects: int
    images: int
    """Images with at least one object of it."""


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """Images of one size, in pixels."""

    width: int
    height: int
    images: int


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """Counts between edges; the first and last bin also hold what lies outside."""

    edges: tuple[float, ...]
    """One more than counts."""
    counts: tuple[int, ...]


class SplitStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One split of a version."""

    split: str
    images: int
    objects: int
    background: int
    """Images without objects."""
    malformed: int
    """Images that the trainer ignores because their labels have errors."""
    classes: tuple[ClassCount, ...]
    per_image: Histogram
    """Objects per image."""
    side: Histogram | None
    """Square root of an object's area over the image's; None: shapes are not to be had."""
    width: Histogram | None
    height: Histogram | None
    """Of objects, as shares of the image."""
    pixels: Histogram | None
    """log2 of the square root of an object's area in pixels, 1 to 4096 pixels; None: unknown."""
    aspect: Histogram | None
    """log2 of width over height, both as shares of the image."""
    centres: tuple[tuple[int, ...], ...]
    """How many objects have their centre in each cell of a 16 x 16 grid, row by row."""
    small: int
    """Objects below 32 x 32 pixels in area, as COCO counts them; of images of known size."""
    medium: int
    """From there to 96 x 96."""
    large: int
    resolutions: tuple[Resolution, ...]
    """The most frequent image sizes, at most 10, most frequent first."""
    unknown: int
    """Images whose shapes are not to be had: no snapshot, and the folder changed."""


def split_statistics(
    content: Content, *, progress: Callable[[int, int], None] | None = None
) -> list[SplitStatistics]:
    """Return each split of a version in numbers; label files are read, images are not.

    Parameters
    ----------
    progress
        Called with (images done, images in all).
    """
    manifest = content.manifest
    counted: dict[str, _Split] = {split: _Split() for split in manifest.header.splits}
    for done, entry in enumerate(manifest.entries, 1):
        split = counted.setdefault(entry.split, _Split())
        split.images += 1
        split.malformed += entry.malformed
        split.background += not entry.label_digest
        if entry.width:
            split.resolutions[entry.width, entry.height] += 1
        split.per_image.append(sum(number for _, number in entry.objects))
        for category, number in entry.objects:
            name = manifest.header.classes[category]
            split.objects[name] += number
            split.with_class[name] += 1
        shapes = [] if entry.malformed else content.shapes(entry)
        if shapes is None:
            split.unknown += 1
        else:
            split.add(shapes, entry.width, entry.height)
        if progress is not None and (done % 256 == 0 or done == len(manifest.entries)):
            progress(done, len(manifest.entries))
    names = dict.fromkeys(manifest.header.classes)
    return [split.result(name, list(names)) for name, split in counted.items()]


class _Split:
    def __init__(self) -> None:
        self.images = self.malformed = self.background = self.unknown = 0
        self.objects: Counter[str] = Counter()
        self.with_class: Counter[str] = Counter()
        self.resolutions: Counter[tuple[int, int]] = Counter()
        self.per_image: list[int] = []
        self.values: defaultdict[str, list[float]] = defaultdict(list)
        self.centres = [[0] * _GRID for _ in range(_GRID)]

    def add(self, shapes: Sequence[Shape], wide: int, high: int) -> None:
        """Count the objects of an image of `wide` x `high` pixels; 0: not known."""
        for shape in shapes:
            left, top, right, bottom = shape.box
            width, height = right - left, bottom - top
            if not (width > 0 and height > 0):
                continue
            self.values["width"].append(width)
            self.values["height"].append(height)
            self.values["side"].append(math.sqrt(width * height))
            if wide and high:
                area = width * wide * height * high
                self.values["pixels"].append(math.log2(area) / 2)
            self.values["aspect"].append(math.log2(width / height))
            column = min(max(int((left + right) / 2 * _GRID), 0), _GRID - 1)
            row = min(max(int((top + bottom) / 2 * _GRID), 0), _GRID - 1)
            self.centres[row][column] += 1

    def result(self, split: str, names: list[str]) -> SplitStatistics:
        most = max(self.per_image, default=0)
        step = max(1, -(-(most + 1) // _SIZES))
        share = [i / _SIZES for i in range(_SIZES + 1)]
        aspects = [-4 + i * 8 / _ASPECTS for i in range(_ASPECTS + 1)]
        known = bool(self.values)
        pixels = self.values["pixels"]
        return SplitStatistics(
            split=split,
            images=self.images,
            objects=self.objects.total(),
            background=self.background,
            malformed=self.malformed,
            classes=tuple(
                ClassCount(name=name, objects=self.objects[name], images=self.with_class[name])
                for name in names
            ),
            per_image=_histogram(self.per_image, [i * step for i in range(most // step + 2)]),
            side=_histogram(self.values["side"], share) if known else None,
            width=_histogram(self.values["width"], share) if known else None,
            height=_histogram(self.values["height"], share) if known else None,
            pixels=(_histogram(pixels, [i / 2 for i in range(_SIZES + 1)]) if pixels else None),
            aspect=_histogram(self.values["aspect"], aspects) if known else None,
            centres=tuple(map(tuple, self.centres)),
            small=sum(p < _SMALL for p in pixels),
            medium=sum(_SMALL <= p < _MEDIUM for p in pixels),
            large=sum(p >= _MEDIUM for p in pixels),
            resolutions=tuple(
                Resolution(width=w, height=h, images=n)
                for (w, h), n in self.resolutions.most_common(_MOST_FREQUENT)
            ),
            unknown=self.unknown,
        )


def _histogram(values: Sequence[float], edges: Sequence[float]) -> Histogram:
    """Count values into bins of equal width."""
    counts = [0] * (len(edges) - 1)
    size = edges[1] - edges[0]
    for value in values:
        counts[min(max(int((value - edges[0]) / size), 0), len(counts) - 1)] += 1
    return Histogram(edges=tuple(map(float, edges)), counts=tuple(counts))
