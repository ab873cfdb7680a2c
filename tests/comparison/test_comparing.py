from __future__ import annotations

import json
import math

import numpy as np
import pytest

import epochal
from epochal.analysis.metrics import DEFAULT_REGISTRY
from epochal.comparison import compare
from epochal.errors import InvalidInput, NotFound
from epochal.evaluation import build_classification

MAP = "metrics/mAP50-95(B)"
RISE = [0.5 * (1 - 0.8**i) for i in range(1, 31)]


def compared(store, *names, metric="mAP50-95", **options):
    documents = [store.find_run(name) for name in names]
    return compare(store, documents, metric=metric, registry=DEFAULT_REGISTRY, **options)


def test_the_verdict_says_who_is_ahead_by_what_and_because_of_what(lab):
    lab.train("v1_a", RISE, config={"imgsz": 96})
    lab.train("v2_b", [v + 0.02 for v in RISE], config={"imgsz": 160})
    lab.train("v3_c", [v - 0.02 for v in RISE], config={"imgsz": 160, "lr0": 0.1})
    with lab.store() as store:
        found = compared(store, "v1_a", "v2_b", "v3_c")
    (ahead, cause), (behind, confounded) = found.verdicts
    assert ahead == (
        "v2_b is ahead of v1_a by 2.0 points mAP50-95 by the mean of the last 5 evaluations of "
        "training: 0.519 against 0.499."
    )
    assert cause == "One change: imgsz 96 -> 160."
    assert behind.startswith("v3_c is behind v1_a by 2.0 points")
    assert confounded.startswith("CONFOUNDED, 2 changes at once")
    assert found.notes == ()
    assert [row.curve.stats.n for row in found.runs] == [30, 30, 30]


def test_comparable_evaluations_stand_above_the_curves(lab, evaluation):
    lab.train("v1_a", RISE, evaluation=evaluation(0.4, {"pallet": 0.5, "drum": 0.3}))
    lab.train("v2_b", RISE, evaluation=evaluation(0.43, {"pallet": 0.6, "drum": 0.2}, imgsz=160))
    with lab.store() as store:
        found = compared(store, "v1_a", "v2_b")
    (verdict,) = found.verdicts
    assert verdict[0] == (
        "v2_b is ahead of v1_a by 3.0 points mAP50-95 on val (50 images, epochal/coco101): "
        "0.430 against 0.400."
    )
    assert "Kept less than 90 % of v1_a's AP: drum (67 %, 100 objects)." in verdict
    (table,) = found.splits
    assert table.conditions == ("imgsz: 96 against 160",)
    assert [row.retention for row in table.classes] == [
        (1.0, pytest.approx(1.2)),
        (1.0, pytest.approx(2 / 3)),
    ]


def test_classes_of_classifiers_are_compared_by_recall(lab):
    def classified(hits):
        """Two classes of ten images each, and how many of each were told."""
        truth = np.repeat([0, 1], 10)
        told = np.concatenate([np.arange(10) < n for n in hits])
        return build_classification(
            truth,
            np.eye(2)[np.where(told, truth, 1 - truth)],
            images=[f"{i}.jpg" for i in range(20)],
            classes=("pallet", "drum"),
            split="val",
            dataset="parts@v1",
        )[0]

    lab.train("v1_a", RISE, key="metrics/accuracy_top1", evaluation=classified((8, 10)))
    lab.train("v2_b", RISE, key="metrics/accuracy_top1", evaluation=classified((10, 5)))
    with lab.store() as store:
        found = compared(store, "v1_a", "v2_b", metric="accuracy_top1")
    (table,) = found.splits
    assert table.class_noun == "recall"
    assert [row.ap for row in table.classes] == [(0.8, 1.0), (1.0, 0.5)]
    assert "Kept less than 90 % of v1_a's recall: drum (50 %, 10 images)." in found.verdicts[0]


def test_evaluations_on_other_data_are_shown_and_not_compared(lab, evaluation):
    lab.train("v1_a", RISE, evaluation=evaluation(0.4, {"pallet": 0.5}))
    lab.train("v2_b", RISE, evaluation=evaluation(0.9, {"pallet": 0.1}, dataset="pallets@v2"))
    lab.train("v3_c", RISE, evaluation=evaluation(0.5, {"pallet": 0.6}))
    lab.train("v4_d", RISE)
    with lab.store() as store:
        found = compared(store, "v1_a", "v2_b", "v3_c", "v4_d")
    (table,) = found.splits
    assert table.not_comparable == {
        "v2_b": ("images and labels of the split: pallets@v1 against pallets@v2",)
    }
    assert table.missing == (3,)
    assert table.metrics["mAP50-95"] == (0.4, 0.9, 0.5, None)
    assert "on val" not in found.verdicts[0][0]
    assert not any("Kept less" in said for said in found.verdicts[0])
    assert "10.0 points mAP50-95 on val" in found.verdicts[1][0]
    assert "on val" not in found.verdicts[2][0]


