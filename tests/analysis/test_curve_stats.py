"""Closed forms, real curves, and what must hold for any list of floats."""

import csv
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epochal.analysis import CurveStats, curve_stats, overfitting
from epochal.errors import InvalidInput

CURVES = Path(__file__).parents[1] / "data" / "curves"
ANY = st.floats(allow_nan=True, allow_infinity=True)
TAME = st.floats(0.01, 0.99)


def real(name):
    with (CURVES / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}


def flags(y, **options):
    return curve_stats(np.arange(1, len(y) + 1), y, **options).flags


# --- closed forms


def test_speed_and_area_of_an_exponential_rise():
    x = np.arange(0, 100.5, 1)
    y = 0.6 * (1 - np.exp(-x / 12))
    stats = curve_stats(x, y, time=60 * x, reference=0.6)
    reach = {r.share: r for r in stats.reach}
    expected = -12 * math.log(0.05)
    assert reach[0.95].x == pytest.approx(expected, abs=0.02)
    assert reach[0.95].seconds == pytest.approx(60 * expected, abs=1.2)
    assert reach[0.95].level == pytest.approx(0.57)
    area = 0.6 * (1 - 12 / 100 * (1 - math.exp(-100 / 12)))
    assert stats.auc == pytest.approx(area, abs=2e-4)
    assert stats.best_optimism == 0
    assert stats.best_smooth == stats.best == stats.last


def test_a_level_that_only_the_last_evaluation_touches_is_not_reached():
    stats = curve_stats([1, 2, 3], [0.1, 0.2, 0.6], reference=0.6)
    assert [(r.share, r.x) for r in stats.reach if r.share == 0.99] == [(0.99, None)]
    stays = curve_stats([1, 2, 3, 4], [0.1, 0.2, 0.6, 0.6], reference=0.6)
    assert all(r.x is not None for r in stays.reach)


def test_noise_is_recovered_under_a_trend():
    rng = np.random.default_rng(0)
    x = np.arange(4000)
    stats = curve_stats(x, 1e-4 * x + rng.normal(0, 0.01, len(x)))
    assert stats.noise_mad == pytest.approx(0.01, rel=0.06)
    assert stats.slope_last == pytest.approx(1e-4, rel=0.25)
    assert stats.last_k == 200


def test_drawdown():
    stats = curve_stats(range(6), [0.1, 0.5, 0.3, 0.4, 0.6, 0.55])
    assert stats.max_drawdown == pytest.approx(0.2)
    assert stats.best_minus_last == pytest.approx(0.05)


def test_a_line_has_its_slope_and_no_noise():
    stats = curve_stats(np.arange(20), 3 - 0.1 * np.arange(20), direction="min")
    assert stats.slope_last == pytest.approx(-0.1)
    assert stats.noise_mad == pytest.approx(0, abs=1e-12)
    assert stats.max_drawdown == 0
    assert stats.best == stats.last


def test_the_area_over_a_common_budget_holds_a_short_run_at_its_level():
    stats = curve_stats([0, 1], [0.0, 1.0], budget=(0, 4))
    assert stats.auc == pytest.approx((0.5 + 3) / 4)


def test_generalisation_loss():
    train = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5])
    val = np.array([1.1, 1.0, 1.05, 1.1, 1.15, 1.2])
    found = overfitting(train, val)
    assert found.gl == pytest.approx(20)
    assert found.progress == pytest.approx(1000 * (0.7 / 0.5 - 1))
    assert found.pq == pytest.approx(20 / 400)
    assert found.gap == pytest.approx(1.1 - 0.7)
    assert found.overfits
    assert "overfitting" in flags(1 / val, losses=(train, val))
    assert not overfitting(train, train).overfits
    assert overfitting([1.0], [1.0]) is None
    assert overfitting([math.nan, -1, 2], [1, 2, 3]) is None


# --- flags


@pytest.mark.parametrize(
    ("y", "options", "expected"),
    [
        ([0.1, math.nan, 0.3], {}, "nan"),
        ([1, 0.5, 0.4, 1.3, 1.4, 2.0], {"direction": "min"}, "diverged"),
        ([0.2, 0.4, 0.6, 0.6, 0.1, 0.1, 0.1, 0.0, 0.0], {}, "collapse"),
        ([0.3, 0.5, 0.6, 0.6, 0.6, 0.58, 0.57, 0.56, 0.55, 0.54], {}, "degraded_after_best"),
        ([*np.linspace(0.4, 0.5, 20), 0.9, *np.linspace(0.5, 0.6, 20)], {}, "spike"),
        ([0.1, 0.3, 0.5, 0.55, 0.56, *[0.56] * 10], {}, "plateau"),
        (np.linspace(0.1, 0.5, 20), {}, "still_improving"),
        ([0.1, 0.5, *[0.4] * 10], {"patience": 10, "planned_epochs": 100}, "early_stopped"),
        (np.linspace(0.1, 0.5, 20), {"planned_epochs": 30}, "stopped_before_plan"),
    ],
)
def test_each_flag_is_raised_by_its_case(y, options, expected):
    assert expected in flags(y, **options)


