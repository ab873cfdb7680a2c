import numpy as np
import pytest

import epochal
from epochal.errors import Ambiguous, InvalidInput, NotFound
from epochal.records import Artifact, Console, Metrics, Pinned
from epochal.store.blobs import Blobs


@pytest.fixture
def workspace(folder, record_run):
    rising = [0.1, 0.3, 0.5, 0.4]
    record_run(
        "v1_baseline",
        config={"imgsz": 640},
        metrics={"metrics/mAP50-95(B)": rising, "train/box_loss": [3, 2, 1, 0.5]},
        summary={"note": "first"},
    )
    record_run(
        "v2_imgsz_1024",
        config={"imgsz": 1024},
        metrics={"metrics/mAP50-95(B)": [v + 0.1 for v in rising]},
        parent="v1_baseline",
        tags=("candidate",),
    )
    record_run("v1_baseline", "bolts", metrics={"loss": [1.0]})
    with epochal.open() as opened:
        yield opened


def test_runs_are_filtered_sorted_and_limited(workspace):
    assert workspace.projects == ["bolts", "pallets"]
    runs = workspace.runs("pallets", sort='metrics."mAP50-95"')
    assert [run.name for run in runs] == ["v1_baseline", "v2_imgsz_1024"]
    found = workspace.runs(where="config.imgsz > 640", limit=1)
    assert [run.name for run in found] == ["v2_imgsz_1024"]
    assert (len(workspace.runs(limit=1)), workspace.runs(limit=1).total) == (1, 3)
    assert len(runs[:1]) == 1
    with pytest.raises(NotFound, match="bolts, pallets"):
        workspace.runs("screws")
    with pytest.raises(InvalidInput, match="imgz"):
        workspace.runs(where="config.imgz = 1")


def test_what_others_write_appears(workspace, record_run):
    assert len(workspace.runs("bolts")) == 1
    record_run("v2_more", "bolts")
    assert len(workspace.runs("bolts")) == 2
    assert workspace.run("v2_more").project == "bolts"


def test_a_run_is_named_in_several_ways(workspace):
    run = workspace.run("v2_imgsz_1024")
    assert workspace.run(run.id) == run
    assert workspace.run(run.id[:8]) == run
    assert workspace.run("pallets/v2_imgsz_1024") == run
    with pytest.raises(Ambiguous):
        workspace.run("v1_baseline")
    assert workspace.run("v1_baseline", "bolts").project == "bolts"
    with pytest.raises(NotFound, match="did you mean v2_imgsz_1024"):
        workspace.run("v2_imgsz_1204")


def test_a_run_in_its_parts(workspace):
    run = workspace.run("pallets/v1_baseline")
    assert run.status == "finished"
    assert run.config == {"imgsz": 640}
    assert run.summary == {"note": "first"}
    assert run.keys == ("metrics/mAP50-95(B)", "train/box_loss")
    assert run.evaluations == ()
    assert run.lesson is None
    assert run.created.tzinfo is not None
    with pytest.raises(NotFound, match="no evaluation on val"):
        run.evaluation()


def test_a_series_is_arrays(workspace):
    series = workspace.run("v2_imgsz_1024").series("mAP50-95")
    assert series.key == "metrics/mAP50-95(B)"
    assert len(series) == 4
    np.testing.assert_allclose(series.value, [0.2, 0.4, 0.6, 0.5])
    assert series.step.tolist() == series.epoch.tolist() == [0, 1, 2, 3]
    assert series.time.dtype == np.dtype("datetime64[us]")
    with pytest.raises(NotFound, match="train/box_loss"):
        workspace.run("pallets/v1_baseline").series("box_los")


def test_points_without_an_epoch(workspace, record_run):
    record_run("v9_steps", bodies=[Metrics(values={"a": "NaN"}, step=5)])
    series = workspace.run("v9_steps").series("a")
    assert np.isnan(series.epoch).all()
    assert np.isnan(series.value).all()


