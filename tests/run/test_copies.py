"""A workspace is copied, merged and read while it is written, by plain files."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys

import pytest

from epochal.journal.folder import Folder
from epochal.store.store import Store


def test_a_copy_of_a_live_run_is_a_consistent_prefix(start, folder, tmp_path):
    """F25: rsync in the middle of a training."""
    run = start()
    for step in range(50):
        run.log({"k": float(step)}, step=step)
    copied = tmp_path / "copy" / ".epochal"
    shutil.copytree(folder.root, copied)
    (journal,) = copied.glob("runs/*/journal/*.jsonl")
    os.truncate(journal, journal.stat().st_size - 40)
    with Store(Folder(copied)) as store:
        steps = store.points.read(run.id, "k").step.tolist()
    assert steps == list(range(len(steps)))
    assert len(steps) == 49


def test_two_workspaces_merge_by_copying_files(start, folder, tmp_path):
    """F24: two machines' attempts of one run, and a run of each; the union, in whatever order."""
    shared = start("v1_shared")
    shared.log({"k": 1.0}, step=0)
    shared.finish()
    other = tmp_path / "other"
    shutil.copytree(folder.root, other / ".epochal")
    here = start(resume=shared.id)
    here.log({"here": 1.0}, step=1)
    here.finish()
    alone = start("v2_here")
    alone.log({"k": 1.0})
    alone.finish()
    there = start(resume=shared.id, workspace=other)
    there.log({"there": 1.0}, step=1)
    there.finish()
    far = start("v2_there", workspace=other)
    far.log({"k": 1.0})
    far.finish()
    for source in (other / ".epochal" / "runs").rglob("*.jsonl"):
        target = folder.root / source.relative_to(other / ".epochal")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    with Store(folder) as store:
        assert {run.name for run in store.runs()} == {"v1_shared", "v2_here", "v2_there"}
        assert set(store.run(shared.id).metrics) == {"k", "here", "there"}
        assert [f for f in store.health() if f.damaged or f.missing] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting read-only needs root")
def test_a_read_only_workspace_is_read_without_a_trace(start, folder, tmp_path):
    """F26: a snapshot, or somebody else's folder."""
    run = start()
    run.log({"k": 1.0})
    run.finish()
    read = (
        "import sys; from pathlib import Path; from epochal.journal.folder import Folder;"
        "from epochal.store.store import Store;"
        "s = Store(Folder(Path(sys.argv[1]))); print([r.name for r in s.runs()])"
    )
    before = sorted(folder.root.rglob("*"))
    script = (
        f"mount --bind {folder.root} {folder.root} && mount -o remount,ro,bind {folder.root} "
        f"|| exit 77; exec {sys.executable} -c '{read}' {folder.root}"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )
    if done.returncode == 77:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    assert done.stdout.strip() == "['v1_baseline']", done.stderr
    assert sorted(folder.root.rglob("*")) == before


def test_logging_takes_no_memory(start):
    """F13, G10: there is no queue that could grow."""
    run = start()
    values = {f"metrics/{n}": 0.1 * n for n in range(10)}

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for step in range(2_000):
        run.log(values, step=step)
    before = peak()
    for step in range(50_000):
        run.log(values, step=step)
    assert peak() - before < 8 * 1024  # kB
