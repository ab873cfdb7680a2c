from __future__ import annotations

import pytest

import epochal
from epochal.evaluation.document import ClassResult, Evaluation
from epochal.journal.folder import Folder
from epochal.store.store import Store

MAP = "metrics/mAP50-95(B)"


@pytest.fixture(autouse=True)
def _own_user(tmp_path, monkeypatch):
    """A user of the test's own: the list of known workspaces lies in the state folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("EPOCHAL_STRICT", "1")
    monkeypatch.setenv("EPOCHAL_AUTHOR", "Ada <ada@example.org>")
    monkeypatch.chdir(tmp_path)


class Lab:
    """A workspace in which trainings are recorded through the SDK."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def train(
        self,
        name,
        values=(0.1, 0.3, 0.5, 0.6),
        *,
        project="pallets",
        key=MAP,
        every=1,
        fail="",
        evaluation=None,
        look="",
        pin=None,
        **options,
    ):
        run = epochal.init(
            project=project,
            name=name,
            workspace=self.folder.root,
            capture=False,
            **options,
        )
        for i, value in enumerate(values):
            epoch = 1 + i * every
            run.log({key: value}, step=epoch, epoch=epoch)
        if pin is not None:
            run.pin(pin)
        if evaluation is not None:
            run.evaluation(evaluation, look=look)
        run.finish("failed" if fail else "finished", fail)
        return run.id

    def store(self):
        return Store(self.folder)


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "here").mkdir()
    return Lab(Folder.create(tmp_path / "here"))


@pytest.fixture
def make_lab(tmp_path):
    def make(name):
        (tmp_path / name).mkdir()
        return Lab(Folder.create(tmp_path / name))

    return make


@pytest.fixture
def evaluation():
    """Make the evaluation of a run from its mAP and the AP of each class."""
    return _evaluation


def _evaluation(value, ap, *, dataset="pallets@v1", split="val", imgsz=96, support=100):
    return Evaluation(
        split=split,
        dataset=dataset,
        images=50,
        evaluator="epochal/coco101",
        protocol={"imgsz": imgsz},
        classes=tuple(ap),
        metrics={"mAP50-95": value},
        per_class=tuple(
            ClassResult(
                id=i, name=name, images=40, instances=support, ap=score, ap50=None, ap75=None,
                precision=None, recall=None, f1=None, recall_at_precision=None,
                threshold_at_precision=None,
            )
            for i, (name, score) in enumerate(ap.items())
        ),
    )  # fmt: skip