def test_data_frames(workspace):
    pandas = pytest.importorskip("pandas")
    frame = workspace.run("v2_imgsz_1024").series("mAP50-95").pandas()
    assert list(frame.columns) == ["step", "epoch", "time", "value"]
    assert isinstance(workspace.runs().pandas(), pandas.DataFrame)


def test_a_missing_library_is_named(workspace, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(NotFound, match="pip install pandas"):
        workspace.runs().pandas()


def test_rows_for_data_frames(workspace):
    row = workspace.runs("pallets", where="tags has candidate").rows()[0]
    assert row["name"] == "v2_imgsz_1024"
    assert row["config.imgsz"] == 1024
    assert row["metrics.metrics/mAP50-95(B)"] == pytest.approx(0.5)


def test_edits_are_recorded(workspace):
    run = workspace.run("v2_imgsz_1024")
    run.rename(" v2_larger_images ").tag("good", "candidate").untag("candidate")
    assert (run.name, run.tags) == ("v2_larger_images", ("good",))
    run.write_lesson(result="larger is better").write_lesson(next="try 1280")
    assert run.lesson is not None
    assert (run.lesson.result, run.lesson.next) == ("larger is better", "try 1280")
    assert [hit.name for hit in workspace.lessons("larger")] == ["v2_larger_images"]
    run.trash()
    assert [r.name for r in workspace.runs("pallets")] == ["v1_baseline"]
    assert [r.name for r in workspace.runs("pallets", trashed=True)] == ["v2_larger_images"]
    run.restore()
    with epochal.open() as other:
        assert other.run("v2_larger_images").tags == ("good",)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 251, "a\x00b"])
def test_a_name_that_cannot_be_one_changes_nothing(workspace, name):
    run = workspace.run("v2_imgsz_1024")
    with pytest.raises(InvalidInput):
        run.rename(name)
    with pytest.raises(InvalidInput):
        run.tag(name)
    assert (run.refresh().name, run.tags) == ("v2_imgsz_1024", ("candidate",))


def test_console_and_artifacts(workspace, record_run, folder):
    digest = Blobs(folder.blobs).put(b"weights")
    record_run(
        "v3_more",
        bodies=[
            Console(stream="stdout", text="epoch 1\n"),
            Console(stream="stderr", text="warning\n"),
            Artifact(key="weights/best.pt", digest=digest, size=7),
            Pinned(dataset="pallets@v3", digest="", state="verified"),
        ],
    )
    run = workspace.run("v3_more")
    assert run.console() == "epoch 1\nwarning\n"
    assert run.artifact("weights/best.pt") == b"weights"
    assert run.dataset == "pallets@v3"
    with pytest.raises(NotFound, match=r"weights/best\.pt"):
        run.artifact("weights/last.pt")


def test_compare_and_decide(workspace):
    found = workspace.compare("pallets/v1_baseline", workspace.run("v2_imgsz_1024"))
    assert found.metric == "mAP50-95"
    assert [run.name for run in found.runs] == ["v1_baseline", "v2_imgsz_1024"]
    assert found.differences[0].count == 1
    decision = workspace.decide("v2_imgsz_1024", "v1_baseline", record=False)
    assert decision.verdict == "more experiments"
    assert decision.id == ""


def test_groups(workspace):
    small, large = workspace.group("config.imgsz", 'best(metrics."mAP50-95")', "pallets")
    assert (small.by, small.mean) == ((640.0,), (0.5,))
    assert large.by == (1024.0,)


def test_notebooks_show_tables_and_escape_what_they_show(workspace, record_run):
    record_run("<script>alert(1)</script>", config={"<b>": "</td>"}, tags=("<i>",))
    run = workspace.runs(limit=1)[0]
    html = run._repr_html_() + workspace.runs()._repr_html_()
    html += workspace.run("v2_imgsz_1024").series("mAP50-95")._repr_html_()
    assert "&lt;script&gt;" in html
    for forbidden in ("<script", "<b>:", "<i>", "</td></td>"):
        assert forbidden not in html


def test_addresses_and_missing_folders(tmp_path, monkeypatch):
    with pytest.raises(InvalidInput, match="later version"):
        epochal.open("https://epochal.example.org")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NotFound):
        epochal.open(empty)
