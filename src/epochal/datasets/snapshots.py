"""Snapshots: a version's content kept, so that it can be brought back byte for byte.

A manifest says what a version is; a snapshot holds it. Every file is a blob under its digest, so
versions share what they have in common. Small files (labels) lie together in packs, which are
blobs too: a hundred thousand files of a hundred bytes would cost a hundred thousand syncs.
Packs end where the name of a file says so, not after a number of them, so that an added label
changes the pack it is in and no other.

The index of a snapshot lies beside the manifest, as zstd JSON lines, and appears only when all
content is durable. A snapshot that was interrupted is resumed by making it again: what is there
is not copied twice.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import zstandard
from blake3 import blake3

from epochal.datasets.layouts import Layout
from epochal.datasets.versions import manifest_path
from epochal.datasets.yolo import DataYaml, label_file
from epochal.errors import Damaged, InvalidInput, NotFound, Refused
from epochal.store.blobs import Blobs

if TYPE_CHECKING:
    from epochal.datasets.scanning import Scan

__all__ = ["KeptFile", "Snapshot", "load_snapshot", "make_snapshot", "snapshot_path"]

_SMALL = 32 << 10
"""Files up to this size are packed."""
_PACK = 4 << 20
_CUT = 512
"""A pack ends at a file with a chance of one in so many, by its name."""
_WORKERS = 8
"""Syncing waits for the disk: several at once keep it busy."""


class SnapshotHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What the snapshot is of."""

    digest: str
    """The version's."""
    layout: Layout
    source: str
    """What was tagged, relative to the root: a data.yaml, a JSON, a folder; ``.`` is the root."""
    files: int
    size: int
    """Bytes of all files."""


class KeptFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One file of the dataset as it was."""

    path: str
    """Relative to the dataset's root, with ``/``."""
    size: int
    digest: str
    """BLAKE3 of its bytes."""
    pack: str = ""
    """The blob it lies in at `offset`; empty: it is a blob of its own."""
    offset: int = 0


_header = msgspec.json.Decoder(SnapshotHeader).decode
_file = msgspec.json.Decoder(KeptFile).decode
_encode = msgspec.json.Encoder().encode


class Snapshot:
    """A snapshot that can be read.

    Parameters
    ----------
    blobs
        Where the content is.
    header, files
        The index.
    """

    def __init__(self, blobs: Blobs, header: SnapshotHeader, files: list[KeptFile]) -> None:
        self.header = header
        self.files = files
        self._blobs = blobs
        self._by_path: dict[str, KeptFile] | None = None
        self._pack = lru_cache(maxsize=8)(blobs.get)

    def find(self, path: str) -> KeptFile | None:
        """Return the file at `path`, relative to the root."""
        if self._by_path is None:
            self._by_path = {file.path: file for file in self.files}
        return self._by_path.get(path)

    def read(self, file: KeptFile) -> bytes:
        """Return the bytes of a file, verified.

        Raises
        ------
        NotFound, Damaged
            If the content is not there, or is not what was kept.
        """
        if not file.pack:
            return self._blobs.get(file.digest)
        content = self._pack(file.pack)[file.offset : file.offset + file.size]
        if blake3(content).hexdigest() != file.digest:
            raise Damaged(f"{file.path} in its snapshot is damaged", "restore the blobs")
        return content

    def blob_path(self, file: KeptFile) -> Path | None:
        """Return where a file lies as a blob of its own; None for a packed one."""
        return None if file.pack else self._blobs.path(file.digest)

    def blobs(self) -> set[str]:
        """Return the digests of all blobs that the snapshot needs."""
        return {file.pack or file.digest for file in self.files}


def snapshot_path(datasets_folder: Path, digest: str) -> Path:
    """Return where the index of a version's snapshot lies, or would lie."""
    manifest = manifest_path(datasets_folder, digest)
    return manifest.with_name(f"{digest}.snapshot.zst")


def load_snapshot(datasets_folder: Path, blobs: Blobs, digest: str) -> Snapshot:
    """Return the snapshot of a version.

    Raises
    ------
    NotFound
        If none was made.
    Damaged
        If its index is not what was written.
    """
    path = snapshot_path(datasets_folder, digest)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(
            f"dataset version {digest[:12]} has no snapshot: only its manifest was kept",
            "tag the data again with --snapshot while it is unchanged",
        ) from None
    damaged = Damaged(f"{path}: the index of the snapshot is damaged", "restore it from a backup")
    try:
        text = zstandard.ZstdDecompressor().decompressobj().decompress(content)
        first, *lines = text.splitlines()
        header, files = _header(first), [_file(line) for line in lines]
    except (zstandard.ZstdError, msgspec.MsgspecError, ValueError) as error:
        raise damaged from error
    if header.digest != digest or len(files) != header.files:
        raise damaged
    return Snapshot(blobs, header, files)


