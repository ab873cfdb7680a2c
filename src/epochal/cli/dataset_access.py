"""How dataset commands come to a version and its content."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from epochal.cli.common import progress
from epochal.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from epochal.datasets import Content, Scan
    from epochal.datasets.layouts import Layout
    from epochal.journal.folder import Folder
    from epochal.records import DatasetTagged
    from epochal.store.store import Store

__all__ = ["content_at", "find_version", "remembered_images", "scan_data", "version_content"]


def scan_data(
    folder: Folder, path: Path, *, layout: Layout | None = None, images: Path | None = None
) -> Scan:
    """Scan the data, reading what is new since the last time."""
    from epochal.datasets import ScanCache, cache_path, scan

    if not path.exists():
        raise InvalidInput(f"{path}: does not exist", "check the path of the dataset")
    images = images or remembered_images(folder, path)
    cache = cache_path(folder.datasets, path)
    with progress("reading the data") as advance:
        found = scan(
            path,
            previous=ScanCache.load(cache),
            progress=advance,
            layout=layout,
            images=images or "",
        )
    if os.access(folder.root, os.W_OK):
        found.cache.save(cache)
    return found


def remembered_images(folder: Folder, path: Path) -> Path | None:
    """Return the folder of images that was named when annotations at `path` were tagged."""
    from epochal.datasets import tagged_versions

    here = os.path.realpath(path)
    named = [r.images for r in tagged_versions(folder).values() if r.path == here and r.images]
    return Path(named[-1]) if named else None


def find_version(store: Store, ref: str) -> DatasetTagged:
    """Return the version that was named."""
    from epochal.datasets import resolve_version, tagged_versions

    return resolve_version(ref, tagged_versions(store.folder))


def version_content(store: Store, ref: str) -> tuple[DatasetTagged, Content]:
    """Return the version that was named, with its content."""
    from epochal.datasets import content_of

    version = find_version(store, ref)
    return version, content_of(store.folder, store.blobs, version)


def content_at(store: Store, ref: str) -> Content:
    """Return the content of a tagged version, or of the data at a path."""
    from epochal.datasets import Content
    from epochal.datasets.yolo import DataYaml

    try:
        return version_content(store, ref)[1]
    except NotFound:
        if not Path(ref).exists():
            raise
    found = scan_data(store.folder, Path(ref))
    layout = "yolo" if isinstance(found.data, DataYaml) else found.data.layout
    return Content(found.manifest, layout, Path(found.data.root), None)
