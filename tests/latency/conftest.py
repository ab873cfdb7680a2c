"""Programs that are measured: they answer as a model's process would."""

import shlex
import sys

import pytest


@pytest.fixture
def program(tmp_path):
    """Return a function that writes a Python program and gives the command that starts it."""

    def write(text, name="infer.py"):
        path = tmp_path / name
        path.write_text(text)
        return shlex.join([sys.executable, str(path)])

    return write


SERVED = """
from epochal.latency import serve
print("frameworks print")
serve(lambda: {"inference": 0.5}, runtime="python", runtime_version="3", batch=1)
"""

BARE = """
import sys
for number, _ in enumerate(sys.stdin):
    print("noise")
    print("ms", TIMES[number % len(TIMES)], flush=True)
"""


@pytest.fixture
def served(program):
    """A program that uses `epochal.latency.serve`."""
    return program(SERVED)


@pytest.fixture
def bare(program):
    """Return a function for a program that speaks the protocol by itself, with known times."""

    def write(times, name="bare.py"):
        return program(f"TIMES = {list(times)!r}\n{BARE}", name)

    return write
