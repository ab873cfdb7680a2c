"""Trainings and validations of classifiers: the outcome of every image, and decisions on them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.yolo.classes import CLASSES, QUICK, SIZES, with_torchvision, write_classes
from tests.yolo.conftest import Yolo, evaluations

from epochal.evaluation import Evaluation, Outcomes
from epochal.evaluation.storage import load_records
from epochal.journal.folder import Folder

pytestmark = pytest.mark.slow

CHARTER = """project = "p"
metric = "accuracy_top1"
evaluator = "epochal/classification"
min_gain = 0.02
"""


def arguments(**changed: object) -> list[str]:
    return [f"{key}={value}" for key, value in {**QUICK, **changed}.items()]


@dataclass(frozen=True)
class Classified:
    """Two trainings, and what Ultralytics says of the second one's weights by itself."""

    yolo: Yolo
    data: Path
    env: dict[str, str]
    theirs: dict[str, dict[str, float]]
    predicted: dict[str, str]
    """Image of val -> class, by Ultralytics' own prediction of each file."""

    def copied_to(self, folder: Path) -> Yolo:
        shutil.copytree(self.yolo.folder / ".epochal", folder / ".epochal")
        return Yolo(self.yolo.python, folder)

    @property
    def best(self) -> Path:
        return self.yolo.folder / "runs/classify/v2_long/weights/best.pt"


@pytest.fixture(scope="module")
def classified(yolo_python: str, tmp_path_factory: pytest.TempPathFactory) -> Classified:
    folder = tmp_path_factory.mktemp("classified")
    Folder.create(folder)
    yolo = Yolo(yolo_python, folder)
    env = with_torchvision(yolo)
    data = write_classes(folder / "tints")
    for name, epochs in (("v1_short", 2), ("v2_long", 10)):
        command = arguments(data="tints", epochs=epochs, name=name)
        yolo.run(*yolo.launch("--project", "p", "--", "classify", "train", *command), **env)
    found = yolo.script(
        f"""
import json
from pathlib import Path
from ultralytics import YOLO
best, data = "runs/classify/v2_long/weights/best.pt", Path({str(data)!r})
said = {{
    split: YOLO(best).val(
        data=str(data), split=split, imgsz=32, batch=16, device="cpu", plots=False
    ).results_dict
    for split in ("val", "test")
}}
model = YOLO(best)
predicted = {{
    file.relative_to(data).as_posix(): model.names[
        model.predict(file, imgsz=32, device="cpu", verbose=False)[0].probs.top1
    ]
    for file in sorted(data.glob("val/*/*.bmp"))
}}
print("\\n" + json.dumps([said, predicted]))
""",
        **env,
    )
    theirs, predicted = json.loads(found.strip().splitlines()[-1])
    return Classified(yolo, data, env, theirs, predicted)


def outcomes_of(yolo: Yolo, evaluation: Evaluation) -> Outcomes:
    with yolo.store() as store:
        found = load_records(store.blobs, evaluation)
    assert isinstance(found, Outcomes)
    return found


def test_the_final_validation_keeps_the_outcome_of_every_image(classified: Classified) -> None:
    yolo = classified.yolo
    run = yolo.runs()[-1]
    with yolo.store() as store:
        found = evaluations(store, run)
    theirs = found["final validation", "val", "ultralytics"]
    ours = found["final validation", "val", "epochal"]
    for name in ("accuracy_top1", "accuracy_top5"):
        printed = classified.theirs["val"][f"metrics/{name}"]
        assert theirs.metrics[name] == pytest.approx(printed, abs=1e-6)
        assert ours.metrics[name] == pytest.approx(printed, abs=1e-6)
    assert 0.5 < ours.metrics["accuracy_top1"] < 1.0  # else it would say little
    assert (theirs.evaluator, ours.evaluator) == ("ultralytics/8.4.180", "epochal/classification")
    assert theirs.outcomes == ""
    assert (theirs.images, ours.images) == (SIZES["val"], SIZES["val"])
    assert ours.classes == CLASSES
    assert not run.notices or all(n.body.code != "evaluation" for n in run.notices)
    outcomes = outcomes_of(yolo, ours)
    # Drawn in random order, and of the same name in every class: told apart nevertheless.
    assert outcomes.images == tuple(sorted(classified.predicted))
    said = {name: CLASSES[c] for name, c in zip(outcomes.images, outcomes.predicted, strict=True)}
    assert said == classified.predicted
    true = [CLASSES[c] for c in outcomes.true]
    assert true == [name.split("/")[1] for name in outcomes.images]
    assert sum(map(sum, ours.confusion.matrix)) == SIZES["val"]
    recalls = [result.recall for result in ours.per_class]
    assert sum(recalls) / 3 == pytest.approx(ours.metrics["accuracy_mean_class"])


def test_val_on_its_own_is_the_same_and_test_is_a_look(
    classified: Classified, tmp_path: Path
) -> None:
    yolo = classified.copied_to(tmp_path)
    before = yolo.runs()[-1]
    for split in ("val", "test"):
        command = (f"model={classified.best}", f"data={classified.data}", f"split={split}")
        more = ("imgsz=32", "batch=16", "device=cpu", "plots=False")
        yolo.run(*yolo.launch("classify", "val", *command, *more), **classified.env)
    run = yolo.runs()[-1]
    assert run.id == before.id
    with yolo.store() as store:
        found = evaluations(store, run)
        looks = [governed.body for governed in store.governance("look")]
    final = found["final validation", "val", "epochal"]
    alone = found["validation", "val", "epochal"]
    assert alone.fingerprint == final.fingerprint
    assert alone.split_digest
    assert alone.outcomes == final.outcomes  # the same bytes
    test = found["validation", "test", "epochal"]
    printed = classified.theirs["test"]["metrics/accuracy_top1"]
    assert test.metrics["accuracy_top1"] == pytest.approx(printed, abs=1e-6)
    assert [look.state for look in looks] == ["opened", "completed"]
    assert looks[0].n_images == SIZES["test"]
    assert looks[1].result["accuracy_top1"] == pytest.approx(printed, abs=1e-6)


