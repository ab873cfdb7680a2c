"""The hash DAG: every way to change the past shows (F56)."""

from __future__ import annotations

import pytest

from epochal.journal.governance import append_governance, read_governance
from epochal.journal.lines import decode_line, encode_line, seed_of
from epochal.journal.writer import Writer
from epochal.records import Alias, Entry


def alias(run: str) -> Alias:
    return Alias(project="p", alias="baseline", run=run)


@pytest.fixture
def ledger(folder):
    """Five linked records by one writer; their hashes."""
    writer = Writer(folder.journal)
    hashes = [append_governance(writer, folder, alias(f"{n:032x}")) for n in range(5)]
    writer.close()
    return writer, hashes


def lines_of(writer):
    return writer.path.read_bytes().splitlines(keepends=True)


def write_lines(writer, lines):
    writer.path.write_bytes(b"".join(lines))


def test_each_record_names_the_heads_that_were_seen(folder, ledger):
    _, hashes = ledger
    found = read_governance(folder)
    assert [record.hash for record in found.records] == hashes
    assert [record.prev for record in found.records] == [(), *((h,) for h in hashes[:-1])]
    assert found.heads == (hashes[-1],)
    assert found.verify((hashes[-1],)) == []


def test_two_people_apart_give_two_heads_that_the_next_names(folder, tmp_path):
    ann, ben = Writer(folder.journal), Writer(folder.journal)
    root = append_governance(ann, folder, alias("0"))
    # Both write having seen the same head, as on two machines before a sync.
    from epochal.journal.governance import record_hash

    one = record_hash(ann.append_line(Alias(project="p", alias="x", run="1", prev=(root,)))[1])
    two = record_hash(ben.append_line(Alias(project="p", alias="y", run="2", prev=(root,)))[1])
    assert read_governance(folder).heads == tuple(sorted((one, two)))
    last = append_governance(ben, folder, alias("3"))
    ann.close()
    ben.close()
    found = read_governance(folder)
    assert found.heads == (last,)
    assert set(found.records[-1].prev) == {one, two}
    assert found.verify() == []


@pytest.mark.parametrize("at", range(1, 5))
def test_an_edited_record_breaks_the_link_of_the_next(folder, ledger, at):
    """Edited with a correct checksum, as by somebody who knows the format."""
    writer, _ = ledger
    lines = lines_of(writer)
    seed = seed_of(writer.id)
    entry = decode_line(lines[at].rstrip(b"\n"), seed)
    assert isinstance(entry, Entry)
    edited = Entry(seq=entry.seq, t=entry.t, body=Alias(project="p", alias="baseline", run="f"))
    write_lines(writer, [*lines[:at], encode_line(edited, seed), *lines[at + 1 :]])
    problems = read_governance(folder).verify()
    assert any("gone or edited" in problem for problem in problems)


def test_the_newest_record_edited_shows_against_a_saved_head(folder, ledger):
    writer, hashes = ledger
    lines = lines_of(writer)
    seed = seed_of(writer.id)
    entry = Entry(seq=5, t=1, body=alias("f" * 32))
    write_lines(writer, [*lines[:-1], encode_line(entry, seed)])
    found = read_governance(folder)
    assert any("saved head" in problem for problem in found.verify((hashes[-1],)))


@pytest.mark.parametrize("at", range(1, 6))
def test_a_removed_record_shows(folder, ledger, at):
    writer, hashes = ledger
    lines = lines_of(writer)
    write_lines(writer, lines[:at] + lines[at + 1 :])
    found = read_governance(folder)
    assert found.verify((hashes[-1],))
    if at < 5:  # all but the newest show without a saved head as well
        assert found.verify()


def test_reordered_records_show(folder, ledger):
    writer, _ = ledger
    lines = lines_of(writer)
    write_lines(writer, [*lines[:2], lines[3], lines[2], *lines[4:]])
    assert any("disordered" in problem for problem in read_governance(folder).verify())


def test_a_fork_inside_one_file_shows(folder, ledger):
    """Somebody appends a second record with a position that is taken."""
    writer, _ = ledger
    entry = Entry(seq=5, t=1, body=alias("e" * 32))
    write_lines(writer, [*lines_of(writer), encode_line(entry, seed_of(writer.id))])
    assert any("disordered" in problem for problem in read_governance(folder).verify())


def test_a_truncated_ledger_shows_against_a_saved_head(folder, ledger):
    writer, hashes = ledger
    write_lines(writer, lines_of(writer)[:3])
    found = read_governance(folder)
    assert found.verify() == []  # a plain rollback is consistent in itself: why heads are saved
    assert any("saved head" in problem for problem in found.verify((hashes[-1],)))


def test_a_removed_journal_shows(folder, ledger):
    writer, hashes = ledger
    writer.path.unlink()
    assert any("saved head" in p for p in read_governance(folder).verify((hashes[-1],)))


def test_a_damaged_line_shows(folder, ledger):
    writer, _ = ledger
    data = bytearray(writer.path.read_bytes())
    data[len(data) // 2] ^= 4
    writer.path.write_bytes(data)
    assert any("damaged" in problem for problem in read_governance(folder).verify())


def test_a_second_file_of_a_writer_is_no_problem(folder, ledger):
    """After a failed sync a writer has two files that overlap; each record counts once."""
    writer, hashes = ledger
    lines = lines_of(writer)
    second = writer.path.with_name(f"{writer.id}.2.jsonl")
    second.write_bytes(lines[0] + b"".join(lines[3:]))
    writer.path.write_bytes(b"".join(lines[:4]))
    found = read_governance(folder)
    assert [record.hash for record in found.records] == hashes
    assert found.verify((hashes[-1],)) == []
