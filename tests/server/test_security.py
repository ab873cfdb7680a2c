"""Who may ask, and how: every route, every method, and the attacks on local servers.

Names such as A38 are those of the project's attack cases.
"""

import asyncio
import json
import re
from types import SimpleNamespace

import pytest

from epochal.server.app import create_app
from epochal.server.operations import OPERATIONS, PREFIX
from epochal.server.security import Policy
from epochal.server.service import Service

API = "/api/v1"
TOKEN = "correct-horse-battery-staple"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
OWN = {"origin": "http://127.0.0.1:8642", "sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def app(session_folder):
    return create_app(Service(session_folder.folder))


@pytest.fixture(scope="module")
def locked(session_folder, serving):
    """The workspace behind a token."""
    policy = Policy(token=TOKEN)
    with serving(session_folder.folder, policy) as client:
        yield SimpleNamespace(client=client, policy=policy, **vars(session_folder))


def raw(app, *, method="GET", path="/health", headers=((b"host", b"127.0.0.1:8642"),), query=b""):
    """Send a request as it comes from the wire, without a client that would correct it."""
    sent = []

    async def call():
        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("utf-8", "surrogateescape"),
            "query_string": query,
            "headers": [(k, v) for k, v in headers],
            "scheme": "http",
            "server": ("127.0.0.1", 8642),
            "client": ("127.0.0.1", 50000),
            "root_path": "",
            "http_version": "1.1",
            "asgi": {"version": "3.0"},
        }
        await app(scope, receive, send)

    asyncio.run(call())
    start = sent[0]
    body = b"".join(m.get("body", b"") for m in sent[1:])
    headers = {k.decode(): v.decode() for k, v in start["headers"]}
    return SimpleNamespace(status=start["status"], headers=headers, body=body)


def addresses():
    """Every path of the API, with the methods that it is declared for."""
    found = {}
    for operation in OPERATIONS:
        path = re.sub(r"\{digest\}|\{other\}|\{image\}", "0" * 64, operation.path)
        path = re.sub(r"\{run\}", "0" * 32, re.sub(r"\{key:path\}", "some/key", path))
        found.setdefault(PREFIX + path, set()).add(operation.method)
    found[f"{PREFIX}/openapi.json"] = {"GET"}
    found["/health"] = {"GET"}
    found["/"] = {"GET"}
    del found[f"{PREFIX}/events"]
    return {p: m | ({"HEAD"} if "GET" in m else set()) for p, m in found.items()}


# --- deny by default ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", addresses())
def test_a_route_answers_the_methods_it_declares_and_no_other(served, path):
    for method in METHODS:
        answer = served.client.request(method, path, headers=OWN)
        if method in addresses()[path]:
            assert answer.status_code != 405, method
        else:
            assert answer.status_code == 405, method
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", [*addresses(), f"{PREFIX}/events", "/runs", "/assets/x.js"])
def test_without_the_token_nothing_answers(locked, path):
    for method in METHODS[:6]:
        answer = locked.client.request(method, path, headers=OWN)
        assert answer.status_code == 401, method
        assert "pallets" not in answer.text


def test_every_answer_has_the_headers(served):
    for path in ("/", "/health", f"{API}/workspace", f"{API}/nothing", "/assets/none.js"):
        headers = served.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy  # A47
        assert "unsafe" not in policy
        assert not [name for name in headers if name.startswith("access-control")]  # A40
        assert "server" not in headers
    assert served.client.get(f"{API}/workspace").headers["cache-control"] == "no-store"


def test_no_get_changes_anything(served):  # A41
    folder = served.folder.root

    def state():
        return {
            str(path): path.stat().st_size
            for path in folder.rglob("*")
            if path.is_file() and "index-" not in path.name
        }

    before = state()
    for operation in OPERATIONS:
        if operation.method == "GET" and operation.name != "events":
            path = re.sub(r"\{run\}", served.first, PREFIX + operation.path)
            path = re.sub(r"\{\w+(:path)?\}", "0" * 64, path)
            served.client.get(path, params={"project": "pallets", "name": "x", "q": "x"})
            served.client.get(path, params={"project": "pallets"})
            served.client.get(path)
    assert state() == before


