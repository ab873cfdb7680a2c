"""Leakage: the same image in two splits, so that a model is measured on what it has learnt."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from epochal.datasets.manifest import Manifest

__all__ = ["Leak", "leakage", "summarize_leaks"]

_OVERLAP_MEANT = {"val", "minival"}


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """One image that several splits have."""

    image: str
    """BLAKE3 of the image file, hex."""
    places: tuple[tuple[str, str], ...]
    """(split, path), sorted."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have it, sorted."""
        return tuple(sorted({split for split, _ in self.places}))


def leakage(manifest: Manifest) -> tuple[Leak, ...]:
    """Return the groups of byte-identical images that lie in more than one split.

    ``minival`` is a part of ``val`` by convention, and that overlap alone is none. Sorted by
    place. Copies of an image that were encoded again are not found.
    """
    places: dict[str, list[tuple[str, str]]] = {}
    for entry in manifest.entries:
        places.setdefault(entry.image, []).append((entry.split, entry.path))
    leaks = [Leak(image=image, places=tuple(found)) for image, found in places.items()]
    found = [x for x in leaks if len(x.splits) > 1 and set(x.splits) != _OVERLAP_MEANT]
    return tuple(sorted(found, key=lambda leak: leak.places))


def summarize_leaks(leaks: Sequence[Leak]) -> str:
    """Return one line such as ``12 images are in test and train``; empty without leaks."""
    counts = Counter(" and ".join(leak.splits) for leak in leaks)
    return ", ".join(
        f"{n} {'image is' if n == 1 else 'images are'} in {splits}" for splits, n in counts.items()
    )
