"""What is in the files of a version: labels as shapes, images as bytes.

A version's content comes from its snapshot, or from the folder it was tagged from as long as a
file there is still what the manifest says. Whatever is neither is None, never something else.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3

from epochal.datasets.coco_images import CocoImage, coco_images
from epochal.datasets.labels import LabelRules, parse_labels
from epochal.datasets.layouts import Layout, layout_of
from epochal.datasets.shapes import Shape, parse_rows, parse_shapes
from epochal.datasets.snapshots import Snapshot, load_snapshot
from epochal.datasets.versions import layout_in, load_manifest
from epochal.datasets.yolo import label_file, read_data_yaml
from epochal.errors import EpochalError, InvalidInput

if TYPE_CHECKING:
    from epochal.datasets.differences import Change
    from epochal.datasets.manifest import Manifest, ManifestEntry
    from epochal.journal.folder import Folder
    from epochal.records import DatasetTagged
    from epochal.store.blobs import Blobs

__all__ = ["ChangedLabels", "Content", "changed_labels", "content_of"]


class ChangedLabels(msgspec.Struct, frozen=True, kw_only=True):
    """One image whose labels differ between two versions."""

    split: str
    path: str
    """Where it is in the newer version."""
    image: str
    """BLAKE3 of the newer image file, hex."""
    before: tuple[Shape, ...] | None
    """None: the older labels are no longer to be had (no snapshot, and the folder changed)."""
    after: tuple[Shape, ...] | None


class Content:
    """The files of one version.

    Parameters
    ----------
    manifest
        The version.
    layout
        How its dataset lies on disk.
    root
        Folder it was tagged from; None where that is not known or not here.
    snapshot
        Its snapshot, if one was made.
    """

    def __init__(
        self,
        manifest: Manifest,
        layout: Layout,
        root: Path | None,
        snapshot: Snapshot | None,
    ) -> None:
        self.manifest = manifest
        self.layout = layout
        self.root = root
        self.snapshot = snapshot
        header = manifest.header
        self.rules = LabelRules(len(header.classes), header.keypoints)
        self._coco = lru_cache(maxsize=4)(self._read_coco)

    def image(self, entry: ManifestEntry) -> bytes | None:
        """Return the bytes of an image, verified."""
        if self.snapshot is not None and (kept := self.snapshot.find(entry.path)) is not None:
            return self.snapshot.read(kept)
        if self.root is None:
            return None
        content = _read(self.root / entry.path)
        return content if content is not None and _is(content, entry.image) else None

    def shapes(self, entry: ManifestEntry) -> list[Shape] | None:
        """Return an image's labels as shapes; none for background, None if not to be had.

        COCO boxes are pixels: where neither the JSON nor the image tells its size, they are no
        shapes.
        """
        if not entry.label_digest:
            return []
        if self.layout == "coco":
            return self._coco_shapes(entry)
        if self.layout != "yolo":
            whole = (0.0, 0.0, 1.0, 1.0)
            return [Shape(category=c, box=whole) for c, n in entry.objects for _ in range(n)]
        content = self._label(entry)
        return None if content is None else parse_shapes(content, self.rules)

    def rows(self, entry: ManifestEntry) -> list[list[float]] | None:
        """Return an image's labels as rows of a YOLO label file: class, then shares of the image.

        Of COCO annotations with outlines the outlines, and boxes as outlines: a label file holds
        either. An object in several parts has one outline, which goes from part to part.

        Raises
        ------
        InvalidInput
            Neither the COCO JSON nor the image tells the size that pixels are shares of.
        """
        if not entry.label_digest:
            return []
        if self.layout == "coco" and not (entry.width and entry.height):
            image = self._coco_image(entry)
            if image is not None and image.size is None:
                raise InvalidInput(
                    f"{entry.path}: neither {entry.label} nor the file tells the image's size",
                    "write its width and height into the JSON, and tag the data anew",
                )
        if self.layout == "yolo":
            content = self._label(entry)
            return None if content is None else parse_rows(content, self.rules)
        shapes = self.shapes(entry)
        if shapes is None:
            return None
        if self.manifest.header.task == "segment":
            return [[shape.category, *_outline(shape)] for shape in shapes]
        return [
            [
                shape.category,
                (shape.box[0] + shape.box[2]) / 2,
                (shape.box[1] + shape.box[3]) / 2,
                shape.box[2] - shape.box[0],
                shape.box[3] - shape.box[1],
            ]
            for shape in shapes
        ]

    def _label(self, entry: ManifestEntry) -> bytes | None:
        if self.snapshot is not None and (kept := self.snapshot.find(entry.label)) is not None:
            return self.snapshot.read(kept)
        if self.root is None:
            return None
        folder, _, name = str(self.root / entry.path).rpartition("/")
        content = _read(Path(label_file(f"{os.path.realpath(folder)}/{name}")))
        if content is None or parse_labels(content, self.rules).digest != entry.label_digest:
            return None
        return content

    def _coco_shapes(self, entry: ManifestEntry) -> list[Shape] | None:
        image = self._coco_image(entry)
        if image is None:
            return None
        width, height = image.size or (entry.width, entry.height)
        if not (width and height):
            return None
        shapes = image.shapes(width, height)
        return shapes if len(shapes) == len(image.objects) else None

    def _coco_image(self, entry: ManifestEntry) -> CocoImage | None:
        images = self._coco(entry.label)
        if images is None:
            return None
        # a file name in the JSON is the end of the image's path
        for cut in range(len(entry.path.split("/"))):
            name = entry.path.split("/", cut)[-1]
            if name in images:
                found = images[name]
                counts = Counter(category for category, _ in found.objects)
                return found if tuple(sorted(counts.items())) == entry.objects else None
        return None

    def _read_coco(self, label: str) -> dict[str, CocoImage] | None:
        kept = self.snapshot.find(label) if self.snapshot is not None else None
        if self.snapshot is not None and kept is not None:
            content: bytes | None = self.snapshot.read(kept)
        else:
            content = _read(self.root / label) if self.root is not None else None
        try:
            classes = self.manifest.header.classes
            return None if content is None else coco_images(content, label, classes)
        except EpochalError:
            return None  # changed since: its labels are not to be had


def _outline(shape: Shape) -> list[float]:
    left, top, right, bottom = shape.box
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return [value for point in shape.points or corners for value in point]


def content_of(folder: Folder, blobs: Blobs, version: DatasetTagged) -> Content:
    """Return the content of a tagged version: its snapshot, the folder it came from, or both.

    Raises
    ------
    NotFound, Damaged, NewerFormat
        If its manifest cannot be read.
    """
    manifest = load_manifest(folder.datasets, version.digest)
    try:
        snapshot = load_snapshot(folder.datasets, blobs, version.digest)
    except EpochalError:
        snapshot = None
    given = layout_in(folder.datasets, version.digest)
    layout, root = _place(version.path, version.images, given)
    if snapshot is not None:
        layout = snapshot.header.layout
    return Content(manifest, layout, root, snapshot)


def changed_labels(before: Content, after: Content, change: Change) -> ChangedLabels:
    """Return the shapes on an image before and after its labels changed."""
    old, new = before.shapes(change.before), after.shapes(change.after)
    return ChangedLabels(
        split=change.after.split,
        path=change.after.path,
        image=change.after.image,
        before=None if old is None else tuple(old),
        after=None if new is None else tuple(new),
    )


def _place(path: str, images: str, given: Layout | None) -> tuple[Layout, Path | None]:
    """Return how the data at `path` lies, and its root; None where it is not here any more."""
    place = Path(path)
    if not path or not place.exists():
        return "yolo", None
    layout = given or layout_of(place)
    try:
        if layout == "yolo":
            return layout, Path(read_data_yaml(place).root)
        if layout == "coco":
            from epochal.datasets.coco import read_coco

            return layout, Path(read_coco(place, images).root)
    except EpochalError:
        return layout, None
    return layout, place if place.is_dir() else place.parent


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _is(content: bytes, digest: str) -> bool:
    return blake3(content).hexdigest() == digest