def make_snapshot(
    datasets_folder: Path,
    blobs: Blobs,
    scanned: Scan,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> SnapshotHeader:
    """Keep the content of a dataset that was just scanned.

    Parameters
    ----------
    progress
        Called with (bytes kept, bytes in all).

    Raises
    ------
    Refused
        If a file is no longer what was scanned; nothing is lost, and the version has no snapshot.
    InvalidInput
        If a file cannot be read.
    """
    manifest = scanned.manifest
    path = snapshot_path(datasets_folder, manifest.digest)
    sources = list(_files_of(scanned))
    total = sum(source.size for source in sources)
    done = 0
    kept: list[KeptFile] = []
    packs = _Packs(blobs)
    with ThreadPoolExecutor(_WORKERS) as pool:
        for file, size in _in_order(pool, blobs, sources, packs):
            kept.extend(file)
            done += size
            if progress is not None:
                progress(done, total)
    kept.extend(packs.finish())
    kept.sort(key=lambda file: file.path)
    header = SnapshotHeader(
        digest=manifest.digest,
        layout="yolo" if isinstance(scanned.data, DataYaml) else scanned.data.layout,
        source=os.path.relpath(scanned.data.file, scanned.data.root),
        files=len(kept),
        size=sum(file.size for file in kept),
    )
    _write_index(path, header, kept)
    return header


class _Source(NamedTuple):
    path: str
    """Relative to the root."""
    file: Path
    size: int
    digest: str
    """Of the bytes, where the scan knows it."""


def _files_of(scanned: Scan) -> Iterator[_Source]:
    """Yield every file once: the ones tagged, the images, their labels."""
    data, seen = scanned.data, set[str]()

    def once(path: str, file: str, digest: str = "") -> Iterator[_Source]:
        if path in seen:
            return
        seen.add(path)
        try:
            size = Path(file).stat().st_size
        except OSError as error:
            raise InvalidInput(f"{file}: cannot be read ({error.strerror})") from error
        yield _Source(path, Path(file), size, digest)

    named = [data.file] if isinstance(data, DataYaml) else list(data.sources)
    for file in named:
        yield from once(os.path.relpath(file, data.root), file)
    for entry in scanned.manifest.entries:
        image = scanned.files[entry.path]
        yield from once(entry.path, image, entry.image)
        if entry.label and isinstance(data, DataYaml):
            yield from once(entry.label, label_file(image))


def _in_order(
    pool: ThreadPoolExecutor, blobs: Blobs, sources: list[_Source], packs: _Packs
) -> Iterator[tuple[list[KeptFile], int]]:
    """Keep the files, large ones by several threads; yield each when kept, with its size."""
    waiting: deque[tuple[_Source, object]] = deque()
    for source in sources:
        if source.size <= _SMALL:
            yield packs.add(source), source.size
            continue
        waiting.append((source, pool.submit(_keep, blobs, source)))
        if len(waiting) > 4 * _WORKERS:
            yield _kept(*waiting.popleft())
    while waiting:
        yield _kept(*waiting.popleft())


def _kept(source: _Source, future: object) -> tuple[list[KeptFile], int]:
    digest: str = future.result()  # type: ignore[attr-defined] # a Future of the pool
    return [KeptFile(path=source.path, size=source.size, digest=digest)], source.size


def _keep(blobs: Blobs, source: _Source) -> str:
    if source.digest and source.digest in blobs:
        os.utime(blobs.path(source.digest))  # wanted again: not old enough to be collected
        return source.digest
    try:
        digest = blobs.put_file(source.file)
    except OSError as error:
        if error.filename and str(error.filename) != str(source.file):
            raise  # the disk of the workspace, not the file
        raise InvalidInput(f"{source.file}: cannot be read ({error.strerror})") from error
    if source.digest and digest != source.digest:
        raise _changed(source)
    return digest


def _changed(source: _Source) -> Refused:
    return Refused(
        f"{source.file} changed after it was scanned; the snapshot was not finished",
        "wait until nothing writes to the dataset, then tag it again",
    )


class _Packs:
    """Small files, laid together as they come."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._content = bytearray()
        self._waiting: list[KeptFile] = []

    def add(self, source: _Source) -> list[KeptFile]:
        """Take a file; return those whose pack became durable by that."""
        try:
            content = source.file.read_bytes()
        except OSError as error:
            raise InvalidInput(f"{source.file}: cannot be read ({error.strerror})") from error
        digest = blake3(content).hexdigest()
        if source.digest and digest != source.digest:
            raise _changed(source)
        self._waiting.append(
            KeptFile(path=source.path, size=len(content), digest=digest, offset=len(self._content))
        )
        self._content += content
        name = blake3(source.path.encode(errors="surrogateescape")).digest(length=4)
        if int.from_bytes(name) % _CUT == 0 or len(self._content) > _PACK:
            return self.finish()
        return []

    def finish(self) -> list[KeptFile]:
        """Store what is there; return its files."""
        if not self._waiting:
            return []
        pack = self._blobs.put(bytes(self._content))
        done = [msgspec.structs.replace(file, pack=pack) for file in self._waiting]
        self._content.clear()
        self._waiting.clear()
        return done


def _write_index(path: Path, header: SnapshotHeader, files: list[KeptFile]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".snapshot-")
    try:
        with os.fdopen(handle, "wb") as temporary:
            with zstandard.ZstdCompressor(level=6).stream_writer(temporary, closefd=False) as out:
                out.write(_encode(header) + b"\n")
                for file in files:
                    out.write(_encode(file) + b"\n")
            temporary.flush()
            os.fsync(temporary.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
