"""WCAG 2.2 AA, as far as axe-core can tell, on every page, light and dark, wide and narrow."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
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
def test_a_page_has_no_violations(seen_pair, open_page, name, scheme, width):
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: cd web && npm ci")
    page = open_page(
        f"{seen_pair.url}/{PAGES[name].format(**vars(seen_pair))}",
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
        bypass_csp=True,
    )
    page.get_by_role("heading", level=1).first.wait_for(state="attached")
    page.wait_for_timeout(900)
    page.add_script_tag(path=AXE)
    found = page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})"
    )
    told = [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"][:3]
    ]
    assert told == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
