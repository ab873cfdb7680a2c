"""The manifest: what a dataset version consists of, and the digest that is its identity.

The digest covers, of every image, its split, its path relative to the dataset's root, the BLAKE3
of its bytes, the digest of its labels' meaning (`epochal.datasets.labels.Labels.digest`) and how
often the split names it; and the class list, the keypoint shape and the splits. It does not cover
where the root is, times, sizes of files and images, or in which order files were found.

A split's own digests cover content only, not names: renaming a test image makes a new version,
and the same test set.

On disk: JSON lines in one zstd frame: a header, the entries sorted by (split, path), a trailer
with their number, the digest and the BLAKE3 of all lines before it.
"""

from __future__ import annotations

from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, BinaryIO, Literal

import msgspec
import zstandard
from blake3 import blake3

from epochal.errors import Damaged, InvalidInput, NewerFormat
from epochal.records import Split

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "MANIFEST_FORMAT",
    "Manifest",
    "ManifestEntry",
    "ManifestHeader",
    "Task",
    "read_manifest",
    "write_manifest",
]

MANIFEST_FORMAT = 1

Task = Literal["detect", "segment", "pose", "classify", "files"]
"""What the labels are for: boxes, polygons (oriented boxes look the same), keypoints, a class for
each image; ``files`` are without labels."""

_MAX_LINE = 8 << 20
_CHUNK = 1 << 18
_SHOWN = ("train", "val", "test", "minival")


class ManifestHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the whole version."""

    format: int = MANIFEST_FORMAT
    task: Task = "detect"
    classes: tuple[str, ...]
    keypoints: tuple[int, int] | None = None
    splits: tuple[str, ...]


class ManifestEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One image in one split, with its labels."""

    split: str
    path: str
    """Relative to the dataset's root, with ``/``."""
    size: int
    """Bytes of the image file."""
    image: str
    """BLAKE3 of the image file, hex."""
    label: str = ""
    """Path of the label file, relative to the root; empty where there is none."""
    label_digest: str = ""
    """Digest of the labels' meaning; empty for background."""
    objects: tuple[tuple[int, int], ...] = ()
    """(class, number of objects), sorted."""
    malformed: bool = False
    """The label file has errors, so that the trainer ignores the image."""
    repeats: int = 1
    """How often the split names the image."""
    width: int = 0
    """Of the image as shown, EXIF orientation applied, in pixels; 0: not known."""
    height: int = 0

    @property
    def identity(self) -> tuple[str, str, str, str, int]:
        """What the version's digest covers of this entry."""
        return self.split, self.path, self.image, self.label_digest, self.repeats


class _Trailer(msgspec.Struct, frozen=True, kw_only=True):
    end: int
    digest: str
    lines: str


_encoder = msgspec.json.Encoder()
_decode_header = msgspec.json.Decoder(ManifestHeader).decode
_decode_entry = msgspec.json.Decoder(ManifestEntry).decode
_decode_trailer = msgspec.json.Decoder(_Trailer).decode


class _Identity:
    """Computes a version's digest from its header and its sorted entries."""

    def __init__(self, header: ManifestHeader) -> None:
        named = (header.task, header.classes, header.keypoints, sorted(header.splits))
        self.hasher = blake3(b"epochal dataset version 1\n")
        self.hasher.update(_encoder.encode(named) + b"\n")
        self.last = ("", "")
        self.count = 0

    def add(self, entry: ManifestEntry) -> None:
        key = (entry.split, entry.path)
        if key <= self.last:
            raise ValueError(f"manifest entries out of order or repeated: {self.last} then {key}")
        self.last = key
        self.count += 1
        self.hasher.update(_encoder.encode(entry.identity) + b"\n")

    @property
    def digest(self) -> str:
        return self.hasher.hexdigest()


class Manifest:
    """A dataset version in memory: a header and entries sorted by (split, path).

    Parameters
    ----------
    header
        Task, classes and splits.
    entries
        In any order.

    Raises
    ------
    InvalidInput
        Two entries have the same split and path.
    """

    def __init__(self, header: ManifestHeader, entries: Iterable[ManifestEntry]) -> None:
        self.header = header
        self.entries = tuple(sorted(entries, key=attrgetter("split", "path")))
        for before, after in zip(self.entries, self.entries[1:], strict=False):
            if (before.split, before.path) == (after.split, after.path):
                raise InvalidInput(f"{after.path} is twice in split {after.split}")

    def __repr__(self) -> str:
        return f"Manifest({self.digest[:12]}, {len(self.entries)} images)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Manifest):
            return NotImplemented
        return self.header == other.header and self.entries == other.entries

    __hash__ = None  # type: ignore[assignment]  # the digest is there to be a key

    @cached_property
    def digest(self) -> str:
        """The version's identity: 64 hex digits."""
        identity = _Identity(self.header)
        for entry in self.entries:
            identity.add(entry)
        return identity.digest

    @cached_property
    def splits(self) -> dict[str, Split]:
        """Numbers and digests per split, in the order train, val, test."""
        grouped = {k: _split(list(v)) for k, v in groupby(self.entries, key=attrgetter("split"))}
        order = [name for name in _SHOWN if name in grouped]
        return {name: grouped[name] for name in order + [k for k in grouped if k not in order]}

    def balance(self, split: str) -> dict[str, int]:
        """Return the number of objects per class name of a split, in class order.

        Where classes share a name their objects are summed.
        """
        counts = [0] * len(self.header.classes)
        for entry in self.entries:
            if entry.split == split:
                for category, number in entry.objects:
                    counts[category] += number * entry.repeats
        balance: dict[str, int] = {}
        for name, number in zip(self.header.classes, counts, strict=True):
            balance[name] = balance.get(name, 0) + number
        return balance

    def background(self, split: str) -> int:
        """Return how many images of a split have no objects and no errors in their labels."""
        return sum(e.split == split and not e.label_digest for e in self.entries)


