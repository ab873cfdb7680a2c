"""Appending: one file, one writer, one `write()` a record.

What `append` returned from survives ``kill -9``: it is in the kernel. What `sync` returned from
survives a power cut. Nobody else ever writes to the file, so a torn line can only be its last,
or one that this writer itself could not complete on a full disk; the next line then begins
with a newline, and readers skip the fragment by its checksum.

A disk that fails to sync may have thrown the data away and report success the next time. So the
file is given up then: what it was not known to hold is written to a second file of the same
writer, ``<writer>.2.jsonl``, with the same positions, and readers take each position once.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
from pathlib import Path

from epochal.errors import InvalidInput
from epochal.journal.folder import make_directory, sync_directory
from epochal.journal.lines import encode_line, seed_of
from epochal.journal.process import boot_id, host, process_start
from epochal.journal.reader import read_journal
from epochal.records import FORMAT, MAX_LINE, AnyBody, Entry, Header
from epochal.version import __version__

__all__ = ["TooLong", "Writer", "new_writer_id"]


class TooLong(InvalidInput):
    """A record does not fit into one line; its content belongs into a blob."""


def new_writer_id() -> str:
    """Return 32 hex digits that sort by time: microseconds since 1970, then randomness."""
    return f"{time.time_ns() // 1000:014x}{secrets.token_hex(9)}"


class Writer:
    """One journal file, open for appending by this process.

    Thread-safe. Not fork-safe: a child opens its own (see `epochal.run`).

    Parameters
    ----------
    folder
        The ``journal`` folder, created where missing.
    run, attempt, rank, author
        Go into the header, the first record.
    writer
        The writer's id; a new one by default. With the id of an existing file the writer goes on
        behind its last intact record, which only importers do: their ids and positions are
        derived from the source, so that importing twice changes nothing.
    """

    def __init__(
        self,
        folder: Path,
        *,
        run: str | None = None,
        attempt: int = 1,
        rank: int = 0,
        author: str = "",
        writer: str | None = None,
    ) -> None:
        make_directory(folder)
        self.id = writer or new_writer_id()
        self.path = folder / f"{self.id}.jsonl"
        self.files = 1
        """How many files this writer has; more than one after a disk failed to sync."""
        self.seq = 0
        """The position of the next record."""
        self._seed = seed_of(self.id)
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._t0 = time.time_ns() // 1000
        self._m0 = time.monotonic_ns() // 1000
        self._size = self._synced = self._attempted = 0
        self._unsynced = self._suspect = self._torn = False
        if writer:
            self._last_file()
        self._fd = os.open(self.path, _APPEND if writer else _APPEND | os.O_EXCL, 0o644)
        try:
            if writer:
                fcntl.flock(self._fd, fcntl.LOCK_EX)  # two imports of one source take turns
                self._go_on()
            if self.seq == 0:
                self.append(
                    Header(
                        format=FORMAT,
                        epochal=__version__,
                        writer=self.id,
                        run=run,
                        attempt=attempt,
                        rank=rank,
                        host=host(),
                        pid=os.getpid(),
                        boot=boot_id(),
                        started=process_start(os.getpid()),
                        author=author,
                    )
                )
                sync_directory(folder)
        except BaseException:
            self.abandon()
            if not writer:
                self.path.unlink(missing_ok=True)  # nothing was said yet: leave no empty file
            raise

    def _last_file(self) -> None:
        while (further := self._file(self.files + 1)).exists():
            self.path, self.files = further, self.files + 1

    def _file(self, number: int) -> Path:
        return self.path.with_name(f"{self.id}.{number}.jsonl")

    def _go_on(self) -> None:
        report = read_journal(self.path)
        self.seq = report.next_seq
        self._torn = report.torn > 0
        self._size = self._synced = os.fstat(self._fd).st_size

    def now(self) -> int:
        """Return the time of a record: the wall clock at opening plus monotonic time since."""
        return self._t0 + time.monotonic_ns() // 1000 - self._m0

    def append(self, body: AnyBody, t: int | None = None) -> int:
        """Append one record and return its position.

        Raises
        ------
        TooLong
            If the line would exceed `MAX_LINE` bytes; nothing is written.
        OSError
            If the file cannot be written (full disk, quota); the record is not in the journal.
        """
        return self.append_line(body, t)[0]

    def append_line(self, body: AnyBody, t: int | None = None) -> tuple[int, bytes]:
        """Append one record; return its position and its line without the newline."""
        with self._lock:
            if self._attempted:
                self._settle()
            stamp = self._t0 + time.monotonic_ns() // 1000 - self._m0 if t is None else t
            seq = self.seq
            line = encode_line(Entry(seq=seq, t=stamp, body=body), self._seed)
            if len(line) > MAX_LINE:
                raise TooLong(f"a {type(body).__name__} record of {len(line)} bytes is too long")
            self._write(line)
            return seq, line[:-1]

    def _write(self, line: bytes) -> None:
        # Ctrl-C may surface behind any call. Behind the write there is none before the counts
        # are up to date; where one surfaces at the write itself, the next append finds out.
        data = b"\n" + line if self._torn else line
        length = len(data)
        written = 0
        try:
            while written < length:
                written += os.write(self._fd, data[written:] if written else data)
        except BaseException:
            self._attempted = length
            raise
        self._size += length
        self._unsynced = True
        self._torn = False
        self.seq += 1

    def _settle(self) -> None:
        """Find out what an append left that a full disk or Ctrl-C cut short.

        Nobody else changes the file, so its size tells. A fragment fails its checksum.
        """
        grown = os.fstat(self._fd).st_size - self._size
        whole = grown == self._attempted
        self._size += grown
        self._torn = not whole and (self._torn or grown > 0)
        self._unsynced = True
        self.seq += whole
        self._attempted = 0

    def sync(self) -> None:
        """Return once everything appended so far survives a power cut.

        Where the disk reports a failure, go on in a second file (`files` is then higher).

        Raises
        ------
        OSError
            If that file cannot be made or synced either. The next sync tries again, and never
            takes the word of a file that failed once.
        """
        with self._sync_lock:
            if not self._unsynced or self._fd < 0:
                return
            # Cleared first: what is appended during the sync is for the next one.
            self._unsynced = False
            try:
                if not self._suspect:
                    size = self._size
                    try:
                        _sync_file(self._fd)
                        self._synced = size
                        return
                    except OSError:
                        self._suspect = True
                self._move()
                size = self._size
                _sync_file(self._fd)
                sync_directory(self.path.parent)
                self._synced = size
                self._suspect = False
            except OSError:
                self._unsynced = True
                raise

    def _move(self) -> None:
        """Go on in a new file that begins with what the present one may have lost."""
        with self._lock:
            if self._attempted:
                self._settle()
            path = self._file(self.files + 1)
            with self.path.open("rb") as present:
                header = present.readline()
                start = max(self._synced, len(header))
                present.seek(start)
                tail = present.read()
            fd = os.open(path, _APPEND | os.O_EXCL, 0o644)
            try:
                data = header + tail[: tail.rfind(b"\n") + 1]
                written = 0
                while written < len(data):
                    written += os.write(fd, data[written:])
            except BaseException:
                os.close(fd)
                path.unlink(missing_ok=True)
                raise
            os.close(self._fd)
            self._fd, self.path, self.files = fd, path, self.files + 1
            self._size, self._synced, self._torn = len(data), 0, False

    def is_deleted(self) -> bool:
        """Tell whether somebody deleted the file: it vanishes when this process ends."""
        return self._fd >= 0 and os.fstat(self._fd).st_nlink == 0

    def close(self) -> None:
        """Sync and close. Closing twice is allowed."""
        if self._fd >= 0:
            try:
                self.sync()
            finally:
                with self._sync_lock, self._lock:
                    self.abandon()

    def abandon(self) -> None:
        """Close without syncing: after a fork, or when the disk failed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
# The size is all that a reader needs of the inode, and fdatasync includes it.
_sync_file = getattr(os, "fdatasync", os.fsync)