def test_a_run_without_the_metric_does_not_stop_the_others(lab):
    lab.train("v1_a", RISE)
    lab.train("v2_none", ())
    lab.train("v3_c", RISE)
    with lab.store() as store:
        found = compared(store, "v1_a", "v2_none", "v3_c")
        assert [row.key for row in found.runs] == [MAP, "", MAP]
        assert found.verdicts[0][0] == (
            "v2_none cannot be set against v1_a: v2_none has no mAP50-95."
        )
        assert "it logged nothing" in found.runs[1].verdict
        assert "equals" in found.verdicts[1][0]
        with pytest.raises(NotFound, match="v2_none has no metric"):
            compared(store, "v1_a", "v2_none", require_metric=True)
        with pytest.raises(NotFound, match="top1"):
            compared(store, "v1_a", "v3_c", metric="top1")


def test_runs_of_different_length_are_also_compared_where_the_shorter_ended(lab):
    lab.train("v1_long", RISE, config={"epochs": 30})
    lab.train("v2_short", [v + 0.1 for v in RISE[:10]], config={"epochs": 10})
    with lab.store() as store:
        found = compared(store, "v1_long", "v2_short")
    assert found.verdicts[0][-1] == (
        "Up to epoch 10, where v2_short ended, v2_short had 0.546 and v1_long 0.446; "
        "v1_long went on to epoch 30."
    )
    assert any("planned for different numbers of epochs" in note for note in found.notes)


def test_a_resumed_run_counts_once_and_is_noted(lab):
    lab.train("v1_a", RISE)
    run = lab.train("v2_b", [0.9] * 20)
    again = epochal.init(resume=run, workspace=lab.folder.root, capture=False)
    for epoch in range(11, 31):
        again.log({MAP: RISE[epoch - 1]}, step=epoch, epoch=epoch)
    again.finish()
    with lab.store() as store:
        found = compared(store, "v1_a", "v2_b")
    stats = found.runs[1].curve.stats
    assert (stats.n, stats.last) == (30, pytest.approx(RISE[-1]))
    assert any("v2_b was resumed: 2 attempts" in note for note in found.notes)


def test_nan_rates_and_twins_are_noted_and_everything_is_json(lab):
    lab.train("v1_a", [*RISE[:10], math.nan, math.inf, *RISE[12:]])
    lab.train("v2_twin", RISE)
    lab.train("v3_twin", RISE)
    lab.train("v4_rare", RISE[::5], every=5)
    with lab.store() as store:
        found = compared(store, "v1_a", "v2_twin", "v3_twin", "v4_rare")
    notes = "\n".join(found.notes)
    assert "v1_a: 2 values are NaN or infinite" in notes
    assert "v2_twin and v3_twin have identical curves" in notes
    assert "v4_rare every 5 epochs, the others every epoch" in notes
    import msgspec

    values = json.loads(msgspec.json.encode(found))["curves"]["v1_a"]
    assert [v for _, v in values[10:12]] == ["NaN", "Infinity"]


def test_a_metric_of_which_less_is_better_is_judged_so(lab):
    for name, shift in (("v1_a", 0.0), ("v2_b", 0.1)):
        lab.train(name, [1 - v + shift for v in RISE], key="val/box_loss")
    with lab.store() as store:
        found = compared(store, "v1_a", "v2_b", metric="val/box_loss")
    assert found.direction == "min"
    assert found.verdicts[0][0].startswith("v2_b is behind v1_a by 0.1 ")


def test_the_data_is_told_in_one_line(lab, tmp_path):
    from epochal.datasets import save_manifest, tag
    from epochal.records import Pinned

    root = tmp_path / "data"
    for split in ("train", "val"):
        (root / "images" / split).mkdir(parents=True)
        (root / "images" / split / "a.jpg").write_bytes(split.encode())
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a]\n")
    pins = []
    for version in ("v1", "v2"):
        done = tag(root / "data.yaml", f"pallets@{version}", existing={})
        save_manifest(lab.folder.datasets, done.manifest)
        pins.append(Pinned(dataset=f"pallets@{version}", digest=done.manifest.digest))
        (root / "images" / "train" / "b.jpg").write_bytes(b"more")
    for name, pin in zip(("v1_a", "v2_b"), pins, strict=True):
        lab.train(name, RISE, pin=pin)
    lab.train("v3_c", RISE)
    with lab.store() as store:
        found = compared(store, "v1_a", "v2_b", "v3_c")
    first, second = found.differences
    assert first.dataset == "pallets@v1 -> pallets@v2: +1 image in train"
    assert first.count == 1
    assert found.verdicts[0][1] == "One change: dataset pallets@v1 -> pallets@v2."
    assert second.unpinned == ("v3_c",)


def test_too_few_and_repeated_runs_are_refused(lab):
    lab.train("v1_a", RISE)
    with lab.store() as store:
        with pytest.raises(InvalidInput, match="at least two"):
            compared(store, "v1_a")
        with pytest.raises(InvalidInput, match="twice"):
            compared(store, "v1_a", "v1_a")


def test_runs_of_one_name_are_told_apart(lab):
    first, second = lab.train("same", RISE), lab.train("same", RISE)
    with lab.store() as store:
        found = compare(
            store,
            [store.run(first), store.run(second)],
            metric="mAP50-95",
            registry=DEFAULT_REGISTRY,
        )
    assert list(found.curves) == [f"same ({first[:8]})", f"same ({second[:8]})"]
