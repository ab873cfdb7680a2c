"""A small file system that can lose power: what was not synced is gone.

    python power_cut_fs.py MOUNT_POINT

Everything lives in memory, twice: as programs see it, and as a disk would hold it. ``fsync`` of
a file makes its bytes durable, ``fsync`` of a directory the names in it; nothing else does, as
POSIX has it (ext4 is kinder). Reading the extended attribute ``user.power_cut:<folder>:<seed>``
of the mount point writes to ``<folder>`` what the disk would hold if the power failed at that
moment; programs do not notice and go on, so that one run gives any number of cuts.

With a seed other than 0 some pages that were not synced are there as well, as the kernel may
have written them of its own accord: any of them, in any order, and what lies between is zeros.

``user.power_cut`` files in the answer: ``cut.json`` beside the tree holds the monotonic time.
"""

from __future__ import annotations

import errno
import json
import os
import random
import stat
import sys
import time
from pathlib import Path
from typing import Any

try:
    import fusepy as fuse  # Debian's name for it
except ImportError:
    import fuse

PAGE = 4096
PREFIX = "user.power_cut:"


class Node:
    """A file or directory: its bytes as seen, and as durable."""

    def __init__(self, mode: int) -> None:
        self.mode = mode
        self.data = bytearray()
        self.durable = b""
        self.dirty_from = 0
        """The lowest offset that was written since the last sync."""


class PowerCutFS(fuse.Operations):
    """The operations that a journal, its folders and blobs need."""

    def __init__(self) -> None:
        root = Node(stat.S_IFDIR | 0o755)
        self.names: dict[str, Node] = {"/": root}
        self.durable: dict[str, Node] = {"/": root}
        self._handles = 0

    def _node(self, path: str) -> Node:
        if path not in self.names:
            raise fuse.FuseOSError(errno.ENOENT)
        return self.names[path]

    def _handle(self) -> int:
        self._handles += 1
        return self._handles

    # --- what programs do ------------------------------------------------------------------------

    def getattr(self, path: str, fh: Any = None) -> dict[str, Any]:
        node = self._node(path)
        now = time.time()
        return {
            "st_mode": node.mode,
            "st_nlink": 1,
            "st_size": len(node.data),
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
            "st_mtime": now,
            "st_atime": now,
            "st_ctime": now,
        }

    def readdir(self, path: str, fh: Any) -> list[str]:
        inside = path.rstrip("/") + "/"
        names = (p.removeprefix(inside) for p in self.names if p.startswith(inside) and p != "/")
        return [".", "..", *(name for name in names if "/" not in name)]

    def mkdir(self, path: str, mode: int) -> None:
        if path in self.names:
            raise fuse.FuseOSError(errno.EEXIST)
        self.names[path] = Node(stat.S_IFDIR | mode)

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        self.names[path] = Node(stat.S_IFREG | mode)
        return self._handle()

    def open(self, path: str, flags: int) -> int:
        self._node(path)
        return self._handle()

    def read(self, path: str, size: int, offset: int, fh: Any) -> bytes:
        return bytes(self._node(path).data[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: Any) -> int:
        node = self._node(path)
        if len(node.data) < offset:
            node.data.extend(bytes(offset - len(node.data)))
        node.data[offset : offset + len(data)] = data
        node.dirty_from = min(node.dirty_from, offset)
        return len(data)

    def truncate(self, path: str, length: int, fh: Any = None) -> None:
        node = self._node(path)
        del node.data[length:]
        node.data.extend(bytes(length - len(node.data)))
        node.dirty_from = min(node.dirty_from, length)

    def unlink(self, path: str) -> None:
        self._node(path)
        del self.names[path]

    rmdir = unlink

    def rename(self, old: str, new: str) -> None:
        self.names[new] = self._node(old)
        del self.names[old]

    def chmod(self, path: str, mode: int) -> None:
        self._node(path)

    def utimens(self, path: str, times: Any = None) -> None:
        self._node(path)

    def statfs(self, path: str) -> dict[str, int]:
        return {"f_bsize": PAGE, "f_blocks": 1 << 20, "f_bavail": 1 << 20, "f_bfree": 1 << 20}

    def ioctl(self, *arguments: Any) -> None:
        raise fuse.FuseOSError(errno.ENOTTY)

    # --- what survives ---------------------------------------------------------------------------

    def fsync(self, path: str, datasync: int, fh: Any) -> int:
        node = self._node(path)
        node.durable = node.durable[: node.dirty_from] + bytes(node.data[node.dirty_from :])
        node.dirty_from = len(node.data)
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: Any) -> int:
        inside = path.rstrip("/") + "/"

        def here(name: str) -> bool:
            return name != "/" and name.startswith(inside) and "/" not in name[len(inside) :]

        for name in [n for n in self.durable if here(n) and n not in self.names]:
            del self.durable[name]
        self.durable |= {name: node for name, node in self.names.items() if here(name)}
        return 0

    def listxattr(self, path: str) -> list[str]:
        return []

    def getxattr(self, path: str, name: str, position: int = 0) -> bytes:
        if not name.startswith(PREFIX):
            raise fuse.FuseOSError(errno.ENODATA)
        folder, _, seed = name.removeprefix(PREFIX).rpartition(":")
        self._cut(Path(folder), random.Random(int(seed)) if seed != "0" else None)
        return b"ok"

    def _cut(self, folder: Path, written_back: random.Random | None) -> None:
        folder.mkdir(parents=True)
        (folder / "cut.json").write_text(json.dumps({"monotonic_ns": time.monotonic_ns()}))
        for name, node in sorted(self.durable.items()):
            # A name is reachable only through names that are durable themselves.
            parents = [str(parent) for parent in Path(name).parents]
            if not all(parent in self.durable for parent in parents):
                continue
            place = folder / "disk" / name.strip("/")
            if stat.S_ISDIR(node.mode):
                place.mkdir(exist_ok=True)
            else:
                place.write_bytes(self._on_disk(node, written_back))

    @staticmethod
    def _on_disk(node: Node, written_back: random.Random | None) -> bytes:
        if written_back is None or node.dirty_from >= len(node.data):
            return node.durable
        disk = bytearray(node.durable)
        for start in range(node.dirty_from - node.dirty_from % PAGE, len(node.data), PAGE):
            if written_back.random() < 0.5:
                page = node.data[start : start + PAGE]
                disk.extend(bytes(max(0, start + len(page) - len(disk))))
                disk[start : start + len(page)] = page
        return bytes(disk)


if __name__ == "__main__":
    fuse.FUSE(PowerCutFS(), sys.argv[1], foreground=True, nothreads=True, big_writes=True)
