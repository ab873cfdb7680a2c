"""Folders that trainings left, of several releases, whole and damaged."""

from __future__ import annotations

import os
import pickle
import shutil
import time
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from epochal.cli import main
from epochal.errors import InvalidInput, NotFound
from epochal.evaluation.storage import load_evaluation
from epochal.interop.ultralytics import import_folder
from epochal.interop.ultralytics.checkpoint import checkpoint_facts
from epochal.interop.ultralytics.marker import Marker, write_marker
from epochal.journal.folder import Folder
from epochal.records import Purged
from epochal.store.documents import RunDocument
from epochal.store.store import Store

CURVES = Path(__file__).parent.parent / "data" / "curves"
ARGS = """\
task: detect
mode: train
model: yolov8n.yaml
data: /data/pallets.yaml
epochs: {epochs}
batch: 8
imgsz: 96
lr0: 0.002
momentum: 0.937
project: {project}
name: {name}
save_dir: /somewhere/runs/detect/{name}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Folder:
    return Folder.create(tmp_path / "work")


def training(
    tmp_path: Path,
    table: str | bytes | None = None,
    *,
    name: str = "v1_baseline",
    epochs: int = 12,
    project: str = "null",
) -> Path:
    folder = tmp_path / "runs" / "detect" / name
    (folder / "weights").mkdir(parents=True)
    (folder / "args.yaml").write_text(ARGS.format(epochs=epochs, name=name, project=project))
    if table is None:
        shutil.copy(CURVES / "yolov8n_imgsz96.csv", folder / "results.csv")
    elif isinstance(table, str):
        (folder / "results.csv").write_text(table)
    else:
        (folder / "results.csv").write_bytes(table)
    return folder


def the_run(workspace: Folder) -> RunDocument:
    with Store(workspace) as store:
        (run,) = store.runs()
    return run


def test_a_training_of_today(tmp_path: Path, workspace: Folder) -> None:
    folder = training(tmp_path)
    (folder / "results.png").write_bytes(b"\x89PNG")
    (folder / "weights" / "best.pt").write_bytes(b"no checkpoint")
    report = import_folder(folder, workspace=workspace.root, project="p", tags=("old",))
    assert report.runs[0].name == "v1_baseline"
    assert [problem for problem in report.problems if "best.pt" in problem]
    run = the_run(workspace)
    assert (run.project, run.tags, run.source) == ("p", ("old",), f"ultralytics:{folder}")
    assert run.config["lr0"] == 0.002
    assert "momentum" not in run.config  # a default
    assert run.effective["momentum"] == 0.937
    assert run.artifacts["weights/best.pt"].body.role == "weights"
    assert run.artifacts["results.png"].body.role == "plot"
    assert run.metrics["metrics/mAP50-95(B)"].n == 12
    assert run.summary["epochs_done"] == 12
    assert run.pin is not None
    assert run.pin.state == "unchecked"
    with Store(workspace) as store:
        assert store.status(run) == "finished"
        points = store.points.read(run.id, "train/box_loss")
    assert points.step.tolist() == list(range(1, 13))
    # Written as the training wrote it: the last epoch when the file was last touched.
    written = (folder / "results.csv").stat().st_mtime
    assert points.time[-1] / 1e6 == pytest.approx(written, abs=1.0)


def test_importing_twice_changes_nothing_and_later_brings_what_is_new(
    tmp_path: Path, workspace: Folder
) -> None:
    folder = training(tmp_path)
    whole = (folder / "results.csv").read_text().splitlines(keepends=True)
    (folder / "results.csv").write_text("".join(whole[:6]))
    first = import_folder(folder, workspace=workspace.root)
    with Store(workspace) as store:
        assert store.status(the_run(workspace)) == "running"  # the file is fresh
    sizes = {f.path: f.path.stat().st_size for f in workspace.journals()}
    again = import_folder(folder, workspace=workspace.root, project="another", name="another")
    assert again.runs[0].new == 0
    assert again.runs[0].known == first.runs[0].new
    assert {f.path: f.path.stat().st_size for f in workspace.journals()} == sizes
    (folder / "results.csv").write_text("".join(whole))
    (folder / "results.png").write_bytes(b"\x89PNG")
    later = import_folder(folder, workspace=workspace.root)
    # Seven epochs, the table and the plot, the summary, the end.
    assert later.runs[0].new == 7 + 2 + 1 + 1
    run = the_run(workspace)
    assert run.metrics["train/box_loss"].n == 12
    with Store(workspace) as store:
        assert store.status(run) == "finished"


def test_a_copy_elsewhere_is_the_same_run(tmp_path: Path, workspace: Folder) -> None:
    folder = training(tmp_path)
    copy = shutil.copytree(folder, tmp_path / "mounted" / "old name")
    first = import_folder(folder, workspace=workspace.root)
    second = import_folder(copy, workspace=workspace.root)
    assert first.runs[0].id == second.runs[0].id
    assert the_run(workspace).name == "v1_baseline"


def test_names_of_nobody_get_a_suggestion(tmp_path: Path, workspace: Folder) -> None:
    import_folder(training(tmp_path, name="train"), workspace=workspace.root)
    run = the_run(workspace)
    assert run.name == "v1_baseline"
    assert any("called train" in stamped.body.text for stamped in run.notices)


def test_padded_headers_and_epochs_from_zero(tmp_path: Path, workspace: Folder) -> None:
    table = (
        "                  epoch,         train/box_loss,       metrics/mAP50(B)\n"
        "                      0,                 3.1234,                      0\n"
        "                      1,                 2.5000,                   0.25\n"
    )
    import_folder(training(tmp_path, table, epochs=2), workspace=workspace.root)
    run = the_run(workspace)
    assert run.metrics["train/box_loss"].last == (2, 2.5)
    assert run.metrics["metrics/mAP50(B)"].first == (1, 0.0)


def test_other_losses_and_numbers_that_are_none(tmp_path: Path, workspace: Folder) -> None:
    table = (
        "epoch,time,train/l1_loss,metrics/mAP50-95(B),val/l1_loss\n"
        "1,2.0,1.5,0.1,nan\n2,4.0,inf,0.2,\n"
    )
    report = import_folder(training(tmp_path, table, epochs=2), workspace=workspace.root)
    assert report.problems == ()
    run = the_run(workspace)
    assert run.metrics["train/l1_loss"].n == 2
    assert run.metrics["val/l1_loss"].n == 1


def test_a_resumed_training_has_two_attempts(tmp_path: Path, workspace: Folder) -> None:
    table = "epoch,time,train/box_loss\n1,10,3\n2,20,2\n3,5,1.5\n4,10,1.2\n"
    import_folder(training(tmp_path, table, epochs=4), workspace=workspace.root)
    run = the_run(workspace)
    assert [attempt.status for attempt in run.attempts] == ["killed", "finished"]
    assert run.attempts[0].opened < run.attempts[1].opened
    assert run.metrics["train/box_loss"].n == 4


def test_a_row_behind_the_end_is_the_evaluation_of_the_best(
    tmp_path: Path, workspace: Folder
) -> None:
    table = "epoch,time,train/box_loss,metrics/mAP50-95(B)\n1,1,3,0.1\n2,2,2,0.3\n3,2.5,2,0.31\n"
    import_folder(training(tmp_path, table, epochs=2), workspace=workspace.root)
    run = the_run(workspace)
    assert run.metrics["metrics/mAP50-95(B)"].n == 2
    (stamped,) = run.evaluations
    assert stamped.body.metrics == {"mAP50-95": 0.31}
    with Store(workspace) as store:
        found = load_evaluation(store.blobs, stamped.body.digest)
    assert found.evaluator.startswith("ultralytics/")


def test_a_training_that_died_long_ago_was_killed(tmp_path: Path, workspace: Folder) -> None:
    folder = training(tmp_path, "epoch,time,train/box_loss\n1,10,3\n", epochs=50)
    long_ago = time.time() - 86_400
    os.utime(folder / "results.csv", (long_ago, long_ago))
    import_folder(folder, workspace=workspace.root)
    run = the_run(workspace)
    with Store(workspace) as store:
        assert store.status(run) == "killed"
    assert "epoch 1 of 50 was the last" in run.attempts[0].reason


@pytest.mark.parametrize(
    ("table", "epochs", "said"),
    [
        ("epoch,time,loss\n1,1,3\n2,2", 1, "line 3 is being written, or torn"),
        ("epoch,time,loss\n1,1,3\n2,2\n3,3,1\n", 2, "line 3 has 2 of 3 columns"),
        ("epoch,time,loss\n1,1,3\n2,2,abc\n", 1, "line 3 holds 'abc' as loss"),
        ("epoch,time,loss\n1,1,3\n1.5,2,3\n", 1, "line 3 has no epoch: '1.5'"),
        (b"epoch,time,loss\n1,1,3\n" + bytes(4096), 1, "line 3"),
        (b"epoch,time,loss\n1,1,3\n\xff\xfe,2,2\n", 1, "line 3"),
    ],
)
def test_damaged_tables_give_what_is_whole_and_name_what_is_not(
    tmp_path: Path, workspace: Folder, table: str | bytes, epochs: int, said: str
) -> None:
    report = import_folder(training(tmp_path, table), workspace=workspace.root)
    assert any(said in problem for problem in report.problems)
    assert the_run(workspace).metrics["loss"].n == epochs


@pytest.mark.parametrize(
    "args",
    [
        b"!!python/object/apply:os.system ['touch owned']",
        b"[1, 2",
        b"just text",
        bytes(1000),
        b"a: &a [*a]",
        b"a: &a [1]\nb: &b [*a, *a]\nc: &c " + b"[*b, *b, *b, *b, *b, *b, *b]\n",
        b"[" * 20_000,
    ],
)
def test_hostile_arguments_run_nothing(tmp_path: Path, workspace: Folder, args: bytes) -> None:
    folder = training(tmp_path)
    (folder / "args.yaml").write_bytes(args)
    report = import_folder(folder, workspace=workspace.root)
    assert report.runs[0].new > 12
    assert report.problems
    assert not Path("owned").exists()


def test_what_is_too_large_is_divided_or_named(tmp_path: Path, workspace: Folder) -> None:
    columns = [f"metric/{i:04d}/{'x' * 100}" for i in range(2000)]
    long = "y" * 300
    table = ",".join(["epoch", *columns, long]) + "\n1," + ",".join(["0.5"] * 2001) + "\n"
    folder = training(tmp_path, table, epochs=1)
    with (folder / "args.yaml").open("a") as file:
        file.write(f"comment: {'z' * 200_000}\n")
    report = import_folder(folder, workspace=workspace.root)
    assert any("300 characters" in problem for problem in report.problems)
    run = the_run(workspace)
    assert len(run.metrics) == 2000
    assert len(run.effective["comment"]) < 3000


def test_names_that_are_no_text(tmp_path: Path, workspace: Folder) -> None:
    folder = training(tmp_path, "epoch,time,loss\n1,1,3\n", epochs=1)
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/v1_\xff\xfe"))
    folder.rename(odd)
    (odd / "bad\nname.png").write_bytes(b"\x89PNG")
    report = import_folder(odd, workspace=workspace.root)
    assert any("name.png" in problem for problem in report.problems)
    assert the_run(workspace).metrics["loss"].n == 1
    again = import_folder(odd, workspace=workspace.root)
    assert again.runs[0].new == 0


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch owned",)


def checkpoint(path: Path, content: object) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("best/data.pkl", pickle.dumps(content, protocol=2))


def test_checkpoints_are_read_without_unpickling(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    content = {"epoch": -1, "best_fitness": 0.5, "model": Bomb(), "version": "8.4.190"}
    checkpoint(path, content)
    assert checkpoint_facts(path) == {"epoch": -1, "best_fitness": 0.5, "version": "8.4.190"}
    assert not Path("owned").exists()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert checkpoint_facts(path) == {}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("best/data.pkl", pickle.dumps(content, protocol=2)[:30])
    assert "version" not in checkpoint_facts(path)


def test_a_finished_checkpoint_tells_that_the_training_ended(
    tmp_path: Path, workspace: Folder
) -> None:
    folder = training(tmp_path, "epoch,time,loss\n1,1,3\n2,2,2\n", epochs=100)
    checkpoint(folder / "weights" / "last.pt", {"epoch": -1, "version": "8.3.10"})
    import_folder(folder, workspace=workspace.root)
    run = the_run(workspace)
    assert run.attempts[0].status == "finished"  # patience ended it
    assert run.summary == {
        "epochs_done": 2,
        "stopped_early": True,
        "ultralytics": "8.3.10",
    }


def test_what_was_recorded_live_is_not_imported_again(tmp_path: Path, workspace: Folder) -> None:
    folder = training(tmp_path)
    (workspace.runs / "20260101-v1-0123abcd" / "journal").mkdir(parents=True)
    write_marker(folder, Marker(run="0123abcd" * 4, workspace=str(workspace.root)))
    report = import_folder(folder, workspace=workspace.root)
    assert report.runs == ()
    assert "recorded while it trained, as run 0123abcd" in report.left_out[0]


def test_purged_runs_stay_purged(tmp_path: Path, workspace: Folder) -> None:
    folder = training(tmp_path)
    run = import_folder(folder, workspace=workspace.root).runs[0].id
    place = workspace.run_folder(run)
    assert place is not None
    shutil.rmtree(place)
    with Store(workspace) as store:
        store.record(Purged(run=run))
    assert import_folder(folder, workspace=workspace.root).runs == ()


def test_folders_that_are_no_trainings(tmp_path: Path, workspace: Folder) -> None:
    with pytest.raises(NotFound):
        import_folder(tmp_path / "gone", workspace=workspace.root)
    with pytest.raises(InvalidInput, match="no training"):
        import_folder(tmp_path, workspace=workspace.root)
    val = tmp_path / "val"
    val.mkdir()
    (val / "predictions.json").write_text("[]")
    with pytest.raises(InvalidInput, match="validation"):
        import_folder(val, workspace=workspace.root)
    assert list(workspace.run_folders()) == []


def test_the_command_reports_everything(
    tmp_path: Path, workspace: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.root.parent)
    training(tmp_path)
    training(tmp_path, "epoch,time,loss\n1,1,3\n2,2\n3,3,1\n", name="v2_broken", epochs=3)
    (tmp_path / "runs" / "detect" / "val").mkdir()
    runs = str(tmp_path / "runs")
    done = CliRunner().invoke(main, ["import", "ultralytics", runs])
    assert done.exit_code == 0
    assert "v1_baseline" in done.output
    assert "damaged:" in done.output
    assert "2 runs" in done.output
    again = CliRunner().invoke(main, ["import", "ultralytics", "--json", runs])
    assert '"new":0' in again.output
    assert CliRunner().invoke(main, ["import", "ultralytics", str(tmp_path)]).exit_code == 0
    empty = CliRunner().invoke(main, ["import", "ultralytics", str(workspace.journal)])
    assert empty.exit_code == 2
