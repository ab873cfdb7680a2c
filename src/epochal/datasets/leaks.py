"""Leakage: the same image in two splits, so that a model is measured on what it has learnt."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from epochal.datasets.content import Content
    from epochal.datasets.manifest import Manifest

__all__ = ["Leak", "leakage", "pixel_leakage", "summarize_leaks"]

_OVERLAP_MEANT = {"val", "minival"}


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """One image that several splits have."""

    image: str
    """BLAKE3 of the image file, or of its pixels, hex."""
    places: tuple[tuple[str, str], ...]
    """(split, path), sorted."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have it, sorted."""
        return tuple(sorted({split for split, _ in self.places}))


def leakage(manifest: Manifest) -> tuple[Leak, ...]:
    """Return the groups of byte-identical images that lie in more than one split.

    ``minival`` is a part of ``val`` by convention, and that overlap alone is none. Sorted by
    place. Copies of an image that were encoded again are found by `pixel_leakage`.
    """
    places: dict[str, list[tuple[str, str]]] = {}
    for entry in manifest.entries:
        places.setdefault(entry.image, []).append((entry.split, entry.path))
    return _leaks(places)


def pixel_leakage(
    content: Content, *, progress: Callable[[int, int], None] | None = None
) -> tuple[Leak, ...]:
    """Return the groups of images with equal pixels that lie in more than one split.

    Finds what `leakage` does not: an image that was saved again without loss, under another
    format or with other metadata. Every image is decoded once, which takes milliseconds each.

    Parameters
    ----------
    progress
        Called with (images decoded, images in all).
    """
    places: dict[str, list[tuple[str, str]]] = {}
    known: dict[str, str] = {}
    entries = content.manifest.entries
    for done, entry in enumerate(entries, 1):
        if entry.image not in known:
            image = content.image(entry)
            known[entry.image] = _pixels(image) if image is not None else ""
        places.setdefault(known[entry.image] or entry.image, []).append((entry.split, entry.path))
        if progress is not None:
            progress(done, len(entries))
    return _leaks(places)


def _pixels(image: bytes) -> str:
    """Return the digest of an image's size and pixels as shown; empty where it is no image."""
    from PIL import Image, ImageOps  # a reader of many formats, needed here alone

    try:
        with Image.open(io.BytesIO(image)) as opened:
            pixels = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    return blake3(f"{pixels.width}x{pixels.height} ".encode() + pixels.tobytes()).hexdigest()


def _leaks(places: dict[str, list[tuple[str, str]]]) -> tuple[Leak, ...]:
    leaks = [Leak(image=image, places=tuple(sorted(found))) for image, found in places.items()]
    found = [x for x in leaks if len(x.splits) > 1 and set(x.splits) != _OVERLAP_MEANT]
    return tuple(sorted(found, key=lambda leak: leak.places))


def summarize_leaks(leaks: Sequence[Leak]) -> str:
    """Return one line such as ``12 images are in test and train``; empty without leaks."""
    counts = Counter(" and ".join(leak.splits) for leak in leaks)
    return ", ".join(
        f"{n} {'image is' if n == 1 else 'images are'} in {splits}" for splits, n in counts.items()
    )
