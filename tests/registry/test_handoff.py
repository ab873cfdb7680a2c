import json
import shutil
import subprocess

import pytest

from epochal.errors import NotFound, Refused
from epochal.records import Artifact
from epochal.registry.handoff import hand_off, verify_bundle
from epochal.store.store import Store


@pytest.fixture
def bundle(shipped, tmp_path):
    store, run = shipped
    hand_off(store, run, tmp_path / "ship" / "v1")
    return tmp_path / "ship" / "v1"


def test_a_bundle_has_all_there_is(bundle, shipped):
    _, run = shipped
    names = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    evaluations = {name for name in names if name.startswith("evaluations/")}
    assert names - evaluations == {
        "MODEL_CARD.md",
        "SHA256SUMS",
        "bundle.json",
        "config.json",
        "dataset.json",
        "decision.json",
        "decision.md",
        "lesson.md",
        "weights/best.pt",
    }
    assert len(evaluations) == 2
    assert (bundle / "weights/best.pt").read_bytes() == b"weights"
    assert json.loads((bundle / "config.json").read_bytes())["requested"] == run.config
    found = verify_bundle(bundle)
    assert found.problems == ()
    assert found.bundle is not None
    assert (found.bundle.name, found.bundle.override) == ("v1_baseline", "")
    assert [text.partition(":")[0] for text in found.bundle.missing] == ["dataset manifest"]


def test_the_model_card_says_what_was_measured_as_plain_text(bundle):
    card = (bundle / "MODEL_CARD.md").read_text()
    for expected in ("# v1\\_baseline", "**ship.**", "| mAP50-95 | 0.400 |", "it does"):
        assert expected in card
    assert "fork\\|lift" in card
    assert "\\<script\\>" in card
    rows = [line for line in card.splitlines() if line.startswith("| fork")]
    assert rows == 2 * ["| fork\\|lift | 200 | 0.400 | – | – |"]


def test_anybody_can_check_it(bundle):
    done = subprocess.run(
        ["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=bundle, capture_output=True, check=False
    )
    assert done.returncode == 0


def test_it_is_verified_where_it_arrives(bundle, tmp_path):
    arrived = tmp_path / "arrived"
    shutil.copytree(bundle, arrived)
    (arrived / "weights/best.pt").write_bytes(b"wfights")
    (arrived / "lesson.md").unlink()
    (arrived / "extra.txt").write_text("x")
    found = verify_bundle(arrived)
    assert set(found.problems) == {
        "weights/best.pt is not what was sent",
        "lesson.md is missing",
        "extra.txt was not sent",
        "weights/best.pt are not the weights that were handed off",
    }


def resummed(bundle):
    """Write the checksums again, as a forger would."""
    names = [p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()]
    names = sorted(name for name in names if name != "SHA256SUMS")
    done = subprocess.run(["sha256sum", *names], cwd=bundle, capture_output=True, check=True)
    (bundle / "SHA256SUMS").write_bytes(done.stdout)


def test_new_checksums_do_not_make_other_weights_ship(bundle):
    (bundle / "weights/best.pt").write_bytes(b"others")
    resummed(bundle)
    assert verify_bundle(bundle).problems == (
        "weights/best.pt are not the weights that were handed off",
    )


def test_an_edited_decision_shows(bundle):
    text = (bundle / "decision.json").read_text()
    (bundle / "decision.json").write_text(text.replace('"verdict":"ship"', '"verdict" : "ship"'))
    resummed(bundle)
    assert verify_bundle(bundle).problems == ("decision.json is not the decision that was taken",)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b"])
def test_checksums_name_nothing_outside(bundle, name):
    with (bundle / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")
    from epochal.errors import InvalidInput

    with pytest.raises(InvalidInput):
        verify_bundle(bundle)


def test_without_a_ship_it_takes_a_reason(folder, record_run, tmp_path):
    with Store(folder) as store:
        digest = store.blobs.put(b"weights")
    run = record_run(
        bodies=[Artifact(key="weights/last.pt", digest=digest, size=7, role="weights")]
    )
    with Store(folder) as store:
        document = store.run(run)
        with pytest.raises(Refused, match="nobody has decided"):
            hand_off(store, document, tmp_path / "v1")
        assert not (tmp_path / "v1").exists()
        made = hand_off(store, document, tmp_path / "v1", override="trial on line 2")
    assert made.override == "trial on line 2"
    assert "trial on line 2" in (tmp_path / "v1/MODEL_CARD.md").read_text()
    assert verify_bundle(tmp_path / "v1").problems == ()


def test_a_run_without_weights_has_nothing_to_hand_off(folder, record_run, tmp_path):
    run = record_run()
    with Store(folder) as store, pytest.raises(NotFound, match="no weights"):
        hand_off(store, store.run(run), tmp_path / "v1", override="x")
    assert list(tmp_path.glob("*v1*")) == []


def test_nothing_is_overwritten(shipped, bundle):
    store, run = shipped
    with pytest.raises(Refused, match="not empty"):
        hand_off(store, run, bundle)


def test_what_is_no_bundle(tmp_path):
    with pytest.raises(NotFound):
        verify_bundle(tmp_path)
