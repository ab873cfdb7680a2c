"""The index file: where it lies, its one schema, its transactions.

Embedded, this is SQLite. The index acknowledges nothing: it can be deleted at any time and is
rebuilt from the journals, so a new schema is a new file and there are no migrations. The SQL is
plain and portable; a server's database slots in behind the same few methods.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from epochal.errors import Damaged, EpochalError

__all__ = ["SCHEMA_VERSION", "Busy", "Database", "index_path"]

SCHEMA_VERSION = 4

Parameters: TypeAlias = tuple[object, ...]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS writer (
    id TEXT PRIMARY KEY, run TEXT, attempt INTEGER NOT NULL, next_seq INTEGER NOT NULL,
    intact INTEGER NOT NULL, unknown INTEGER NOT NULL,
    last_t INTEGER NOT NULL, header TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS file (
    path TEXT PRIMARY KEY, writer TEXT NOT NULL, run TEXT, consumed INTEGER NOT NULL,
    damaged INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS file_of_writer ON file (writer);
CREATE INDEX IF NOT EXISTS file_of_run ON file (run);
CREATE INDEX IF NOT EXISTS writer_of_run ON writer (run);
CREATE TABLE IF NOT EXISTS event (
    writer TEXT NOT NULL, seq INTEGER NOT NULL, run TEXT, attempt INTEGER NOT NULL,
    t INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, hash TEXT,
    PRIMARY KEY (writer, seq));
CREATE INDEX IF NOT EXISTS event_of_run ON event (run, kind);
CREATE INDEX IF NOT EXISTS event_by_kind ON event (kind);
CREATE TABLE IF NOT EXISTS console (
    run TEXT NOT NULL, attempt INTEGER NOT NULL, writer TEXT NOT NULL, seq INTEGER NOT NULL,
    t INTEGER NOT NULL, stream TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (run, attempt, writer, seq));
CREATE TABLE IF NOT EXISTS run (
    id TEXT PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL,
    change INTEGER NOT NULL, trashed INTEGER NOT NULL, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS run_by_name ON run (name);
CREATE INDEX IF NOT EXISTS run_by_change ON run (change);
CREATE INDEX IF NOT EXISTS run_by_time ON run (project, trashed, created);
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, key TEXT NOT NULL, writer TEXT NOT NULL,
    attempt INTEGER NOT NULL, n INTEGER NOT NULL, summary TEXT NOT NULL,
    UNIQUE (run, key, writer));
CREATE TABLE IF NOT EXISTS chunk (
    series INTEGER NOT NULL, start INTEGER NOT NULL, n INTEGER NOT NULL,
    lo INTEGER NOT NULL, hi INTEGER NOT NULL, ascending INTEGER NOT NULL,
    data BLOB NOT NULL, preview BLOB, PRIMARY KEY (series, start));
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""

# fmt: off
_NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "sshfs", "fuse.sshfs", "lustre", "gpfs",
    "beegfs", "wekafs", "ceph", "fuse.ceph", "glusterfs", "fuse.glusterfs", "afs", "9p",
    "fuse.s3fs", "fuse.rclone", "davfs", "fuse.gcsfuse",
})
# fmt: on


class Busy(EpochalError):
    """The index cannot be written now; what is there can still be read."""


def _is_busy(error: sqlite3.Error) -> bool:
    """Tell whether the index is locked, or its disk full, gone or read-only: it may be later."""
    text = str(error).lower()
    return isinstance(error, sqlite3.OperationalError) and any(
        word in text for word in ("lock", "full", "readonly", "disk i/o", "unable to open")
    )


def _explained(error: sqlite3.DatabaseError, path: Path) -> Exception:
    if _is_busy(error):
        remedy = "free some space" if "full" in str(error) else "try again in a moment"
        return Busy(f"the index {path} cannot be written now: {error}", remedy)
    if isinstance(error, (sqlite3.ProgrammingError, sqlite3.IntegrityError)):
        return error
    if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
        return error
    return Damaged(
        f"the index {path} is damaged: {error}",
        "`epochal doctor --rebuild` builds it again from the journals, which hold everything",
    )


class Database:
    """A connection to the index.

    Parameters
    ----------
    path
        The index file; created with its schema where missing. A file that is no database, or a
        broken one, is thrown away: the journals hold everything.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if _is_busy(error):
                raise _explained(error, self.path) from error
            self.start_afresh()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            self.path, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("PRAGMA trusted_schema=OFF")
        if not self.rows("SELECT 1 FROM sqlite_master WHERE name = 'counter'"):
            self._connection.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;")

    def start_afresh(self) -> None:
        """Throw the file away and begin with an empty index."""
        self.discard()
        self._open()

    def discard(self) -> None:
        """Close and delete the index file."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        """Close the connection."""
        if hasattr(self, "_connection"):
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the write lock for a block that is committed whole or not at all.

        Raises
        ------
        Busy
            If another process keeps the lock for longer than five seconds.
        """
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def rows(self, sql: str, parameters: Parameters = ()) -> list[tuple]:  # type: ignore[type-arg] # rows differ by query
        """Return all rows of a query."""
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            raise _explained(error, self.path) from error

    def execute(self, sql: str, parameters: Parameters = ()) -> None:
        """Run one statement."""
        self._run(sql, parameters)

    def insert(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one INSERT and return the new row's id."""
        return self._run(sql, parameters).lastrowid or 0

    def execute_many(self, sql: str, parameters: list[Parameters]) -> None:
        """Run one statement for each row of `parameters`."""
        try:
            self._connection.executemany(sql, parameters)
        except sqlite3.DatabaseError as error:
            raise _explained(error, self.path) from error

    def _run(self, sql: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, parameters)
        except sqlite3.DatabaseError as error:
            raise _explained(error, self.path) from error

    def problems(self) -> list[str]:
        """Return what SQLite finds wrong with the file, one line each."""
        try:
            found = self._connection.execute("PRAGMA integrity_check(20)").fetchall()
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [text for (text,) in found if text != "ok"]

    def next_change(self) -> int:
        """Return a number higher than any returned before."""
        self.execute(
            "INSERT INTO counter VALUES ('change', 1)"
            " ON CONFLICT (name) DO UPDATE SET value = value + 1"
        )
        return int(self.rows("SELECT value FROM counter WHERE name = 'change'")[0][0])


def index_path(root: Path) -> Path:
    """Return where the index of the workspace at `root` lies.

    In the workspace on a local disk; in the user's cache folder where the workspace is on a
    network file system (SQLite loses acknowledged data there) or cannot be written.
    """
    name = f"index-{SCHEMA_VERSION}.sqlite"
    if os.access(root, os.W_OK) and not _is_network(root):
        return root / name
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    readable = str(root.resolve()).strip("/").replace("/", "-")[-80:]
    return cache / "epochal" / readable / name


def _is_network(path: Path) -> bool:
    import psutil

    resolved = path.resolve()
    best, kind = -1, ""
    for part in psutil.disk_partitions(all=True):
        mount = Path(part.mountpoint)
        if resolved.is_relative_to(mount) and len(mount.parts) >= best:
            best, kind = len(mount.parts), part.fstype
    return kind.lower() in _NETWORK
