"""Build a torchvision wheel that is just enough for Ultralytics *detection* on a CPU.

The torchvision wheels on PyPI are CUDA builds: their extension links libtorch_cuda.so, so beside
a CPU build of torch `import torchvision` dies with "operator torchvision::nms does not exist".
A CPU machine (CI, `make demo-yolo`) has three ways out: gigabytes of CUDA, another package index,
or this: a pure-Python wheel of 3 KB with the only parts that detection touches, namely the
package's metadata (Ultralytics asks for the version at import), the importable module, and
`torchvision.ops.nms`. Classification (ImageFolder, transforms) is not covered.

Usage::

    python tools/torchvision_stub.py OUT_DIR [VERSION]
    pip install torch==2.13.0 torchvision==0.28.0+stub ultralytics --find-links OUT_DIR

The version must be the one that belongs to the torch in use (0.28 to 2.13): torch has to be
pinned in the same command, or pip resolves to the newest, CUDA included.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

DEFAULT_VERSION = "0.28.0"

PACKAGE = '''"""Stand-in for torchvision: detection on CPU only."""

from torchvision import ops

__all__ = ["ops"]
__version__ = "{version}"
'''

OPS = '''"""Greedy non-maximum suppression; the rule is torchvision's."""

import numpy as np
import torch

__all__ = ["box_iou", "nms"]


def box_iou(a, b):
    """Return the IoU of every box of `a` (n, 4) with every box of `b` (m, 4), xyxy."""
    top_left = torch.max(a[:, None, :2], b[None, :, :2])
    bottom_right = torch.min(a[:, None, 2:], b[None, :, 2:])
    inter = (bottom_right - top_left).clamp(min=0).prod(2)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(1) for box in (a, b))
    return inter / (area_a[:, None] + area_b[None] - inter)


def nms(boxes, scores, iou_threshold):
    """Return the indices of the boxes that stay, by descending score."""
    order = scores.argsort(descending=True, stable=True)
    # NumPy: thousands of steps on few boxes each, where a torch call costs more than its work.
    x0, y0, x1, y1 = boxes[order].detach().cpu().float().numpy().T
    area = (x1 - x0) * (y1 - y0)
    left = np.arange(len(order))
    keep = []
    while len(left):
        best, left = left[0], left[1:]
        keep.append(best)
        width = np.minimum(x1[best], x1[left]) - np.maximum(x0[best], x0[left])
        height = np.minimum(y1[best], y1[left]) - np.maximum(y0[best], y0[left])
        inter = width.clip(0) * height.clip(0)
        with np.errstate(invalid="ignore"):
            iou = inter / (area[best] + area[left] - inter)
        # Not `<=`: two boxes without area have IoU NaN, and such a box stays.
        left = left[~(iou > iou_threshold)]
    return order[torch.as_tensor(np.array(keep, np.int64), device=order.device)]
'''

METADATA = "Metadata-Version: 2.1\nName: torchvision\nVersion: {version}\nSummary: {summary}\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: epochal\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build(out: Path, version: str = DEFAULT_VERSION) -> Path:
    """Write the wheel into the folder `out` and return its path. Same input, same bytes."""
    version = f"{version}+stub"
    info = f"torchvision-{version}.dist-info"
    files = {
        "torchvision/__init__.py": PACKAGE.format(version=version),
        "torchvision/ops/__init__.py": OPS,
        f"{info}/METADATA": METADATA.format(
            version=version, summary="Stand-in for torchvision: detection on CPU only"
        ),
        f"{info}/WHEEL": WHEEL,
    }
    lines = [f"{name},sha256={_hash(text)},{len(text)}" for name, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""])
    out.mkdir(parents=True, exist_ok=True)
    wheel = out / f"torchvision-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # without a date: reproducible
    return wheel


def _hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.stdout.write(f"{build(Path(sys.argv[1]), *sys.argv[2:])}\n")
