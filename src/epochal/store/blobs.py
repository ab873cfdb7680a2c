"""Files by content: written once, named by their BLAKE3 digest, verified when read."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import unicodedata
from pathlib import Path
from typing import BinaryIO

from epochal.errors import Damaged, InvalidInput, NotFound
from epochal.journal.folder import make_directory

__all__ = ["Blobs", "artifact_key", "digest_of", "digest_of_file", "reflink"]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FICLONE = 0x40049409  # linux/fs.h: share the extents of another file, copy on write
_PIECE = 1 << 20


def digest_of(data: bytes) -> str:
    """Return the BLAKE3 digest of `data`, 64 hex digits."""
    from blake3 import blake3

    return blake3(data).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the BLAKE3 digest of the file at `path`, 64 hex digits."""
    from blake3 import blake3

    hasher = blake3()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            hasher.update(piece)
    return hasher.hexdigest()


def artifact_key(text: str) -> str:
    """Return `text` as the key of an artifact: a relative, normalised, portable path.

    A key is only ever a name: no file is opened by it, and still it cannot leave its place.

    Raises
    ------
    InvalidInput
        If it is empty or longer than 1,024 bytes, has a part that is empty, ``.``, ``..`` or
        longer than 255 bytes, or a backslash or control character.
    """
    key = unicodedata.normalize("NFC", text)
    parts = key.split("/")
    if (
        len(key.encode("utf-8", "surrogatepass")) > 1024
        or any(
            part in ("", ".", "..") or len(part.encode("utf-8", "replace")) > 255 for part in parts
        )
        or any(c == "\\" or unicodedata.category(c) in ("Cc", "Cs") for c in key)
    ):
        raise InvalidInput(
            f"{text[:80]!r} cannot be an artifact's key",
            "use a relative path such as weights/best.pt",
        )
    return key


class Blobs:
    """A folder of immutable files.

    A blob appears under its name only when it is whole and durable. Files are reflinked where
    the file system can, else copied; never hard-linked, because trainers rewrite weights in
    place and a hard link would change with them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Return where the blob `digest` lies, or would lie."""
        if not _DIGEST.fullmatch(digest):
            raise InvalidInput(f"{digest!r} is not a digest", "64 lower-case hex digits are one")
        return self.folder / digest[:2] / digest[2:]

    def __contains__(self, digest: str) -> bool:
        return self.path(digest).is_file()

    def put(self, data: bytes) -> str:
        """Store `data`; return its digest once it is durable."""
        digest = digest_of(data)
        if not self._keep(digest):
            with self._temporary() as (temporary, file):
                file.write(data)
                self._settle(file, temporary, digest)
        return digest

    def put_file(self, source: Path) -> str:
        """Store a copy of the file at `source`; return its digest once the copy is durable.

        The digest is that of the copy: a file that changes meanwhile cannot get a wrong name.
        """
        with source.open("rb") as original, self._temporary() as (temporary, file):
            if not reflink(original, file):
                shutil.copyfileobj(original, file, _PIECE)
            file.flush()
            digest = digest_of_file(temporary)
            if not self._keep(digest):
                self._settle(file, temporary, digest)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the blob's bytes.

        Raises
        ------
        NotFound
            If it is not here.
        Damaged
            If its bytes do not have this digest.
        """
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise NotFound(
                f"the blob {digest[:12]} is not in {self.folder}",
                "copy the workspace's blobs folder along with its runs",
            ) from None
        if digest_of(data) != digest:
            raise Damaged(
                f"the blob {digest[:12]} in {self.folder} is damaged",
                "restore it from a backup; `epochal doctor` lists all damaged files",
            )
        return data

    def _keep(self, digest: str) -> bool:
        """Return whether the blob is here, and young again, so that it is not collected now."""
        try:
            os.utime(self.path(digest))
        except FileNotFoundError:
            return False
        except OSError:  # somebody else's file: as old as it is
            return digest in self
        return True

    def _settle(self, file: BinaryIO, temporary: Path, digest: str) -> None:
        file.flush()
        os.fsync(file.fileno())
        target = self.path(digest)
        make_directory(target.parent)
        temporary.rename(target)
        fd = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _temporary(self) -> _Temporary:
        make_directory(self.folder)
        return _Temporary(self.folder / f".part-{os.getpid()}-{secrets.token_hex(6)}")


class _Temporary:
    """A file that is gone afterwards unless it was renamed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> tuple[Path, BinaryIO]:
        self.file = self.path.open("xb")
        return self.path, self.file

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.path.unlink(missing_ok=True)


def reflink(source: BinaryIO, target: BinaryIO) -> bool:
    """Let `target` share the extents of `source`, copy on write; whether the file system can."""
    try:
        import fcntl

        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except (OSError, ImportError):
        return False  # this file system, or another one than the source's: copy
    return True
