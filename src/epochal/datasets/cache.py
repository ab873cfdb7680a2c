"""The stat cache: what was read of a file, and what the file looked like then.

A file whose size, modification time, change time and inode are unchanged is not read again. That
is only sound when the file was not young as it was read: a second write within the clock's
granularity leaves no trace. So, as in git's index, files as young as the scan are not remembered.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec
import zstandard
from blake3 import blake3

from epochal.datasets.labels import Form, LabelRules

__all__ = ["FileState", "ImageKnown", "LabelKnown", "ScanCache", "cache_path"]

_FORMAT = 3

_GRANULARITY = 2_000_000_000
"""Nanoseconds: the coarsest clock among common file systems (FAT)."""


class FileState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What tells that a file has not changed."""

    size: int
    modified: int
    """Nanoseconds, as `changed`."""
    changed: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """Return the state that `os.stat` reported."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def settled(self, started: int) -> bool:
        """Whether the file was older than a scan that started then."""
        return max(self.modified, self.changed) < started - _GRANULARITY


class ImageKnown(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An image file that was hashed."""

    state: FileState
    digest: str
    width: int
    height: int


class LabelKnown(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A label file that was parsed and found without flaws."""

    state: FileState
    digest: str
    objects: tuple[tuple[int, int], ...]
    form: Form


class ScanCache(msgspec.Struct, kw_only=True):
    """What the last scan of a dataset read, by absolute path."""

    rules: LabelRules
    format: int = _FORMAT
    images: dict[str, ImageKnown] = {}
    labels: dict[str, LabelKnown] = {}

    @classmethod
    def load(cls, file: Path) -> ScanCache | None:
        """Return the cache in `file`; None where there is none that can be used."""
        try:
            content = zstandard.ZstdDecompressor().decompressobj().decompress(file.read_bytes())
            cache = _decode(content)
        except (OSError, zstandard.ZstdError, msgspec.MsgspecError):
            return None  # it is a cache: the scan reads everything and writes it anew
        return cache if cache.format == _FORMAT else None

    def save(self, file: Path) -> None:
        """Replace `file`, creating its folder.

        Raises
        ------
        OSError
            The folder cannot be written to. Nothing is lost but time.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".scan-")
        try:
            with os.fdopen(handle, "wb") as temporary:
                temporary.write(compressor.compress(_encode(self)))
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ScanCache).decode


def cache_path(datasets_folder: Path, data_yaml: str | os.PathLike[str]) -> Path:
    """Return where a workspace keeps the cache of one data.yaml."""
    name = blake3(os.path.realpath(data_yaml).encode(errors="surrogateescape")).hexdigest()
    return datasets_folder / "scans" / f"{name[:16]}.zst"
