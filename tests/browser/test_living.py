"""A training that runs while the page is open, and a server that goes away."""

import time

import pytest

from epochal.journal.writer import Writer
from epochal.records import Metrics, Opened
from epochal.store.store import Store

pytestmark = pytest.mark.browser

KEY = "metrics/mAP50-95(B)"
NEW = "f" * 32


@pytest.fixture
def training(pair):
    """A run that has just begun, writing as a training process does."""
    place = pair.folder.new_run_folder(NEW, "v3_live")
    writer = Writer(place / "journal", run=NEW)
    writer.append(Opened(run=NEW, attempt=1, project="pallets", name="v3_live", owner=writer.id))
    yield writer
    writer.close()


def _log(writer, epoch):
    writer.append(Metrics(values={KEY: 0.01 * epoch}, step=epoch, epoch=epoch))


def test_a_run_appears_and_moves_within_two_seconds(pair, training, open_page):
    page = open_page(f"{pair.url}/runs?project=pallets")
    page.get_by_role("link", name="v3_live").wait_for()
    for epoch in range(5):
        _log(training, epoch)
    begun = time.monotonic()
    page.get_by_role("row", name="v3_live").get_by_text("4.00", exact=True).wait_for()
    assert time.monotonic() - begun < 2
    begun = time.monotonic()
    _log(training, 5)
    page.get_by_role("region", name="mAP50-95").get_by_role("button", name="v3_live").get_by_text(
        "5.00"
    ).first.wait_for()
    assert time.monotonic() - begun < 2


def test_zoom_selection_and_scroll_survive_what_comes_in(pair, training, open_page):
    page = open_page(
        f"{pair.url}/runs?project=pallets&zoom=5,15", viewport={"width": 1200, "height": 500}
    )
    page.get_by_role("checkbox", name="Select v1_baseline").click()
    curves = page.locator(".sections")
    curves.evaluate("node => node.scrollTop = 120")
    for epoch in range(12):
        _log(training, epoch)
    page.get_by_role("row", name="v3_live").get_by_text("11.00", exact=True).wait_for()
    assert "zoom=5%2C15" in page.url
    assert page.get_by_role("checkbox", name="Select v1_baseline").is_checked()
    assert curves.evaluate("node => node.scrollTop") == 120


def test_a_training_is_asked_to_stop(pair, training, open_page):
    _log(training, 1)
    page = open_page(f"{pair.url}/run?id={NEW}")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Stop at the next epoch").click()
    page.get_by_text("stops at its next epoch").wait_for()
    with Store(pair.folder) as store:
        assert store.run(NEW).stop_requested


def test_a_lost_connection_shows_and_recovers(folder, record_run, serve, open_page):
    record_run("v1_baseline", metrics={KEY: [0.1, 0.2]})
    server = serve(folder.root)
    page = open_page(f"{server.url}/runs", expected=["net::ERR", "Failed to load"])
    page.get_by_role("link", name="v1_baseline").wait_for()
    server.process.terminate()
    server.process.wait(20)
    page.get_by_role("navigation").get_by_text("reconnecting…").wait_for()
    assert page.get_by_role("link", name="v1_baseline").is_visible()
    record_run("v2_later", metrics={KEY: [0.3]})
    serve(folder.root, port=int(server.url.rpartition(":")[2]))
    page.get_by_role("link", name="v2_later").wait_for()


def test_eight_tabs_share_one_stream_and_hand_it_on(folder, record_run, serve, open_page):
    record_run("v1_baseline", metrics={KEY: [0.1, 0.2]})
    url = f"{serve(folder.root).url}/runs"
    first = open_page()
    context = first.context
    tabs = [first, *(context.new_page() for _ in range(7))]
    streams = []
    context.on("request", lambda r: "/api/v1/events" in r.url and streams.append(r))
    for tab in tabs:
        tab.goto(url)
        tab.get_by_role("link", name="v1_baseline").wait_for()
        tab.locator(".connection i.open").wait_for()
    assert len(streams) == 1
    record_run("v2_second", metrics={KEY: [0.3]})
    for tab in tabs:
        tab.get_by_role("link", name="v2_second").wait_for()
    first.close()
    record_run("v3_third", metrics={KEY: [0.3]})
    for tab in tabs[1:]:
        tab.get_by_role("link", name="v3_third").wait_for()
    assert len(streams) == 2


def test_a_tab_that_does_not_answer_loses_the_stream(folder, record_run, serve, open_page):
    record_run("v1_baseline", metrics={KEY: [0.1, 0.2]})
    url = f"{serve(folder.root).url}/runs"
    stopped = open_page(url)
    stopped.locator(".connection i.open").wait_for()
    other = stopped.context.new_page()
    other.set_default_timeout(60_000)
    other.goto(url)
    other.locator(".connection i.open").wait_for()
    stopped.on("dialog", lambda _: None)  # nobody answers it
    stopped.evaluate("setTimeout(() => alert('a dialog'))")
    other.bring_to_front()
    record_run("v2_second", metrics={KEY: [0.3]})
    with other.expect_request(lambda r: "/api/v1/events" in r.url):
        pass
    other.get_by_role("link", name="v2_second").wait_for()
