"""What the crash tests share: a ledger of what was acknowledged, and the question what is there.

Acknowledgements go through a pipe to the test's own process, never to the store under test.
A failure keeps its folder, and says where.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import pytest

from epochal.journal.reader import read_journal
from epochal.records import Metrics

HERE = Path(__file__).parent


@pytest.fixture
def place(request):
    """A folder that stays where it is when the test fails."""
    folder = Path(tempfile.mkdtemp(prefix="epochal-durability-"))
    failed = request.session.testsfailed
    yield folder
    if request.session.testsfailed == failed:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"kept: {folder}")


class Acknowledging:
    """A process whose printed lines are its acknowledgements: integers, space-separated."""

    def __init__(self, source: str, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(source), *arguments],
            env={**os.environ, "EPOCHAL_QUIET": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE,
        )
        self.acks: list[tuple[int, ...]] = []
        self.some = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        for line in self.process.stdout:
            if line.endswith(b"\n"):
                self.acks.append(tuple(map(int, line.split())))
                self.some.set()

    def kill(self) -> None:
        """Kill it, and take in what it had acknowledged."""
        self.process.kill()
        self.end()

    def end(self) -> int:
        """Wait for its end."""
        code = self.process.wait(60)
        self._thread.join()
        self.error = self.process.stderr.read().decode()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        return code


@pytest.fixture
def acknowledging():
    started = []

    def start(*arguments, **environment):
        started.append(Acknowledging(*arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()


def found_steps(folder: Path, *, check=read_journal) -> set[int]:
    """The steps in all journals below `folder`, each line by its checksum."""
    steps = set()
    for path in folder.glob("**/journal/*.jsonl"):
        for line in check(path).lines:
            if line.entry is not None and isinstance(line.entry.body, Metrics):
                steps.add(line.entry.body.step)
    return steps


@pytest.fixture
def steps_in():
    return found_steps


class Mount:
    """The power-cut file system, mounted."""

    def __init__(self, place: Path) -> None:
        self.root = place / "disk"
        self.root.mkdir()
        self._cuts = place / "cuts"
        self._n = 0
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "power_cut_fs.py"), str(self.root)],
            stderr=subprocess.PIPE,
        )
        for _ in range(200):
            if os.path.ismount(self.root):
                return
            if self.process.poll() is not None:
                break
            threading.Event().wait(0.05)
        error = self.process.stderr.read().decode() if self.process.poll() is not None else "late"
        pytest.skip(f"the power-cut file system cannot be mounted: {error.strip()[-200:]}")

    def cut(self, seed: int = 0) -> tuple[Path, int]:
        """Pull the plug; return what the disk holds, and when that was (monotonic, ns)."""
        import json

        self._n += 1
        folder = self._cuts / str(self._n)
        os.getxattr(self.root, f"user.power_cut:{folder}:{seed}")
        return folder / "disk", json.loads((folder / "cut.json").read_text())["monotonic_ns"]

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self.root)], check=False, capture_output=True)
        self.process.wait(10)
        self.process.stderr.close()


@pytest.fixture
def disk(place):
    """A mounted file system that can lose power."""
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.W_OK):
        pytest.skip("a file system that loses power needs root and /dev/fuse")
    try:
        try:
            import fusepy  # noqa: F401 - Debian's name for it
        except ImportError:
            import fuse  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.skip(f"needs fusepy and libfuse 2: {error}")
    mount = Mount(place)
    yield mount
    mount.unmount()
