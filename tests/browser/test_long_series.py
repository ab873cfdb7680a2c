"""A training that logged hundreds of thousands of points: whole, zoomed into, zoomed out of."""

import math
import re

import pytest

import epochal
from epochal.journal.folder import Folder

pytestmark = pytest.mark.browser

POINTS = 200_000
SPIKE = 123_456


@pytest.fixture(scope="module")
def long_run(tmp_path_factory, serve):
    folder = Folder.create(tmp_path_factory.mktemp("long"))
    with epochal.init(project="long", name="v1_long", workspace=folder.root, capture=False) as run:
        for i in range(POINTS):
            value = 6.0 if i == SPIKE else math.exp(-i / 60_000) + 0.01 * math.sin(i)
            run.log({"train/loss": value}, step=i)
            if i % 1000 == 0:
                run.log({"metrics/mAP50-95(B)": 1 - value / 2}, step=i, epoch=i // 1000)
    return serve(folder.root).url


def _zoom(page, plot, start, end):
    box = plot.bounding_box()
    page.mouse.move(box["x"] + start * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], box["y"] + 60, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile("zoom="))


def _asked(page):
    asked = []
    page.on("request", lambda r: asked.append(r.post_data_json) if "/curves" in r.url else None)
    return asked


def test_a_metric_without_epochs_is_drawn_at_once(long_run, open_page):
    page = open_page(f"{long_run}/runs?view=curves")
    card = page.get_by_role("region", name="loss (train)")
    card.locator(".u-over").wait_for()
    assert page.get_by_label("x axis").input_value() == "step"
    page.get_by_label("x axis").select_option("epoch")
    card.get_by_role("button", name="Draw over steps").click()
    card.locator(".u-over").wait_for()


@pytest.mark.parametrize("axis", ["step", "relative", "wall"])
def test_each_look_into_a_long_curve_is_one_request(long_run, open_page, axis):
    page = open_page(f"{long_run}/runs?view=curves&x={axis}")
    asked = _asked(page)
    plot = page.get_by_role("region", name="loss (train)").locator(".u-over")
    plot.wait_for()
    for _ in range(3):
        before = page.url
        with page.expect_response(re.compile("/curves")) as answer:
            _zoom(page, plot, 0.4, 0.6)
        grids = {grid["key"]: grid for grid in answer.value.json()["curves"]}
        assert page.url != before
        assert len(grids["train/loss"]["x"]) > 20
    windows = [(body["lo"], body["hi"]) for body in asked]
    assert len(windows) == len(set(windows))
    assert len(windows) <= 4  # the whole curve, unless it was there already, and three looks
    page.go_back()
    page.wait_for_url(re.compile("zoom="))
    plot.dblclick(position={"x": 20, "y": 20})
    page.wait_for_url(re.compile(r"^(?!.*zoom=)"))


def test_a_spike_among_all_points_shows(long_run, open_page):
    with_spike = open_page()
    with with_spike.expect_response(re.compile("/curves")) as answer:
        with_spike.goto(f"{long_run}/runs?view=curves")
    grid = next(g for g in answer.value.json()["curves"] if g["key"] == "train/loss")
    (band,) = grid["runs"].values()
    assert len(grid["x"]) <= 601
    assert max(band["max"]) == 6.0
