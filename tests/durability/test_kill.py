"""What `log()` returned from survives ``kill -9``, whenever it comes (F1, F2)."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from epochal.errors import EpochalError
from epochal.journal.folder import Folder
from epochal.journal.reader import read_journal
from epochal.records import Metrics
from epochal.store.blobs import Blobs
from epochal.store.store import Store

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("EPOCHAL_KILLS", "100"))

# Forks a training for each line on stdin: starting an interpreter a hundred times takes longer
# than being killed. Each acknowledgement is "round step".
NURSERY = """
    import os, sys, threading
    import epochal, epochal.run.opening, epochal.run.naming, epochal.store.blobs, blake3
    workspace, tell = sys.argv[1], int(os.environ["TELL"])
    if os.environ.get("MUTANT") == "buffered":
        from epochal.journal import writer
        class Buffered:
            def __getattr__(self, name):
                return getattr(os, name)
            def write(self, fd, data, held=bytearray()):
                held += data
                if len(held) > 20_000:
                    os.write(fd, bytes(held)); held.clear()
                return len(data)
        writer.os = Buffered()
    def train(round, resume):
        run = epochal.init("p", "v1_baseline", workspace=workspace, capture=False,
                           resume=resume or None)
        os.write(tell, run.id.encode() + b"\\n")
        def work(thread):
            step = thread
            while True:
                run.log({f"thread/{thread}": float(step)}, step=step)
                os.write(1, b"%d %d\\n" % (round, step))
                step += 2
        threading.Thread(target=work, args=(1,), daemon=True).start()
        if round % 5 == 0:
            run.artifact(sys.argv[2], f"artifact/{round}")
        work(0)
    for line in sys.stdin:
        round, _, resume = line.strip().partition(" ")
        pid = os.fork()
        if pid == 0:
            train(int(round), resume)
        os.write(tell, b"pid %d\\n" % pid)
        os.waitpid(pid, 0)
"""


class Nursery:
    """The process that forks trainings, and what they acknowledged."""

    def __init__(self, workspace, artifact, **environment):
        receive, send = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(NURSERY), str(workspace), str(artifact)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "EPOCHAL_QUIET": "1", "TELL": str(send), **environment},
            pass_fds=(send,),
        )
        os.close(send)
        self._told = os.fdopen(receive)

    def start(self, round, resume=""):
        self.process.stdin.write(f"{round} {resume}\n".encode())
        self.process.stdin.flush()
        told = sorted(self._told.readline().strip() for _ in range(2))
        run, pid = told if told[1].startswith("pid") else (told[1], told[0])
        return run, int(pid.removeprefix("pid "))


def _drain(stream, into):
    def read():
        for line in stream:
            into.append(line)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _kill_loop(place, kills, **environment):
    """Kill trainings at random moments; return (acknowledged by round, run by round)."""
    artifact = place / "artifact"
    artifact.write_bytes(bytes(range(256)) * 4000)
    nursery = Nursery(place, artifact, **environment)
    lines: list[bytes] = []
    reader = _drain(nursery.process.stdout, lines)
    chance = random.Random(kills)
    runs: dict[int, str] = {}
    for round in range(kills):
        # Every third goes on with the run that was killed before.
        resume = runs[round - 1] if round % 3 == 2 else ""
        runs[round], pid = nursery.start(round, resume)
        time.sleep(chance.uniform(0.0, 0.06))
        os.kill(pid, signal.SIGKILL)
    nursery.process.stdin.close()
    assert nursery.process.wait(30) == 0
    reader.join()
    nursery.process.stdout.close()
    nursery._told.close()
    acks: dict[int, set[int]] = {round: set() for round in runs}
    for line in lines:
        if line.endswith(b"\n"):
            round, step = map(int, line.split())
            acks[round].add(step)
    return acks, runs


def _lost(place, acks, runs):
    """Acknowledged (round, step) that no journal of the round's run holds."""
    folder = Folder.at(place)
    found: dict[str, list[set[int]]] = {}
    for journal in folder.journals():
        report = read_journal(journal.path)
        assert (report.damaged, report.missing, report.disordered) == (0, 0, 0)
        steps = {
            line.entry.body.step for line in report.lines if isinstance(line.entry.body, Metrics)
        }
        found.setdefault(report.header.run, []).append(steps)
    lost = []
    for round, steps in acks.items():
        # An attempt is one journal; the one of this round holds all of its steps.
        if not any(steps <= one for one in found.get(runs[round], [])):
            lost.append(round)
    return lost


def test_nothing_acknowledged_is_lost(place):
    """G11: a hundred kills, EPOCHAL_KILLS for more; with threads, resumes and artifacts."""
    begun = time.monotonic()
    acks, runs = _kill_loop(place, KILLS)
    total = sum(map(len, acks.values()))
    assert _lost(place, acks, runs) == []
    print(f"\n{KILLS} kills in {time.monotonic() - begun:.0f} s: {total} acknowledged, 0 lost")
    assert total > KILLS * 5

    folder = Folder.at(place)
    with Store(folder) as store:
        documents = store.runs()
        assert {d.id for d in documents} == set(runs.values())
        assert {store.status(d) for d in documents} == {"killed"}
        for document in documents:
            for stamped in document.artifacts.values():
                store.blobs.get(stamped.body.digest)
    blobs = Blobs(folder.blobs)
    for path in folder.blobs.glob("??/*"):
        blobs.get(path.parent.name + path.name)