def test_a_healthy_curve_raises_no_alarm():
    rng = np.random.default_rng(3)
    settled = 0.6 * (1 - np.exp(-np.arange(1, 101) / 12))
    raised = [flags(settled + rng.normal(0, 0.003, 100), planned_epochs=100) for _ in range(40)]
    assert {flag for found in raised for flag in found} <= {"plateau", "still_improving"}
    assert sum("still_improving" in found for found in raised) <= 2
    assert sum("plateau" in found for found in raised) >= 30


def test_the_plan_is_met_counted_from_zero_or_one_or_every_few_epochs():
    for x in (range(10), range(1, 11), [5, 10], [4, 9]):
        y = np.linspace(0.1, 0.2, len(x))
        assert "stopped_before_plan" not in curve_stats(x, y, planned_epochs=10).flags
    for x in (range(9), range(1, 10), [5]):
        y = np.linspace(0.1, 0.2, len(x))
        planned = 10 if len(x) > 1 else 20
        assert "stopped_before_plan" in curve_stats(x, y, planned_epochs=planned).flags


# --- restarts, gaps, short curves


def test_a_resume_hides_what_it_repeats():
    x = [1, 2, 3, 4, 3, 4, 5]
    y = [0.1, 0.2, 0.9, 0.9, 0.3, 0.4, 0.5]
    t = [10, 20, 30, 40, 50, 60, 70]
    stats = curve_stats(x, y, time=t, started=0)
    clean = curve_stats([1, 2, 3, 4, 5], [0.1, 0.2, 0.3, 0.4, 0.5])
    assert (stats.n, stats.n_hidden, stats.restarts) == (5, 2, 1)
    assert (stats.best, stats.last_k_mean) == (clean.best, clean.last_k_mean)
    assert stats.seconds == 70, "the repeated epochs were paid for"


def test_a_step_logged_twice_has_its_last_value():
    stats = curve_stats([1, 2, 2, 3], [0.1, 0.9, 0.2, 0.3])
    assert (stats.n, stats.n_hidden, stats.restarts, stats.best) == (3, 1, 0, 0.3)


def test_a_clock_that_starts_again_stands_still_once():
    stats = curve_stats([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4], time=[5, 10, 5, 10], started=0)
    assert stats.seconds == 15


def test_unknown_times_are_interpolated():
    stats = curve_stats([1, 2, 3], [0, 0, 0], time=[10, math.nan, 30])
    assert stats.seconds == 20
    assert curve_stats([1, 2], [0, 0], time=[math.nan] * 2).seconds is None


def test_no_points_one_point_two_points():
    none = curve_stats([], [])
    assert (none.n, none.best, none.flags) == (0, None, ())
    assert curve_stats([1, 2], [math.nan, math.inf]).flags == ("nan",)
    one = curve_stats([3], [0.4], reference=0.1)
    assert (one.best, one.last_k_mean, one.auc, one.last_k_sd) == (0.4, 0.4, 0.4, None)
    two = curve_stats([1, 2], [0.1, 0.3])
    assert two.auc == pytest.approx(0.2)
    assert two.noise_mad is None


def test_what_cannot_be_a_curve_is_refused():
    with pytest.raises(InvalidInput):
        curve_stats([1, 2], [1])
    with pytest.raises(InvalidInput):
        curve_stats([1, 2], [1, 2], time=[1])
    with pytest.raises(InvalidInput):
        curve_stats([[1, 2]], [[1, 2]])
    with pytest.raises(InvalidInput):
        curve_stats([1], [1], direction=None)
    with pytest.raises(InvalidInput):
        overfitting([1, 2], [1])


# --- the real curves


@pytest.mark.parametrize("name", ["yolov8n_imgsz96", "yolov8n_imgsz160"])
def test_real_yolo_curves(name):
    run = real(name)
    y = run["metrics/mAP50-95(B)"]
    stats = curve_stats(
        run["epoch"],
        y,
        time=run["time"],
        started=0,
        planned_epochs=12,
        patience=100,
        losses=(run["train/box_loss"], run["val/box_loss"]),
    )
    assert stats.best == y.max() == stats.last
    assert stats.best_x == 12
    assert stats.seconds == pytest.approx(run["time"][-1])
    assert stats.last_k_mean == pytest.approx(y[-5:].mean())
    assert stats.max_drawdown == pytest.approx((np.maximum.accumulate(y) - y).max())
    assert stats.flags == ("still_improving",)
    for loss in ("box", "cls", "dfl"):
        falling = curve_stats(run["epoch"], run[f"val/{loss}_loss"], direction="min")
        assert "diverged" not in falling.flags
        assert falling.best == run[f"val/{loss}_loss"].min()


