"""A run's journal as this process writes it: it never raises, and counts what it cannot write."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from epochal.journal.folder import sync_directory
from epochal.journal.writer import TooLong, Writer
from epochal.records import AnyBody, Dropped, Metrics, Notice, System
from epochal.run.telling import say
from epochal.run.values import plain

__all__ = ["Recorder", "strict"]

_decode = msgspec.json.Decoder(AnyBody).decode
_encode = msgspec.json.Encoder().encode


def strict() -> bool:
    """Tell whether errors of ours are raised (EPOCHAL_STRICT=1, for tests) or recorded."""
    return os.environ.get("EPOCHAL_STRICT", "") not in ("", "0")


class Recorder:
    """Appends the records of one run from this process.

    A full disk pauses it: what cannot be written is counted, and the count is recorded as soon
    as there is room again. A forked child gets a writer of its own with its first record.

    Parameters
    ----------
    folder
        The run's folder; None: nothing is recorded.
    helper
        This process did not open the run; a forked child becomes one.
    on_helper
        Called when a helper has opened its writer.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        run: str,
        attempt: int,
        rank: int,
        helper: bool = False,
        on_helper: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = folder
        self.closed = False
        self._run, self._attempt, self._rank = run, attempt, rank
        self._helper, self._on_helper = helper, on_helper
        self._lock = threading.Lock()
        self._writer: Writer | None = None
        self._files = 1
        self._dropped = 0
        self._reason = ""
        self._warned: set[tuple[str, str]] = set()
        self._own: set[str] = set()

    def open(self) -> Writer:
        """Return this process's writer.

        Raises
        ------
        OSError
            If its file cannot be made.
        """
        with self._lock:
            if self._writer is not None:
                return self._writer
            if self.folder is None:
                raise FileNotFoundError("a silent run has no journal")
            writer = self._writer = Writer(
                self.folder / "journal", run=self._run, attempt=self._attempt, rank=self._rank
            )
            self._own.add(writer.id)
        if self._helper:
            self._on_helper()
        return writer

    def wrote(self, journal: Path) -> bool:
        """Tell whether the file `journal` is this process's."""
        return journal.name.partition(".")[0] in self._own

    # --- appending -----------------------------------------------------------------------------

    def record(self, body: AnyBody, *, trusted: bool = False) -> bool:
        """Append one record; return whether it is in the journal.

        Parameters
        ----------
        trusted
            The fields have their types for certain: spares `log` the check.
        """
        if self.folder is None or self.closed:
            return False
        try:
            if not trusted:
                body = _decode(_encode(body))  # what no reader could read must not be written
            writer = self._writer or self.open()
            if self._dropped:
                self._tell_dropped(writer)
            writer.append(body)
        except TooLong as error:
            return self._record_in_parts(body, error)
        except OSError as error:
            with self._lock:
                self._dropped += 1
                self._reason = error.strerror or str(error)
            self.warn_once("disk", "", f"recording is paused: {self._reason}", record=False)
            return False
        except UnicodeEncodeError:
            return self._record_repaired(body)
        except Exception as error:
            self.trouble(f"record {type(body).__name__}", error)
            return False
        return True

    def _record_in_parts(self, body: AnyBody, error: TooLong) -> bool:
        if isinstance(body, Metrics | System) and len(body.values) > 1:
            # Several lines of one step say the same as one.
            items = list(body.values.items())
            half = len(items) // 2
            first = self.record(msgspec.structs.replace(body, values=dict(items[:half])))
            return self.record(msgspec.structs.replace(body, values=dict(items[half:]))) and first
        if strict():
            raise error
        self.notice("too-long", f"{error.message}; it was not recorded")
        return False

    def _record_repaired(self, body: AnyBody) -> bool:
        """Record `body` although some text in it has no UTF-8, escaped."""
        kind = str(body.__struct_config__.tag)
        self.warn_once("text", kind, f"{kind}: text that is no valid Unicode was escaped")
        try:
            whole = msgspec.convert(plain(msgspec.to_builtins(body)), type(body))
        except msgspec.ValidationError as error:
            self.trouble(f"record {kind}", error)
            return False
        return self.record(whole)

    def _tell_dropped(self, writer: Writer) -> None:
        with self._lock:
            count, self._dropped = self._dropped, 0
        if not count:
            return
        try:
            writer.append(Dropped(count=count, reason=self._reason))
        except OSError:
            with self._lock:
                self._dropped += count
            raise
        self._warned.discard(("disk", ""))
        say(f"recording goes on; {count} records could not be written: {self._reason}")

    # --- telling -------------------------------------------------------------------------------

    def notice(self, code: str, text: str) -> None:
        """Record something that Epochal itself noticed."""
        self.record(Notice(code=code, text=text[:2000]))

    def warn_once(self, code: str, key: str, text: str, *, record: bool = True) -> None:
        """Say and record `text`, unless that was done before for `code` and `key`."""
        if (code, key) in self._warned:
            return
        self._warned.add((code, key))
        say(text)
        if record:
            self.notice(code, text)

    def trouble(self, where: str, error: BaseException) -> None:
        """Deal with an error of ours or of the input: never the training's."""
        if strict():
            raise error
        self.warn_once("error", where, f"{where}: {type(error).__name__}: {error}")

    # --- durability ----------------------------------------------------------------------------

    def sync(self) -> None:
        """Make what was recorded so far survive a power cut."""
        writer = self._writer
        if writer is None:
            return
        try:
            writer.sync()
            deleted = writer.is_deleted()
        except OSError as error:
            text = f"the disk does not sync ({error.strerror}); what is recorded is at risk"
            self.warn_once("sync", "", text)
            return
        except Exception as error:
            self.trouble("sync", error)
            return
        self._warned.discard(("sync", ""))
        if deleted:
            text = f"{writer.path} was deleted; what this run records is lost"
            self.warn_once("deleted", "", text, record=False)
        if writer.files > self._files:
            self._files = writer.files
            text = "the disk failed to sync once; the journal goes on in a second file"
            say(text)
            self.notice("sync-failed", text)

    def close(self) -> None:
        """Make everything durable and record no more."""
        self.closed = True
        if self._dropped:
            say(f"{self._dropped} records could not be written: {self._reason}")
        if self._writer is None:
            return
        try:
            self._writer.close()
            self._sync_others()
        except Exception as error:
            if strict() and not isinstance(error, OSError):
                raise
            say(f"the journal could not be closed: {error}")

    def discard(self) -> None:
        """Take back a journal that could not even say what it is about: readers find no ghost."""
        self.closed = True
        if self._writer is None:
            return
        self._writer.abandon()
        try:
            self._writer.path.unlink()
            for folder in list(self._writer.path.parents)[:2]:
                folder.rmdir()  # the run's journal folder and the run's, unless others use them
        except OSError:
            pass

    def _sync_others(self) -> None:
        """Sync what others recorded into the run on this machine: children that are gone, say."""
        if self.folder is None:
            return
        journal = self.folder / "journal"
        for path in journal.glob("*.jsonl"):
            if not self.wrote(path):
                fd = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
        sync_directory(journal)

    def after_fork(self) -> None:
        """Forget the parent's writer and lock, in a child that has just been forked."""
        self._lock = threading.Lock()
        self._helper = True
        self._files, self._dropped = 1, 0
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None
