"""Dataset versions beside DVC: tag and add, status and status, on one folder in one run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.measuring import Figure, Measurements

__all__ = ["versions"]

_TIMEOUT = 600
_SIZE = 20_000


def versions(place: Path, files: int = 20_000) -> Measurements:
    """Tag a folder and check it unchanged: `epochal dataset` and, where it installs, DVC."""
    work = place / "versions"
    data = work / "data"
    _generate(data, files // 2)
    environment = {
        **os.environ,
        "EPOCHAL_WORKSPACE": str(work / ".epochal"),
        "DVC_NO_ANALYTICS": "1",
        "DVC_GLOBAL_CONFIG_DIR": str(work / "config"),
        "DVC_SITE_CACHE_DIR": str(work / "site"),
    }

    def timed(*command: str | Path) -> float:
        begun = time.perf_counter()
        subprocess.run(
            command, cwd=work, env=environment, check=True, capture_output=True, timeout=_TIMEOUT
        )
        return time.perf_counter() - begun

    epochal = [sys.executable, "-m", "epochal"]
    timed(*epochal, "init", work)
    time.sleep(3)  # files as young as the scan are read again, as by git
    # DVC's add keeps a copy of the content, so ours is asked to as well
    ours = {
        "tag": timed(*epochal, "dataset", "tag", data / "data.yaml", "data@v1"),
        "snapshot": timed(*epochal, "dataset", "tag", data / "data.yaml", "data@v2", "--snapshot"),
        "status": timed(*epochal, "dataset", "status", "data@v1"),
    }
    about = f"{files:,} files"
    yield Figure(what=f"dataset tag, {about}", value=ours["tag"], unit="s")
    yield Figure(what="  with a snapshot of the content", value=ours["snapshot"], unit="s")
    yield Figure(what="dataset status, unchanged", value=ours["status"], unit="s")
    dvc = _dvc(place / "dvc")
    if dvc is None:
        return
    timed(dvc, "init", "--no-scm")
    theirs = {"add": timed(dvc, "add", "data"), "status": timed(dvc, "status")}
    yield Figure(what="  dvc add", value=theirs["add"], unit="s")
    yield Figure(what="  dvc status, unchanged", value=theirs["status"], unit="s")
    yield Figure(what="dataset tag and snapshot, of dvc add", unit="x", budget=1,
                 value=(ours["tag"] + ours["snapshot"]) / theirs["add"])  # fmt: skip
    yield Figure(what="dataset status, of dvc status", unit="x", budget=1,
                 value=ours["status"] / theirs["status"])  # fmt: skip
    shutil.rmtree(work, ignore_errors=True)


def _generate(root: Path, images: int) -> None:
    """Write a YOLO dataset of so many images and as many label files."""
    block = b"\xff\xd8\xff\xc0\x00\x11\x08\x02\x80\x02\x80" + np.random.default_rng(5).bytes(_SIZE)
    for n in range(images):
        split = "val" if n % 10 == 0 else "train"
        image, label = (root / kind / split / f"{n:06}" for kind in ("images", "labels"))
        if n < 2:
            image.parent.mkdir(parents=True)
            label.parent.mkdir(parents=True)
        image.with_suffix(".jpg").write_bytes(block + n.to_bytes(4, "big"))
        label.with_suffix(".txt").write_text(f"0 0.5 0.5 0.1 {n + 1}e-6\n1 0.2 0.2 0.1 0.1\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a, b]\n")


def _dvc(folder: Path) -> Path | None:
    """Return DVC's command, in an environment of its own; None where it cannot be installed."""
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=_TIMEOUT)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "dvc"]
        subprocess.run(pip, check=True, timeout=_TIMEOUT, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"no DVC to compare with: {error}", file=sys.stderr)
        return None
    return folder / "bin" / "dvc"