def test_a_classifier_is_decided_on(classified: Classified, tmp_path: Path) -> None:
    yolo = classified.copied_to(tmp_path)
    (yolo.folder / "epochal.toml").write_text(CHARTER)

    def epochal(*argv: str, code: int = 0) -> str:
        return yolo.run("-m", "epochal", *argv, code=code, **classified.env)

    epochal("charter", "apply", "-m", "classifiers")
    epochal("dataset", "tag", str(classified.data), "tints@v1", "-m", "the first")
    for run in ("v1_short", "v2_long"):
        epochal("evaluate", run, "--split", "val")
    epochal("baseline", "v1_short", "-m", "the first")
    epochal("evaluate", "v1_short", "--split", "test")
    shown = epochal("evaluate", "v2_long", "--split", "test")
    assert "gate 3" in shown
    decided = json.loads(epochal("decide", "v2_long", "--json"))
    noise, classes, test, _ = decided["gates"]
    assert decided["verdict"] == "ship"
    for gate in (noise, test):
        assert gate["outcome"] == "pass"
        assert "with 95 % confidence" in gate["sentence"]
    assert "recall" in classes["sentence"]
    assert decided["evidence"] == "E2"


def test_loading_processes_and_passes_drawn_ahead_do_not_confuse_images(
    classified: Classified,
) -> None:
    """On a CPU Ultralytics loads in its own process; on a GPU in several, two epochs ahead."""
    output = classified.yolo.script(
        f"""
import numpy as np, torch
from types import SimpleNamespace
from ultralytics.cfg import get_cfg
from ultralytics.data import ClassificationDataset, build_dataloader
from epochal.integrations.ultralytics.rankings import Rankings
from epochal.integrations.ultralytics.validation import order_of
args = get_cfg(overrides={{"task": "classify", "imgsz": 32}})
data = ClassificationDataset({str(classified.data / "val")!r}, args, prefix="val")
loader = build_dataloader(data, 16, 2)
assert loader.num_workers == 2, loader.num_workers
validator = SimpleNamespace(dataloader=loader)
seen = []
for number in range(5):
    order = order_of(validator)
    rankings = Rankings(order)
    for at, batch in enumerate(loader):
        for i, image in zip(order.batch(at), batch["img"], strict=True):
            assert torch.equal(data[i]["img"], image)
        rankings.add(torch.eye(3)[batch["cls"]], batch)
    assert len(set(rankings.files)) == len(data) == {SIZES["val"]}
    assert set(rankings.place) == {{0}}
    seen.append(rankings.files)
    assert len(order._passes) < 6  # what was drawn ahead, not all there was
assert seen[0] != seen[1]
late = build_dataloader(data, 16, 2)
next(iter(late))
assert order_of(SimpleNamespace(dataloader=late)) is None
plain = torch.utils.data.DataLoader(data, batch_size=16)
assert order_of(SimpleNamespace(dataloader=plain)) is None
print("told apart")
""",
        **classified.env,
    )
    assert "told apart" in output


def test_a_loader_that_does_not_say_what_it_draws_leaves_the_printed_numbers(
    classified: Classified, tmp_path: Path
) -> None:
    yolo = classified.copied_to(tmp_path)
    yolo.script(
        f"""
from epochal.integrations.ultralytics import install
install()
import torch
from ultralytics import YOLO
from ultralytics.models.yolo.classify import ClassificationValidator

class Own(ClassificationValidator):
    def get_dataloader(self, path, batch_size):
        return torch.utils.data.DataLoader(self.build_dataset(path), batch_size=batch_size)

YOLO({str(classified.best)!r}).val(
    validator=Own, data={str(classified.data)!r}, imgsz=32, device="cpu", plots=False
)
""",
        **classified.env,
    )
    run = yolo.runs()[-1]
    with yolo.store() as store:
        found = evaluations(store, run)
    assert ("validation", "val", "epochal") not in found
    printed = found["validation", "val", "ultralytics"]
    expected = classified.theirs["val"]["metrics/accuracy_top1"]
    assert printed.metrics["accuracy_top1"] == pytest.approx(expected, abs=1e-6)
    (notice,) = (n.body for n in run.notices if n.body.code == "evaluation")
    assert "does not say which images it draws" in notice.text


def test_require_holds_for_folders_of_classes(classified: Classified, tmp_path: Path) -> None:
    yolo = Yolo(classified.yolo.python, tmp_path)
    Folder.create(tmp_path)
    data = write_classes(tmp_path / "tints", {"train": 18, "val": 6})
    (tmp_path / "epochal.toml").write_text('project = "p"\ndataset_policy = "require"\n')
    train = yolo.launch("classify", "train", *arguments(data="tints", epochs=1))
    output = yolo.run(*train, code=1, **classified.env)
    assert "requires a tagged dataset" in output
    assert "epochal dataset tag" in output
    assert yolo.runs() == []
    yolo.run("-m", "epochal", "dataset", "tag", str(data), "tints@v1", "-m", "the first")
    yolo.run(*train, **classified.env)
    pin = yolo.the_run().pin
    assert pin is not None
    assert (pin.dataset, pin.state) == ("tints@v1", "verified")
