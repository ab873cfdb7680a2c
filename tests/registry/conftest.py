import pytest

from epochal.decisions import decide
from epochal.decisions.charter import Charter
from epochal.evaluation.document import ClassResult, Evaluation
from epochal.evaluation.storage import store_evaluation
from epochal.records import Artifact, LessonWritten
from epochal.store.store import Store


@pytest.fixture
def rules():
    """The charter under which a first version ships."""
    return Charter(
        project="pallets",
        first_version_approver="Test Author",
        first_version_floors={"mAP50-95": 0.3},
    )


@pytest.fixture
def shipped(folder, rules, record_run):
    """Return (store, run): a first version that its approver decided to ship, with all it has."""
    with Store(folder) as store:
        weights = store.blobs.put(b"weights")
        evaluations = [
            store_evaluation(store.blobs, evaluation(split, weights)) for split in ("val", "test")
        ]
        store.close()
    run = record_run(
        "v1_baseline",
        config={"imgsz": 640, "note": "a|b\n<script>"},
        hypothesis="it finds pallets",
        bodies=[
            Artifact(key="weights/best.pt", digest=weights, size=7, role="weights"),
            *evaluations,
            LessonWritten(result="it does", text="More of *this*."),
        ],
    )
    with Store(folder) as store:
        decision = decide(store, store.run(run), None, charter=rules, version=1)
        assert decision.verdict == "ship", decision.sentence
        yield store, store.run(run)


def evaluation(split, weights, score=0.4):
    return Evaluation(
        split=split,
        dataset="pallets@v1",
        images=100,
        weights=weights,
        evaluator="epochal/coco101",
        classes=("pallet", "fork|lift"),
        metrics={"mAP50-95": score, "mAP50": 0.6},
        per_class=(
            ClassResult(
                id=0,
                name="fork|lift",
                images=50,
                instances=200,
                ap=score,
                ap50=0.6,
                ap75=0.3,
                precision=0.9,
                recall=0.8,
                f1=0.85,
                recall_at_precision=None,
                threshold_at_precision=None,
            ),
        ),
    )