# --- A38, A39: whom the request is addressed to ----------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.test",
        "10.attacker.example",
        "127.0.0.2",
        "0.0.0.0:8642",
        "[::2]",
        "xn--lcalhost-i2a",
    ],
)
def test_a_foreign_host_is_refused_before_any_route(app, host):  # A38
    for path in ("/health", "/", f"{API}/workspace", "/nowhere"):
        answer = raw(app, path=path, headers=[(b"host", host.encode())])
        assert answer.status == 421, path
        assert json.loads(answer.body)["code"] == "host-not-allowed"


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "localhost:80@evil",
        "user@localhost",
        "localhost:",
        "localhost.",
        "localhost:99999",
        "localhost:8o",
        "localhost/evil",
        "localhost?x",
        "localhost#x",
        "localhost\\x",
        "local host",
        "localhost,evil",
        "127.0.0.1\t",
        "[::1",
        "ö",
    ],
)
def test_a_malformed_host_is_refused(app, host):  # A38, A39
    answer = raw(app, headers=[(b"host", host.encode())])
    assert answer.status == 400
    assert json.loads(answer.body)["code"] == "bad-host"


def test_one_host_is_needed_and_forwarded_ones_are_not_believed(app):  # A38
    own = (b"host", b"127.0.0.1:8642")
    assert raw(app, headers=[]).status == 400
    assert raw(app, headers=[own, own]).status == 400
    assert raw(app, headers=[own, (b"x-forwarded-host", b"evil.example")]).status == 200
    evil = (b"host", b"evil.example")
    assert raw(app, headers=[evil, (b"x-forwarded-host", b"localhost")]).status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1:1", "[::1]:8642"])
def test_a_tunnel_may_end_on_any_port(app, host):
    assert raw(app, headers=[(b"host", host.encode())]).status == 200


TARGETS = ["http://evil.example/health", "health", "*", "/a\x00b", "/a\nb"]


@pytest.mark.parametrize("path", TARGETS)
def test_a_target_that_is_no_path_is_refused(app, path):  # A38
    answer = raw(app, path=path)
    assert answer.status == 400
    assert json.loads(answer.body)["code"] == "bad-target"


def test_a_path_has_one_spelling(app):  # A25
    for path in (
        f"{API}/workspace/",
        f"/{API}/workspace",
        f"{API}//workspace",
        f"{API}/./workspace",
        f"{API}/x/../workspace",
        f"{API}%2fworkspace",
        "/API/V1/workspace",
    ):
        answer = raw(app, path=path)
        assert b"projects" not in answer.body, path
    assert raw(app, path=f"{API}/workspace", method="get").status == 405


# --- A40, A41, A42: from where ------------------------------------------------------------------


def tag(client, served, **headers):
    body = {"runs": [served.first], "add": []}
    return client.post(f"{API}/runs/tags", json=body, headers=headers)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:8642.evil.test",
        "http://127.0.0.1:8643",
        "http://127.0.0.1",
        "https://127.0.0.1:8642",
        "http://localhost:8642",
        "",
    ],
)
def test_a_foreign_origin_changes_nothing(served, locked, origin):  # A40
    answer = tag(served.client, served, origin=origin)
    assert answer.status_code == 403
    assert answer.json()["code"] == "cross-site"
    assert "access-control-allow-origin" not in answer.headers
    cookie = f"{locked.policy.cookie}={locked.policy.session}"
    assert tag(locked.client, served, origin=origin, cookie=cookie).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "unknown"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_another_site_changes_nothing_by_any_method(served, site, method):  # A42
    for path in (f"{API}/runs/tags", f"{API}/runs/{served.first}/name", "/", "/nowhere"):
        answer = served.client.request(method, path, json={}, headers={"sec-fetch-site": site})
        assert answer.status_code == 403, path


