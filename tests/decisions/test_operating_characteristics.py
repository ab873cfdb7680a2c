"""What the rule does over and over: false ships, power, coverage; each with its null.

Everything is drawn from fixed seeds, so a test either always passes or never does. `MC` is the
Monte-Carlo standard error of a share.
"""

import math

import pytest
from operating import Recipe, coverage, run_families, run_pairs, true_map, true_spread
from simulator import Model

from epochal.decisions.noise import SeedSpread

pytestmark = pytest.mark.slow

THREE = Recipe(1.0, 3)
SPREAD = SeedSpread(sd=0.0052, source="true spread of the simulated recipe")


def mc(share: float, n: int) -> float:
    return math.sqrt(share * (1 - share) / n)


def test_the_assumed_spread_is_the_simulated_recipes():
    """24 trainings, each measured on 12,000 images; of 150 trainings it was 0.52 points."""
    assert true_spread(THREE) == pytest.approx(SPREAD.sd, rel=0.2)


def test_an_equal_recipe_ships_at_no_more_than_the_nominal_rate():
    """Null: both arms are one recipe, one training each, whose seeds differ by 0.52 points.

    1,000 pairs, 300 val and 300 test images, 3 classes. Gate 1 at alpha = 0.05 on val, gate 3 at
    0.10 / (1 * 2) = 0.05 on test; nominal for the composite: 0.05. Measured: 0.007, gate 1 and 2
    on val alone 0.053, and 0.36 for a bare half point on test.
    """
    found = run_pairs(THREE, THREE, 300, 1000, SPREAD, literal=True)
    assert found.ship / found.n <= 0.05 + 2 * mc(0.05, 1000)
    assert found.val / found.n <= 0.05 + 2 * mc(0.05, 1000)
    assert found.class_alarm / found.n <= 0.05 + 2 * mc(0.05, 1000)
    assert found.literal / found.n > 0.25


def test_an_equal_recipe_with_three_seeds_each_ships_at_no_more_than_the_nominal_rate():
    """Null as above, but the spread over seeds is estimated from three trainings per arm.

    300 pairs, 300 images, 3 classes, alpha 0.05; the spread that is assumed for single trainings
    is wrong on purpose (zero) and must not be used.
    """
    found = run_pairs(THREE, THREE, 300, 300, SeedSpread(sd=0.0, source="wrong"), seeds=3)
    assert found.ship / found.n <= 0.05 + 2 * mc(0.05, 300)
    assert found.val / found.n <= 0.05 + 2 * mc(0.05, 300)


def test_ten_equal_challengers_on_one_test_set_stay_within_the_family_level():
    """Null: ten trainings of the baseline's own recipe, judged one after the other.

    250 families, 200 val and 200 test images, 3 classes. Whom val lets through looks at test;
    look k is judged at 0.10 / (k (k + 1)). Nominal for any of the ten shipping: 0.10. Measured:
    0.036.
    """
    found = run_families(THREE, 200, 250, SPREAD)
    assert found.ship / found.n <= 0.10 + 2 * mc(0.10, found.n)


def test_ten_equal_challengers_that_all_look_are_near_the_family_level():
    """Null as above, but val is bypassed: gate 3 alone, the worst case.

    300 families, 200 test images; nominal 0.10, measured 0.097.
    """
    found = run_families(THREE, 200, 300, SPREAD, val_gate=False)
    assert found.test_alone / found.n <= 0.10 + 2 * mc(0.10, found.n)


def test_real_gains_ship_the_more_often_the_larger_they_are():
    """Power at 300 val and 300 test images, 3 classes, single trainings, alpha 0.05.

    100 pairs for each of three true gains: about 1, 2 and 3.5 points.
    """
    shares, gains = [], []
    for bonus in (0.1, 0.2, 0.4):
        after = Recipe(1.0 + bonus, 3)
        gains.append(true_map(after.train(5)) - true_map(THREE.train(5)))
        found = run_pairs(THREE, after, 300, 100, SPREAD)
        shares.append(found.ship / found.n)
    print("\n", [(round(100 * g, 1), s) for g, s in zip(gains, shares, strict=True)])
    assert shares == sorted(shares)
    assert shares[-1] > 0.5


@pytest.mark.parametrize(("images", "classes", "worlds"), [(300, 3, 300), (300, 20, 150)])
def test_intervals_cover_the_truth(images, classes, worlds):
    """Two fixed models, fresh images each time; nominal 95 %, wanted 92 to 98 %."""
    found = coverage(Model(1.0, 1, classes), Model(1.15, 2, classes), images, worlds)
    assert 0.92 <= found.percentile <= 0.98
    assert 0.92 <= found.normal <= 0.98
    assert found.mean_se == pytest.approx(found.true_sd, rel=0.15)


def test_frames_of_one_clip_have_to_be_drawn_together():
    """50 clips of 10 frames that share their difficulty, 3 classes, nominal 95 %, 120 sets."""
    a, b = Model(1.0, 1, 3), Model(1.15, 2, 3)
    together = coverage(a, b, 500, 120, clip=10, resamples=200)
    assert together.percentile >= 0.88
