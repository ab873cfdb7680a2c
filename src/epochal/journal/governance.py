"""The hash DAG of the records that decide things.

Charter, dataset version, look, decision and alias records carry `prev`: the hashes of all heads
their writer had seen. A head is a record that no other names. Two people working apart give two
heads; whoever writes next names both. Removing or editing a record breaks the link that a later
one holds; removing the newest shows only against a head that was saved elsewhere, so `heads` is
what to keep outside (in git, in a mail).

This is evidence of tampering, not prevention: who controls the folder and every saved head can
rewrite both.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from epochal.journal.author import author
from epochal.journal.folder import Folder
from epochal.journal.reader import read_journal
from epochal.journal.writer import Writer
from epochal.records import GOVERNANCE, AnyBody

__all__ = [
    "Governance",
    "GovernanceRecord",
    "append_governance",
    "declare",
    "read_governance",
    "record_hash",
]


def record_hash(line: bytes) -> str:
    """Return the hash of a record: BLAKE2b-256 of its line without the newline, in hex."""
    return hashlib.blake2b(line, digest_size=32).hexdigest()


@dataclass(frozen=True, slots=True)
class GovernanceRecord:
    """A governance record and its place."""

    hash: str
    writer: str
    seq: int
    t: int
    body: AnyBody
    path: Path

    @property
    def prev(self) -> tuple[str, ...]:
        """The hashes it names."""
        return self.body.prev  # type: ignore[union-attr] # only GOVERNANCE kinds get here


@dataclass(frozen=True, slots=True)
class Governance:
    """All governance records of a workspace, in the order of their times."""

    records: tuple[GovernanceRecord, ...]
    problems: tuple[str, ...]
    """What is wrong with the files themselves: damaged, missing or disordered lines."""

    @property
    def heads(self) -> tuple[str, ...]:
        """The hashes that no record names, sorted."""
        named = {hash for record in self.records for hash in record.prev}
        return tuple(sorted(r.hash for r in self.records if r.hash not in named))

    def verify(self, expected_heads: tuple[str, ...] = ()) -> list[str]:
        """Return what is wrong, one line each; empty where everything links.

        Parameters
        ----------
        expected_heads
            Heads saved earlier. One that is gone means that the workspace was rolled back or
            its newest records were removed.
        """
        known = {record.hash for record in self.records}
        problems = list(self.problems)
        problems += [
            f"{record.path.name}:{record.seq} names {hash[:12]}, which is gone or edited"
            for record in self.records
            for hash in record.prev
            if hash not in known
        ]
        problems += [
            f"the saved head {hash[:12]} is gone: records were removed or an older copy restored"
            for hash in expected_heads
            if hash not in known
        ]
        return problems


def read_governance(folder: Folder) -> Governance:
    """Read all governance records of the workspace `folder`, from its journals alone."""
    records: dict[str, GovernanceRecord] = {}
    problems: list[str] = []
    positions: dict[str, set[int]] = {}
    for path in sorted(folder.journal.glob("*.jsonl")):
        report = read_journal(path)
        problems += _problems(path.name, damaged=report.damaged, disordered=report.disordered)
        seen = positions.setdefault(report.writer, set())
        for line in report.lines:
            seen.add(line.seq)
            if line.entry is not None and isinstance(line.entry.body, GOVERNANCE):
                hash = record_hash(line.raw)
                records[hash] = GovernanceRecord(
                    hash, report.writer, line.seq, line.t, line.entry.body, path
                )
    for writer, seen in positions.items():
        problems += _problems(f"{writer}.jsonl", missing=max(seen, default=-1) + 1 - len(seen))
    ordered = sorted(records.values(), key=lambda r: (r.t, r.writer, r.seq))
    return Governance(tuple(ordered), tuple(problems))


def _problems(name: str, **counts: int) -> list[str]:
    return [
        f"{name}: {count} {what} line{'s' if count > 1 else ''}"
        for what, count in counts.items()
        if count
    ]


def append_governance(writer: Writer, folder: Folder, body: AnyBody) -> str:
    """Append `body` naming all current heads, make it durable, return its hash."""
    heads = read_governance(folder).heads
    linked = msgspec.structs.replace(body, prev=heads)
    _, line = writer.append_line(linked)
    writer.sync()
    return record_hash(line)


def declare(folder: Folder, body: AnyBody) -> str:
    """Append one governance record from a process that keeps no journal of the workspace open."""
    writer = Writer(folder.journal, author=author())
    try:
        return append_governance(writer, folder, body)
    finally:
        writer.close()
