"""What a training pays: the start, and each `log()`."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measuring import Figure, Measurements, percentile

__all__ = ["first_log", "log_calls"]

METRICS = {f"train/metric_{n}": 0.123456789 * n for n in range(10)}

_START = "import time; begun = time.perf_counter()\n"
_END = "\nprint(time.perf_counter() - begun, flush=True)\nimport os; os._exit(0)\n"

FIRST_LOG = {
    "epochal": """
import epochal
run = epochal.init("bench", "v1_baseline", config={"lr": 0.01})
run.log({"loss": 1.0})
""",
    "wandb": """
import wandb
run = wandb.init(project="bench", mode="offline", config={"lr": 0.01}, dir=".")
run.log({"loss": 1.0})
""",
    "mlflow": """
import mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.set_experiment("bench")
mlflow.start_run()
mlflow.log_params({"lr": 0.01})
mlflow.log_metric("loss", 1.0)
""",
    "aim": """
from aim import Run
run = Run(repo=".")
run["lr"] = 0.01
run.track(1.0, name="loss")
""",
}


def _seconds_to_first_log(python: str, tracker: str, folder: Path) -> float:
    environment = {
        **os.environ,
        "EPOCHAL_QUIET": "1",
        "WANDB_SILENT": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    done = subprocess.run(
        [python, "-c", _START + FIRST_LOG[tracker] + _END],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return float(done.stdout.split()[-1])


def first_log(place: Path, peers: Path | None, rounds: int = 7) -> Measurements:
    """From `import` through `init` to the first `log`, beside the peers that are installed."""
    pythons = {"epochal": sys.executable}
    if peers is not None:
        python = str(peers / "bin" / "python")
        for name in ("wandb", "mlflow", "aim"):
            asked = subprocess.run(
                [python, "-c", f"import importlib.util as u; print(u.find_spec({name!r}))"],
                capture_output=True,
                text=True,
                check=False,
            )
            if asked.returncode == 0 and "None" not in asked.stdout:
                pythons[name] = python
    took: dict[str, list[float]] = {name: [] for name in pythons}
    for round in range(rounds + 1):
        for name, python in pythons.items():
            folder = place / f"first-log-{name}"
            folder.mkdir(exist_ok=True)
            seconds = _seconds_to_first_log(python, name, folder)
            if round:  # the first fills the disk's and Python's caches
                took[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in took.items()}
    ours = medians.pop("epochal")
    yield Figure(what="import + init to first log", value=ours * 1e3, unit="ms")
    for name, seconds in medians.items():
        yield Figure(what=f"  the same with {name}", value=seconds * 1e3, unit="ms")
    if medians:
        lightest = min(medians, key=lambda name: medians[name])
        yield Figure(
            what="import + init to first log, of the lightest peer",
            value=ours / medians[lightest],
            unit="x",
            budget=0.2,
            detail=lightest,
        )


def log_calls(place: Path) -> Measurements:
    """`log()` of ten metrics, in a tight loop and twenty times a second."""
    import epochal

    folder = place / "log"
    folder.mkdir()
    os.environ["EPOCHAL_QUIET"] = "1"
    run = epochal.init("bench", "v1_baseline", workspace=folder)
    clock = time.perf_counter_ns
    for step in range(2_000):
        run.log(METRICS, step=step)
    tight = []
    for step in range(200_000):
        begun = clock()
        run.log(METRICS, step=step)
        tight.append(clock() - begun)
    paced = []
    for step in range(200):
        time.sleep(0.05)
        begun = clock()
        run.log(METRICS, step=step)
        paced.append(clock() - begun)
    begun = time.perf_counter()
    run.finish()
    finish = time.perf_counter() - begun
    yield Figure(what="log() of 10, tight, p50", value=percentile(tight, 0.5) / 1e3, unit="us",
                 budget=10)  # fmt: skip
    yield Figure(what="log() of 10, tight, p99", value=percentile(tight, 0.99) / 1e3, unit="us",
                 budget=100)  # fmt: skip
    yield Figure(what="log() of 10, tight, p99.9", value=percentile(tight, 0.999) / 1e3, unit="us")
    yield Figure(what="log() of 10, 20/s, p50", value=percentile(paced, 0.5) / 1e3, unit="us",
                 budget=200)  # fmt: skip
    yield Figure(what="log() of 10, 20/s, p99", value=percentile(paced, 0.99) / 1e3, unit="us",
                 budget=1000)  # fmt: skip
    yield Figure(what="finish()", value=finish * 1e3, unit="ms")
    shutil.rmtree(folder)
