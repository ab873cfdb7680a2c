"""What differs between two dataset versions, or between a version and the working folder."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from epochal.datasets.manifest import Manifest, ManifestEntry, ManifestHeader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Change", "Difference", "difference", "stream_difference"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One image before and after."""

    before: ManifestEntry
    after: ManifestEntry

    @property
    def image(self) -> bool:
        """Whether the image's bytes differ."""
        return self.before.image != self.after.image

    @property
    def labels(self) -> bool:
        """Whether the labels' meaning differs."""
        return self.before.label_digest != self.after.label_digest

    @property
    def repeats(self) -> bool:
        """Whether the split names the image more or less often."""
        return self.before.repeats != self.after.repeats


class Difference(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What has to happen to the old version to make it the new one.

    Every entry of either version that the other does not have is in exactly one of `added`,
    `removed`, `moved`, `renamed` and `changed`.
    """

    before: ManifestHeader
    after: ManifestHeader
    added: tuple[ManifestEntry, ...] = ()
    removed: tuple[ManifestEntry, ...] = ()
    moved: tuple[Change, ...] = ()
    """The same image bytes in another split; the labels may differ."""
    renamed: tuple[Change, ...] = ()
    """The same image bytes under another path in the same split; the labels may differ."""
    changed: tuple[Change, ...] = ()
    """The same split and path with another image, other labels or other repeats."""
    balance: dict[str, dict[str, tuple[int, int]]] = {}
    """Split -> class name -> objects (before, after), where they differ."""

    @property
    def is_empty(self) -> bool:
        """Whether both are the same version: true exactly where their digests are equal."""
        changes = (self.added, self.removed, self.moved, self.renamed, self.changed)
        return not any(changes) and _named(self.before) == _named(self.after)

    @cached_property
    def changed_images(self) -> tuple[Change, ...]:
        """Changes of an image's bytes under the same name."""
        return tuple(change for change in self.changed if change.image)

    @cached_property
    def changed_labels(self) -> tuple[Change, ...]:
        """Changes of labels, of moved and renamed images too."""
        changes = (*self.changed, *self.moved, *self.renamed)
        return tuple(change for change in changes if change.labels)

    def summary(self) -> str:
        """Return one line such as ``+80 images in train, 3 labels changed in val``."""
        repeated = [change.after for change in self.changed if change.repeats]
        parts = [
            *_counted(self.added, "+{n} {images} in {where}"),
            *_counted(self.removed, "-{n} {images} in {where}"),
            *(
                f"{_n(n, 'image')} moved from {old} to {new}"
                for (old, new), n in Counter(
                    (change.before.split, change.after.split) for change in self.moved
                ).items()
            ),
            *_counted((c.after for c in self.renamed), "{n} {images} renamed in {where}"),
            *_counted((c.after for c in self.changed_images), "{n} {images} changed in {where}"),
            *_counted((c.after for c in self.changed_labels), "{n} {labels} changed in {where}"),
            *_counted(repeated, "{n} {images} repeated differently in {where}"),
            *self._header_changes(),
        ]
        return ", ".join(parts) or "no differences"

    def _header_changes(self) -> Iterator[str]:
        old, new = self.before, self.after
        if old.classes != new.classes:
            gone = [name for name in old.classes if name not in new.classes]
            came = [name for name in new.classes if name not in old.classes]
            for what, names in (("added", came), ("removed", gone)):
                if names:
                    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
                    yield f"{_n(len(names), 'class', 'classes')} {what} ({shown})"
            if not gone and not came:
                yield "classes reordered"
            elif kept_moved := _reordered(old.classes, new.classes):
                yield f"{_n(kept_moved, 'class', 'classes')} renumbered"
        if old.task != new.task:
            yield f"task {old.task} became {new.task}"
        if old.keypoints != new.keypoints:
            yield "keypoint shape changed"
        for split in sorted(set(new.splits) ^ set(old.splits)):
            yield f"split {split} {'added' if split in new.splits else 'removed'}"


def difference(old: Manifest, new: Manifest) -> Difference:
    """Compare two versions by merging their sorted entries: O(n + m)."""
    return stream_difference((old.header, old.entries), (new.header, new.entries))


def stream_difference(
    old: tuple[ManifestHeader, Iterable[ManifestEntry]],
    new: tuple[ManifestHeader, Iterable[ManifestEntry]],
) -> Difference:
    """Compare two versions as `read_manifest` reads them, holding only what differs.

    Parameters
    ----------
    old, new
        Header and entries sorted by (split, path).
    """
    counts = (_Balance(old[0]), _Balance(new[0]))
    added: list[ManifestEntry] = []
    removed: list[ManifestEntry] = []
    changed: list[Change] = []
    for before, after in _merged(counts[0].counted(old[1]), counts[1].counted(new[1])):
        if before is None:
            assert after is not None
            added.append(after)
        elif after is None:
            removed.append(before)
        elif before.identity != after.identity:
            changed.append(Change(before=before, after=after))
    pairs = _pairs(removed, added)
    gone = {id(pair.before) for pair in pairs}
    came = {id(pair.after) for pair in pairs}
    return Difference(
        before=old[0],
        after=new[0],
        added=tuple(entry for entry in added if id(entry) not in came),
        removed=tuple(entry for entry in removed if id(entry) not in gone),
        moved=tuple(pair for pair in pairs if pair.before.split != pair.after.split),
        renamed=tuple(pair for pair in pairs if pair.before.split == pair.after.split),
        changed=tuple(changed),
        balance=_balance(*counts),
    )


def _merged(
    old: Iterable[ManifestEntry], new: Iterable[ManifestEntry]
) -> Iterator[tuple[ManifestEntry | None, ManifestEntry | None]]:
    """Yield both sides in order of (split, path), paired where that is equal."""
    left, right = iter(old), iter(new)
    before, after = next(left, None), next(right, None)
    while before is not None or after is not None:
        if after is None or (before and (before.split, before.path) < (after.split, after.path)):
            yield before, None
            before = next(left, None)
        elif before is None or (after.split, after.path) < (before.split, before.path):
            yield None, after
            after = next(right, None)
        else:
            yield before, after
            before, after = next(left, None), next(right, None)


def _pairs(removed: list[ManifestEntry], added: list[ManifestEntry]) -> list[Change]:
    """Match what went with what came by image digest; among copies, the same file name first.

    Both sides stay sorted, and the first goes with the first: which copies are left over does not
    depend on which version is the older one.
    """
    pairs: list[Change] = []
    for key in (_digest_and_name, _digest):
        waiting: defaultdict[tuple[str, ...], deque[ManifestEntry]] = defaultdict(deque)
        for entry in removed:
            waiting[key(entry)].append(entry)
        unmatched: list[ManifestEntry] = []
        for after in added:
            if copies := waiting[key(after)]:
                pairs.append(Change(before=copies.popleft(), after=after))
            else:
                unmatched.append(after)
        removed = sorted((e for copies in waiting.values() for e in copies), key=_place)
        added = unmatched
    return sorted(pairs, key=lambda pair: _place(pair.after))


def _place(entry: ManifestEntry) -> tuple[str, str]:
    return entry.split, entry.path


def _digest_and_name(entry: ManifestEntry) -> tuple[str, ...]:
    return entry.image, entry.path.rpartition("/")[2]


def _digest(entry: ManifestEntry) -> tuple[str, ...]:
    return (entry.image,)


class _Balance:
    """Objects per split and class, counted as the entries pass by."""

    def __init__(self, header: ManifestHeader) -> None:
        self.header = header
        self._counts: defaultdict[str, Counter[int]] = defaultdict(Counter)

    def counted(self, entries: Iterable[ManifestEntry]) -> Iterator[ManifestEntry]:
        for entry in entries:
            if entry.objects:
                counts = self._counts[entry.split]
                for category, number in entry.objects:
                    counts[category] += number * entry.repeats
            yield entry

    def of(self, split: str) -> dict[str, int]:
        """Return class name -> objects; classes that share a name are summed."""
        found: dict[str, int] = {}
        for category, name in enumerate(self.header.classes):
            found[name] = found.get(name, 0) + self._counts[split][category]
        return found


def _balance(old: _Balance, new: _Balance) -> dict[str, dict[str, tuple[int, int]]]:
    differing: dict[str, dict[str, tuple[int, int]]] = {}
    for split in dict.fromkeys([*old.header.splits, *new.header.splits]):
        before, after = old.of(split), new.of(split)
        counts = {
            name: (before.get(name, 0), after.get(name, 0))
            for name in dict.fromkeys([*before, *after])
            if before.get(name, 0) != after.get(name, 0)
        }
        if counts:
            differing[split] = counts
    return differing


def _named(header: ManifestHeader) -> tuple[object, ...]:
    return header.task, header.classes, header.keypoints, sorted(header.splits)


def _reordered(old: tuple[str, ...], new: tuple[str, ...]) -> int:
    """Return how many classes that both have stand at another index."""
    return sum(name in new and new.index(name) != i for i, name in enumerate(old))


def _n(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _counted(entries: Iterable[ManifestEntry], text: str) -> Iterator[str]:
    for where, n in Counter(entry.split for entry in entries).items():
        images, labels = ("image", "label") if n == 1 else ("images", "labels")
        yield text.format(n=n, where=where, images=images, labels=labels)
