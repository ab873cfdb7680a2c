"""A decision on paper: light whatever the screen shows, whole, without what needs a screen."""

import re

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture
def printed(seen_pair, open_page):
    """A decision in the dark theme, laid out as a print."""
    page = open_page(
        f"{seen_pair.url}/decision?candidate={seen_pair.second}&baseline={seen_pair.first}",
        color_scheme="dark",
    )
    page.get_by_role("heading", name="1.").wait_for()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 688, "height": 1000})  # A4 without its margins
    return page


def _colour(locator, name):
    return [
        int(part)
        for part in re.findall(r"\d+", locator.evaluate(f"n => getComputedStyle(n)['{name}']"))
    ][:3]


def test_a_decision_is_printed_light_and_whole(printed):
    assert _colour(printed.locator("html"), "background-color") == [255, 255, 255]
    assert max(_colour(printed.locator("html"), "color")) < 60
    for shown in ("navigation", "button"):
        assert printed.get_by_role(shown).count() == 0
    assert not printed.locator(".skip").is_visible()
    assert not printed.locator("summary").first.is_visible()
    assert printed.evaluate("document.documentElement.scrollWidth <= innerWidth")
    cut = printed.locator("main *").evaluate_all(
        "nodes => nodes.filter(n => n.getClientRects().length && !n.closest('.hidden') &&"
        " n.getBoundingClientRect().right > innerWidth + 1).map(n => n.outerHTML.slice(0, 120))"
    )
    assert cut == []


def test_the_colours_of_runs_are_those_of_the_light_theme(printed):
    dots = printed.locator("a.run i")
    colours = "nodes => nodes.map(n => getComputedStyle(n).backgroundColor)"
    on_paper = dots.evaluate_all(colours)
    printed.evaluate("dispatchEvent(new Event('afterprint'))")
    assert dots.evaluate_all(colours) != on_paper
    assert on_paper == ["rgb(254, 89, 32)", "rgb(53, 104, 208)"]  # the second run and the first


def test_a_print_has_few_pages(printed):
    pages = len(re.findall(rb"/Type\s*/Page\b", printed.pdf(format="A4")))
    assert pages in (1, 2)
