"""What a user's script does with W&B, offline, run by a Python that has the real SDK.

Prints one JSON object: what it logged. Usage: wandb_script.py FOLDER
"""

import json
import math
import os
import sys
from pathlib import Path

folder = Path(sys.argv[1])
os.environ |= {
    "WANDB_MODE": "offline",
    "WANDB_DIR": str(folder),
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_CACHE_DIR": str(folder / "cache"),
    "WANDB_CONFIG_DIR": str(folder / "config"),
    "WANDB_DATA_DIR": str(folder / "data"),
}

import wandb  # noqa: E402 - it reads the environment when it is imported

config = {
    "lr": 0.1,
    "opt": {"name": "adam", "betas": [0.9, 0.999]},
    "layers": [1, 2],
    "none": None,
}
run = wandb.init(
    project="pallets",
    name="v1_baseline",
    notes="**notes**",
    tags=["t1"],
    group="grp",
    config=config,
)
logged: dict[str, list[tuple[int, float]]] = {"loss": [], "nested.a": [], "big": []}
for step in range(200):
    loss = math.exp(-step / 7) / 3
    run.log({"loss": loss, "nested": {"a": step}, "big": step * 1e300})
    logged["loss"].append((step, loss))
    logged["nested.a"].append((step, float(step)))
    logged["big"].append((step, step * 1e300))
    if step % 50 == 0:
        print("console line", step, flush=True)
run.log({"nan": math.nan, "inf": math.inf, "text": "hello"})
run.log({"hist": wandb.Histogram([1, 2, 3, 4])})
model = folder / "best.pt"
model.write_bytes(b"\x00\x01" * 1000)
artifact = wandb.Artifact("detector", type="model")
artifact.add_file(str(model))
run.log_artifact(artifact)
run.summary["best"] = 0.99
run.config["late"] = 5
run.finish()
json.dump(
    {"version": wandb.__version__, "config": config | {"late": 5}, "logged": logged},
    sys.__stdout__,
)
