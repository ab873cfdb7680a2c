import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator import Model, world

from epochal.decisions.bootstrap import (
    Draws,
    bootstrap,
    can_resample,
    looks_like_video,
)
from epochal.decisions.noise import SeedSpread, estimate, pooled_spread, prior_spread
from epochal.errors import InvalidInput
from epochal.evaluation import MatchRecords, average_precision, best_f1, recall_at_precision

WORLD = world(120, 3, 1)
A, B = Model(1.0, 1, 3).run(WORLD), Model(1.4, 2, 3).run(WORLD)
NO_SEEDS = SeedSpread(sd=0.0, source="none")


def difference(a, b, alpha=0.05, spread=NO_SEEDS, **options):
    draws = bootstrap([a, b], "mAP50-95", resamples=300, **options)
    return estimate([draws[0]], [draws[1]], spread=spread, alpha=alpha)


def renamed(records: MatchRecords, order) -> MatchRecords:
    """The same records with the images in another order."""
    place = np.argsort(order)
    return MatchRecords(
        images=tuple(records.images[i] for i in order),
        classes=records.classes,
        evaluator=records.evaluator,
        img=place[records.img].astype(np.int32),
        cls=records.cls,
        score=records.score,
        tp=records.tp,
        ignored=records.ignored,
        truth_img=place[records.truth_img].astype(np.int32),
        truth_cls=records.truth_cls,
        truth_count=records.truth_count,
        truth_ignored=records.truth_ignored,
    )


def doubled(records: MatchRecords, groups: bool) -> MatchRecords:
    """Every image twice, as one group where asked."""
    n = records.n_images

    def twice(values):
        return np.concatenate([values, values])

    return MatchRecords(
        images=(*records.images, *(f"{name} again" for name in records.images)),
        groups=records.images * 2 if groups else (),
        classes=records.classes,
        evaluator=records.evaluator,
        img=np.concatenate([records.img, records.img + n]).astype(np.int32),
        cls=twice(records.cls),
        score=twice(records.score),
        tp=twice(records.tp),
        ignored=twice(records.ignored),
        truth_img=np.concatenate([records.truth_img, records.truth_img + n]).astype(np.int32),
        truth_cls=twice(records.truth_cls),
        truth_count=twice(records.truth_count),
        truth_ignored=twice(records.truth_ignored),
    )


def test_identical_models_differ_by_nothing():
    found = difference(A, A)
    assert (found.delta, found.se, found.lower, found.upper) == (0, 0, 0, 0)
    assert found.judge(0.005) == "fail"


def test_swapping_the_models_negates_difference_and_interval():
    forth, back = difference(A, B), difference(B, A)
    assert back.delta == -forth.delta
    assert back.se == forth.se
    assert back.interval == pytest.approx((-forth.interval[1], -forth.interval[0]))
    assert back.image_interval == pytest.approx(
        (-forth.image_interval[1], -forth.image_interval[0])
    )
    assert back.p_better == pytest.approx(1 - forth.p_better)


def test_the_point_is_the_metric_itself():
    draws = bootstrap([A], "mAP50", resamples=3)[0]
    found = average_precision(A)
    assert draws.point == found.map50
    np.testing.assert_array_equal(draws.class_point, found.ap[:, 0])


def test_a_draw_equals_images_that_are_really_repeated():
    draws = bootstrap([A], "mAP50-95", resamples=2, seed=7)[0]
    counts = np.random.default_rng(7).multinomial(120, np.full(120, 1 / 120), size=2)
    for row in range(2):
        assert draws.values[row] == pytest.approx(average_precision(A, counts[row]).map, abs=1e-12)


def test_every_image_twice_divides_the_error_by_root_two_unless_they_are_one_group():
    """SE of 300 draws has an error of 4 %."""
    once = difference(A, B).se
    assert difference(doubled(A, False), doubled(B, False)).se == pytest.approx(
        once / np.sqrt(2), rel=0.15
    )
    assert difference(doubled(A, True), doubled(B, True)).se == pytest.approx(once, rel=0.15)


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(120)))
def test_the_order_of_the_images_does_not_matter(order):
    plain = bootstrap([A, B], "mAP50-95", resamples=5)
    mixed = bootstrap([A, renamed(B, order)], "mAP50-95", resamples=5)
    np.testing.assert_allclose(plain[1].values, mixed[1].values, atol=1e-12)


@pytest.mark.parametrize("metric", ["recall@precision=0.95", "recall@precision=0.8"])
def test_pooled_recall_equals_the_operating_point_under_any_weights(metric):
    draws = bootstrap([A], metric, resamples=20, seed=3)[0]
    counts = np.random.default_rng(3).multinomial(120, np.full(120, 1 / 120), size=20)
    level = float(metric.rpartition("=")[2])
    for row in range(20):
        wanted = recall_at_precision(A, level, weights=counts[row]).micro.recall
        assert draws.values[row] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("metric", ["precision", "recall", "f1"])
def test_the_best_f1_is_chosen_again_in_every_draw(metric):
    draws = bootstrap([A], metric, resamples=20, seed=3)[0]
    counts = np.random.default_rng(3).multinomial(120, np.full(120, 1 / 120), size=20)
    wanted = [getattr(best_f1(A, weights=row).macro, metric) for row in counts]
    np.testing.assert_array_equal(draws.values, wanted)
    assert draws.point == getattr(best_f1(A).macro, metric)


