"""MLflow's stores on disk: both kinds, damaged ones, twice."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import pytest

from epochal.errors import InvalidInput, NotFound
from epochal.interop.mlflow.importing import import_mlflow
from epochal.journal.folder import Folder
from epochal.records import Purged
from epochal.store.store import Store

RUN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def workspace(tmp_path: Path) -> Folder:
    return Folder.create(tmp_path / "workspace")


@pytest.fixture
def mlruns(tmp_path: Path) -> Path:
    experiment = tmp_path / "mlruns" / "1"
    run = experiment / RUN
    for name, text in {
        "meta.yaml": f"run_id: {RUN}\nrun_name: v1_baseline\nstatus: 3\nuser_id: ann\n"
        "start_time: 1700000000000\nend_time: 1700000060000\nlifecycle_stage: active\n",
        "params/lr": "0.10",
        "params/model": "yolo",
        "tags/mlflow.note.content": "a note",
        "tags/lr": "same name as the param",
        "metrics/loss": "1700000001000 1.5 0\n1700000002000 0.5 1\n",
        "metrics/val/map": "1700000003000 nan 1\n",
        "artifacts/weights/best.pt": "weights",
    }.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(text)
    (experiment / "meta.yaml").write_text("name: pallets\nexperiment_id: '1'\n")
    return tmp_path / "mlruns"


def test_an_mlruns_folder_comes_in_whole_and_once(mlruns: Path, workspace: Folder) -> None:
    first = import_mlflow(str(mlruns), workspace=workspace)
    assert not first.problems
    again = import_mlflow(str(mlruns), workspace=workspace)
    assert (again.runs[0].new, again.runs[0].known) == (0, first.runs[0].new)
    with Store(workspace) as store:
        run = store.run(RUN)
        assert (run.project, run.name) == ("pallets", "v1_baseline")
        assert store.status(run) == "finished"
        assert run.config == {"lr": 0.1, "model": "yolo"}
        assert run.foreign["mlflow"]["param"] == {"lr": "0.10"}
        assert run.foreign["mlflow"]["tag"]["lr"] == "same name as the param"
        assert run.lesson is not None
        assert run.lesson.text == "a note"
        assert store.points.read(RUN, "loss").value.tolist() == [1.5, 0.5]
        assert math.isnan(store.points.read(RUN, "val/map").value[0])
        assert run.attempts[0].ended == 1_700_000_060_000_000
        assert store.blobs.get(run.artifacts["weights/best.pt"].body.digest) == b"weights"


def test_a_later_import_brings_what_is_new(mlruns: Path, workspace: Folder) -> None:
    import_mlflow(str(mlruns), workspace=workspace)
    with (mlruns / "1" / RUN / "metrics" / "loss").open("a") as file:
        file.write("1700000004000 0.25 2\n")
    (mlruns / "1" / RUN / "tags" / "late").write_text("tag")
    assert import_mlflow(str(mlruns), workspace=workspace).runs[0].new == 2
    with Store(workspace) as store:
        assert store.points.read(RUN, "loss").value.tolist() == [1.5, 0.5, 0.25]


def test_damage_is_left_out_and_named(mlruns: Path, workspace: Folder) -> None:
    (mlruns / "1" / RUN / "metrics" / "loss").write_bytes(b"1 1.0 0\n\0\xff\nx y z\n3 0.5 2\n")
    (mlruns / "1" / ("f" * 32)).mkdir()
    (mlruns / "1" / ("f" * 32) / "meta.yaml").write_text("!!python/object/apply:os.system [x]")
    report = import_mlflow(str(mlruns), workspace=workspace)
    assert len(report.runs) == 1
    assert any("2 damaged lines" in text for text in report.problems)
    assert any("f" * 32 in text for text in report.problems)
    with Store(workspace) as store:
        assert store.points.read(RUN, "loss").value.tolist() == [1.0, 0.5]


def test_a_purged_run_stays_away(mlruns: Path, workspace: Folder) -> None:
    with Store(workspace) as store:
        store.record(Purged(run=RUN))
    report = import_mlflow(str(mlruns), workspace=workspace)
    assert not report.runs
    assert "purged" in report.left_out[0]


def test_a_database_comes_in(tmp_path: Path, workspace: Folder) -> None:
    with sqlite3.connect(tmp_path / "mlflow.db") as db:
        db.executescript(
            f"""
            CREATE TABLE experiments (experiment_id INTEGER, name TEXT);
            CREATE TABLE runs (run_uuid TEXT, experiment_id INTEGER, name TEXT, status TEXT,
                user_id TEXT, start_time BIGINT, end_time BIGINT, lifecycle_stage TEXT,
                artifact_uri TEXT);
            CREATE TABLE params (run_uuid TEXT, key TEXT, value TEXT);
            CREATE TABLE tags (run_uuid TEXT, key TEXT, value TEXT);
            CREATE TABLE metrics (run_uuid TEXT, key TEXT, value DOUBLE, timestamp BIGINT,
                step BIGINT, is_nan BOOLEAN);
            INSERT INTO experiments VALUES (1, 'pallets');
            INSERT INTO runs VALUES ('{RUN}', 1, 'v1_baseline', 'FAILED', 'ann', 1000, 2000,
                'deleted', 's3://bucket/x');
            INSERT INTO params VALUES ('{RUN}', 'epochs', '10');
            INSERT INTO metrics VALUES ('{RUN}', 'loss', 0.5, 1500, 3, 0);
            INSERT INTO metrics VALUES ('{RUN}', 'nan', 0, 1500, 3, 1);
            """
        )
    report = import_mlflow(str(tmp_path / "mlflow.db"), workspace=workspace, project="other")
    assert "not here" in report.left_out[0]
    with Store(workspace) as store:
        run = store.run(RUN)
        assert (run.project, run.trashed, run.config) == ("other", True, {"epochs": 10})
        assert store.status(run) == "failed"
        assert store.points.read(RUN, "loss").step.tolist() == [3]
        assert math.isnan(store.points.read(RUN, "nan").value[0])


def test_what_is_no_store_is_refused(tmp_path: Path, workspace: Folder) -> None:
    (tmp_path / "notes.db").write_text("no database")
    with pytest.raises(InvalidInput, match="no MLflow database"):
        import_mlflow(str(tmp_path / "notes.db"), workspace=workspace)
    with pytest.raises(InvalidInput, match="no MLflow store"):
        import_mlflow(str(tmp_path), workspace=workspace)
    with pytest.raises(NotFound):
        import_mlflow(str(tmp_path / "none"), workspace=workspace)