def test_a_writer_that_buffers_is_caught(place):
    """The loop has teeth: what stands in the process's memory dies with it."""
    acks, runs = _kill_loop(place, 2, MUTANT="buffered")  # neither is resumed
    assert _lost(place, acks, runs)


# --- at each system call -------------------------------------------------------------------------

SCRIPT = textwrap.dedent(
    """
    import os, sys
    import epochal
    run = epochal.init("p", "v1_baseline", workspace=sys.argv[1], capture=False, config={"lr": 1})
    for step in range(3):
        run.log({"k": float(step)}, step=step)
        os.write(2, b"ack %d\\n" % step)
    run.artifact(sys.argv[2], "weights/best.pt")
    os.write(2, b"artifact\\n")
    run.log({"k": 3.0}, step=3)
    os.write(2, b"ack 3\\n")
    run.finish()
    os.write(2, b"finished\\n")
    """
)


def _strace(*inject):
    """Return the command that traces a script's durable calls only, with a fault injected."""
    calls = "write,fsync,fdatasync,rename,renameat,renameat2,mkdir,link,unlink"
    options = ["-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}"]
    return ["strace", *options, *(f"--inject={one}" for one in inject)]


@pytest.fixture(scope="module")
def _tracing():
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    done = subprocess.run([*_strace(), "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"strace cannot trace here: {done.stderr.strip()}")


def _run_with(place, n, inject):
    workspace = place / f"{n}"
    workspace.mkdir()
    artifact = place / "artifact"
    artifact.write_bytes(b"weights" * 1000)
    done = subprocess.run(
        [*_strace(inject), sys.executable, "-c", SCRIPT, str(workspace), str(artifact)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "EPOCHAL_QUIET": "1"},
    )
    said = done.stderr.splitlines()
    acked = {int(line.removeprefix("ack ")) for line in said if line.startswith("ack ")}
    return workspace, done, said, acked


def _check(workspace, said, acked):
    try:
        folder = Folder.at(workspace)
    except EpochalError:
        assert not acked, "acknowledged, but there is no workspace"
        return None
    with Store(folder) as store:
        documents = store.runs()
        assert not acked or documents
        for document in documents:
            assert acked <= set(store.points.read(document.id, "k").step.tolist())
            for stamped in document.artifacts.values():
                store.blobs.get(stamped.body.digest)
            if "artifact" in said:
                assert document.artifacts
            if "finished" in said:
                assert store.status(document) == "finished"
            elif not document.attempts or document.attempts[-1].status != "finished":
                # Killed behind the last record, but before the process could say so, is finished.
                assert store.status(document) in ("killed", "stale")
        return documents[0] if documents else None


@pytest.mark.usefixtures("_tracing")
@pytest.mark.parametrize("call", ["write", "fsync", "fdatasync", "mkdir", "rename"])
def test_a_kill_at_each_system_call_recovers(place, call):
    """F2, G12: SIGKILL at the N-th write, sync, mkdir and rename, for each N."""
    n = 0
    while True:
        n += 1
        workspace, done, said, acked = _run_with(place, n, f"{call}:signal=SIGKILL:when={n}")
        _check(workspace, said, acked)
        if done.returncode == 0:
            break
        assert n < 400
    print(f"\n{n - 1} kills at {call}")
    assert n > 1


def _count(place, call):
    """Return how often the script makes a system call."""
    workspace, log = place / "counted", place / "trace"
    workspace.mkdir()
    (place / "artifact").write_bytes(b"weights" * 1000)
    subprocess.run(
        [*("strace", "-f", "-qq", "-o", str(log), "-e", f"trace={call}"),
         *(sys.executable, "-c", SCRIPT, str(workspace), str(place / "artifact"))],
        check=True,
        capture_output=True,
        env={**os.environ, "EPOCHAL_QUIET": "1"},
    )  # fmt: skip
    return sum(f" {call}(" in line for line in log.read_text().splitlines())


@pytest.mark.usefixtures("_tracing")
@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("write", "ENOSPC"),
        ("write", "EIO"),
        ("write", "EDQUOT"),
        ("fdatasync", "EIO"),
        ("fsync", "EIO"),
        ("mkdir", "ENOSPC"),
        ("rename", "EACCES"),
    ],
)
def test_an_error_at_each_system_call_is_survived(place, call, error):
    """F15, F17, F18, G12: the training ends well; what is lost was counted or told."""
    for n in range(1, _count(place, call) + 1):
        workspace, done, _, acked = _run_with(place, n, f"{call}:error={error}:when={n}")
        assert done.returncode == 0 or call == "write", done.stderr
        try:
            folder = Folder.at(workspace)
        except EpochalError:
            continue  # not even the workspace could be made: a silent run
        with Store(folder) as store:
            documents = store.runs()
            steps = set()
            for document in documents:
                if "k" in document.metrics:
                    steps |= set(store.points.read(document.id, "k").step.tolist())
                for stamped in document.artifacts.values():
                    store.blobs.get(stamped.body.digest)
            dropped = sum(document.dropped for document in documents)
        if documents:
            assert len(acked - steps) <= dropped