@pytest.mark.parametrize("metric", ["precision", "recall", "f1", "mAP75"])
def test_other_metrics_can_be_drawn(metric):
    assert can_resample(metric, A)
    draws = bootstrap([A], metric, resamples=3)[0]
    assert 0 < draws.point < 1
    assert draws.values.std() > 0


def test_records_of_other_images_are_refused():
    with pytest.raises(InvalidInput, match="share 0 of 120"):
        bootstrap([A, Model(1.0, 1, 3).run(world(120, 3, 2))], "mAP50-95", resamples=2)
    with pytest.raises(InvalidInput, match="cannot be computed"):
        bootstrap([A], "defects missed", resamples=2)


def test_equal_seeds_give_equal_draws():
    one, two = (bootstrap([A], "mAP50-95", resamples=5, seed=9)[0].values for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert (one != bootstrap([A], "mAP50-95", resamples=5, seed=10)[0].values).any()


@pytest.mark.parametrize(
    ("names", "video"),
    [
        ([f"seq{c}/frame_{i:04d}.jpg" for c in range(4) for i in range(30)], True),
        ([f"cam{c}_{i}.png" for c in range(5) for i in range(20)], True),
        ([f"{i:012d}.jpg" for i in range(139, 60_000, 391)], False),
        ([f"{i:06d}.jpg" for i in range(300)], False),
        (["a.jpg", "b.jpg"], False),
        ([], False),
    ],
)
def test_numbered_frames_are_noticed(names, video):
    assert bool(looks_like_video(names)) is video


def given_draws(point, values):
    return Draws(point, np.array(values), np.empty(0), np.empty((len(values), 0)))


def test_error_of_seeds_is_what_images_do_not_explain():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.01, 500)

    def arm(center, seeds, own):
        return [
            given_draws(center + s, center + s + shared + rng.normal(0, own, 500)) for s in seeds
        ]

    a = arm(0.5, (-0.01, 0.0, 0.01), 0.002)
    b = arm(0.53, (-0.01, 0.0, 0.01), 0.002)
    found = estimate(a, b, spread=NO_SEEDS, alpha=0.05)
    assert found.evidence == "E3"
    assert found.delta == pytest.approx(0.03)
    assert found.se_images == pytest.approx(0.002 * np.sqrt(2 / 3), rel=0.15)
    # s^2 = 1e-4 within each arm, of which images explain c^2 = 4e-6
    assert found.se_seeds == pytest.approx(np.sqrt(2 * (1e-4 - 4e-6) / 3), rel=0.02)
    assert found.df == pytest.approx(4, rel=0.1)
    spread = pooled_spread([a, b], "own")
    assert spread is not None
    assert (spread.sd, spread.df) == (pytest.approx(0.0098, rel=0.01), 4)


def test_one_estimate_for_both_arms_keeps_its_degrees_of_freedom():
    still = [given_draws(0.5, np.full(10, 0.5))]
    found = estimate(still, still, spread=SeedSpread(sd=0.01, source="pooled", df=3.0), alpha=0.05)
    assert found.df == pytest.approx(3.0)
    seeds = [given_draws(0.5 + s, np.full(10, 0.5)) for s in (-0.01, 0.0, 0.01)]
    one_sided = estimate(seeds, still, spread=NO_SEEDS, alpha=0.05)
    assert one_sided.df == pytest.approx(2.0)
    assert one_sided.se == pytest.approx(0.01 * np.sqrt(1 / 3 + 1))


def test_seeds_that_images_explain_add_nothing():
    rng = np.random.default_rng(0)
    arm = [given_draws(0.5 + s, 0.5 + s + rng.normal(0, 0.02, 500)) for s in (-0.01, 0.01)]
    found = estimate(arm, arm, spread=NO_SEEDS, alpha=0.05)
    assert found.se_seeds == 0
    assert found.df is None


def test_a_single_training_takes_the_assumed_spread_twice():
    assert difference(A, A, spread=SeedSpread(sd=0.01, source="assumed")).se == pytest.approx(
        0.01 * np.sqrt(2)
    )


def test_published_spread_by_size_of_the_training():
    assert [prior_spread(n, "mAP50-95").sd for n in (None, 300, 5_000, 50_000)] == [
        0.01,
        0.01,
        0.004,
        0.002,
    ]
    assert prior_spread(300, "recall@precision=0.95").sd == pytest.approx(0.04)


def test_the_rule_has_three_answers():
    def judged(delta, se):
        values = np.random.default_rng(1).normal(0, 1, 4000)
        values = delta + se * (values - values.mean()) / values.std(ddof=1)
        zero = given_draws(0.0, np.zeros(4000))
        return estimate([zero], [given_draws(delta, values)], spread=NO_SEEDS, alpha=0.05)

    assert judged(0.02, 0.005).judge(0.005) == "pass"
    assert judged(0.006, 0.005).judge(0.005) == "unknown"
    assert judged(0.004, 0.0001).judge(0.005) == "fail"  # real, and not worth it
    assert judged(-0.001, 0.02).judge(0.005) == "fail"
    assert judged(0.003, 0.005).judge(0.005) == "unknown"
    open_case = judged(0.01, 0.01)
    remedy = open_case.remedy(0.005, 1000)
    assert remedy.images == pytest.approx(1000 * 1.6449**2, rel=0.01)
    assert remedy.seeds is None
    assert open_case.detectable == pytest.approx((1.6449 + 0.8416) * 0.01, rel=0.01)
