"""TensorBoard event files in and out, against files that tensorboardX writes."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboardX import SummaryWriter

from epochal.errors import NotFound, Refused
from epochal.interop.tensorboard import export_run, import_logdir
from epochal.interop.tensorboard.event_files import EventFile, frame
from epochal.interop.tensorboard.messages import Event
from epochal.interop.tensorboard.reader import Logdir
from epochal.journal.folder import Folder
from epochal.store.documents import RunDocument
from epochal.store.store import Store


@pytest.fixture
def workspace(tmp_path: Path) -> Folder:
    return Folder.create(tmp_path / "workspace")


@pytest.fixture
def logdir(tmp_path: Path) -> Path:
    writer = SummaryWriter(str(tmp_path / "logs" / "exp1"))
    for step in range(50):
        writer.add_scalar("train/loss", 1 / (step + 1), step, walltime=1_700_000_000 + step)
    writer.add_scalar("special", math.inf, 0)
    writer.add_image("sample", np.zeros((3, 8, 8), np.uint8), 7)
    writer.add_histogram("weights", np.arange(100.0), 3)
    writer.add_pr_curve("pr", np.array([0, 1, 1]), np.array([0.1, 0.9, 0.5]), 1)
    writer.add_text("note", "a **note**", 1)
    writer.add_hparams({"lr": 0.1, "optimizer": "adam", "amp": True}, {"final": 0.5})
    writer.add_scalars("both", {"a": 1.0, "b": 2.0}, 1)
    writer.close()
    return tmp_path / "logs"


def only_run(workspace: Folder) -> tuple[Store, RunDocument]:
    store = Store(workspace)
    (document,) = store.runs()
    return store, document


def event_bytes(step: int) -> bytes:
    event = Event(wall_time=1e9 + step, step=step)
    event.summary.value.add(tag="loss").simple_value = step / 2
    return frame(event.SerializeToString())


def events_file(folder: Path, data: bytes) -> Path:
    folder.mkdir()
    path = folder / "events.out.tfevents.1700000000.host"
    path.write_bytes(data)
    return path


def test_everything_arrives_as_one_run(logdir: Path, workspace: Folder) -> None:
    report = import_logdir(logdir, workspace=workspace, project="p")
    assert not report.problems
    assert not report.left_out
    store, run = only_run(workspace)
    with store:
        assert (run.project, run.name) == ("p", "exp1")
        assert run.config == {"lr": 0.1, "optimizer": "adam", "amp": True}
        assert set(run.metrics) == {"train/loss", "special", "final", "both/a", "both/b"}
        points = store.points.read(run.id, "train/loss")
        assert points.step.tolist() == list(range(50))
        assert points.value.tolist() == [float(np.float32(1 / (s + 1))) for s in range(50)]
        assert points.time.tolist()[3] == 1_700_000_003_000_000
        assert store.points.read(run.id, "special").value.tolist() == [math.inf]
        assert run.summary == {"note": "a **note**"}
        assert set(run.artifacts) == {"histograms/weights.json", "pr_curves/pr.json"}
        assert [(i.body.key, i.body.step) for i in run.images] == [("sample", 7)]


def test_a_second_import_changes_nothing_and_a_later_one_brings_the_rest(
    tmp_path: Path, workspace: Folder
) -> None:
    file = events_file(tmp_path / "logs", event_bytes(1))
    first = import_logdir(tmp_path / "logs", workspace=workspace)
    again = import_logdir(tmp_path / "logs", workspace=workspace)
    assert again.runs[0].new == 0
    assert again.runs[0].known == first.runs[0].new
    file.write_bytes(event_bytes(1) + event_bytes(2))
    later = import_logdir(tmp_path / "logs", workspace=workspace)
    assert later.runs[0].new == 1
    store, run = only_run(workspace)
    with store:
        assert store.points.read(run.id, "loss").value.tolist() == [0.5, 1.0]


def test_a_directory_is_followed_while_it_grows(tmp_path: Path, workspace: Folder) -> None:
    file = events_file(tmp_path / "logs", event_bytes(1))
    logdir = Logdir(tmp_path / "logs", workspace=workspace)
    assert logdir.poll() == 2  # the opening and the first value
    assert logdir.poll() == 0
    file.write_bytes(event_bytes(1) + event_bytes(2) + event_bytes(3)[:-5])
    assert logdir.poll() == 1
    file.write_bytes(event_bytes(1) + event_bytes(2) + event_bytes(3))
    assert logdir.poll() == 1
    logdir.close()


def test_what_is_given_out_can_be_taken_in_again(
    logdir: Path, workspace: Folder, tmp_path: Path
) -> None:
    import_logdir(logdir, workspace=workspace, project="p")
    store, run = only_run(workspace)
    with store:
        export_run(store, run, tmp_path / "out")
        with pytest.raises(Refused):
            export_run(store, run, tmp_path / "out")
        other = Folder.create(tmp_path / "other")
        import_logdir(tmp_path / "out", workspace=other)
        copied_store, copy = only_run(other)
        with copied_store:
            assert copy.config == run.config
            assert set(copy.metrics) == set(run.metrics)
            for key in run.metrics:
                a, b = store.points.read(run.id, key), copied_store.points.read(copy.id, key)
                np.testing.assert_array_equal(a.value, b.value)
                np.testing.assert_array_equal(a.step, b.step)


def test_no_event_files(tmp_path: Path, workspace: Folder) -> None:
    with pytest.raises(NotFound, match="no event files"):
        import_logdir(tmp_path, workspace=workspace)


def test_a_torn_tail_is_left_for_the_next_time(tmp_path: Path) -> None:
    whole = b"".join(event_bytes(step) for step in range(5))
    path = tmp_path / "events.out.tfevents.1"
    for cut in range(len(whole) - len(event_bytes(4)), len(whole)):
        path.write_bytes(whole[:cut])
        file = EventFile(path)
        assert [e.step for e in file.events()] == [0, 1, 2, 3]
        assert not file.problem
        path.write_bytes(whole)
        assert [e.step for e in file.events()] == [4]


def test_a_damaged_event_is_left_out_and_counted(tmp_path: Path) -> None:
    size = len(event_bytes(0))
    data = bytearray(b"".join(event_bytes(step) for step in range(3)))
    data[size + 14] ^= 0xFF
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(data)
    file = EventFile(path)
    assert [e.step for e in file.events()] == [0, 2]
    assert file.skipped == 1


@pytest.mark.parametrize("length", [2**63, 2**40, 2**64 - 1])
def test_a_hostile_length_is_refused_before_memory_is_asked_for(
    tmp_path: Path, length: int
) -> None:
    """Case A22."""
    lying = bytearray(frame(b""))
    from epochal.interop.tensorboard import event_files

    lying[:8] = struct.pack("<Q", length)
    lying[8:12] = struct.pack("<I", event_files._masked(bytes(lying[:8])))
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(event_bytes(0) + bytes(lying) + event_bytes(1))
    file = EventFile(path)
    assert [e.step for e in file.events()] == [0]
    assert f"{length} bytes" in file.problem


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 200), st.integers(0, 255))
def test_no_bytes_break_the_reader(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes, at: int, flip: int
) -> None:
    """Case A23."""
    data = bytearray(b"".join(event_bytes(step) for step in range(3)) + tail)
    data[at % len(data)] ^= flip
    path = tmp_path_factory.mktemp("fuzz") / "events.out.tfevents.1"
    path.write_bytes(data)
    file = EventFile(path)
    list(file.events())
    assert file.offset <= len(data)
