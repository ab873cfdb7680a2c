"""`epochal latency`: into the run it belongs to, or onto the terminal."""

import json

import pytest
from click.testing import CliRunner

from epochal.cli import main
from epochal.latency import load_latency
from epochal.records import Artifact, Latency
from epochal.store.store import Store

QUICK = ("--launches", "2", "--runs", "60", "--warmup", "1")


def run(*arguments):
    return CliRunner().invoke(main, ["latency", *map(str, arguments)])


@pytest.fixture
def weights(folder):
    """The digest of some weights in the workspace."""
    with Store(folder) as store:
        return store.blobs.put(b"weights")


@pytest.fixture
def trained(record_run, weights):
    """A run that left weights."""
    best = Artifact(key="weights/best.pt", digest=weights, size=7, role="weights")
    return record_run("v2_imgsz_160", bodies=[best], config={"imgsz": 160})


def latencies(folder, run):
    with Store(folder) as store:
        return [stamped.body for stamped in store.run(run).latencies], store.blobs


def test_recorded_in_the_run(folder, trained, bare):
    found = run("v2_imgsz_160", "--command", bare([4.0]), "--device", "jetson", *QUICK)
    assert found.exit_code == 0, found.output
    assert "p95 at most" in found.output
    assert "jetson" in found.output
    [body], blobs = latencies(folder, trained)
    assert isinstance(body, Latency)
    assert (body.device, body.p95, body.p95_upper, body.n) == ("jetson", 4.0, 4.0, 120)
    assert body.conditions["imgsz"] == 160
    assert load_latency(blobs, body.digest).name == "v2_imgsz_160"


def test_in_turns_with_the_baseline(folder, trained, record_run, bare):
    other = record_run("v1_baseline")
    found = run(
        "v2_imgsz_160",
        "--baseline",
        "v1_baseline",
        "--command",
        bare([4.0]),
        "--baseline-command",
        bare([5.0], "other.py"),
        "--json",
        *QUICK,
    )
    assert found.exit_code == 0, found.output
    printed = json.loads(found.output)
    assert printed["candidate"]["key"] == printed["baseline"]["key"]
    assert printed["recorded"] == [trained, other]
    assert latencies(folder, other)[0][0].p50 == 5.0


def test_a_ratio_is_shown(trained, record_run, bare):
    record_run("v1_baseline")
    commands = ("--command", bare([4.0]), "--baseline-command", bare([5.0], "other.py"))
    found = run("v2_imgsz_160", "--baseline", "v1_baseline", *commands, *QUICK)
    assert "20.0% faster than the baseline" in found.output


def test_each_is_measured_at_its_own_image_size(trained, record_run, bare):
    record_run("v1_baseline", config={"imgsz": 96})
    commands = ("--command", bare([4.0]), "--baseline-command", bare([5.0], "other.py"))
    found = run("v2_imgsz_160", "--baseline", "v1_baseline", *commands, *QUICK)
    assert "with imgsz 160 against 96" in " ".join(found.output.split())
    found = run("v2_imgsz_160", "--baseline", "v1_baseline", *commands, "--imgsz", 128, *QUICK)
    assert "against" not in found.output


def test_measured_elsewhere(folder, trained, weights, tmp_path):
    file = tmp_path / "there.json"
    file.write_text(json.dumps({"device": "jetson", "samples_ms": [[3.0] * 100]}))
    found = run("v2_imgsz_160", "--from-json", file, "--json")
    assert found.exit_code == 0, found.output
    assert latencies(folder, trained)[0][0].p95_upper == 3.0
    document = json.loads(found.output)["candidate"]
    for measured, code in ((weights, 0), ("0" * 64, 2)):
        file.write_text(json.dumps(document | {"weights": measured}))
        found = run("v2_imgsz_160", "--from-json", file)
        assert found.exit_code == code, found.output
    assert "was measured with weights 000000000000" in found.output
    bodies, _ = latencies(folder, trained)
    assert [body.conditions.get("weights") for body in bodies] == [None, weights]


def test_a_command_without_a_workspace(tmp_path, monkeypatch, bare):
    monkeypatch.chdir(tmp_path)
    found = run("anything", "--command", bare([2.0]), "--json", *QUICK)
    assert found.exit_code == 0, found.output
    assert json.loads(found.output)["recorded"] == []
    assert list(tmp_path.glob(".epochal")) == []


def test_the_budget_of_the_charter(folder, trained, bare):
    (folder.root.parent / "epochal.toml").write_text(
        'project = "pallets"\nlatency_budget_ms = 5.0\nlatency_device = "jetson"\n'
    )
    spread = [4.0] * 58 + [6.0] * 2  # p95 is 4, its bound 6
    words = {(4.0,): "within the budget", (6.0,): "over the budget", tuple(spread): "its bound"}
    quick = ("--launches", "2", "--runs", "60", "--warmup", "0", "--device", "jetson")
    for times, word in words.items():
        found = run("v2_imgsz_160", "--command", bare(times), *quick)
        assert word in " ".join(found.output.split()), found.output
    found = run("v2_imgsz_160", "--command", bare([4.0]), *QUICK)
    assert "the charter's device is jetson" in " ".join(found.output.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("v9_missing",), "v9_missing"),
        (("v2_imgsz_160", "--runs", "10", "--command", "x"), "At least 59"),
        (("v2_imgsz_160", "--command", "/no/program"), "cannot be started"),
        (
            ("v2_imgsz_160", "--runner", "torchscript", "--python", "/no/python"),
            "cannot be started",
        ),
        (("v2_imgsz_160", "--from-json", "nix.json"), "nix.json does not exist"),
        (("v2_imgsz_160", "--images", "nix", "--command", "x"), "nix does not exist"),
    ],
)
def test_what_is_refused(folder, trained, arguments, message):
    found = run(*arguments)
    assert found.exit_code == 2
    assert message in found.output
    assert latencies(folder, trained)[0] == []


def test_a_run_without_weights(record_run):
    record_run("v1_baseline")
    found = run("v1_baseline")
    assert found.exit_code == 2
    assert "recorded no weights" in found.output
