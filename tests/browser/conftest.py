"""The pages in a real Chromium, against `epochal ui` as a person starts it."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from epochal.journal.folder import Folder

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "src" / "epochal" / "server" / "static" / "index.html"

_spec = importlib.util.spec_from_file_location(
    "served_workspaces", ROOT / "tests" / "server" / "workspaces.py"
)
workspaces = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(workspaces)


@pytest.fixture(scope="session")
def chromium():
    """A browser, or a stated reason why there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
    if found is None:
        pytest.skip("no Chromium found: install it, or name it in CHROMIUM")
    if not INDEX.is_file():
        pytest.skip("the page is not built: cd web && npm ci && npm run build")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Return a function that opens a page; any error, warning or foreign request fails the test.

    `expected` are parts of console errors that the test provokes.
    """
    contexts, problems = [], []

    def open_page(url="", *, expected=(), **options):
        options = {"viewport": {"width": 1440, "height": 900}} | options
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)

        def say(text):
            if not any(part in text for part in expected):
                problems.append(text)

        page.on("console", lambda m: say(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: say(f"page error: {error}"))
        page.on("request", lambda r: _own(r.url) or say(f"request to another host: {r.url}"))
        if url:
            page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def violations():
    """Return a function that tells what axe-core finds; the page was opened with `bypass_csp`."""
    axe = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.is_file():
        pytest.skip("axe-core is not installed: cd web && npm ci")

    def violations(page):
        page.add_script_tag(path=axe)
        found = page.evaluate(
            "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})"
        )
        return [
            f"{violation['id']}: {node['target']} {node['failureSummary']}"
            for violation in found["violations"]
            for node in violation["nodes"][:3]
        ]

    return violations


def _own(url):
    return url.startswith(("http://127.0.0.1:", "data:", "blob:"))


@pytest.fixture(scope="session")
def serve():
    """Return a function that starts `epochal ui` on a workspace and returns its address."""
    servers = []

    def serve(root, port=0):
        server = subprocess.Popen(
            [sys.executable, "-m", "epochal", "ui", str(root), "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "EPOCHAL_AUTHOR": "Test Author <author@example.org>"},
        )
        servers.append(server)
        said = ""
        for line in server.stdout:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                return SimpleNamespace(url=found[0], process=server)
        raise AssertionError(f"epochal ui did not start:\n{said}")

    yield serve
    for server in servers:
        server.terminate()
    for server in servers:
        server.wait(20)
        server.stdout.close()


@pytest.fixture
def pair(folder, tmp_path, serve):
    """A baseline and a candidate, served."""
    made = workspaces.make_pair(folder, tmp_path / "data")
    return SimpleNamespace(url=serve(folder.root).url, **vars(made))


@pytest.fixture(scope="session")
def seen_pair(tmp_path_factory, serve):
    """The same for tests that only look, with a hostile run beside it."""
    place = tmp_path_factory.mktemp("seen")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.delenv("EPOCHAL_WORKSPACE", raising=False)
        patch.setenv("EPOCHAL_AUTHOR", "Test Author <author@example.org>")
        folder = Folder.create(place)
        made = workspaces.make_pair(folder, place / "data")
        hostile = workspaces.make_hostile(folder, place / "hostile")
    return SimpleNamespace(url=serve(folder.root).url, hostile=hostile, **vars(made))


@pytest.fixture(scope="session")
def many(tmp_path_factory, serve):
    """A thousand runs, served."""
    folder = Folder.create(tmp_path_factory.mktemp("many"))
    workspaces.make_many(folder, 1000, points=20)
    return serve(folder.root).url
