"""Build a torchvision wheel that is just enough for Ultralytics *detection* on a CPU.

The torchvision wheels on PyPI are CUDA builds: their extension links libtorch_cuda.so, so beside
a CPU build of torch `import torchvision` dies with "operator torchvision::nms does not exist".
A CPU machine (CI, `make demo-yolo`) has three ways out: gigabytes of CUDA, another package index,
or this: a pure-torch wheel of 3 KB with the only parts that detection touches, namely the
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

OPS = '''"""Greedy non-maximum suppression in plain torch; the rule is torchvision's."""

import torch

__all__ = ["box_iou", "nms"]


def _area(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_iou(a, b):
    """Return the IoU of every box of `a` (n, 4) with every box of `b` (m, 4), xyxy."""
    top_left = torch.max(a[:, None, :2], b[None, :, :2])
    bottom_right = torch.min(a[:, None, 2:], b[None, :, 2:])
    width, height = (bottom_right - top_left).clamp(min=0).unbind(-1)
    inter = width * height
    return inter / (_area(a)[:, None] + _area(b)[None] - inter)


def nms(boxes, scores, iou_threshold):
    """Return the indices of the boxes that stay, by descending score."""
    order = scores.argsort(descending=True, stable=True)
    sorted_boxes = boxes[order].float()
    alive = torch.ones(len(order), dtype=torch.bool)
    keep = []
    for i in range(len(order)):
        if not alive[i]:
            continue
        keep.append(i)
        rest = slice(i + 1, None)
        # Not `<=`: two boxes without area have IoU NaN, and such a box stays.
        alive[rest] &= ~(box_iou(sorted_boxes[i : i + 1], sorted_boxes[rest])[0] > iou_threshold)
    return order[torch.tensor(keep, dtype=torch.long)]
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
