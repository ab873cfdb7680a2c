"""`epochal evaluate --ground-truth --predictions`, without a run."""

import json

import pytest
from click.testing import CliRunner
from tests.evaluation.conftest import random_boxes, to_coco
from tests.evaluation.test_evaluation_formats import write

from epochal.cli import main


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    truth, results = to_coco(random_boxes(3, 6, crowd=0.0))
    return write(tmp_path / "truth.json", truth), write(tmp_path / "results.json", results)


def evaluate(truth, predictions, *more):
    arguments = ["--ground-truth", truth, "--predictions", predictions, *more]
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def test_numbers(files):
    found = evaluate(*files, "--json", "--group-of", r"^(\d\d)")
    assert found.exit_code == 0, found.output
    (evaluation,) = json.loads(found.output)["evaluations"]
    assert evaluation["evaluator"] == "epochal/coco101"
    assert 0 < evaluation["metrics"]["mAP50-95"] < 1


def test_a_table(files):
    found = evaluate(*files)
    assert "mAP50-95" in found.output
    assert "class2" in found.output


def test_nothing_is_stored_on_error(files, tmp_path):
    truth, results = files
    rows = json.loads(results.read_text())
    rows[7]["image_id"] = 99
    found = evaluate(truth, write(results, rows))
    assert found.exit_code == 2
    assert "results.json, entry 7: image_id 99 is not in the ground truth" in found.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json", "truth.json"]
