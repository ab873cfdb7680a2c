"""WCAG 2.2 AA, as far as axe-core can tell, on every page, light and dark, wide and narrow."""

import pytest

pytestmark = pytest.mark.browser

PAGES = {
    "runs": "runs?project=pallets",
    "grouped": "runs?project=pallets&by=group",
    "compare": "compare?runs={first},{second}",
    "run": "run?id={second}",
    "lesson": "run?id={second}&tab=lesson",
    "images": "run?id={second}&tab=images",
    "evaluations": "run?id={second}&tab=evaluations",
    "files": "run?id={second}&tab=files",
    "decision": "decision?candidate={second}&baseline={first}",
    "decisions": "decisions?project=pallets",
    "lessons": "lessons",
    "undocumented": "lessons?view=undocumented&project=pallets",
    "datasets": "datasets",
    "dataset": "datasets?id={dataset.digest}",
    "ledger": "ledger?project=pallets",
    "project": "project?project=pallets",
    "settings": "settings",
}


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 400)])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_violations(seen_pair, open_page, violations, name, scheme, width):
    page = open_page(
        f"{seen_pair.url}/{PAGES[name].format(**vars(seen_pair))}",
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
        bypass_csp=True,
    )
    page.get_by_role("heading", level=1).first.wait_for(state="attached")
    page.wait_for_timeout(900)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
