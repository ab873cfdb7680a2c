"""What somebody does in the page: write, rename, tag, trash, decide, by mouse and by keyboard."""

import re

import pytest

from epochal.store.store import Store

pytestmark = pytest.mark.browser


def test_a_lesson_is_previewed_and_kept(pair, open_page):
    page = open_page(f"{pair.url}/run?id={pair.second}&tab=lesson")
    result = page.get_by_label("Result", exact=True)
    result.fill("Small pallets are **found** now.")
    page.locator(".preview strong", has_text="found").wait_for()
    page.get_by_role("button", name="Save lesson").click()
    page.get_by_text("Lesson saved", exact=True).wait_for()
    with Store(pair.folder) as store:
        assert store.run(pair.second).lesson.result == "Small pallets are **found** now."
    found = open_page(f"{pair.url}/lessons")
    found.get_by_label("Search lessons").fill("pallets found")
    found.locator("mark", has_text=re.compile("found", re.IGNORECASE)).first.wait_for()


def test_somebody_elses_lesson_is_not_overwritten(pair, open_page):
    first = open_page(f"{pair.url}/run?id={pair.first}&tab=lesson")
    second = open_page(f"{pair.url}/run?id={pair.first}&tab=lesson", expected=["409"])
    second.get_by_label("Next", exact=True).fill("second")
    first.get_by_label("Next", exact=True).fill("first")
    first.get_by_role("button", name="Save lesson").click()
    first.get_by_text("Lesson saved", exact=True).wait_for()
    second.get_by_role("button", name="Save lesson").click()
    second.get_by_role("alert").wait_for()
    with Store(pair.folder) as store:
        assert store.run(pair.first).lesson.next == "first"


def test_a_decision_is_previewed_recorded_and_linked(pair, open_page):
    page = open_page(f"{pair.url}/decision?candidate={pair.second}&baseline={pair.first}")
    page.get_by_text("preview: nothing is recorded yet").wait_for()
    gates = page.locator("li.gate h2").all_inner_texts()
    assert [g[:2] for g in gates] == ["1.", "2.", "3.", "4."]
    page.get_by_role("button", name=re.compile("Record this decision|Approve")).click()
    page.wait_for_url(re.compile(r"decision\?.*id=[0-9a-f]{64}"))
    link = page.url
    again = open_page(link)
    again.get_by_role("button", name="Print").wait_for()
    again.goto(f"{pair.url}/decisions?project=pallets")
    again.get_by_role("link", name="v2_imgsz_160").wait_for()


def test_an_override_needs_a_reason(pair, open_page):
    page = open_page(f"{pair.url}/decision?candidate={pair.second}&baseline={pair.first}")
    page.get_by_role("button", name="Override with a reason").click()
    ship = page.get_by_role("button", name="Ship against the gates")
    assert ship.is_disabled()
    page.get_by_label("Reason").fill("The customer waits, and accepts the risk.")
    ship.click()
    page.wait_for_url(re.compile(r"decision\?.*id=[0-9a-f]{64}"))
    page.get_by_text("The customer waits").wait_for()


def test_the_table_works_by_keyboard(pair, open_page):
    page = open_page(f"{pair.url}/runs?project=pallets")
    page.get_by_role("link", name="v1_baseline").wait_for()
    page.keyboard.press("j")
    assert "v2_imgsz_160" in page.locator("[role=row].active").inner_text()
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.get_by_text("2 runs selected").wait_for()
    page.keyboard.press("v")
    eye = page.get_by_role("button", name="Show curves of v1_baseline")
    assert eye.get_attribute("aria-pressed") == "false"
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Filter")
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.get_by_role("heading", name="Compare", exact=True).wait_for()


def test_the_palette_finds_runs(pair, open_page):
    page = open_page(f"{pair.url}/lessons")
    page.get_by_role("heading", name="Lessons").wait_for()
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Go to").fill("imgsz_160")
    page.get_by_role("option", name=re.compile("v2_imgsz_160")).wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="v2_imgsz_160").wait_for()


def test_a_name_is_checked_while_it_is_typed(pair, open_page):
    page = open_page(f"{pair.url}/run?id={pair.second}")
    page.get_by_role("button", name="Rename").click()
    field = page.get_by_role("textbox", name="Name")
    field.fill("train3")
    page.locator(".say .warn").wait_for()
    field.fill("v1_baseline")
    page.get_by_text("another run has this name").wait_for()
    field.fill("v2_larger_input")
    page.get_by_text("follows the charter").wait_for()
    field.press("Enter")
    page.get_by_role("heading", name="v2_larger_input").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("heading", name="v2_imgsz_160").wait_for()


def test_trash_and_tags_can_be_undone(pair, open_page):
    page = open_page(f"{pair.url}/runs?project=pallets")
    page.get_by_role("checkbox", name="Select v1_baseline").click()
    page.get_by_role("group", name="Selected runs").get_by_role("button", name="Tags").click()
    page.get_by_role("textbox", name="Add a tag").fill("keeper")
    page.keyboard.press("Enter")
    page.get_by_text("+keeper on 1 run").wait_for()
    page.get_by_role("button", name="Trash", exact=True).click()
    page.get_by_role("link", name="v1_baseline").wait_for(state="detached")
    page.locator(".toast", has_text="in the trash").get_by_role("button", name="Undo").click()
    page.get_by_role("link", name="v1_baseline").wait_for()
    with Store(pair.folder) as store:
        assert store.run(pair.first).tags == ("keeper",)
        assert not store.run(pair.first).trashed


def test_columns_are_chosen_moved_and_saved_as_csv(pair, open_page):
    page = open_page(f"{pair.url}/runs?project=pallets&view=table")
    page.get_by_role("link", name="v1_baseline").wait_for()
    page.get_by_role("button", name="Columns", exact=True).click()
    page.get_by_role("textbox", name="Search columns").fill("optimizer")
    page.get_by_role("group", name="Columns").get_by_role("checkbox").last.check()
    page.keyboard.press("Escape")
    page.get_by_role("columnheader").filter(has_text="optimizer").wait_for()
    with page.expect_download() as saved:
        page.get_by_role("button", name="More", exact=True).click()
        page.get_by_role("button", name="Save all as CSV").click()
    text = saved.value.path().read_text()
    assert "v2_imgsz_160" in text
    assert "SGD" in text


def test_runs_are_grouped(pair, open_page):
    page = open_page(f"{pair.url}/runs?project=pallets&by=group")
    page.get_by_text("(2)", exact=True).wait_for()
    assert "±" in page.locator("[role=row].group").inner_text()
    page.get_by_role("button", name="Open group").click()
    page.get_by_role("link", name="v2_imgsz_160").wait_for()


def test_the_baseline_is_the_projects(pair, open_page):
    page = open_page(f"{pair.url}/project?project=pallets")
    page.get_by_role("button", name="Choose", exact=True).click()
    page.get_by_role("button", name=re.compile("v1_baseline")).click()
    page.get_by_text("The baseline is changed for everybody").wait_for()
    page.goto(f"{pair.url}/runs?project=pallets")
    page.get_by_role("row", name=re.compile("v1_baseline")).get_by_text(
        "baseline", exact=True
    ).wait_for()
