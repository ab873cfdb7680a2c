"""What Ultralytics writes, read as files; and its weights, timed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.yolo.conftest import Trained, Yolo

from epochal.evaluation.files import evaluate_files
from epochal.latency import load_latency

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> Yolo:
    shutil.copytree(trained.yolo.folder / ".epochal", tmp_path / ".epochal")
    return Yolo(trained.yolo.python, tmp_path)


def test_predictions_as_json_and_as_text_give_the_captured_numbers(
    trained: Trained, copy: Yolo
) -> None:
    copy.script(f"""
from ultralytics import YOLO
YOLO({str(trained.best)!r}).val(
    data={str(trained.data)!r}, split="val", imgsz=64, batch=8, device="cpu", workers=0,
    plots=False, save_json=True, save_txt=True, save_conf=True, project="found", name="val",
)
""")
    (folder,) = {path.parent for path in copy.folder.rglob("predictions.json")}
    as_json, *_ = evaluate_files(trained.data, folder / "predictions.json")
    as_text, *_ = evaluate_files(trained.data, folder / "labels")
    assert as_json.split_digest == as_text.split_digest
    for name in ("mAP50-95", "mAP50"):
        printed = trained.theirs["val"][f"metrics/{name}(B)"]
        # Scores are rounded to five decimals, and the definitions differ by up to a point.
        assert as_json.metrics[name] == pytest.approx(printed, abs=0.02)
        assert as_text.metrics[name] == pytest.approx(as_json.metrics[name], abs=0.005)


def test_latency_of_a_run(trained: Trained, copy: Yolo) -> None:
    run = copy.the_run()
    options = ("--launches", "2", "--runs", "60", "--warmup", "3", "--device", "bench")
    printed = json.loads(
        copy.run("-m", "epochal", "latency", "v1_baseline", *options, "--json").splitlines()[-1]
    )
    with copy.store() as store:
        (body,) = [stamped.body for stamped in store.run(run.id).latencies]
        document = load_latency(store.blobs, body.digest)
    assert printed["recorded"] == [run.id]
    assert document.weights == run.artifacts["weights/best.pt"].body.digest
    assert body.conditions["weights"] == document.weights
    assert document.device == "bench"
    known = {
        key: document.conditions[key] for key in ("runtime", "stage", "input", "nms", "imgsz")
    }
    assert known == {
        "runtime": "ultralytics",
        "stage": "e2e",
        "input": "real",
        "nms": "in",
        "imgsz": 64,
    }
    assert set(document.launches[0].stages) == {"preprocess", "inference", "postprocess"}
    assert 0 < document.summary.p50 <= document.summary.p95 <= document.summary.p95_upper
