"""What somebody sees who opens the page: runs, curves, comparison, decision, errors in place."""

import re

import pytest

pytestmark = pytest.mark.browser


def test_first_look_shows_runs_and_their_curves(seen_pair, open_page):
    page = open_page(f"{seen_pair.url}/runs?project=pallets")
    page.get_by_role("link", name="v2_imgsz_160").wait_for()
    assert page.get_by_role("row").count() == 3
    card = page.get_by_role("region", name="mAP50-95")
    card.locator("canvas").first.wait_for()
    assert card.get_by_role("button", name="v1_baseline").is_visible()
    assert "pallets" in page.title()


def test_an_empty_workspace_says_how_to_begin(folder, serve, open_page):
    page = open_page(serve(folder.root).url)
    page.get_by_role("heading", name="No run has been recorded here yet").wait_for()
    assert "epochal.init" in page.locator("pre").inner_text()


def test_comparison_reaches_from_the_verdict_to_the_images(seen_pair, open_page):
    page = open_page(f"{seen_pair.url}/compare?runs={seen_pair.first},{seen_pair.second}")
    page.get_by_role("heading", name="What changed").wait_for()
    assert page.get_by_text("1 change", exact=True).is_visible()
    page.get_by_role("heading", name="AP per class").wait_for()
    page.get_by_role("heading", name="Precision over recall").wait_for()
    page.get_by_role("heading", name="Latency and mAP50-95").wait_for()
    page.get_by_role("button", name=re.compile("predicted pallet, true pallet")).first.click()
    dialog = page.get_by_role("dialog")
    dialog.locator("img").first.wait_for()
    page.wait_for_function("document.querySelector('dialog img').naturalWidth > 0")
    assert dialog.locator("rect").count() > 0
    page.keyboard.press("Escape")
    assert dialog.count() == 0


@pytest.mark.parametrize(
    "tab",
    [
        "overview",
        "curves",
        "lesson",
        "images",
        "evaluations",
        "console",
        "system",
        "code",
        "environment",
        "files",
        "lineage",
    ],
)
def test_every_tab_of_a_run_opens(seen_pair, open_page, tab):
    page = open_page(f"{seen_pair.url}/run?id={seen_pair.second}&tab={tab}")
    page.get_by_role("tab", selected=True).wait_for()
    page.wait_for_load_state("networkidle") if False else page.wait_for_timeout(300)
    assert page.get_by_role("alert").count() == 0
    assert page.get_by_role("tabpanel").inner_text().strip()


@pytest.mark.parametrize(
    ("path", "says", "status"),
    [
        ("run?id=" + "0" * 32, "no run", "404"),
        ("decision?id=" + "0" * 64, "no decision", "404"),
        (f"compare?runs={'0' * 32},{'1' * 32}", "no run", "404"),
    ],
)
def test_unknown_names_are_told_in_place(seen_pair, open_page, path, says, status):
    page = open_page(f"{seen_pair.url}/{path}", expected=[status])
    assert says in page.get_by_role("alert").first.inner_text()


def test_a_filter_that_cannot_be_read_says_where(seen_pair, open_page):
    page = open_page(f"{seen_pair.url}/runs?project=pallets")
    page.get_by_role("link", name="v1_baseline").wait_for()
    page.keyboard.press("f")
    field = page.get_by_role("textbox", name="Filter expression")
    field.fill("config.imgsz >")
    page.get_by_role("alert").wait_for()
    assert page.get_by_role("link", name="v1_baseline").is_visible()
    field.fill("config.imgsz > 100")
    page.get_by_role("link", name="v1_baseline").wait_for(state="detached")
    assert page.get_by_role("link", name="v2_imgsz_160").is_visible()
    assert "imgsz" in page.url


def test_the_address_is_the_view(seen_pair, open_page):
    page = open_page(f"{seen_pair.url}/runs?project=pallets")
    page.get_by_role("link", name="v1_baseline").wait_for()
    page.get_by_role("button", name="Name", exact=True).click()
    page.get_by_role("textbox", name="Search metrics by regular expression").fill("loss$")
    page.get_by_role("combobox", name="x axis").select_option("step")
    page.get_by_role("region", name="box loss").first.wait_for()
    page.get_by_role("region", name="mAP50-95").wait_for(state="detached")
    again = open_page(page.url)
    again.get_by_role("region", name="box loss").first.wait_for()
    assert again.get_by_role("region", name="mAP50-95").count() == 0
    assert again.get_by_role("combobox", name="x axis").input_value() == "step"
    names = again.locator("[role=row] a.name")
    assert names.all_inner_texts() == ["v1_baseline", "v2_imgsz_160"]


def test_a_run_lights_up_everywhere(seen_pair, open_page):
    page = open_page(f"{seen_pair.url}/runs?project=pallets")
    card = page.get_by_role("region", name="mAP50-95")
    card.locator(".u-over").wait_for()
    box = card.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 4)
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 8)
    page.locator("[role=row].lit").wait_for()
    assert card.locator(".tip").is_visible()
    lit = card.locator(".overlay").evaluate(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v)"
    )
    assert lit


def test_zoom_goes_through_all_charts(seen_pair, open_page):
    page = open_page(f"{seen_pair.url}/runs?project=pallets")
    over = page.get_by_role("region", name="mAP50-95").locator(".u-over")
    over.wait_for()
    box = over.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 40, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Whole range").first.wait_for()
    low, high = map(float, re.search(r"zoom=([\d.]+)%2C([\d.]+)", page.url).groups())
    assert 5 < low < high < 22
    page.get_by_role("button", name="Whole range").first.click()
    page.wait_for_function("!location.search.includes('zoom')")


def test_dark_and_light(seen_pair, open_page):
    page = open_page(f"{seen_pair.url}/settings", color_scheme="dark")
    page.get_by_role("heading", name="Settings").wait_for()
    background = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Light", exact=True).click()
    light = page.evaluate(background)
    assert dark != light
    page.reload()
    page.get_by_role("heading", name="Settings").wait_for()
    assert page.evaluate(background) == light
