"""Damage to a journal's bytes is always seen, and never costs more than the lines it hit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.journal.lines import decode_line, encode_line, seed_of
from epochal.journal.reader import LineReader, read_journal
from epochal.journal.writer import Writer
from epochal.records import Config, Entry, Heartbeat, Metrics


@pytest.fixture
def journal(tmp_path):
    writer = Writer(tmp_path, writer="ab" * 16, run="cd" * 16)
    for step in range(3):
        writer.append(Metrics(values={"a/b": 0.1 * step, "é": float(step)}, step=step))
    writer.append(Config(values={"note": "line\nbreak 😀", "lr": 0.01}))
    writer.close()
    return writer.path


def test_a_damaged_byte_is_seen_at_every_offset(journal):
    """F21: every bit of every byte, one at a time: detected, and the other lines still read."""
    data = journal.read_bytes()
    intact = {line.seq: line.raw for line in read_journal(journal).lines}
    line_of = [data[:at].count(b"\n") for at in range(len(data))]
    reader_seed = "ab" * 16
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            reader = LineReader(reader_seed)
            end = changed.rfind(b"\n") + 1
            found = {line.seq: line.raw for line in reader.lines(bytes(changed[:end]))}
            torn = len(changed) - end
            assert reader.damaged or torn, f"byte {at} bit {bit} was not noticed"
            # A damaged newline takes the line behind it along; anything else costs one line.
            hit = {line_of[at]} | ({line_of[at] + 1} if data[at] == 10 else set())
            assert found == {seq: raw for seq, raw in intact.items() if seq not in hit}


def test_a_torn_tail_is_told_at_every_length(journal):
    """F21: whatever the crash left of the last line, all before it is read."""
    data = journal.read_bytes()
    ends = [at + 1 for at, byte in enumerate(data) if byte == 10]
    for length in range(len(data) + 1):
        journal.write_bytes(data[:length])
        report = read_journal(journal)
        whole = sum(end <= length for end in ends)
        assert len(report.lines) == report.next_seq == whole
        assert report.torn == length - max((end for end in ends if end <= length), default=0)
        assert report.damaged == 0


@pytest.mark.parametrize("size", [1, 64, 200])
def test_zeroed_blocks_are_damage(journal, size):
    """F21: what a power cut leaves of blocks that were never written."""
    data = journal.read_bytes()
    for at in range(0, len(data) - size, 7):
        journal.write_bytes(data[:at] + bytes(size) + data[at + size :])
        report = read_journal(journal)
        assert report.damaged or report.torn
        for line in report.lines:
            assert line.raw in data.split(b"\n")


def test_a_doubled_and_a_moved_line_are_disordered(journal):
    """F21, F56: duplicated and reordered lines pass their checksum and are told all the same."""
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], lines[1], *lines[2:]]))
    assert read_journal(journal).disordered == 1
    journal.write_bytes(b"".join([lines[0], lines[2], lines[1], *lines[3:]]))
    report = read_journal(journal)
    assert report.disordered == 1
    assert report.missing == 0


def test_a_removed_line_is_missing(journal):
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert read_journal(journal).missing == 1


def test_a_line_of_another_writers_file_does_not_pass(tmp_path):
    """F21: swapped files and copied lines; the checksum is seeded with the writer."""
    one, other = Writer(tmp_path), Writer(tmp_path)
    one.append(Metrics(values={"k": 1.0}, step=0))
    other.append(Metrics(values={"k": 2.0}, step=0))
    one.close()
    other.close()
    stolen = one.path.read_bytes().splitlines(keepends=True)[1]
    other.path.write_bytes(other.path.read_bytes() + stolen)
    report = read_journal(other.path)
    assert report.damaged == 1
    assert len(report.lines) == 2


def test_a_renamed_journal_is_still_its_writers(tmp_path, journal):
    moved = journal.rename(tmp_path / "copy.jsonl")
    report = read_journal(moved)
    assert report.writer == "ab" * 16
    assert report.damaged == 0


def test_without_a_header_the_file_name_says_the_writer(journal):
    data = bytearray(journal.read_bytes())
    data[20] ^= 1
    journal.write_bytes(data)
    report = read_journal(journal)
    assert report.header is None
    assert report.writer == "ab" * 16
    assert [line.seq for line in report.lines] == [1, 2, 3, 4]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(data):
    reader = LineReader("00" * 16)
    lines = list(reader.lines(data))
    assert not lines
    assert reader.damaged == sum(1 for part in data.split(b"\n") if part)


@given(st.binary(max_size=120), st.integers(0, 119))
def test_bytes_around_a_line_do_not_hide_it(noise, at):
    seed = seed_of("00" * 16)
    line = encode_line(Entry(seq=7, t=1, body=Heartbeat()), seed)
    noise = noise.replace(b"\n", b"")
    data = noise[:at] + b"\n" + line + noise[at:] + b"\n"
    found = [found.seq for found in LineReader("00" * 16).lines(data)]
    assert 7 in found
    assert decode_line(line[:-1], seed_of("11" * 16)) is None
