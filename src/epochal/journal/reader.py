"""Reading: every intact line, and a count of what is not.

A reader consumes a file up to its last newline; what stands behind it is a line being written,
or one torn by a crash. A damaged line in the middle is skipped and counted, never guessed at.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from epochal.journal.lines import Unknown, decode_line, seed_of
from epochal.records import Entry, Header

__all__ = ["JournalReport", "Line", "LineReader", "read_journal", "writer_of"]


class _HeaderLine(msgspec.Struct):
    body: Header


_decode_header = msgspec.json.Decoder(_HeaderLine).decode


@dataclass(frozen=True, slots=True)
class Line:
    """An intact line: its entry (None where the kind is unknown), its place and its bytes."""

    seq: int
    t: int
    entry: Entry | None
    raw: bytes


class LineReader:
    """Turns bytes of one journal into lines, counting what is damaged.

    Parameters
    ----------
    writer
        The id whose checksum seed the lines carry.
    """

    def __init__(self, writer: str) -> None:
        self.writer = writer
        self.damaged = 0
        self.unknown = 0
        self._seed = seed_of(writer)

    def lines(self, data: bytes) -> Iterator[Line]:
        """Yield the intact lines of `data`, which ends behind a newline."""
        for raw in data.split(b"\n"):
            if not raw:
                continue
            entry = decode_line(raw, self._seed)
            if entry is None:
                self.damaged += 1
            elif isinstance(entry, Unknown):
                self.unknown += 1
                yield Line(entry.seq, entry.t, None, raw)
            else:
                yield Line(entry.seq, entry.t, entry, raw)


@dataclass(slots=True)
class JournalReport:
    """What one journal file holds."""

    path: Path
    writer: str
    header: Header | None = None
    lines: list[Line] = field(default_factory=list)
    next_seq: int = 0
    damaged: int = 0
    """Lines that fail their checksum."""
    unknown: int = 0
    """Intact lines of a kind this version does not know."""
    missing: int = 0
    """Positions that no intact line has, although a later one exists."""
    disordered: int = 0
    """Intact lines that repeat a position or stand behind a later one. No writer does that."""
    torn: int = 0
    """Bytes behind the last newline."""


def writer_of(path: Path, first: bytes) -> str:
    """Return the writer of the journal at `path` whose first line is `first`.

    The header says it; the file's name does where the header is damaged.
    """
    named = path.name.partition(".")[0]  # <writer>.jsonl, or <writer>.2.jsonl after a bad disk
    try:
        header = _decode_header(first).body
    except (msgspec.DecodeError, UnicodeDecodeError):
        return named
    return header.writer if decode_line(first, seed_of(header.writer)) else named


def read_journal(path: Path, limit: int = -1) -> JournalReport:
    """Read the journal at `path`: the whole of it, or the first `limit` bytes."""
    with path.open("rb") as file:
        data = file.read(limit)
    end = data.rfind(b"\n") + 1
    reader = LineReader(writer_of(path, data[: data.find(b"\n")] if end else b""))
    report = JournalReport(path=path, writer=reader.writer, torn=len(data) - end)
    report.lines = list(reader.lines(data[:end]))
    report.damaged, report.unknown = reader.damaged, reader.unknown
    if report.lines:
        positions = [line.seq for line in report.lines]
        report.next_seq = max(positions) + 1
        report.missing = report.next_seq - len(set(positions))
        report.disordered = sum(b <= a for a, b in itertools.pairwise(positions))
        first = report.lines[0].entry
        if first is not None and isinstance(first.body, Header):
            report.header = first.body
    return report