# --- any floats


@settings(max_examples=150)
@given(st.lists(st.tuples(ANY, ANY, ANY), max_size=40), st.sampled_from(["max", "min"]), ANY)
def test_any_floats_give_json_and_never_an_error(rows, direction, reference):
    x, y, t = ([row[i] for row in rows] for i in range(3))
    stats = curve_stats(
        x, y, time=t, direction=direction, reference=reference, patience=3, losses=(x, y)
    )
    assert msgspec.json.decode(msgspec.json.encode(stats), type=CurveStats) == stats
    for value in msgspec.structs.astuple(stats):
        assert not isinstance(value, float) or math.isfinite(value)
    assert stats.n + stats.n_hidden + stats.n_nonfinite == len(rows)


@given(st.lists(TAME, min_size=1, max_size=40), st.integers(-1000, 1000))
def test_shifting_x_or_the_clock_changes_only_places(y, shift):
    x = np.arange(len(y))
    base = curve_stats(x, y, time=2 * x, reference=0.5)
    late = curve_stats(x, y, time=2 * x + shift, reference=0.5)
    assert late == base
    moved = curve_stats(x + shift, y, time=2 * x, reference=0.5)
    for a, b in zip(base.reach, moved.reach, strict=True):
        assert (a.x is None) == (b.x is None)
        assert a.x is None or b.x - a.x == pytest.approx(shift)
        assert a.seconds == pytest.approx(b.seconds)
    assert moved.auc == pytest.approx(base.auc)
    assert moved.noise_mad == base.noise_mad


@given(st.lists(TAME, min_size=1, max_size=40))
def test_a_loss_is_the_mirror_of_a_score(y):
    x = np.arange(len(y))
    up, down = curve_stats(x, y), curve_stats(x, [-v for v in y], direction="min")
    for field in ("best", "last", "last_k_mean", "best_smooth", "auc", "slope_last"):
        value = getattr(up, field)
        assert getattr(down, field) == (None if value is None else pytest.approx(-value))
    for field in ("best_x", "noise_mad", "resid_mad", "max_drawdown", "best_minus_last"):
        assert getattr(down, field) == getattr(up, field)


@given(st.lists(TAME, min_size=1, max_size=40))
def test_bounds(y):
    stats = curve_stats(range(len(y)), y)
    assert stats.best >= stats.last
    assert stats.best >= stats.best_smooth
    assert min(y) - 1e-12 <= stats.last_k_mean <= stats.best + 1e-12
    assert stats.auc <= stats.best + 1e-12
    assert 0 <= stats.max_drawdown <= max(y) - min(y)


def test_values_that_turned_nan_and_stayed_are_told_apart_from_a_hole():
    values = [0.1 * i for i in range(1, 9)]
    hole = curve_stats(range(1, 9), [*values[:3], math.nan, *values[4:]], planned_epochs=8)
    assert (hole.nan_from, hole.n_nonfinite) == (None, 1)
    lost = curve_stats(range(1, 9), [*values[:5], math.nan, math.inf, math.nan], planned_epochs=8)
    assert (lost.nan_from, lost.n_nonfinite) == (6, 3)
    # It went on to its planned end, though not with numbers.
    assert lost.flags == ("nan",)


def test_a_curve_logged_at_every_step_is_judged_like_one_logged_at_every_epoch():
    rng = np.random.default_rng(0)
    x = np.arange(20_000)
    clean_curve = 0.6 * (1 - np.exp(-x / 3000))
    often = curve_stats(x, clean_curve + rng.normal(0, 0.02, len(x)), reference=0.6)
    rarely = curve_stats(
        x[::200], (clean_curve + rng.normal(0, 0.02, len(x)))[::200], reference=0.6
    )
    assert often.best_smooth == pytest.approx(0.6, abs=0.02)
    assert often.reach[1].x == pytest.approx(rarely.reach[1].x, rel=0.1)
    assert often.flags == rarely.flags
    assert often.noise_mad == pytest.approx(0.02, rel=0.1)
    loss = 1 / (1 + x / 500) + rng.normal(0, 0.05, len(x))
    assert not {"diverged", "collapse"} & set(curve_stats(x, loss, direction="min").flags)


def test_an_early_stop_is_known_although_the_trainers_fitness_had_its_best_elsewhere():
    values = [*np.linspace(0.1, 0.5, 60), *[0.49] * 98]
    stats = curve_stats(range(1, 159), values, planned_epochs=300, patience=100)
    assert "early_stopped" in stats.flags


def test_what_fell_is_not_called_a_plateau_as_well():
    values = [*np.linspace(0.1, 0.6, 50), *[0.3] * 50]
    flags = curve_stats(range(100), values).flags
    assert "degraded_after_best" in flags
    assert "plateau" not in flags