def _split(entries: list[ManifestEntry]) -> Split:
    images = _digest_of(f"{e.image} {e.repeats}" for e in entries)
    labels = _digest_of(f"{e.image} {e.label_digest}" for e in entries)
    return Split(
        images=len(entries),
        objects=sum(number for entry in entries for _, number in entry.objects),
        digest=blake3(f"{images} {labels}".encode()).hexdigest(),
        images_digest=images,
        labels_digest=labels,
    )


def _digest_of(lines: Iterable[str]) -> str:
    return blake3("\n".join(sorted(lines)).encode()).hexdigest()


def write_manifest(
    file: BinaryIO, header: ManifestHeader, entries: Iterable[ManifestEntry]
) -> str:
    """Write a manifest from entries sorted by (split, path), holding one at a time.

    Returns
    -------
    The version's digest.

    Raises
    ------
    ValueError
        The entries are not sorted, or one comes twice.
    """
    identity, lines = _Identity(header), blake3()
    compressor = zstandard.ZstdCompressor(level=6)
    with compressor.stream_writer(file, closefd=False) as stream:

        def write(struct: msgspec.Struct) -> None:
            line = _encoder.encode(struct) + b"\n"
            lines.update(line)
            stream.write(line)

        write(header)
        for entry in entries:
            identity.add(entry)
            write(entry)
        write(_Trailer(end=identity.count, digest=identity.digest, lines=lines.hexdigest()))
    return identity.digest


def read_manifest(
    file: BinaryIO, digest: str | None = None
) -> tuple[ManifestHeader, Iterator[ManifestEntry]]:
    """Read a manifest entry by entry, in memory that does not grow with it.

    Damage is only certain not to be there when the iterator has ended: it checks the trailer.

    Parameters
    ----------
    digest
        The version that is expected, where one is.

    Raises
    ------
    Damaged
        The bytes are not those that were written, or are another version than `digest`.
    NewerFormat
        A newer version of Epochal wrote the manifest.
    """
    name = getattr(file, "name", "manifest")
    lines = _lines(file, name)
    try:
        first = next(lines)
        header = _decode_header(first)
    except (StopIteration, msgspec.MsgspecError) as error:
        raise _damage(name, "no header") from error
    if header.format > MANIFEST_FORMAT:
        raise NewerFormat(
            f"{name}: manifest format {header.format}, known is {MANIFEST_FORMAT}",
            "Upgrade epochal",
        )
    return header, _entries(lines, first, header, name, digest)


def _entries(
    lines: Iterator[bytes], first: bytes, header: ManifestHeader, name: str, digest: str | None
) -> Iterator[ManifestEntry]:
    identity, seen = _Identity(header), blake3(first)
    trailer = None
    for line in lines:
        if trailer is not None:
            raise _damage(name, "bytes after the end")
        try:
            if line.startswith(b'{"end":'):
                trailer = _decode_trailer(line)
                continue
            entry = _decode_entry(line)
            identity.add(entry)
        except ValueError as error:  # msgspec's errors are ValueErrors too
            raise _damage(name, f"entry {identity.count + 1}") from error
        seen.update(line)
        yield entry
    if trailer is None:
        raise _damage(name, f"it ends after {identity.count} entries")
    if trailer != _Trailer(end=identity.count, digest=identity.digest, lines=seen.hexdigest()):
        raise _damage(name, "its checksum differs")
    if digest is not None and digest != identity.digest:
        raise Damaged(f"{name}: holds version {identity.digest[:12]}, not {digest[:12]}", _AGAIN)


_AGAIN = "Restore the file from a backup, or tag the same data again"


def _damage(name: str, what: str) -> Damaged:
    return Damaged(f"{name}: the manifest is damaged ({what})", _AGAIN)


def _lines(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the decompressed lines with their newlines."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    rest = b""
    try:
        with decompressor.stream_reader(file, closefd=False) as stream:
            while chunk := stream.read(_CHUNK):
                *whole, rest = (rest + chunk).split(b"\n")
                if len(rest) > _MAX_LINE:
                    raise _damage(name, "a line without end")
                for line in whole:
                    yield line + b"\n"
    except zstandard.ZstdError as error:
        raise _damage(name, "it does not decompress") from error
    if rest:
        raise _damage(name, "it ends within a line")
