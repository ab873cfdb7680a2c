"""The parser of ``results.csv``."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from epochal.interop.ultralytics.results_table import Table, read_table

CURVES = Path(__file__).parent.parent / "data" / "curves"

numbers = st.floats(width=32) | st.integers(-1000, 1000).map(float)
names = st.lists(
    st.text("abcdefgh/_()-", min_size=1, max_size=12).filter(lambda n: n not in ("epoch", "time")),
    min_size=1,
    max_size=5,
    unique=True,
)


def parse(data: bytes, epochs: int | None = None) -> Table:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.csv"
        path.write_bytes(data)
        return read_table(path, epochs)


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda t: f"epoch,{t}".encode()))
def test_no_bytes_break_it(data: bytes) -> None:
    table = parse(data)
    for rows in table.attempts:
        assert [row.epoch for row in rows] == sorted({row.epoch for row in rows})


@given(names, st.data())
def test_what_was_written_is_read(columns: list[str], data: st.DataObject) -> None:
    rows = data.draw(
        st.lists(st.lists(numbers, min_size=len(columns), max_size=len(columns)), max_size=6)
    )
    padding = data.draw(st.sampled_from(["", "   "]))
    lines = [",".join(padding + name for name in ("epoch", "time", *columns))]
    for number, row in enumerate(rows, start=1):
        lines.append(",".join([f"{number}", f"{number * 1.5}", *(repr(value) for value in row)]))
    table = parse(("\n".join(lines) + "\n").encode())
    assert table.problems == []
    found = [row for attempt in table.attempts for row in attempt]
    assert len(table.attempts) == bool(rows)
    assert [row.time for row in found] == [1.5 * n for n in range(1, len(rows) + 1)]
    for row, written in zip(found, rows, strict=True):
        for name, value in zip(columns, written, strict=True):
            got = row.values[name]
            assert got == value or (math.isnan(got) and math.isnan(value))


def test_a_real_table_is_as_numpy_reads_it() -> None:
    path = CURVES / "yolov8n_imgsz96.csv"
    table = read_table(path, 12)
    oracle = np.genfromtxt(path, delimiter=",", names=True, deletechars="")
    (rows,) = table.attempts
    assert [row.epoch for row in rows] == oracle["epoch"].tolist()
    assert [row.time for row in rows] == oracle["time"].tolist()
    for name in set(oracle.dtype.names) - {"epoch", "time"}:
        assert [row.values[name] for row in rows] == oracle[name].tolist()


def test_the_same_columns_in_the_middle_are_a_header_again() -> None:
    table = parse(b"epoch,loss\n1,3\nepoch,loss\n2,2\n")
    assert table.problems == []
    assert table.epochs == 2
