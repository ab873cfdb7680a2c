"""The measured process: it infers once for each line it is sent and answers how long that took.

The protocol, for a program in any language. Load the model; then, for each line on standard
input, infer once and write ``ms 12.34`` and a line break to standard output, unbuffered; end at
the end of the input. Before the first answer it may write ``info {...}``, JSON that describes the
conditions. Other lines are ignored. The process times itself, so that pipes cost nothing.

In Python::

    from epochal.latency import serve

    serve(lambda: model(image), runtime="torch", batch=1)

This file needs nothing but the standard library: it also runs as a script in the Python that has
the model's framework, with or without Epochal.
"""

from __future__ import annotations

import json
import os
import sys
import time

__all__ = ["serve"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def serve(infer: Callable[[], Any], **info: Any) -> None:
    """Answer requests of ``epochal latency`` until it closes the input.

    Parameters
    ----------
    infer
        One inference, from input in memory to final output. It has to wait for the device: a GPU
        call that only queues work would be timed as queueing. If it returns a dict, that is taken
        as milliseconds by stage.
    info
        Conditions, e.g. ``runtime``, ``runtime_version``, ``precision``, ``batch``, ``imgsz``.
    """
    # Frameworks print; what they print must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    answers.write(f"info {json.dumps(info)}\n")
    answers.flush()
    for _ in sys.stdin:
        start = time.perf_counter_ns()
        stages = infer()
        took = (time.perf_counter_ns() - start) / 1e6
        more = f" {json.dumps(stages)}" if isinstance(stages, dict) else ""
        answers.write(f"ms {took:.4f}{more}\n")
        answers.flush()


_ONNX_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int64)": "int64",
}


def _onnxruntime(spec: dict[str, Any]) -> None:
    """Serve an ONNX file: the network alone, on random input."""
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    if spec.get("threads"):
        options.intra_op_num_threads = int(spec["threads"])
    device = str(spec.get("device") or "cpu")
    wanted: list[Any] = ["CPUExecutionProvider"]
    if device != "cpu":
        number = device.rpartition(":")[2]
        index = int(number) if number.isdigit() else 0
        wanted.insert(0, ("CUDAExecutionProvider", {"device_id": index}))
    session = ort.InferenceSession(spec["model"], options, providers=wanted)
    used = session.get_providers()[0]
    if device != "cpu" and used == "CPUExecutionProvider":
        raise SystemExit(f"ONNX Runtime has no provider for {device}; it offers the CPU only")
    rng = np.random.default_rng(0)
    batch, imgsz = int(spec["batch"]), int(spec["imgsz"])
    feed = {}
    for given in session.get_inputs():
        shape = [
            side if isinstance(side, int) and side > 0 else (imgsz if axis else batch)
            for axis, side in enumerate(given.shape)
        ]
        if len(shape) == 4 and (shape[0] != batch or imgsz not in shape[1:]):
            raise SystemExit(
                f"the model takes {shape}, not {batch} x {imgsz} pixels: give --batch and --imgsz"
            )
        kind = _ONNX_TYPES.get(given.type, "float32")
        scale = 1 if kind.startswith("float") else 255
        feed[given.name] = (rng.random(shape) * scale).astype(kind)
    types = {given.type for given in session.get_inputs()}
    serve(
        lambda: session.run(None, feed) and None,
        runtime="onnxruntime",
        runtime_version=ort.__version__,
        provider=used,
        precision="fp16" if "tensor(float16)" in types else "fp32",
        stage="infer",
        input="random",
        nms="in the model, if it has it",
        threads=int(spec.get("threads") or 0) or "library default",
    )


def _ultralytics(spec: dict[str, Any]) -> None:
    """Serve a YOLO model in any format that Ultralytics loads: from decoded images to boxes."""
    import numpy as np
    import torch
    import ultralytics
    from ultralytics import YOLO

    batch, imgsz = int(spec["batch"]), int(spec["imgsz"])
    device = str(spec.get("device") or "cpu")
    model = YOLO(spec["model"])
    images = _images(spec["images"])
    rng = np.random.default_rng(0)
    random = not images
    if random:
        images = [rng.integers(0, 256, (imgsz, imgsz, 3), dtype=np.uint8) for _ in range(8)]
    at = 0
    options = {
        "imgsz": imgsz,
        "device": device,
        "conf": float(spec["conf"]),
        "max_det": int(spec["max_det"]),
        "verbose": False,
        "save": False,
    }
    if spec.get("half"):
        options["half"] = True
    cuda = device != "cpu" and device != "mps"

    def infer() -> dict[str, float]:
        nonlocal at
        chosen = [images[(at + i) % len(images)] for i in range(batch)]
        at += batch
        results = model.predict(chosen, **options)
        if cuda:
            torch.cuda.synchronize()
        return {name: float(ms) * batch for name, ms in results[0].speed.items()}

    infer()  # builds the predictor, which sets the number of threads
    if spec.get("threads"):
        torch.set_num_threads(int(spec["threads"]))
    half = bool(spec.get("half"))
    serve(
        infer,
        runtime="ultralytics",
        runtime_version=ultralytics.__version__,
        torch=torch.__version__,
        accelerator=torch.cuda.get_device_name(device if ":" in device else 0) if cuda else "",
        precision="fp16" if half else "fp32",
        stage="e2e",
        input="random" if random else "real",
        n_images=0 if random else len(images),
        nms="in",
        threads=torch.get_num_threads(),
    )


def _torchscript(spec: dict[str, Any]) -> None:
    """Serve a TorchScript file: the network alone, on random input."""
    import torch

    device = str(spec.get("device") or "cpu")
    device = f"cuda:{device}" if device.isdigit() else device
    if spec.get("threads"):
        torch.set_num_threads(int(spec["threads"]))
    model = torch.jit.load(spec["model"], map_location=device).eval()
    imgsz = int(spec["imgsz"])
    image = torch.rand(int(spec["batch"]), 3, imgsz, imgsz, device=device)
    if spec.get("half"):
        model, image = model.half(), image.half()

    def infer() -> None:
        with torch.inference_mode():
            model(image)
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    serve(
        infer,
        runtime="torch",
        runtime_version=torch.__version__,
        accelerator=torch.cuda.get_device_name(device) if device.startswith("cuda") else "",
        precision="fp16" if spec.get("half") else "fp32",
        stage="infer",
        input="random",
        nms="out",
        threads=torch.get_num_threads(),
    )


def _images(paths: list[str]) -> list[Any]:
    """Return the decoded images: decoding belongs to the camera, not to the model."""
    if not paths:
        return []
    import cv2

    found = [cv2.imread(path) for path in paths]
    for path, image in zip(paths, found):  # noqa: B905 - an older Python may run this
        if image is None:
            raise SystemExit(f"{path} cannot be decoded")
    return found


RUNNERS = {
    "onnxruntime": _onnxruntime,
    "ultralytics": _ultralytics,
    "torchscript": _torchscript,
}

if __name__ == "__main__":
    del sys.path[0]  # the folder of this file, which is no place to import from
    RUNNERS[sys.argv[1]](json.loads(sys.argv[2]))
