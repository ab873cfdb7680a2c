"""A run is bound to a dataset version, and says when its data changed while it ran."""

from __future__ import annotations

import pytest

from epochal.datasets.pins import tag_automatically
from epochal.errors import InvalidInput, NotFound, Refused
from epochal.records import Notice, Opened, Pinned
from epochal.run import pinning
from epochal.run.opening import current


@pytest.fixture
def data(tmp_path):
    """A data.yaml with three images a split."""
    root = tmp_path / "pallets"
    for split in ("train", "val"):
        for n in range(3):
            image = root / "images" / split / f"{n}.jpg"
            label = root / "labels" / split / f"{n}.txt"
            for path in (image, label):
                path.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(f"{split} {n}".encode())
            label.write_text("0 0.5 0.5 0.1 0.1\n")
    yaml = root / "data.yaml"
    yaml.write_text(f"path: {root}\ntrain: images/train\nval: images/val\nnames: [pallet]\n")
    return yaml


@pytest.fixture
def tagged(folder, data):
    return tag_automatically(folder, str(data)).dataset


@pytest.fixture
def policy(tmp_path):
    def write(name):
        text = f'project = "pallets"\ndataset_policy = "{name}"\n'
        (tmp_path / "epochal.toml").write_text(text)

    return write


FIRST_LOOK = """
looked = next(end.__self__._looked for end in run.on_finish if hasattr(end.__self__, "_looked"))
assert looked.wait(30)
"""


def wait_for_first_look(run):
    exec(FIRST_LOOK, {"run": run})


def pins(records, run):
    return [(pin.state, pin.dataset) for pin in records(run, Pinned)]


def test_a_tagged_version_is_verified(start, records, tagged, data):
    for given in (tagged, str(data)):
        run = start(dataset=given)
        run.finish()
        assert pins(records, run) == [("verified", tagged)]
        assert records(run, Opened)[0].dataset == given
        assert records(run, Notice) == []


def test_untagged_data_is_told_with_the_command(start, records, data, capsys):
    run = start(dataset=data)
    run.finish()
    assert pins(records, run) == [("untagged", str(data))]
    assert "epochal dataset tag" in capsys.readouterr().err


def test_data_that_differs_from_its_tag_has_drifted(start, records, tagged, data):
    (data.parent / "labels/val/0.txt").write_text("0 0.5 0.5 0.3 0.3\n")
    run = start(dataset=tagged)
    run.finish()
    assert pins(records, run) == [("drifted", tagged)]


def test_a_version_that_was_never_tagged_is_an_error_and_leaves_no_run(start, folder):
    with pytest.raises(NotFound, match="no dataset version"):
        start(dataset="pallets@v9")
    assert list(folder.run_folders()) == []


@pytest.mark.parametrize("given", ["{data}", "{tagged}"])
def test_the_policy_require_refuses_data_that_differs(start, folder, tagged, data, policy, given):
    policy("require")
    (data.parent / "labels/val/0.txt").write_text("0 0.5 0.5 0.3 0.3\n")
    with pytest.raises(Refused, match="requires a tagged dataset") as refusal:
        start(dataset=given.format(data=data, tagged=tagged))
    assert "epochal dataset tag" in refusal.value.remedy
    assert list(folder.run_folders()) == []


def test_the_policy_require_refuses_untagged_data_and_leaves_no_run(start, folder, data, policy):
    policy("require")
    with pytest.raises(Refused, match="requires a tagged dataset") as refusal:
        start(dataset=data)
    assert f"epochal dataset tag {data} NAME@TAG" in refusal.value.remedy
    spaced = data.rename(data.with_name("with space.yaml"))
    with pytest.raises(Refused) as refusal:
        start(dataset=spaced)
    assert f"epochal dataset tag '{spaced}' NAME@TAG" in refusal.value.remedy
    assert list(folder.run_folders()) == []
    assert list(folder.journals()) == []
    assert current() is None


