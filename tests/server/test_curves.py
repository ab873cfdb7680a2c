"""Curves on a common grid, over whatever x, with nothing lost that a person would look for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epochal.records import Metrics, System
from epochal.server.answers.curves import _short

API = "/api/v1"
KEY = "metrics/mAP50-95(B)"


def ask(client, **body):
    answer = client.post(f"{API}/curves", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_few_points_come_back_as_they_are(served):
    found = ask(served.client, runs=[served.first, served.second], keys=[KEY])
    (grid,) = found["curves"]
    assert grid["exact"]
    assert grid["x"] == list(range(30))
    first = grid["runs"][served.first]["last"]
    assert first == pytest.approx([0.5 * (1 - np.exp(-e / 6)) for e in range(30)], rel=1e-6)
    assert grid["runs"][served.first]["min"] == first


def test_keys_and_runs_without_points_are_left_out(served):
    found = ask(served.client, runs=[served.first, served.hostile], keys=[KEY, "nothing"])
    assert [list(grid["runs"]) for grid in found["curves"]] == [[served.first], []]
    assert found["curves"][1]["x"] == []


@pytest.mark.parametrize("x", ["epoch", "relative", "wall"])
def test_over_another_x_every_point_is_there(served, x):
    found = ask(served.client, runs=[served.first, served.second], keys=[KEY], x=x)
    (grid,) = found["curves"]
    assert np.all(np.diff(grid["x"]) > 0)
    values = [v for v in grid["runs"][served.first]["last"] if v is not None]
    assert len(values) == 30
    if x == "relative":
        assert 0 <= grid["x"][0] < 60
    if x == "wall":
        assert grid["x"][0] > 1.7e9


def test_over_another_metric(served):
    found = ask(
        served.client, runs=[served.first], keys=[KEY], x="metric", x_metric="train/box_loss"
    )
    (grid,) = found["curves"]
    assert grid["x"][-1] == pytest.approx(2.0)
    # The loss falls as the metric rises.
    values = grid["runs"][served.first]["last"]
    assert values == sorted(values, reverse=True)


def test_a_window_is_zoomed_into(served):
    found = ask(served.client, runs=[served.first], keys=[KEY], lo=9.5, hi=14.2)
    assert found["curves"][0]["x"] == [10, 11, 12, 13, 14]
    empty = ask(served.client, runs=[served.first], keys=[KEY], lo=1e30, hi=2e30)
    assert empty["curves"][0]["x"] == []


def test_a_spike_never_vanishes(folder, record_run, serving):
    values = np.zeros(20_000)
    values[12_345] = 99.0
    values[777] = -5.0
    run = record_run("v1_spiky", metrics={"loss": values})
    with serving(folder) as client:
        for x in ("step", "epoch", "relative"):
            (grid,) = ask(client, runs=[run], keys=["loss"], x=x, buckets=200)["curves"]
            band = grid["runs"][run]
            assert len(grid["x"]) <= 200
            assert max(v for v in band["max"] if v is not None) == 99.0
            assert min(v for v in band["min"] if v is not None) == -5.0
            assert not grid["exact"]


def test_curves_that_are_hard_to_draw(folder, record_run, serving):
    run = record_run(
        "v1_odd",
        metrics={
            "nan": [float("nan")] * 3,
            "inf": [1.0, float("inf"), 2.0],
            "one": [0.25],
            "huge": [1e308, -1e308],
            "tiny": [5e-324, 1e-300],
        },
        bodies=[Metrics(values={"negative": 1.0}, step=-5), System(values={"cpu": 50.0})],
    )
    with serving(folder) as client:
        keys = ["nan", "inf", "one", "huge", "tiny", "negative"]
        found = {g["key"]: g for g in ask(client, runs=[run], keys=keys)["curves"]}
        assert found["nan"]["runs"][run]["last"] == []
        assert found["inf"]["runs"][run]["last"] == [1.0, None, 2.0]
        assert found["one"]["runs"][run]["last"] == [0.25]
        assert found["huge"]["runs"][run]["last"] == [1e308, -1e308]
        assert found["negative"]["x"] == [-5]
        for x in ("epoch", "relative", "wall"):
            ask(client, runs=[run], keys=keys, x=x)
        system = ask(client, runs=[run], keys=["cpu"], source="system", x="relative")
        assert system["curves"][0]["runs"][run]["last"] == [50.0]
        answer = client.post(
            f"{API}/curves", json={"runs": [run], "keys": ["cpu"], "source": "system"}
        )
        assert answer.status_code == 400


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=30))
def test_shortened_values_draw_the_same_line(values):
    array = np.array(values)
    short = _short(array)
    finite = array[np.isfinite(array)]
    span = float(np.ptp(finite / 2)) * 2 if len(finite) else 0.0
    for drawn, value in zip(short, array, strict=True):
        if not np.isfinite(value):
            assert drawn is None or not np.isfinite(drawn)
        else:
            assert drawn == pytest.approx(value, rel=1e-6, abs=1e-5 * min(span, 1e300) + 1e-320)
