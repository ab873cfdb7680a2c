"""Points as CSV, Parquet and results.csv: every digit, every point."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import epochal
from epochal.errors import InvalidInput
from epochal.interop.tables import export_csv, export_parquet
from epochal.interop.ultralytics import export_results
from epochal.journal.folder import Folder
from epochal.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    folder = Folder.create(tmp_path)
    with epochal.init("p", "v1_baseline", workspace=folder.root, capture=False) as run:
        for epoch in range(1, 6):
            run.log({"train/box_loss": 1 / epoch, "metrics/mAP50-95(B)": epoch / 7}, epoch, epoch)
        run.log({"=sum(a1)": float("nan")}, step=9)
    return Store(folder)


def test_csv_keeps_every_digit_and_no_formula(store: Store, tmp_path: Path) -> None:
    export_csv(store, store.runs(), tmp_path / "points.csv")
    with (tmp_path / "points.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    losses = [row for row in rows if row["key"] == "train/box_loss"]
    assert [float(row["value"]) for row in losses] == [1 / e for e in range(1, 6)]
    assert [row["epoch"] for row in losses] == ["1", "2", "3", "4", "5"]
    (strange,) = (row for row in rows if "sum" in row["key"])
    assert strange["key"] == "'=sum(a1)"
    assert (strange["epoch"], strange["value"]) == ("", "nan")


def test_parquet_keeps_every_bit(store: Store, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    export_parquet(store, store.runs(), tmp_path / "points.parquet")
    table = pq.read_table(tmp_path / "points.parquet")
    (run,) = store.runs()
    assert table.num_rows == sum(s.n for s in run.metrics.values())
    ours = table.filter(np.array([k == "train/box_loss" for k in table["key"].to_pylist()]))
    np.testing.assert_array_equal(
        ours["value"].to_numpy(), store.points.read(run.id, "train/box_loss").value
    )
    assert table["epoch"].null_count == 1


def test_results_csv_reads_like_ultralytics_own(store: Store, tmp_path: Path) -> None:
    (run,) = store.runs()
    path = export_results(store, run, tmp_path / "out")
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch,time,train/box_loss,metrics/mAP50-95(B)"
    assert len(lines) == 6
    assert lines[1].split(",")[0] == "1"
    assert lines[1].split(",")[2:] == ["1", "0.142857"]


def test_results_csv_of_a_run_with_other_names_is_refused(tmp_path: Path) -> None:
    folder = Folder.create(tmp_path)
    with epochal.init("p", "v1_baseline", workspace=folder.root, capture=False) as run:
        run.log({"loss": 1.0})
    with Store(folder) as store, pytest.raises(InvalidInput, match="no metrics named"):
        export_results(store, store.runs()[0], tmp_path / "out")