def test_the_policy_require_holds_for_a_resumed_run(start, folder, records, tagged, data, policy):
    policy("require")
    first = start(dataset=tagged)
    first.finish()
    before = sorted((first.folder / "journal").iterdir())
    (data.parent / "labels/val/0.txt").write_text("0 0.5 0.5 0.3 0.3\n")
    with pytest.raises(Refused):
        start(dataset=tagged, resume=first.id)
    assert sorted((first.folder / "journal").iterdir()) == before


def test_data_that_is_not_there_leaves_no_run(start, folder, tmp_path):
    with pytest.raises(InvalidInput, match=r"no data\.yaml"):
        start(dataset=tmp_path / "missing.yaml")
    assert list(folder.run_folders()) == []


def test_the_policy_require_takes_a_tagged_version(start, records, tagged, policy):
    policy("require")
    run = start(dataset=tagged)
    run.finish()
    assert pins(records, run) == [("verified", tagged)]


def test_the_policy_auto_tags(start, records, data, policy):
    policy("auto")
    run = start(dataset=data)
    run.finish()
    ((state, name),) = pins(records, run)
    assert state == "verified"
    assert "@auto-" in name


def test_files_that_changed_during_the_training_are_noticed(start, records, tagged, data, capsys):
    run = start(dataset=tagged)
    wait_for_first_look(run)
    (data.parent / "images/train/1.jpg").write_bytes(b"another image")
    run.finish()
    assert pins(records, run) == [("verified", tagged), ("drifted", tagged)]
    last = records(run, Pinned)[-1]
    assert last.digest == records(run, Pinned)[0].digest
    assert "changed during the training: " in last.detail
    assert [n.code for n in records(run, Notice)] == ["dataset-changed"]
    assert "changed during the training" in capsys.readouterr().err


@pytest.mark.parametrize("changed", [False, True])
def test_a_script_that_never_finishes_its_run_is_watched_to_its_end(
    script, records, tagged, data, changed
):
    """No thread can be started while an interpreter ends, which is when such a run does."""
    change = f"open({str(data.parent / 'images/train/1.jpg')!r}, 'wb').write(b'another')\n"
    one = script(
        f"import epochal\nrun = epochal.init('p', 'v1_baseline', dataset={tagged!r})\n"
        + FIRST_LOOK
        + (change if changed else "")
    )
    code, said = one.end()
    assert code == 0, said
    (run,) = (one.folder.root / "runs").iterdir()
    states = [state for state, _ in pins(records, run)]
    assert states == (["verified", "drifted"] if changed else ["verified"])
    assert [n.code for n in records(run, Notice)] == (["dataset-changed"] if changed else [])


def test_untagged_files_that_changed_are_noticed_as_well(start, records, data):
    run = start(dataset=data)
    wait_for_first_look(run)
    (data.parent / "images/train/1.jpg").unlink()
    run.finish()
    assert "dataset-changed" in {n.code for n in records(run, Notice)}


def test_data_that_is_gone_at_the_end_is_noticed(start, records, tagged, data):
    run = start(dataset=tagged)
    wait_for_first_look(run)
    data.rename(data.with_name("moved.yaml"))
    run.finish()
    assert "cannot be read any more" in records(run, Pinned)[-1].detail


def test_a_check_that_takes_too_long_does_not_hold_the_training_up(
    start, records, data, monkeypatch
):
    import threading

    release = threading.Event()
    monkeypatch.setattr(pinning, "_PATIENCE", 0.1)

    def found(folder, dataset):
        release.wait(10)
        return Pinned(dataset=dataset)

    monkeypatch.setattr(pinning, "_found", found)
    run = start(dataset=data)
    run.finish()
    release.set()
    (pin,) = records(run, Pinned)
    assert (pin.state, pin.dataset) == ("unchecked", str(data))
    assert "had not ended" in pin.detail


def test_a_killed_training_does_not_wait_for_a_scan(start, records, tagged, data):
    run = start(dataset=tagged)
    wait_for_first_look(run)
    (data.parent / "images/train/1.jpg").write_bytes(b"another image")
    run.finish("killed", "SIGTERM")
    assert pins(records, run) == [("verified", tagged)]
