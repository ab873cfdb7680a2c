"""CSV in: one row a step, or what the export wrote."""

from __future__ import annotations

import contextlib
import gzip
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import epochal
from epochal.errors import InvalidInput
from epochal.interop.tables import export_csv, import_csv
from epochal.journal.folder import Folder
from epochal.store.documents import RunDocument
from epochal.store.store import Store


@pytest.fixture
def workspace(tmp_path: Path) -> Folder:
    return Folder.create(tmp_path / "workspace")


def only_run(workspace: Folder) -> tuple[Store, RunDocument]:
    store = Store(workspace)
    (document,) = store.runs()
    return store, document


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_row_is_a_step(tmp_path: Path, workspace: Folder, separator: str) -> None:
    rows = ["step,epoch,loss,acc,note", "0,0,1.5,,begin", "10,0,0.25,0.5,", "20,1,nan,-inf,x"]
    file = tmp_path / "v1_baseline.csv"
    file.write_text("\ufeff" + "\r\n".join(row.replace(",", separator) for row in rows) + "\r\n")
    report = import_csv(file, workspace=workspace, project="pallets")
    assert not report.problems
    assert report.left_out == ("note: 2 cells that are no numbers",)
    store, run = only_run(workspace)
    with store:
        assert (run.project, run.name) == ("pallets", "v1_baseline")
        loss = store.points.read(run.id, "loss")
        assert loss.step.tolist() == [0, 10, 20]
        assert loss.epoch.tolist() == [0, 0, 1]
        assert loss.value.tolist()[:2] == [1.5, 0.25]
        assert math.isnan(loss.value[2])
        assert store.points.read(run.id, "acc").value.tolist() == [0.5, -math.inf]
        assert store.status(run) == "finished"


def test_a_file_that_grew_brings_only_its_new_rows(tmp_path: Path, workspace: Folder) -> None:
    file = tmp_path / "exp" / "results.csv"
    file.parent.mkdir()
    file.write_text("epoch, train/loss\n1, 0.5\n2, 0.4\n")
    import_csv(file, workspace=workspace, project="p")
    again = import_csv(file, workspace=workspace, project="p")
    assert [run.new for run in again.runs] == [0]
    with file.open("a") as end:
        end.write("3, 0.3\n")
    later = import_csv(file, workspace=workspace, project="p")
    assert [run.new for run in later.runs] == [1]
    store, run = only_run(workspace)
    with store:
        assert run.name == "exp"
        assert store.points.read(run.id, "train/loss").step.tolist() == [1, 2, 3]


def test_a_step_column_is_named_or_rows_are_counted(tmp_path: Path, workspace: Folder) -> None:
    file = tmp_path / "a.csv"
    file.write_text("batch,loss\n5,1\n6,2\n")
    import_csv(file, workspace=workspace, project="p", name="named", step="batch")
    import_csv(file, workspace=workspace, project="p", name="counted")
    with pytest.raises(InvalidInput, match="no column nothing"):
        import_csv(file, workspace=workspace, project="p", step="nothing")
    with Store(workspace) as store:
        steps = {r.name: store.points.read(r.id, "loss").step.tolist() for r in store.runs()}
    assert steps == {"named": [5, 6], "counted": [0, 1]}


def test_what_was_exported_comes_back_as_it_was(tmp_path: Path, workspace: Folder) -> None:
    origin = Folder.create(tmp_path / "origin")
    for name in ("v1_baseline", "v2_imgsz_960"):
        with epochal.init("p", name, workspace=origin.root, capture=False) as run:
            for step in range(20):
                run.log({"loss": math.exp(-step) / 3, "=odd": step * 1e300}, step, step // 5)
            run.log({"nan": math.nan}, step=99)
    with Store(origin) as before:
        runs = before.runs()
        file = export_csv(before, runs, tmp_path / "points.csv")
        report = import_csv(file, workspace=workspace, project="p")
        assert not report.problems
        assert not report.left_out
        again = import_csv(file, workspace=workspace, project="p")
        assert [run.new for run in again.runs] == [0, 0]
        with Store(workspace) as after:
            copies = {run.name: run for run in after.runs()}
            assert set(copies) == {"v1_baseline", "v2_imgsz_960"}
            for run in runs:
                assert set(copies[run.name].metrics) == set(run.metrics)
                for key in run.metrics:
                    a = before.points.read(run.id, key)
                    b = after.points.read(copies[run.name].id, key)
                    for column in ("step", "epoch", "time", "value"):
                        np.testing.assert_array_equal(getattr(a, column), getattr(b, column))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"a,b\n",
        gzip.compress(b"step,loss\n1,2\n", mtime=0),
        b"PK\3\4" + bytes(100),
        b"step,loss\n1,\xff\xfe\n",
        b",".join(b"c" for _ in range(20_000)) + b"\n1\n",
    ],
    ids=["empty", "blank", "no_rows", "gzip", "zip", "not_utf8", "too_wide"],
)
def test_what_is_no_table_is_refused(tmp_path: Path, workspace: Folder, data: bytes) -> None:
    """Case A16."""
    file = tmp_path / "a.csv"
    file.write_bytes(data)
    with pytest.raises(InvalidInput, match="no table of numbers"):
        import_csv(file, workspace=workspace, project="p")


def test_rows_that_cannot_be_read_cost_only_themselves(tmp_path: Path, workspace: Folder) -> None:
    file = tmp_path / "a.csv"
    rows = [
        "step,loss,loss",
        "0,1,9",
        "x,2,9",
        "1",
        f"{2**70},1,9",
        "1.5,1,9",
        "2,3,9,4",
        "3,1_0,",
    ]
    file.write_text("\n".join(rows) + "\n")
    report = import_csv(file, workspace=workspace, project="p")
    assert [problem.split(":")[1] for problem in report.problems] == ["3", "4", "5", "6", "7"]
    assert report.left_out == (
        "column loss: there is one of that name before it",
        "loss: 1 cells that are no numbers",
    )
    store, run = only_run(workspace)
    with store:
        assert store.points.read(run.id, "loss").value.tolist() == [1.0, 3.0]


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text("0123456789,;\"\n\r\t.-e'=stepochrunamkyvlui", max_size=300).map(str.encode),
        st.text(max_size=100).map(
            lambda text: f"run,name,key,step,epoch,time,value\n{text}".encode(errors="replace")
        ),
    )
)
def test_no_bytes_break_the_import(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Case A23."""
    place = tmp_path_factory.mktemp("fuzz")
    workspace = Folder.create(place / "workspace")
    file = place / "a.csv"
    file.write_bytes(data)
    with contextlib.suppress(InvalidInput):
        import_csv(file, workspace=workspace, project="p")
    with contextlib.suppress(InvalidInput):
        again = import_csv(file, workspace=workspace, project="p")
        assert not any(run.new for run in again.runs)
