"""Two real YOLO trainings that differ in one thing, and the question which of them to ship.

    python examples/yolo_pair.py [FOLDER]

Draws a small dataset of shapes in FOLDER (default: epochal-yolo-demo), tags it, trains yolov8n
twice from scratch (the second with larger images), measures both on val and test, compares and
decides. Every step is a command that you would type yourself. About three minutes on two CPU
cores; nothing is downloaded.

Needs a Python with ultralytics and epochal.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from epochal.demo.scenes import write_dataset

SIZES = {"train": 240, "val": 80, "test": 80}

# What learns within twelve epochs of so few images: one optimizer step per batch, no mosaic.
RECIPE = (
    "model=yolov8n.yaml data=shapes/data.yaml epochs=12 batch=8 nbs=8 optimizer=AdamW lr0=0.002 "
    "warmup_epochs=1 mosaic=0.0 close_mosaic=0 device=cpu workers=0 seed=0"
)

HERE = Path(sys.executable).parent
COMMANDS = {"epochal": [sys.executable, "-m", "epochal"], "yolo": [str(HERE / "yolo")]}


def main(folder: Path) -> None:
    """Walk the whole path in `folder`."""
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"{folder} is not empty; remove it, or name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    # Ultralytics as it is for somebody without a network: no downloads, no installing.
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "MPLBACKEND": "Agg"}
    os.environ["EPOCHAL_WORKSPACE"] = str(Path.cwd())
    # Your own settings stay as they are, and nothing is saved outside this folder: by default
    # Ultralytics saves below the repository that it is installed in, where there is one.
    os.environ["YOLO_CONFIG_DIR"] = str(Path.cwd() / ".ultralytics")
    subprocess.run(
        [*COMMANDS["yolo"], "settings", f"runs_dir={Path.cwd() / 'runs'}"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    begun = time.monotonic()

    title("A dataset, and a name for its state")
    write_dataset(Path("shapes"), sizes=SIZES, size=128)
    run("epochal", "init", "--project", "shapes")
    run("epochal", "dataset", "tag", "shapes/data.yaml", "shapes@v1", "-m", "as first drawn")

    title("The baseline: an unmodified yolo command, recorded")
    train("v1_baseline", 64)
    run("epochal", "baseline", "v1_baseline", "-m", "the first")

    title("One change, and what is expected of it")
    hypothesis = "objects of six pixels are too small to tell apart"
    train("v2_imgsz_128", 128, "--parent", "v1_baseline", "--hypothesis", hypothesis)

    title("Measured again, on val and on test; every look at test is written down")
    for name in ("v1_baseline", "v2_imgsz_128"):
        run("epochal", "evaluate", name, "--split", "val")
        run("epochal", "evaluate", name, "--split", "test")

    title("What changed, and by how much")
    run("epochal", "compare", "v1_baseline", "v2_imgsz_128")

    title("Ship it?")
    verdict = run("epochal", "decide", "v2_imgsz_128", allowed=(0, 1))

    print(f"\nDone in {time.monotonic() - begun:.0f} s: {'ship' if verdict == 0 else 'not yet'}.")
    print("Look around in", Path.cwd())
    print(f"  cd {shlex.quote(str(Path.cwd()))}")
    print("  epochal runs                 all runs, filtered and sorted")
    print("  epochal show v2_imgsz_128    one of them, with everything it left")
    print("  epochal lesson v2_imgsz_128  write down what it taught")
    print("  epochal ledger               each look at the test images")
    print("  epochal ui                   all of it in the browser")


def train(name: str, imgsz: int, *said: str) -> None:
    """Train through ``epochal run``."""
    command = f"yolo detect train {RECIPE} imgsz={imgsz} name={name} verbose=False"
    run("epochal", "run", "--name", name, "--dataset", "shapes@v1", *said, "--", *command.split())


def run(*argv: str, allowed: tuple[int, ...] = (0,)) -> int:
    """Show a command, run it, and stop where it fails."""
    print(f"\n$ {shlex.join(argv)}", flush=True)
    real = [part for word in argv for part in COMMANDS.get(word, [word])]
    code = subprocess.run(real).returncode
    if code not in allowed:
        sys.exit(f"{argv[0]} {argv[1]} failed with exit code {code}")
    return code


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n\n── {text} " + "─" * max(0, 76 - len(text)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "epochal-yolo-demo"))
