from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from epochal.cli import main
from epochal.cli.chart import Line, chart

RISE = [0.5 * (1 - 0.8**i) for i in range(1, 31)]
APS = {"pallet": 0.5, "drum": 0.3}
WORSE = {"pallet": 0.5, "drum": 0.1}


@pytest.fixture
def runs(lab, evaluation):
    lab.train("v1_a", RISE, config={"imgsz": 96}, evaluation=evaluation(0.4, APS))
    lab.train(
        "v2_b",
        [v + 0.02 for v in RISE],
        config={"imgsz": 160, "lr0": 0.1},
        parent="v1_a",
        evaluation=evaluation(0.5, WORSE),
    )
    lab.train("v3_c", RISE[:20], config={"imgsz": 160}, parent="v1_a")
    return lab


def called(lab, *words):
    return CliRunner().invoke(main, ["compare", *words, "--workspace", str(lab.folder.root)])


def test_the_verdict_comes_first_and_drops_are_marked(runs):
    found = called(runs, "v1_a", "v2_b", "--width", "90")
    assert found.exit_code == 0, found.output
    lines = found.output.splitlines()
    assert lines[0].startswith("mAP50-95")
    assert lines[1].startswith("B v2_b is ahead of v1_a by 10.0 points mAP50-95 on val")
    assert "CONFOUNDED, 2 changes at once: imgsz 96 -> 160, lr0 0.1 added." in found.output
    assert "33 %!" in found.output
    assert all(len(line) <= 90 for line in lines)


@pytest.mark.parametrize("width", [40, 60, 80, 140, 200])
def test_it_fits_the_width_and_without_a_terminal_the_chart_is_ascii(runs, width):
    found = called(runs, "v1_a", "v2_b", "v3_c", "--width", str(width))
    assert found.exit_code == 0, found.output
    assert max(map(len, found.output.splitlines())) <= width
    assert "BBB" in found.output
    assert not any("\u2800" <= c <= "\u28ff" for c in found.output)


def test_json_is_the_comparison(runs):
    found = called(runs, "v1_a", "v3_c", "--json")
    data = json.loads(found.output)
    assert [row["name"] for row in data["runs"]] == ["v1_a", "v3_c"]
    assert data["metric"] == "mAP50-95"


def test_one_run_is_compared_with_the_baseline(runs):
    found = called(runs, "v2_b")
    assert found.exit_code == 2
    assert "no baseline" in found.output
    from epochal.registry import set_baseline

    with runs.store() as store:
        set_baseline(store, "pallets", store.find_run("v1_a"), "first")
    found = called(runs, "v2_b", "--json")
    assert [row["name"] for row in json.loads(found.output)["runs"]] == ["v1_a", "v2_b"]
    assert called(runs, "v1_a").exit_code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("v1_a", "nobody"), "no run 'nobody'"),
        (("v1_a", "v2_b", "--metric", "top1"), "has no metric 'accuracy_top1'"),
        (("v1_a", "v1_a"), "named twice"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_2(runs, words, says):
    found = called(runs, *words)
    assert found.exit_code == 2
    assert says in found.output


def test_test_numbers_do_not_choose_between_three_runs(lab, evaluation):
    for name in ("v1_a", "v2_b", "v3_c"):
        lab.train(name, RISE, evaluation=evaluation(0.4, APS, split="test"))
    assert called(lab, "v1_a", "v2_b", "--split", "test").exit_code == 0
    found = called(lab, "v1_a", "v2_b", "v3_c", "--split", "test")
    assert found.exit_code == 2
    assert "--test-anyway REASON" in found.output
    assert "0.400" not in found.output
    # Without the images nothing could be written into the ledger: then nothing is shown.
    found = called(lab, "v1_a", "v2_b", "v3_c", "--split", "test", "--test-anyway", "curious")
    assert found.exit_code == 2
    assert "cannot be recorded" in found.output
    assert "0.400" not in found.output


def test_with_a_reason_they_are_shown_and_the_looks_recorded(lab, evaluation):
    from epochal.decisions.ledger import complete_look, open_look

    for name in ("v1_a", "v2_b", "v3_c"):
        look = open_look(
            lab.folder,
            project="pallets",
            run="",
            weights=name,
            dataset="pallets@v1",
            split="test",
            image_digests=["a" * 64, "b" * 64],
        )
        complete_look(lab.folder, look, {"mAP50-95": 0.4}, "verdict")
        lab.train(name, RISE, evaluation=evaluation(0.4, APS, split="test"), look=look.look)
    words = ("v1_a", "v2_b", "v3_c", "--split", "test", "--test-anyway", "a paper needs it")
    found = called(lab, *words)
    assert found.exit_code == 0, found.output
    assert "0.400" in found.output
    with lab.store() as store:
        looks = [g.body for g in store.governance("look")]
    shown = [look for look in looks if look.revealed == "number"]
    assert {look.weights for look in shown} == {"v1_a", "v2_b", "v3_c"}
    assert all("a paper needs it" in look.result["reason"] for look in shown)


_values = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20)


@given(st.lists(_values, max_size=4), st.integers(20, 100), st.integers(3, 20), st.booleans())
def test_any_curves_can_be_drawn(curves, width, height, dots):
    lines = [Line("abcd"[i], list(range(len(y))), y) for i, y in enumerate(curves)]
    rows = chart(lines, width=width, height=height, dots=dots, x_title="epoch")
    drawable = any(abs(v) < 1e300 for y in curves for v in y)
    assert bool(rows) == drawable
    if rows:
        assert len(rows) == height + 2


def test_a_rising_line_rises_on_paper():
    rows = chart([Line("a", [1, 2, 3], [0.0, 0.5, 1.0])], width=30, height=5, dots=False)
    columns = [row.plain.find("a") for row in rows[:5]]
    assert columns == sorted(columns, reverse=True)