def test_another_site_may_link_here_and_load_nothing(served):
    link = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
    }
    assert served.client.get("/", headers=link).status_code == 200
    for dest, mode in (("iframe", "navigate"), ("script", "no-cors"), ("image", "no-cors")):
        headers = {**link, "sec-fetch-dest": dest, "sec-fetch-mode": mode}
        answer = served.client.get(f"{API}/workspace", headers=headers)
        assert answer.status_code == 403, dest


def test_our_own_page_and_programs_may(served):
    assert tag(served.client, served, **OWN).status_code == 200
    assert tag(served.client, served).status_code == 200


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json5",
        "text/json",
        "",
        None,
    ],
)
def test_a_body_is_json_or_nothing(served, kind):  # A41, A55
    headers = {} if kind is None else {"content-type": kind}
    body = b'{"runs": ["%s"], "add": ["x"]}' % served.first.encode()
    answer = served.client.post(f"{API}/runs/tags", content=body, headers=headers)
    assert answer.status_code == 415


# --- the token ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    ["", " ", "null", "x" * 10_000, TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "cоrrect", "0"],
)
def test_what_is_not_the_token_does_not_open(locked, token):  # A33
    bearer = {"authorization": f"Bearer {token}".encode()}
    assert locked.client.get(f"{API}/workspace", headers=bearer).status_code == 401
    if len(token) < 4000:
        login = locked.client.get("/login", params={"token": token}, follow_redirects=False)
        assert login.status_code == 401
        assert "set-cookie" not in login.headers


def test_the_token_opens(locked):
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert locked.client.get(f"{API}/workspace", headers=bearer).status_code == 200
    assert locked.client.get("/health").status_code == 401


def test_login_sets_a_cookie_that_no_script_reads(session_folder, serving):
    with serving(session_folder.folder, Policy(token=TOKEN)) as client:
        answer = client.get("/login", params={"token": TOKEN}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert TOKEN not in answer.headers["set-cookie"]
        assert client.get(f"{API}/workspace").status_code == 200
        assert client.get(f"{API}/workspace", headers={"cookie": "x=y"}).status_code == 401


@pytest.mark.parametrize(
    "query",
    ["next=//evil.example", "next=https:evil.example", "next=%0d%0ax:y", "token=a&token=b"],
)
def test_login_leads_nowhere_else(locked, query):  # A46
    answer = locked.client.get(f"/login?token={TOKEN}&{query}", follow_redirects=False)
    assert answer.headers.get("location", "/") == "/"
    locked.client.cookies.clear()


def test_a_page_without_the_token_says_what_to_do(locked):
    answer = locked.client.get("/", headers={"accept": "text/html"})
    assert answer.status_code == 401
    assert "token" in answer.text


# --- A43: what users logged ---------------------------------------------------------------------


def test_active_files_are_saved_in_a_sandbox_never_shown(served):  # A43
    document = served.client.get(f"{API}/runs/{served.hostile}").json()["document"]
    assert {"page.html", "picture.svg", "picture.png"} <= set(document["artifacts"])
    for key in document["artifacts"]:
        answer = served.client.get(f"{API}/runs/{served.hostile}/artifacts/{key}")
        assert answer.status_code == 200, key
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["content-security-policy"].startswith("sandbox;")
        assert "allow" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        shown = served.client.get(f"{API}/runs/{served.hostile}/pictures/{key}")
        assert shown.status_code == 404, "the suffix does not make it an image"
        preview = served.client.get(f"{API}/runs/{served.hostile}/previews/{key}").json()
        assert preview["kind"] == "text"
        assert preview["media_type"] == "text/plain"


@pytest.mark.parametrize(
    "key", ["../../format", "..%2f..%2fformat", "%2e%2e/format", "/etc/passwd", "a\\..\\b", "%00"]
)
def test_a_key_is_a_name_not_a_path(served, key):  # A1-A7
    answer = served.client.get(f"{API}/runs/{served.first}/artifacts/{key}")
    assert answer.status_code in (400, 404)


def test_hostile_text_comes_back_as_data(served):  # A44
    answer = served.client.get(f"{API}/runs/{served.hostile}")
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()["document"]
    assert document["name"] == '"><img src=x onerror="window.pwned=1">'


def test_markdown_is_rendered_harmless(served):  # A45
    text = (
        "**bold** <script>window.pwned=1</script>\n\n![x](http://evil.example/x.png)\n\n"
        "[click](javascript:alert(1)) [ok](https://example.org) <a id='config'>x</a>\n\n"
        '<img src=x onerror="window.pwned=1">\n\n[d](data:text/html,x) [v](vbscript:x)\n'
    )
    html = served.client.post(f"{API}/markdown", json={"text": text}).json()["html"]
    assert "<strong>bold</strong>" in html
    assert 'href="https://example.org"' in html
    assert 'rel="noopener noreferrer nofollow"' in html
    for bad in ("<script", "<img", 'id="', 'href="javascript', 'href="data', 'href="vbscript'):
        assert bad not in html


def test_csv_holds_no_formulas(served):  # A48
    body = {"columns": [f'config."{key}"' for key in ("{{7*7}} ${7*7} <%= 7*7 %>",)]}
    answer = served.client.post(f"{API}/runs/csv", json={**body, "sort": []})
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    import csv
    import io

    rows = list(csv.reader(io.StringIO(answer.text)))
    assert len(rows) == 4
    cells = [cell for row in rows for cell in row]
    assert '\'=cmd|"/C calc"!A0' in cells
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]


