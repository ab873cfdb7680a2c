"""Files, texts and images of a run, stored as blobs, and the records that name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from epochal.records import Artifact, ImageLogged
from epochal.run.media import image_bytes, kept_boxes
from epochal.run.values import plain
from epochal.store.blobs import Blobs, artifact_key

__all__ = ["store_file", "store_image", "store_text"]


def store_file(
    blobs: Blobs,
    path: str | Path,
    key: str | None,
    role: str,
    step: int | None,
    meta: Mapping[str, Any] | None,
) -> Artifact:
    """Store a copy of a file, under its own name where `key` gives none."""
    source = Path(path)
    name = artifact_key(key or source.name)
    digest = blobs.put_file(source)
    size = blobs.path(digest).stat().st_size
    return Artifact(
        key=name, digest=digest, size=size, role=role, step=step, meta=plain(meta or {})
    )


def store_text(blobs: Blobs, key: str, text: str, role: str) -> Artifact:
    """Store a text as a file."""
    data = text.encode("utf-8", "backslashreplace")
    return Artifact(key=key, digest=blobs.put(data), size=len(data), role=role)


def store_image(
    blobs: Blobs,
    key: str,
    image: Any,
    step: int,
    boxes: Sequence[Mapping[str, Any]],
    caption: str,
) -> ImageLogged:
    """Store an image with as many of its boxes as a record can hold."""
    return ImageLogged(
        key=str(key)[:1000],
        digest=blobs.put(image_bytes(image)),
        step=step,
        boxes=kept_boxes([plain(box) for box in boxes]),
        caption=str(caption)[:4000],
    )
