"""Latency documents: what compares with what, storing, and records from elsewhere."""

import json

import msgspec
import pytest

from epochal.errors import Damaged, InvalidInput, NotFound
from epochal.latency import (
    LatencyDocument,
    Launch,
    latency_key,
    load_latency,
    read_latency,
    store_latency,
    summarize,
)
from epochal.latency.document import decode, encode
from epochal.store.blobs import Blobs

CONDITIONS = {
    "measure": "latency",
    "stage": "e2e",
    "batch": 1,
    "imgsz": 640,
    "runtime": "ultralytics",
    "runtime_version": "8.4.190",
    "precision": "fp16",
    "device": "jetson",
}


def document(**changes):
    launches = (
        Launch(samples=tuple(float(i) for i in range(1, 101))),
        Launch(samples=tuple(float(i) for i in range(11, 111))),
    )
    fields = {
        "device": "jetson",
        "key": latency_key(CONDITIONS),
        "summary": summarize(launches),
        "launches": launches,
        "conditions": CONDITIONS,
        "name": "v2",
    }
    return LatencyDocument(**(fields | changes))


def test_summary_is_of_the_worst_launch():
    found = document().summary
    assert (found.p50, found.p90, found.p95, found.p99) == (55.0, 100.0, 105.0, 109.0)
    assert found.p95_upper == 109.0  # rank 99 of 100
    assert found.n == 200


@pytest.mark.parametrize(
    "change",
    [
        {"batch": 8},
        {"imgsz": 320},
        {"precision": "fp32"},
        {"runtime": "onnxruntime"},
        {"runtime_version": "8.5.0"},
        {"device": "desk"},
        {"threads": 4},
        {"stage": "infer"},
        {"power_mode": "battery"},
    ],
)
def test_other_conditions_have_another_key(change):
    assert latency_key(CONDITIONS | change) != latency_key(CONDITIONS)


@pytest.mark.parametrize(
    "change", [{"runtime_version": "8.4.191"}, {"n_images": 7}, {"anything": "else"}]
)
def test_what_does_not_matter_keeps_the_key(change):
    assert latency_key(CONDITIONS | change) == latency_key(CONDITIONS)


def test_stored_and_loaded(tmp_path):
    blobs = Blobs(tmp_path)
    kept = document(weights="w", throttled=True)
    record = store_latency(blobs, kept)
    assert load_latency(blobs, record.digest) == kept
    assert (record.device, record.key, record.n) == ("jetson", kept.key, 200)
    assert (record.p50, record.p95, record.p95_upper) == (55.0, 105.0, 109.0)
    assert record.conditions["weights"] == "w"
    assert record.conditions["throttled"] is True
    assert record.measure == "latency"


def test_encoding_round_trips():
    assert decode(encode(document())) == document()
    with pytest.raises(Damaged):
        decode(b"{}")


def write(tmp_path, content):
    path = tmp_path / "latency.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def test_what_the_command_printed_elsewhere(tmp_path):
    printed = msgspec.json.encode({"candidate": document(), "baseline": None, "recorded": []})
    assert read_latency(write(tmp_path, printed)) == document()
    assert read_latency(write(tmp_path, encode(document()))) == document()


def test_percentiles_are_computed_from_the_samples(tmp_path):
    flattering = msgspec.structs.replace(document().summary, p95=1.0, p95_upper=1.0)
    path = write(tmp_path, encode(document(summary=flattering, key="made up")))
    assert read_latency(path) == document()


def test_the_least_another_tool_has_to_say(tmp_path):
    path = write(
        tmp_path,
        {"device": "jetson", "samples_ms": [list(range(1, 101))], "conditions": {"imgsz": 640}},
    )
    found = read_latency(path)
    assert (found.device, found.summary.p95, found.summary.n) == ("jetson", 95, 100)
    assert found.conditions["batch"] == 1
    assert found.key == latency_key(found.conditions)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"device": "d", "samples_ms": [[1.0] * 58]}, "launch 1 has 58 samples. .*at least 59"),
        ({"device": "d", "samples_ms": [[-1.0] * 60]}, "launch 1 has a sample that is no time"),
        ({"device": "", "samples_ms": [[1.0] * 60]}, "names no device"),
        ({"device": "d", "samples_ms": []}, "samples_ms is empty"),
        ({"device": "d", "p95": 3.0}, "is not a latency"),
        (b"no json", "is not a latency"),
    ],
)
def test_what_is_refused(tmp_path, content, message):
    with pytest.raises(InvalidInput, match=message):
        read_latency(write(tmp_path, content))


def test_no_file(tmp_path):
    with pytest.raises(NotFound):
        read_latency(tmp_path / "nix.json")
