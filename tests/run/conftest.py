"""A run in a workspace of its own, and eyes on what it recorded."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import epochal
from epochal.journal.reader import read_journal
from epochal.records import Metrics
from epochal.store.store import Store

_VARIABLES = [name for name in os.environ if name.startswith("EPOCHAL_")]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in (*_VARIABLES, "RANK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def start(folder):
    """Open runs in the test's workspace, and end them with the test."""
    opened = []

    def init(name="v1_baseline", project="pallets", **given):
        run = epochal.init(project, name, **{"capture": False, **given})
        opened.append(run)
        return run

    yield init
    for run in opened:
        run.finish()


@pytest.fixture
def run(start):
    return start()


def _records(run, *kinds):
    place = run if isinstance(run, Path) else run.folder
    found = []
    for path in sorted((place / "journal").glob("*.jsonl")):
        report = read_journal(path)
        assert (report.damaged, report.missing, report.unknown, report.disordered) == (0, 0, 0, 0)
        found += [line.entry.body for line in report.lines]
    return [body for body in found if not kinds or isinstance(body, kinds)]


@pytest.fixture
def records():
    """The bodies of these kinds (all, without any) in the run's journals, writer by writer."""
    return _records


@pytest.fixture
def logged():
    """(step, values) of all metrics records of a run."""
    return lambda run: [(body.step, body.values) for body in _records(run, Metrics)]


@pytest.fixture
def document(folder):
    """The run as a reader sees it."""

    def read(run):
        with Store(folder) as store:
            return store.run(run if isinstance(run, str) else run.id)

    return read


class Script:
    """A training script in a process of its own, in the test's workspace."""

    def __init__(self, folder, source: str, **environment: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(source)],
            cwd=folder.root.parent,
            env={**os.environ, "PYTHONFAULTHANDLER": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def wait_for(self, word: str) -> str:
        """Read what it prints until a line begins with `word`; return the rest of that line."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(word):
                return line.removeprefix(word).strip()
        raise AssertionError(f"{word!r} was never printed: {self.process.stderr.read()}")

    def end(self) -> tuple[int, str]:
        """Wait for its end; return its exit code and what it wrote to stderr."""
        try:
            _, error = self.process.communicate(timeout=60)
        finally:
            self.process.kill()
        return self.process.returncode, error

    def only_run(self):
        """The one run of the workspace and its status, as a reader sees them."""
        with Store(self.folder) as store:
            (found,) = store.runs()
            return found, store.status(found)


@pytest.fixture
def script(folder):
    started = []

    def start(source, **environment):
        started.append(Script(folder, source, **environment))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        for stream in (one.process.stdout, one.process.stderr):
            stream.close()
