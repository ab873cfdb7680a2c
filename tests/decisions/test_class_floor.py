import numpy as np
import pytest
from simulator import Model, world

from epochal.decisions.bootstrap import bootstrap
from epochal.decisions.class_floor import check_classes, check_classes_literally

WORLD = world(400, 8, 5)


def checks(a, b, w=WORLD, **options):
    records = [a.run(w), b.run(w)]
    draws = bootstrap(records, "mAP50-95", resamples=200)
    rules = {"keep_share": 0.9, "min_instances": 30, "min_images": 10, "alpha": 0.05} | options
    return check_classes([draws[0]], [draws[1]], records[0], **rules)


def states(found):
    return {check.name: check.state for check in found}


def test_exactly_the_wrecked_class_is_lost():
    a = Model(1.0, 1, 8)
    b = Model(1.6, 2, 8, class_bonus=(0, 0, -3.0, 0, 0, 0, 0, 0))
    found = states(checks(a, b))
    assert [name for name, state in found.items() if state == "lost"] == ["c2"]


def test_a_dip_within_noise_says_how_many_objects_would_tell():
    dips = [
        check
        for seed in range(12)
        for check in checks(Model(1.0, 1, 8), Model(0.85, 100 + seed, 8))
        if check.state == "dip"
    ]
    assert dips
    for check in dips:
        assert check.candidate < check.floor
        assert check.instances_needed > check.instances


def test_rare_classes_are_named_with_what_is_missing_and_judged_together():
    a = Model(1.0, 1, 8)
    found = checks(a, Model(1.2, 2, 8), min_instances=150)
    by_name = {check.name: check for check in found}
    thin = [check for check in found if check.state == "thin"]
    assert thin
    assert all(check.instances < 150 and check.instances_needed >= 150 for check in thin)
    together = by_name["rare classes together"]
    assert together.instances == sum(check.instances for check in thin)
    assert together.state == "kept"
    wrecked = Model(1.2, 2, 8, class_bonus=(0.0,) * 4 + (-3.0,) * 4)
    assert states(checks(a, wrecked, min_instances=150))["rare classes together"] == "lost"


def test_an_equal_model_loses_nothing():
    a = Model(1.0, 1, 8)
    assert set(states(checks(a, a)).values()) == {"kept"}


def test_a_class_without_objects_is_left_out():
    few = world(20, 8, 6)
    records = Model(1.0, 1, 8).run(few)
    present = {f"c{c}" for c in np.flatnonzero(records.n_truth > 0)}
    found = checks(Model(1.0, 1, 8), Model(1.0, 2, 8), few)
    assert {check.name for check in found} - {"rare classes together"} == present


def test_bare_numbers_call_every_class_below_lost():
    found = check_classes_literally(
        {"a": 0.5, "b": 0.5, "c": None, "d": 0.4},
        {"a": 0.45, "b": 0.449, "c": 0.1, "d": None},
        {"a": (10, 5)},
        keep_share=0.9,
    )
    assert states(found) == {"a": "kept", "b": "lost", "d": "lost"}
    assert found[0].floor == pytest.approx(0.45)
