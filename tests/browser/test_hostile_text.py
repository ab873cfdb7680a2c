"""Text from strangers is shown as text on every page, and nothing of it ever runs."""

import pytest

pytestmark = pytest.mark.browser

TABS = [
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
]


@pytest.fixture
def hostile_page(seen_pair, open_page):
    return open_page(seen_pair.url, expected=["Failed to load resource"])


def _unharmed(page):
    assert page.evaluate("window.pwned") is None
    assert page.locator("main script, main iframe, main [onerror], main [onload]").count() == 0
    hrefs = page.eval_on_selector_all("a", "links => links.map(a => a.href)")
    assert not [href for href in hrefs if href.lower().startswith("javascript:")]


@pytest.mark.parametrize("tab", TABS)
def test_a_run_made_of_markup(seen_pair, hostile_page, tab):
    hostile_page.goto(f"{seen_pair.url}/run?id={seen_pair.hostile}&tab={tab}")
    hostile_page.get_by_role("heading", level=1).filter(has_text="onerror").wait_for()
    hostile_page.wait_for_timeout(400)
    _unharmed(hostile_page)


@pytest.mark.parametrize(
    "page_name",
    [
        "runs",
        "compare",
        "decisions",
        "lessons",
        "datasets",
        "ledger",
        "project",
        "settings",
    ],
)
def test_pages_about_it(seen_pair, hostile_page, page_name):
    project = "%3Cscript%3Ewindow.pwned%3D1%3C%2Fscript%3E"
    runs = f"&runs={seen_pair.first},{seen_pair.hostile}" if page_name == "compare" else ""
    hostile_page.goto(f"{seen_pair.url}/{page_name}?project={project}{runs}")
    hostile_page.get_by_role("heading", level=1).first.wait_for(state="attached")
    hostile_page.wait_for_timeout(400)
    _unharmed(hostile_page)


def test_its_lesson_loads_nothing(seen_pair, hostile_page):
    hostile_page.goto(f"{seen_pair.url}/lessons")
    hostile_page.locator("main li").first.wait_for()
    assert hostile_page.locator("main img").count() == 0
    _unharmed(hostile_page)


def test_its_files_never_run_in_the_page(seen_pair, hostile_page):
    hostile_page.goto(f"{seen_pair.url}/run?id={seen_pair.hostile}&tab=files")
    hostile_page.get_by_role("button", name="page.html", exact=True).click()
    hostile_page.get_by_role("dialog").locator("pre").wait_for()
    assert "<script>" in hostile_page.get_by_role("dialog").inner_text()
    _unharmed(hostile_page)


def test_a_preview_of_hostile_markdown(seen_pair, hostile_page):
    hostile_page.goto(f"{seen_pair.url}/run?id={seen_pair.first}&tab=lesson")
    field = hostile_page.get_by_label("Next", exact=True)
    field.fill('<img src=x onerror="window.pwned=1"> **bold** [x](javascript:window.pwned=1)')
    hostile_page.locator(".preview strong", has_text="bold").wait_for()
    _unharmed(hostile_page)