# --- A49-A58: queries and bodies ----------------------------------------------------------------

DEEP = "not " * 10_000 + "name = x"


@pytest.mark.parametrize(
    "filter",
    [
        "__import__('os').system('x')",
        "().__class__.__bases__",
        "name.__class__ = 1",
        "[x for x in y]",
        "lambda: 1",
        "user.password = 1",
        "1; DROP TABLE run",
        "name = 'x' UNION SELECT 1",
        "(" * 2000 + "name = x" + ")" * 2000,
        DEEP[:4096],
        " or ".join(["name = x"] * 400),
        "name in (" + ",".join(["x"] * 1900) + ")",
        "name ~ '" + "*a" * 1500 + "'",
    ],
)
def test_a_filter_is_no_code_and_has_bounds(served, filter):  # A49-A52
    for body in (
        {"filter": filter},
        {"sort": [{"column": filter[:1000]}]},
        {"columns": [filter[:1000]]},
    ):
        answer = served.client.post(f"{API}/runs/query", json=body)
        assert answer.status_code == 400 or filter[:1] in "n(", body
        assert answer.elapsed.total_seconds() < 0.5


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/runs/query", {"limit": 10**9}),
        ("/runs/query", {"limit": 0}),
        ("/runs/query", {"filter": "x" * 5000}),
        ("/runs/query", {"ids": ["0" * 32] * 1001}),
        ("/runs/query", {"ids": ["../x"]}),
        ("/runs/query", {"cursor": "x"}),
        ("/runs/query", {"cursor": "WzFlOTksIngiXQ=="}),
        ("/runs/query", {"surprise": 1}),
        ("/compare", {"runs": ["0" * 32] * 9}),
        ("/compare", {"runs": ["0" * 32]}),
        ("/curves", {"runs": ["0" * 32] * 501, "keys": ["x"]}),
        ("/curves", {"runs": ["0" * 32], "keys": ["x"] * 101}),
        ("/curves", {"runs": ["0" * 32], "keys": ["x"], "buckets": 10**6}),
        ("/runs/tags", {"runs": [], "add": ["x"]}),
    ],
)
def test_what_is_asked_for_has_bounds(served, path, body):  # A53
    answer = served.client.post(API + path, json=body)
    assert answer.status_code == 400
    assert answer.json()["code"] in ("invalid-request", "invalid-input")


