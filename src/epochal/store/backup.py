"""A workspace as one file, and back: the truth bit for bit, without what can be rebuilt.

A backup is a zstd-compressed tar of the workspace's files except the index. Its last member
lists the BLAKE3 digest of each. A workspace can be written to meanwhile: journals are read up to
the length that they have when their turn comes, and before the blobs, which exist before a
record names them.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from epochal.errors import Damaged, InvalidInput, NewerFormat, Refused
from epochal.journal.folder import FOLDER_NAME, Folder

__all__ = ["Backup", "back_up", "restore"]

_LIST = "backup.json"
_ORDER = ("runs", "journal", "datasets", "blobs")
_PIECE = 1 << 20
_VERSION = 1


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    version: int
    files: dict[str, str]
    """Path in the workspace -> BLAKE3 digest."""
    bytes: int


def back_up(
    folder: Folder, target: Path, progress: Callable[[int, int], None] | None = None
) -> Backup:
    """Write the workspace into the file `target`, which appears when it is whole.

    Raises
    ------
    Refused
        If `target` exists.
    """
    import zstandard

    if target.exists():
        raise Refused(f"{target} exists", "choose another name; a backup is never overwritten")
    target.parent.mkdir(parents=True, exist_ok=True)
    files = list(_files(folder.root))
    total = sum(size for _, size in files)
    digests: dict[str, str] = {}
    done = 0
    temporary = target.with_name(f".{target.name}.part-{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as raw:
            compressor = zstandard.ZstdCompressor(level=3, threads=2)
            with (
                compressor.stream_writer(raw, closefd=False) as stream,
                tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                for path, _ in files:
                    name = path.relative_to(folder.root).as_posix()
                    taken = _add(tar, path, name, digests)
                    done += taken
                    if progress:
                        progress(done, max(total, done))
                found = Backup(version=_VERSION, files=digests, bytes=done)
                data = msgspec.json.encode(found)
                info = tarfile.TarInfo(_LIST)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            raw.flush()
            os.fsync(raw.fileno())
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)
    return found


def _files(root: Path) -> Iterator[tuple[Path, int]]:
    """Yield the files that are the truth, with their sizes, in the order of a backup."""
    yield root / "format", (root / "format").stat().st_size
    for part in _ORDER:
        for place, folders, names in os.walk(root / part):
            folders.sort()
            for name in sorted(names):
                path = Path(place) / name
                if name.startswith(".part-") or path.is_symlink():
                    continue
                try:
                    yield path, path.stat().st_size
                except FileNotFoundError:
                    continue  # purged meanwhile


def _add(tar: tarfile.TarFile, path: Path, name: str, digests: dict[str, str]) -> int:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return 0  # purged meanwhile
    with file:
        info = tar.gettarinfo(arcname=name, fileobj=file)
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        reader = _Hashing(file, info.size)
        tar.addfile(info, reader)
        digests[name] = reader.digest()
        return info.size


class _Hashing:
    """A file's first `size` bytes, hashed while they are read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        from blake3 import blake3

        self._file, self._left, self._hasher = file, size, blake3()

    def read(self, count: int = -1) -> bytes:
        data = self._file.read(min(count, self._left) if count >= 0 else self._left)
        self._left -= len(data)
        self._hasher.update(data)
        return data

    def digest(self) -> str:
        return self._hasher.hexdigest()


def restore(
    source: Path, parent: Path, progress: Callable[[int, int], None] | None = None
) -> tuple[Folder, Backup]:
    """Unpack a backup as the workspace of the folder `parent`; return it and what it held.

    Nothing is there before everything is unpacked and verified.

    Raises
    ------
    Refused
        If `parent` has a workspace.
    InvalidInput
        If `source` is no backup.
    Damaged
        If a file does not have the digest with which it was backed up, or is missing.
    """
    import zstandard

    root = parent.absolute() / FOLDER_NAME
    if root.exists():
        raise Refused(f"{root} exists", "restore into another folder; nothing is overwritten")
    parent.mkdir(parents=True, exist_ok=True)
    temporary = parent.absolute() / f".{FOLDER_NAME.strip('.')}-restore-{secrets.token_hex(4)}"
    total = source.stat().st_size
    try:
        temporary.mkdir()
        with source.open("rb") as raw:
            decompressor = zstandard.ZstdDecompressor()
            with decompressor.stream_reader(raw) as stream:
                digests, found = _unpack(
                    stream, temporary, lambda: progress(raw.tell(), total) if progress else None
                )
        if found is None:
            raise Damaged(f"{source} ends too early", "copy it again from where it was made")
        wrong = [name for name, digest in found.files.items() if digests.get(name) != digest]
        if wrong:
            raise Damaged(f"{len(wrong)} files in {source} are damaged, such as {wrong[0]}")
        (temporary / ".gitignore").write_text("*\n")
        for part in _ORDER:
            (temporary / part).mkdir(exist_ok=True)
        Folder(temporary)  # refuses a newer format
        _sync(temporary)
        temporary.rename(root)
    except (zstandard.ZstdError, tarfile.TarError, EOFError) as error:
        raise InvalidInput(
            f"{source} is no backup of a workspace, or is cut short: {error}"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Folder(root), found


def _unpack(
    stream: BinaryIO, root: Path, tell: Callable[[], None]
) -> tuple[dict[str, str], Backup | None]:
    digests: dict[str, str] = {}
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is None:
                raise tarfile.TarError(f"{member.name!r} is no file")
            if member.name == _LIST:
                found = _list_of(content.read())
                return digests, found
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts or path.parts[:1] not in _PLACES:
                raise tarfile.TarError(f"{member.name!r} lies outside a workspace")
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            reader = _Hashing(content, member.size)  # type: ignore[arg-type] # it only reads
            with target.open("xb") as file:
                shutil.copyfileobj(reader, file, _PIECE)
            os.utime(target, (member.mtime, member.mtime))
            digests[member.name] = reader.digest()
            tell()
    return digests, None


_PLACES = [("format",), *((part,) for part in _ORDER)]


def _list_of(data: bytes) -> Backup:
    try:
        found = msgspec.json.decode(data, type=Backup)
    except msgspec.DecodeError as error:
        raise tarfile.TarError(f"its list cannot be read: {error}") from None
    if found.version > _VERSION:
        raise NewerFormat(f"the backup has version {found.version}", "upgrade epochal")
    return found


def _sync(root: Path) -> None:
    """Return once the files of `root` and their names survive a power cut."""
    for place, _, names in os.walk(root):
        for name in [*names, "."]:
            fd = os.open(Path(place) / name, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
