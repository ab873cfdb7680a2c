import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.analysis import Curve, compare_curves, curve_stats, resolve, sentence
from epochal.analysis.curve_comparison import at_same_x
from epochal.errors import NotFound

X = np.arange(1, 31)
MAP = resolve("metrics/mAP50-95(B)")


def rise(level, speed, n=30):
    return Curve(X[:n], level * (1 - np.exp(-X[:n] / speed)), time=10 * X[:n], started=0)


def test_all_curves_are_timed_against_one_level_and_one_budget():
    rows = compare_curves({"a": rise(0.5, 5), "b": rise(0.6, 5, n=15)}, "max", champion="a")
    a, b = (row.stats for row in rows)
    assert a.reference == b.reference == a.best_smooth
    assert [r.level for r in a.reach] == [r.level for r in b.reach]
    assert b.reach[1].x < a.reach[1].x, "a higher curve of the same shape is there earlier"
    held = np.append(rise(0.6, 5, n=15).y, [rise(0.6, 5, n=15).y[-1]] * 15)
    assert b.auc == pytest.approx(curve_stats(X, held).auc)


def test_without_a_champion_the_best_run_is_the_reference():
    rows = compare_curves({"a": rise(0.5, 5), "b": rise(0.6, 5)}, "max")
    assert {row.stats.reference for row in rows} == {rows[1].stats.best_smooth}
    down = {"a": Curve(X, 1 / X), "b": Curve(X, 2 / X)}
    rows = compare_curves(down, "min")
    assert rows[1].stats.reference == rows[0].stats.best_smooth == pytest.approx(1 / 30)


def test_identical_series_are_told():
    rows = compare_curves(
        {"seed0": rise(0.5, 5), "seed1": rise(0.5, 5), "other": rise(0.4, 5)}, "max"
    )
    assert [row.identical_to for row in rows] == [("seed1",), ("seed0",), ()]


def test_the_front_holds_what_nothing_beats_in_everything():
    rows = compare_curves(
        {"good": rise(0.6, 5), "slow": rise(0.6, 9), "empty": Curve([], [])}, "max"
    )
    assert [row.on_front for row in rows] == [True, False, False]


def test_an_unknown_champion_is_named():
    with pytest.raises(NotFound, match="v9"):
        compare_curves({"a": rise(0.5, 5)}, "max", champion="v9")
    assert compare_curves({}, "max") == []


def test_a_sentence_says_speed_end_and_state():
    stats = curve_stats(X, np.linspace(0.02, 0.6, 30), time=10 * X, started=0, reference=0.5)
    said = sentence(stats, "v4_imgsz_160", metric=MAP, reference_name="the champion's level")
    assert said == (
        "v4_imgsz_160 reached 90 % of the champion's level at epoch 23 (4 min), "
        "ended at 0.600 (best 0.600 at epoch 30), still improving."
    )


@pytest.mark.parametrize(
    ("y", "says"),
    [
        ([], "x has no values to judge."),
        ([float("nan")] * 2, "x has no values to judge: all 2 are NaN or infinite."),
        ([0.25], "x has one value, 0.250 at epoch 1."),
        ([0.1, 0.2], "never reached 90 % of the reference level"),
        ([0.1, 0.2, 0.95], "came to 90 % of the reference level but did not stay"),
    ],
)
def test_sentences_about_short_curves(y, says):
    stats = curve_stats(range(1, len(y) + 1), y, reference=1.0)
    assert says in sentence(stats, "x", metric=MAP)


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.lists(st.tuples(st.floats(), st.floats()), max_size=12),
        max_size=4,
    ),
    st.sampled_from(["max", "min"]),
)
def test_any_curves_compare_and_read_as_one_line(curves, direction):
    named = {
        name: Curve([x for x, _ in rows], [y for _, y in rows]) for name, rows in curves.items()
    }
    rows = compare_curves(named, direction)
    assert [row.name for row in rows] == list(curves)
    assert not any(row.stats.n for row in rows) or any(row.on_front for row in rows)
    for row in rows:
        assert sentence(row.stats, "run", unit="step").endswith(".")


def test_curves_of_different_length_are_compared_where_the_shorter_ended():
    long, short = rise(0.5, 5), rise(0.6, 5, n=10)
    x, a, b = at_same_x(long, short, "max")
    assert x == 10
    assert a < 0.5 * (1 - np.exp(-2)) + 1e-9 < b
    rows = compare_curves({"long": long, "short": short}, "max")
    assert [row.common_x for row in rows] == [10, 10]
    assert [row.at_common for row in rows] == [a, b]
    assert at_same_x(long, Curve([], []), "max") is None
    assert at_same_x(Curve([1, 2], [0, 0]), Curve([5, 6], [0, 0]), "max") is None


def test_a_later_value_does_not_lift_what_was_known_by_then():
    jump = Curve(range(1, 7), [0.1, 0.1, 0.1, 0.1, 0.9, 0.9])
    _, _, b = at_same_x(Curve(range(1, 5), [0.2] * 4), jump, "max")
    assert b == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("y", "says"),
    [
        ([0.1, 0.2, float("nan"), 0.3], "with a value that is NaN or infinite"),
        ([0.1, 0.2, float("nan"), float("inf")], "NaN or infinite from 3 to its end"),
    ],
)
def test_sentences_tell_a_hole_from_an_end(y, says):
    assert says in sentence(curve_stats(range(1, 5), y), "x", metric=MAP)
