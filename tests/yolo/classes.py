"""A small dataset of classes, and a Python in which Ultralytics can train on it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
from tests.yolo.conftest import Yolo

from epochal.demo.bitmaps import write_bitmap

CLASSES = ("blue", "green", "red")
SIZES = {"train": 90, "val": 60, "test": 60}
_TOOL = Path(__file__).parents[2] / "tools" / "torchvision_stub.py"

QUICK = {
    "model": "yolo11n-cls.yaml",
    "imgsz": 32,
    "batch": 16,
    "nbs": 16,
    "optimizer": "AdamW",
    "lr0": 0.002,
    "warmup_epochs": 0,
    "device": "cpu",
    "workers": 2,  # the order of images has to be told across processes
    "plots": False,
    # What the stand-in for torchvision lacks.
    "auto_augment": None,
    **dict.fromkeys(("erasing", "hsv_h", "hsv_s", "hsv_v"), 0.0),
}


def write_classes(folder: Path, sizes: dict[str, int] = SIZES) -> Path:
    """Write noisy images with a tint that is not always to be seen, and return the folder.

    Images of different classes have the same names.
    """
    for index, (split, count) in enumerate(sizes.items()):
        for number in range(count):
            which = number % len(CLASSES)
            rng = np.random.default_rng([index, number])
            image = rng.normal(128, 25, (32, 32, 3))
            image[:, :, 2 - which] += rng.normal(18, 14)
            place = folder / split / CLASSES[which] / f"{number // len(CLASSES):04d}.bmp"
            place.parent.mkdir(parents=True, exist_ok=True)
            write_bitmap(place, image.clip(0, 255).astype(np.uint8))
    return folder


def with_torchvision(yolo: Yolo) -> dict[str, str]:
    """Return the environment in which classification can be trained.

    A stand-in for torchvision may be installed from before it could classify: this checkout's
    takes its place. A real one is left alone.
    """
    code = "import importlib.metadata as m; print(m.version('torchvision'))"
    version = subprocess.run([yolo.python, "-c", code], capture_output=True, text=True).stdout
    if "stub" not in version:
        return {}
    built = yolo.folder / ".torchvision"
    if not built.exists():
        wheels = yolo.folder / ".wheels"
        subprocess.run([sys.executable, _TOOL, wheels], check=True, capture_output=True)
        with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
            wheel.extractall(built)
    return {"PYTHONPATH": str(built)}
