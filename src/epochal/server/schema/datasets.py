"""Dataset versions: list, statistics, differences, who used which."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from epochal.datasets.statistics import Histogram, Resolution
from epochal.records import Split
from epochal.server.schema.common import RunRef

__all__ = [
    "ClassCount",
    "DatasetDetail",
    "DatasetDifference",
    "DatasetEntries",
    "DatasetEntriesQuery",
    "DatasetEntry",
    "DatasetShapes",
    "DatasetVersion",
    "Datasets",
    "DifferenceQuery",
    "EntryBox",
    "EntryChange",
    "ShapeStatistics",
    "SplitStatistics",
]


class DatasetVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A tag and the version it points at."""

    name: str
    tag: str
    digest: str
    t: int
    author: str
    message: str
    path: str
    """Where the data was when it was tagged."""
    splits: dict[str, Split]
    classes: list[str]
    runs: list[RunRef]
    """Runs that are pinned to it, newest first, at most 200."""
    n_runs: int
    conflict: bool
    """Another record gives the same tag to other content."""


class Datasets(msgspec.Struct, frozen=True, kw_only=True):
    """All dataset versions, newest first."""

    versions: list[DatasetVersion]
    change: int


class ClassCount(msgspec.Struct, frozen=True, kw_only=True):
    """Objects of one class in one split."""

    name: str
    objects: int
    images: int


class SplitStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One split in numbers."""

    split: str
    images: int
    objects: int
    background: int
    """Images without objects."""
    malformed: int
    """Images that the trainer ignores because their labels have errors."""
    bytes: int
    classes: list[ClassCount]


class DatasetDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset version."""

    versions: list[DatasetVersion]
    """The tags that point at it."""
    digest: str
    task: str
    classes: list[str]
    statistics: list[SplitStatistics]
    available: bool
    """The manifest is here; where not, `statistics` is empty."""
    readable: bool
    """The images can be shown: the folder they were tagged in is on this machine."""
    others: list[DatasetVersion]
    """Other versions of the same dataset, oldest first, for differences."""


class ShapeStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How large the objects of a split are."""

    split: str
    side: Histogram | None
    """Square root of an object's area over the image's; None: no shape is to be had."""
    pixels: Histogram | None
    """log2 of the square root of the area in pixels."""
    aspect: Histogram | None
    """log2 of width over height, both as shares of the image."""
    per_image: Histogram
    small: int
    """Objects below 32 x 32 pixels in area."""
    medium: int
    """From there to 96 x 96."""
    large: int
    resolutions: list[Resolution]
    """The most frequent image sizes."""
    unknown: int
    """Images whose labels as tagged are not to be had."""


class DatasetShapes(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes and shapes of a version's objects, from its label files."""

    splits: list[ShapeStatistics]


class DifferenceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of each list to return."""

    limit: Annotated[int, Meta(ge=0, le=1000)] = 50


class EntryBox(msgspec.Struct, frozen=True, kw_only=True):
    """One labelled object."""

    label: str
    box: tuple[float, float, float, float]
    """Left, top, right, bottom as shares of the image's width and height."""


class DatasetEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One image of a version."""

    split: str
    path: str
    image: str
    """Digest: the bytes are at ``/datasets/{digest}/images/{image}``."""
    size: int
    objects: dict[str, int]
    """Class name -> number of objects."""
    malformed: bool
    width: int
    """Pixels; 0: not known."""
    height: int
    boxes: list[EntryBox] | None = None
    """None: the labels as tagged are not to be had, or were not asked for."""


class EntryChange(msgspec.Struct, frozen=True, kw_only=True):
    """One image before and after."""

    before: DatasetEntry
    after: DatasetEntry
    image_changed: bool
    labels_changed: bool


class DatasetDifference(msgspec.Struct, frozen=True, kw_only=True):
    """From one version to another; the lists are cut to the limit, the counts are not."""

    before: DatasetVersion | None
    after: DatasetVersion | None
    summary: str
    counts: dict[str, int]
    """``added``, ``removed``, ``moved``, ``renamed``, ``images changed``, ``labels changed``."""
    added: list[DatasetEntry]
    removed: list[DatasetEntry]
    moved: list[EntryChange]
    renamed: list[EntryChange]
    changed: list[EntryChange]
    balance: dict[str, dict[str, tuple[int, int]]]
    """Split -> class name -> objects (before, after), where they differ."""


class DatasetEntriesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which images of a version."""

    split: str | None = None
    label: str | None = None
    """Only images with an object of this class."""
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 60


class DatasetEntries(msgspec.Struct, frozen=True, kw_only=True):
    """A page of images."""

    entries: list[DatasetEntry]
    total: int
