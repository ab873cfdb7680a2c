"""A journal of things that are said once: what was said before is not repeated."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from epochal.journal.folder import Folder
from epochal.journal.reader import read_journal
from epochal.journal.writer import Writer
from epochal.records import AnyBody, Console, Heartbeat

__all__ = ["Facts"]

_REPEATED = (Console, Heartbeat)
"""What may well be said twice."""


class Facts:
    """Appends records about one attempt of a run, each unless it is known.

    A record is known when the last one of its topic (kind, step, and key, digest or code) says the
    same.

    Parameters
    ----------
    run
        It must have a folder.
    writer
        Id of the journal, of whose content alone is known what was said; by default a new one,
        and all journals of the attempt count.
    """

    def __init__(self, folder: Folder, run: str, attempt: int, writer: str | None = None) -> None:
        place = folder.run_folder(run)
        assert place is not None
        journals: Iterable[Path] = sorted((place / "journal").glob("*.jsonl"))
        self._writer = Writer(place / "journal", run=run, attempt=attempt, writer=writer)
        self._said: dict[str, bytes] = {}
        self.new = 0
        self.known = 0
        for path in [self._writer.path] if writer else journals:
            report = read_journal(path)
            if report.header is None or report.header.attempt != attempt:
                continue
            for line in report.lines:
                if line.entry is not None:
                    self._said[_topic(line.entry.body)] = msgspec.json.encode(line.entry.body)

    def say(self, body: AnyBody, t: int | None = None) -> bool:
        """Append `body` unless it is known; return whether it was new.

        Parameters
        ----------
        t
            Microseconds since the Unix epoch; None: now.
        """
        if not isinstance(body, _REPEATED):
            data = msgspec.json.encode(body)
            if self._said.get(_topic(body)) == data:
                self.known += 1
                return False
            self._said[_topic(body)] = data
        self._writer.append(body, t)
        self.new += 1
        return True

    def sync(self) -> None:
        """Make everything durable."""
        self._writer.sync()

    def close(self) -> None:
        """Make everything durable, and end."""
        self._writer.close()


def _topic(body: AnyBody) -> str:
    kind = f"{body.__struct_config__.tag}:{getattr(body, 'type', '')}"
    names = (getattr(body, name, None) for name in ("key", "digest", "code"))
    name = next((name for name in names if name not in (None, "")), "")
    return f"{kind}:{getattr(body, 'step', None)}:{name}"
