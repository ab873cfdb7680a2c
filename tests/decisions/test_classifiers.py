"""A classifier's accuracy is decided on as a detector's mAP is: by drawing its images again."""

import numpy as np
import pytest

from epochal.decisions import decide
from epochal.decisions.bootstrap import bootstrap, can_resample, class_metric
from epochal.decisions.charter import Charter
from epochal.decisions.ledger import complete_look, open_look
from epochal.errors import InvalidInput
from epochal.evaluation import CLASSIFICATION, build_classification
from epochal.evaluation.storage import store_evaluation

CLASSES = ("bolt", "nut", "screw")


def classified(skill, seed, split="val", n=900, weights="", never=""):
    """Return what a model of that skill makes of images that are equally hard for every model.

    Parameters
    ----------
    skill
        How far the true class's score is raised.
    never
        A class that the model does not predict.
    """
    shared = np.random.default_rng({"val": 1, "test": 2}[split])
    truth, ease = shared.integers(0, 3, n), shared.normal(0, 1, n)
    scores = np.random.default_rng(seed).normal(0, 0.5, (n, 3))
    scores[np.arange(n), truth] += skill + ease
    if never:
        scores[:, CLASSES.index(never)] = -10
    return build_classification(
        truth,
        scores,
        images=[f"{split}{i:04}.jpg" for i in range(n)],
        classes=CLASSES,
        split=split,
        dataset="parts@v1",
        split_digest=split,
        weights=weights,
    )


def trained(workshop, name, skill, seed, *, records=True, splits=("val", "test"), **options):
    run = workshop.run(name, config={"name": name})
    weights = run.artifacts["weights/best.pt"].body.digest
    for split in splits:
        evaluation, outcomes = classified(skill, seed, split, weights=weights, **options)
        look = ""
        if split == "test":
            opened = open_look(
                workshop.folder,
                project=workshop.project,
                run=run.id,
                weights=weights,
                dataset="parts@v1",
                split=split,
                image_digests=outcomes.images,
            )
            complete_look(workshop.folder, opened, {}, "nothing")
            look = opened.look
        body = store_evaluation(
            workshop.store.blobs, evaluation, outcomes if records else None, look=look
        )
        workshop.store.record(body, run.id)
    return workshop.store.run(run.id)


def verdict(workshop, candidate, baseline, **charter):
    workshop.baseline(baseline)
    rules = Charter(project="pallets", metric="accuracy_top1", evaluator=CLASSIFICATION, **charter)
    return decide(workshop.store, candidate, baseline, charter=rules, version=0, resamples=300)


def test_a_better_classifier_ships(workshop):
    base = trained(workshop, "v1", 0.6, 11)
    made = verdict(workshop, trained(workshop, "v2", 1.6, 12), base)
    assert [gate.outcome for gate in made.gates[:3]] == ["pass", "pass", "pass"]
    assert made.verdict == "ship"
    assert "90 % of the baseline's recall" in made.gates[1].sentence
    assert made.gates[1].evidence["metric"] == "recall"
    assert made.gates[0].evidence["images"] == 900


def test_an_equal_classifier_does_not(workshop):
    base = trained(workshop, "v1", 0.6, 11)
    made = verdict(workshop, trained(workshop, "v2", 0.6, 12, splits=("val",)), base)
    assert made.gates[0].outcome != "pass"
    assert made.verdict == "more experiments"


def test_a_class_that_is_no_longer_found_blocks(workshop):
    base = trained(workshop, "v1", 0.2, 11)
    made = verdict(workshop, trained(workshop, "v2", 3.0, 12, never="nut"), base)
    assert made.gates[1].outcome == "fail"
    assert made.gates[1].sentence.startswith("below 90 % of the baseline's recall: nut (")


def test_a_rare_class_is_named_with_the_images_that_it_needs(workshop):
    base = trained(workshop, "v1", 0.6, 11, n=45)
    made = verdict(workshop, trained(workshop, "v2", 1.6, 12, n=45), base, min_instances=30)
    assert any("images; 30 are needed" in line for line in made.gates[1].details)
    assert not any("objects" in line for line in made.gates[1].details)


def test_bare_accuracies_lean_and_never_win(workshop):
    base = trained(workshop, "v1", 0.6, 11, records=False)
    made = verdict(workshop, trained(workshop, "v2", 1.6, 12, records=False), base)
    assert made.gates[0].outcome == "unknown"
    assert "leaning to a win" in made.gates[0].sentence
    assert made.verdict == "more experiments"


def test_the_literal_rule_compares_recalls(workshop):
    base = trained(workshop, "v1", 0.2, 11)
    candidate = trained(workshop, "v2", 3.0, 12, never="nut")
    made = verdict(workshop, candidate, base, rule_set="literal")
    states = {check["name"]: check["state"] for check in made.gates[1].evidence["classes"]}
    assert states == {"bolt": "kept", "nut": "lost", "screw": "kept"}


@pytest.mark.parametrize("metric", ["accuracy_top1", "accuracy_top5", "accuracy_mean_class"])
def test_the_point_is_the_metric_itself(metric):
    evaluation, outcomes = classified(0.6, 11)
    assert can_resample(metric, outcomes)
    assert class_metric(metric) == "recall"
    (draws,) = bootstrap([outcomes], metric, resamples=5)
    assert draws.point == evaluation.metrics[metric]
    assert draws.class_point.tolist() == [c.recall for c in evaluation.per_class]


def test_the_error_of_an_accuracy_is_the_binomial_one():
    _, outcomes = classified(0.6, 11)
    (draws,) = bootstrap([outcomes], "accuracy_top1", resamples=2000)
    wanted = np.sqrt(draws.point * (1 - draws.point) / 900)
    assert draws.values.std() == pytest.approx(wanted, rel=0.06)


def test_what_outcomes_do_not_give_is_refused():
    _, outcomes = classified(0.6, 11)
    assert not can_resample("mAP50-95", outcomes)
    with pytest.raises(InvalidInput, match="mAP50-95 cannot be computed"):
        bootstrap([outcomes], "mAP50-95")
