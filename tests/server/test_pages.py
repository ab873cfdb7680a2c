"""The built page: index.html for every address, hashed assets for ever, nothing else."""

import gzip
import os

import pytest
import zstandard
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from epochal.server import answering  # noqa: F401 # it knows which paths are pages
from epochal.server.pages import Pages

INDEX = "<!doctype html><title>Epochal</title>" + "x" * 5000


@pytest.fixture
def static(tmp_path):
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(INDEX)
    (folder / "assets" / "index-abc.js").write_text("console.log(1);" * 500)
    (folder / "assets" / "index-abc.js.map").write_text("{}")
    (folder / "icon.svg").write_text("<svg/>")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
def client(static):
    return TestClient(Starlette(routes=[Route("/{path:page}", Pages(static).answer)]))


def test_every_address_of_the_page_is_the_page(client):
    for path in ("/", "/runs", "/compare?runs=a"):
        answer = client.get(path, headers={"accept-encoding": "identity"})
        assert (answer.status_code, answer.text) == (200, INDEX)
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("deeper", "page"),
    [
        (f"/pallets/{'0a' * 16}", f"/run?id={'0a' * 16}"),  # what Ultralytics prints
        (f"/me/pallets/{'0a' * 16}", f"/run?id={'0a' * 16}"),
        ("/some/deep/runs", "/runs"),
        ("/runs/", "/runs"),
        ("/a//evil.example", None),
        ("/a/%2f%2fevil", "/evil"),
    ],
)
def test_a_deeper_address_leads_to_the_page_that_it_means(client, deeper, page):
    answer = client.get(deeper, follow_redirects=False)
    if page is None:
        assert answer.status_code == 404
        return
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("../")
    assert str(answer.next_request.url) == f"http://testserver{page}"


def test_assets_are_kept_for_ever_and_typed(client):
    answer = client.get("/assets/index-abc.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    assert client.get("/icon.svg").headers["content-type"] == "image/svg+xml"


def test_files_are_sent_as_small_as_the_browser_reads(client, static):
    plain = (static / "assets" / "index-abc.js").read_bytes()
    for accepted, unpack in (
        ("gzip, deflate", gzip.decompress),
        ("gzip, deflate, br, zstd", zstandard.decompress),
        ("zstd;q=0, gzip;q=0", bytes),
        ("", bytes),
    ):
        with client.stream(
            "GET", "/assets/index-abc.js", headers={"accept-encoding": accepted}
        ) as answer:
            data = b"".join(answer.iter_raw())
            assert unpack(data) == plain, accepted
            assert answer.headers["vary"] == "accept-encoding"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/none.js",
        "/assets/index-abc.js.map",
        "/assets/",
        "/robots.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
    ],
)
def test_what_was_not_built_is_not_there(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text.replace(path, "")


def test_a_page_that_is_built_anew_is_served(client, static):
    assert client.get("/").text == INDEX
    (static / "index.html").write_text("new")
    os.utime(static / "index.html", (1, 1))
    assert client.get("/").text == "new"


def test_a_checkout_without_a_built_page_says_how_to_build_it(tmp_path):
    app = Starlette(routes=[Route("/{path:page}", Pages(tmp_path / "none").answer)])
    answer = TestClient(app).get("/")
    assert answer.status_code == 200
    assert "npm run build" in answer.text
    assert "<script" not in answer.text
