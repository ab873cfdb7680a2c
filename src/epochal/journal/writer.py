"""Appending: one file, one writer, one `write()` a record.

What `append` returned from survives ``kill -9``: it is in the kernel. What `sync` returned from
survives a power cut. Nobody else ever writes to the file, so a torn line can only be its last,
or one that this writer itself could not complete on a full disk; the next line then begins
with a newline, and readers skip the fragment by its checksum.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
from pathlib import Path

from epochal.errors import InvalidInput
from epochal.journal.folder import make_directory
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
        self._seed = seed_of(self.id)
        self._lock = threading.Lock()
        self._t0 = time.time_ns() // 1000
        self._m0 = time.monotonic_ns() // 1000
        self._unsynced = False
        self._torn = False
        self.seq = 0
        """The position of the next record."""
        mode = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(self.path, mode if writer else mode | os.O_EXCL, 0o644)
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
            self._sync_name(folder)

    def _go_on(self) -> None:
        report = read_journal(self.path)
        self.seq = report.next_seq
        self._torn = report.torn > 0

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
            stamp = self._t0 + time.monotonic_ns() // 1000 - self._m0 if t is None else t
            line = encode_line(Entry(seq=self.seq, t=stamp, body=body), self._seed)
            if len(line) > MAX_LINE:
                raise TooLong(f"a {type(body).__name__} record of {len(line)} bytes is too long")
            self._write(line)
            self._unsynced = True
            seq = self.seq
            self.seq = seq + 1
            return seq, line[:-1]

    def _write(self, line: bytes) -> None:
        data = b"\n" + line if self._torn else line
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
        except OSError:
            # A fragment may stand there now. It fails its checksum; the next line starts afresh.
            self._torn = self._torn or written > 0
            raise
        self._torn = False

    def sync(self) -> None:
        """Return once everything appended so far survives a power cut.

        Raises
        ------
        OSError
            If the disk reports a failure. The file must then be given up: a second sync may
            report success for data that was lost.
        """
        if self._unsynced:
            # Cleared first: what is appended during the sync is for the next one.
            self._unsynced = False
            os.fsync(self._fd)

    def close(self) -> None:
        """Sync and close. Closing twice is allowed."""
        if self._fd >= 0:
            try:
                self.sync()
            finally:
                os.close(self._fd)
                self._fd = -1

    def abandon(self) -> None:
        """Close without syncing: after a fork, or when the disk failed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @staticmethod
    def _sync_name(folder: Path) -> None:
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        except OSError:
            pass  # some network file systems cannot sync a directory
        finally:
            os.close(fd)