def test_a_large_body_is_refused_unread(served):  # A54
    huge = b'{"filter": "' + b"x" * (2 << 20) + b'"}'
    headers = {"content-type": "application/json"}
    answer = served.client.post(f"{API}/runs/query", content=huge, headers=headers)
    assert answer.status_code == 413

    def pieces():
        for _ in range(40):
            yield b" " * (1 << 16)

    answer = served.client.post(f"{API}/runs/query", content=pieces(), headers=headers)
    assert answer.status_code == 413
    packed = {**headers, "content-encoding": "gzip"}
    answer = served.client.post(f"{API}/runs/query", content=b"x", headers=packed)
    assert answer.status_code == 415  # A15


def test_ranges_are_not_served(served):  # A56
    ranges = "bytes=" + ",".join(f"{i}-{i + 1}" for i in range(1000))
    for value in (ranges, "bytes=5-1", "bytes=-5", "bytes=0-99999999"):
        answer = served.client.get(
            f"{API}/runs/{served.first}/artifacts/weights/best.pt", headers={"range": value}
        )
        assert (answer.status_code, answer.content) == (200, b"weights 0")


@pytest.mark.parametrize(
    "body",
    [
        b'{"limit": ' + b"9" * 5000 + b"}",
        b'{"limit": 1e999}',
        b'{"limit": NaN}',
        b'{"filter": "\\ud800"}',
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"limit": 1, "limit": 2}',
        b'\xef\xbb\xbf{"limit": 1}',
        '{"limit": 1}'.encode("utf-16"),
        b'{"filter": "\xff"}',
        b"",
        b"null",
        b"[]",
        b'{"limit": "1"}',
        b'{"limit": true}',
    ],
)
def test_json_is_taken_strictly(served, body):  # A57
    answer = served.client.post(
        f"{API}/runs/query", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400, answer.text[:200]
    assert answer.json()["code"] == "invalid-request"


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1&limit=2", "limit=x", "surprise=1", "q=" + "x" * 600, "limit=1e9"],
)
def test_query_parameters_are_taken_strictly(served, query):  # A53, A57
    answer = served.client.get(f"{API}/search?q=x&{query}")
    assert answer.status_code == 400
    assert served.client.get(f"{API}/workspace?x=1").status_code == 400
    assert served.client.get(f"{API}/search?q={'x' * 17_000}").status_code == 414


def test_names_and_tags_have_bounds(writable):  # A58
    run = writable.first
    for name in ("", "x" * 251, "a\x00b", "a\nb", "   "):
        answer = writable.client.put(f"{API}/runs/{run}/name", json={"name": name})
        assert answer.status_code == 400
    many = {"runs": [run], "add": [f"t{i}" for i in range(101)]}
    assert writable.client.post(f"{API}/runs/tags", json=many).status_code == 400
    full = {"runs": [run], "add": [f"t{i}" for i in range(100)]}
    assert writable.client.post(f"{API}/runs/tags", json=full).status_code == 200
    more = {"runs": [run], "add": ["one more"]}
    assert writable.client.post(f"{API}/runs/tags", json=more).status_code == 400


def test_an_error_inside_tells_nothing_but_an_id(served, monkeypatch, caplog):  # A63
    def broken(*_):
        raise RuntimeError("secret at /home/somebody/.netrc")

    monkeypatch.setattr("epochal.store.store.Store.health", broken)
    answer = served.client.get(f"{API}/workspace")
    assert answer.status_code == 500
    found = answer.json()
    assert found["code"] == "internal"
    assert found["id"]
    assert "secret" not in answer.text
    assert found["id"] in caplog.text
