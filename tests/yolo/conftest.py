"""Real trainings: where Ultralytics is, what it trains on, and what was recorded."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from epochal.datasets import save_manifest, tag
from epochal.demo.scenes import write_dataset
from epochal.evaluation.storage import load_evaluation
from epochal.journal.folder import Folder
from epochal.store.documents import RunDocument
from epochal.store.store import Store

SIZES = {"train": 96, "val": 24, "test": 24}

# What learns something within seconds: one optimizer step per batch, no mosaic.
QUICK = {
    "model": "yolov8n.yaml",
    "imgsz": 64,
    "batch": 8,
    "nbs": 8,
    "optimizer": "AdamW",
    "lr0": 0.003,
    "warmup_epochs": 1,
    "mosaic": 0.0,
    "close_mosaic": 0,
    "device": "cpu",
    "workers": 0,
    "plots": False,
}


@functools.cache
def settings_of(python: str) -> tuple[str, str]:
    """Return path and content of settings that save below the current folder.

    Ultralytics' own default is the repository around its installation, where there is one.
    """
    code = (
        "from ultralytics import settings; settings.update({'runs_dir': 'runs'});"
        "print(settings.file)"
    )
    with tempfile.TemporaryDirectory() as folder:
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        env |= {"YOLO_CONFIG_DIR": folder, "YOLO_OFFLINE": "true"}
        ended = subprocess.run(
            [python, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        file = Path(ended.stdout.splitlines()[-1])
        return str(file.relative_to(folder)), file.read_text()


@dataclass(frozen=True)
class Yolo:
    """Runs the Python that has Ultralytics, in one folder."""

    python: str
    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def environment(self, **more: str) -> dict[str, str]:
        # Below pytest Ultralytics writes into its own package instead of ./runs.
        env = {k: v for k, v in os.environ.items() if not k.startswith(("EPOCHAL_", "PYTEST_"))}
        env |= {
            "YOLO_OFFLINE": "true",
            "YOLO_AUTOINSTALL": "false",
            "YOLO_CONFIG_DIR": str(self.folder / ".settings"),
            "MPLBACKEND": "Agg",
            "EPOCHAL_SYSTEM_INTERVAL": "0.5",
        }
        return env | more

    def start(self, *argv: str, **env: str) -> subprocess.Popen[str]:
        name, text = settings_of(self.python)
        settings = self.folder / ".settings" / name
        if not settings.exists():
            settings.parent.mkdir(parents=True, exist_ok=True)
            settings.write_text(text)
        process = subprocess.Popen(
            [self.python, *argv],
            cwd=self.folder,
            env=self.environment(**env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, *argv: str, code: int = 0, **env: str) -> str:
        with self.start(*argv, **env) as process:
            output, _ = process.communicate(timeout=1200)
        assert process.returncode == code, output[-4000:]
        return output

    def script(self, text: str, code: int = 0, **env: str) -> str:
        path = self.folder / "script.py"
        path.write_text(text)
        return self.run(str(path), code=code, **env)

    def launch(self, *argv: str) -> tuple[str, ...]:
        """Return the arguments for `epochal run` of a command of Ultralytics' own."""
        yolo = str(Path(self.python).parent / "yolo")
        options = argv[: argv.index("--")] if "--" in argv else ()
        rest = argv[argv.index("--") + 1 :] if "--" in argv else argv
        return ("-m", "epochal", "run", *options, "--", yolo, *rest)

    def store(self) -> Store:
        return Store(Folder.at(self.folder))

    def runs(self) -> list[RunDocument]:
        with self.store() as store:
            return store.runs()

    def the_run(self) -> RunDocument:
        (run,) = self.runs()
        return run


def arguments(**changed: object) -> list[str]:
    """Return QUICK with changes, as the command line of `yolo` takes it."""
    return [f"{key}={value}" for key, value in {**QUICK, **changed}.items()]


def evaluations(store: Store, run: RunDocument) -> dict[tuple[str, str, str], object]:
    """Return the run's evaluation documents by (kind of validation, split, evaluator's family)."""
    found = {}
    for stamped in run.evaluations:
        document = load_evaluation(store.blobs, stamped.body.digest)
        kind = document.source.split(" ", 1)[1]
        found[kind, document.split, document.evaluator.split("/")[0]] = document
    return found


@pytest.fixture(scope="session")
def yolo_python() -> str:
    python = os.environ.get("EPOCHAL_YOLO_PYTHON", sys.executable)
    code = "import importlib.util as u, epochal; assert u.find_spec('ultralytics')"
    if subprocess.run([python, "-c", code], capture_output=True).returncode:
        pytest.skip(
            f"{python} cannot import ultralytics and epochal; EPOCHAL_YOLO_PYTHON names one"
        )
    return python


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data.yaml with three splits of shapes."""
    return write_dataset(tmp_path_factory.mktemp("shapes"), sizes=SIZES, size=64)


@pytest.fixture
def yolo(yolo_python: str, tmp_path: Path) -> Iterator[Yolo]:
    Folder.create(tmp_path)
    yolo = Yolo(yolo_python, tmp_path)
    yield yolo
    for process in yolo.started:
        if process.poll() is None:  # the test failed while it waited
            process.terminate()
            process.communicate(timeout=300)


@dataclass(frozen=True)
class Trained:
    """A training that was recorded, and what Ultralytics says of the same weights by itself."""

    yolo: Yolo
    data: Path
    best: Path
    theirs: dict[str, dict[str, float]]
    """Split -> ``results_dict`` of ``YOLO(best).val()`` in a process without Epochal."""


@pytest.fixture(scope="session")
def trained(yolo_python: str, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One training through the command line, with everything on. Nobody changes it."""
    folder = tmp_path_factory.mktemp("trained")
    yolo = Yolo(yolo_python, folder)
    workspace = Folder.create(folder)
    with Store(workspace) as store:
        tagged = tag(shapes, "shapes@v1", existing={})
        save_manifest(workspace.datasets, tagged.manifest)
        store.record(tagged.record)
    said = ("--project", "shapes", "--name", "v1_baseline", "--dataset", "shapes@v1")
    said += ("--hypothesis", "it learns", "--tags", "a, b", "--group", "g")
    command = arguments(data=shapes, epochs=8, plots=True, name="v1_baseline")
    yolo.run(*yolo.launch(*said, "--", "detect", "train", *command))
    best = folder / "runs/detect/v1_baseline/weights/best.pt"
    said_by_ultralytics = yolo.script(f"""
import json
from ultralytics import YOLO
found = {{}}
for split in ("val", "test"):
    metrics = YOLO({str(best)!r}).val(
        data={str(shapes)!r}, split=split, imgsz=64, batch=8, device="cpu", workers=0, plots=False
    )
    found[split] = metrics.results_dict | {{"class": metrics.summary()}}
print("\\n" + json.dumps(found, default=lambda number: number.item()))
""")
    theirs = json.loads(said_by_ultralytics.strip().splitlines()[-1])
    return Trained(yolo, shapes, best, theirs)
