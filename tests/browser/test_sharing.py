"""A link shows everybody the same: filter, columns, order, charts, and the colours of the runs."""

import json
import urllib.request

import pytest

pytestmark = pytest.mark.browser


def _ids(url, *names):
    request = urllib.request.Request(
        f"{url}/api/v1/runs/query",
        json.dumps({"project": "pallets", "limit": 1000}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        known = {row["name"]: row["id"] for row in json.load(answer)["rows"]}
    return [known[name] for name in names]


def _seen(page):
    """Return what the view shows: heads, rows with their dots, the legend of the first chart."""
    legend = page.get_by_role("region", name="mAP50-95").locator(".legend li")
    for name in ("v3_run", "v500_run", "v998_run"):
        legend.filter(has_text=name).wait_for()
    colour = "nodes => nodes.map(n => getComputedStyle(n).backgroundColor)"
    return {
        "heads": page.get_by_role("columnheader").all_inner_texts(),
        "rows": page.locator("[role=row] a.name").all_inner_texts()[:12],
        "dots": page.locator(".line .dot").evaluate_all(colour),
        "legend": legend.all_inner_texts(),
        "legend colours": legend.locator("i").evaluate_all(colour),
        "axis": page.get_by_label("x axis").input_value(),
    }


def test_a_link_opens_the_same_view_in_the_same_colours(many, open_page):
    shown = "|".join(_ids(many, "v3_run", "v500_run", "v998_run"))
    view = (
        "runs?project=pallets&q=config.imgsz+%3D+640&sort=-config.lr0%7Cname"
        f"&cols=config.imgsz%7Cconfig.lr0%7Ctags&show={shown}&x=step&sm=ema%3A0.6&zoom=2,15"
    )
    mine = open_page(f"{many}/runs?project=pallets&name=v7*")
    mine.locator("[role=row] a.name").first.wait_for()
    mine.goto(f"{many}/lessons?view=undocumented&project=pallets")
    mine.get_by_role("heading", level=1).wait_for()
    mine.goto(f"{many}/{view}")
    theirs = open_page(f"{many}/{view}")
    seen = _seen(theirs)
    assert _seen(mine) == seen
    assert [line.split("\n")[0] for line in seen["legend"]] == ["v3_run", "v500_run", "v998_run"]
    assert len(set(seen["legend colours"])) == 3


def test_a_run_has_one_colour_on_all_pages(seen_pair, open_page):
    colours = set()
    for place in (
        "runs?project=pallets",
        "project?project=pallets",
        f"compare?project=pallets&runs={seen_pair.second},{seen_pair.first}",
        f"run?id={seen_pair.first}",
        f"run?id={seen_pair.second}&tab=lineage",
    ):
        page = open_page(f"{seen_pair.url}/{place}")
        if place.startswith("project"):
            page.get_by_role("button", name="Choose").click()
        dot = page.locator(
            "[role=row]:has-text('v1_baseline') .dot, a.run:has-text('v1_baseline') i,"
            " h1:has-text('v1_baseline') i.dot, :has(> h1:has-text('v1_baseline')) > i.dot,"
            " [role=option]:has-text('v1_baseline') i, button:has-text('v1_baseline') i"
        ).first
        dot.wait_for()
        colours.add(dot.evaluate("node => getComputedStyle(node).backgroundColor"))
    assert len(colours) == 1


def test_a_copied_link_names_its_project(seen_pair, open_page):
    page = open_page(f"{seen_pair.url}/runs?view=table")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Saved views").click()
    page.get_by_role("button", name="Copy a link to this view").click()
    page.get_by_text("Link copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "project=" in copied
    assert "view=table" in copied
