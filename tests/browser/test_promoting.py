"""From the page of a decision to what is deployed: as the gates say, or with a reason."""

import pytest

pytestmark = pytest.mark.browser


def _decide(page, pair, override=""):
    page.goto(f"{pair.url}/decision?candidate={pair.second}&baseline={pair.first}")
    if override:
        page.get_by_role("button", name="Override with a reason").click()
        page.get_by_role("textbox", name="Reason").fill(override)
        page.get_by_role("button", name="Ship against the gates").click()
    else:
        page.get_by_role("button", name="Record this decision").click()
    page.wait_for_url("**/decision?*id=*")


def test_a_run_that_ships_is_promoted_from_its_decision(pair, open_page):
    page = open_page()
    _decide(page, pair, override="the customer waits")
    page.get_by_role("button", name="Promote…").click()
    dialog = page.get_by_role("dialog", name="Promote v2_imgsz_160")
    dialog.get_by_label("Reason").fill("line 2 first")
    dialog.get_by_role("button", name="Promote", exact=True).click()
    page.get_by_text("v2_imgsz_160 is production now").wait_for()
    page.goto(f"{pair.url}/project?project=pallets")
    promoted = page.get_by_role("region", name="Promoted")
    promoted.get_by_text("line 2 first").wait_for()
    assert promoted.get_by_text("Test Author", exact=True).is_visible()
    assert promoted.get_by_text("production", exact=True).is_visible()
    promoted.get_by_role("link", name="decision").first.click()
    page.get_by_text("the customer waits").first.wait_for()


def test_what_does_not_ship_takes_a_reason(pair, open_page, violations):
    page = open_page(expected=["409"], bypass_csp=True)
    _decide(page, pair)
    page.get_by_role("button", name="Promote all the same").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("staging")
    against = dialog.get_by_role("button", name="Promote against the gates")
    assert against.is_disabled()
    dialog.get_by_label("Why it is promoted all the same").fill("a trial on line 2")
    assert violations(page) == []
    against.click()
    page.get_by_text("is staging now").wait_for()
    page.goto(f"{pair.url}/project?project=pallets")
    promoted = page.get_by_role("region", name="Promoted")
    promoted.get_by_text("a trial on line 2").wait_for()
    assert promoted.get_by_text("against the gates").is_visible()
    page.set_viewport_size({"width": 400, "height": 800})
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
