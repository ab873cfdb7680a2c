from __future__ import annotations

from epochal.lessons import draft_lesson, draft_result

RISE = tuple(0.5 * (1 - 0.8**i) for i in range(1, 31))


def test_a_first_run_is_described_by_itself(lab):
    run = lab.train("v1_baseline", RISE, config={"epochs": 30})
    with lab.store() as store:
        said = draft_result(store, store.run(run))
    assert said == "mAP50-95 0.499 (at epoch 30 of 30)."


def test_it_is_measured_against_parent_and_baseline(lab):
    lab.train("v1_baseline", RISE, config={"imgsz": 96})
    lab.train("v2_more", [v + 0.02 for v in RISE], config={"imgsz": 96, "lr0": 0.02})
    run = lab.train(
        "v3_imgsz_160",
        [v + 0.05 for v in RISE],
        config={"imgsz": 160, "lr0": 0.02},
        parent="v2_more",
        hypothesis="small pallets need pixels",
    )
    with lab.store() as store:
        baseline = store.find_run("v1_baseline")
        draft = draft_lesson(store, store.run(run), baseline=baseline)
    assert draft.hypothesis == "small pallets need pixels"
    assert draft.change == "1 change: imgsz 96 -> 160 (against v2_more)"
    assert draft.result.startswith(
        "mAP50-95 0.549 (at epoch 30), +3.0 points against v2_more over the last 5 evaluations "
        "and +5.0 points against the baseline v1_baseline over the last 5 evaluations."
    )


def test_parent_and_baseline_in_one_are_named_once(lab):
    lab.train("v1_baseline", RISE)
    run = lab.train("v2_worse", [v - 0.01 for v in RISE], parent="v1_baseline")
    with lab.store() as store:
        said = draft_result(store, store.run(run), baseline=store.find_run("v1_baseline"))
    assert "-1.0 points against its parent and baseline v1_baseline" in said
    assert said.count("v1_baseline") == 1


def test_failure_is_told(lab):
    run = lab.train("v1_crash", RISE[:3], fail="Traceback ...\nCUDA out of memory.\n")
    with lab.store() as store:
        assert draft_result(store, store.run(run)).endswith("It failed: CUDA out of memory.")
    run = lab.train("v2_crash", (), fail="no such file: data.yaml")
    with lab.store() as store:
        assert draft_result(store, store.run(run)) == "It failed: no such file: data.yaml."


def test_a_run_without_the_metric_says_so_and_one_of_nan_too(lab):
    run = lab.train("v1_other", RISE)
    nan = lab.train("v2_nan", [float("nan")] * 3, parent="v1_other")
    with lab.store() as store:
        assert draft_result(store, store.run(run), metric="top1") == "Logged no accuracy_top1."
        assert draft_result(store, store.run(nan)) == "Logged no mAP50-95."


def test_a_parent_that_lacks_the_metric_or_is_not_here_is_left_out(lab):
    lab.train("v1_empty", ())
    for parent in ("v1_empty", "nobody"):
        run = lab.train(f"v2_from_{parent}", RISE, parent=parent)
        with lab.store() as store:
            assert "against" not in draft_result(store, store.run(run))
