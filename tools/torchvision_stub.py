"""Build a torchvision wheel that is just enough for Ultralytics on a CPU.

The torchvision wheels on PyPI are CUDA builds: their extension links libtorch_cuda.so, so beside
a CPU build of torch `import torchvision` dies with "operator torchvision::nms does not exist".
A CPU machine (CI, `make demo-yolo`) has three ways out: gigabytes of CUDA, another package index,
or this: a pure-Python wheel of a few KB with the only parts that Ultralytics touches, namely the
package's metadata (it asks for the version at import), the importable module, `ops.nms` for
detection, and for classification `datasets.ImageFolder` and the transforms of crops and flips.
Augmentations of colour are not covered: they say so where a training asks for them, and
``auto_augment=None erasing=0 hsv_h=0 hsv_s=0 hsv_v=0`` does not.

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

SUMMARY = "Stand-in for torchvision: what Ultralytics needs on a CPU"

PACKAGE = '''"""{summary}."""

from torchvision import datasets, ops, transforms

__all__ = ["datasets", "ops", "transforms"]
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

DATASETS = '''"""Images in folders of classes."""

import os

__all__ = ["ImageFolder"]


class ImageFolder:
    """Lists `root`/class/.../image: classes and files in the order of their names."""

    def __init__(self, root, is_valid_file, allow_empty=False):
        self.root = os.fspath(root)
        self.classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
        if not self.classes:
            raise FileNotFoundError(f"Couldn't find any class folder in {root}.")
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        self.samples = []
        for name, number in self.class_to_idx.items():
            found = []
            place = os.path.join(self.root, name)
            for folder, _, files in sorted(os.walk(place, followlinks=True)):
                found += [os.path.join(folder, file) for file in sorted(files)]
            found = [(file, number) for file in found if is_valid_file(file)]
            if not found and not allow_empty:
                raise FileNotFoundError(f"Found no valid file for the class {name}.")
            self.samples += found
'''

TRANSFORMS = '''"""Transforms of PIL images to tensors; the rules are torchvision's."""

import enum
import math

import numpy as np
import torch
from PIL import Image

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "InterpolationMode",
    "Normalize",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Resize",
    "ToTensor",
]


class InterpolationMode(enum.Enum):
    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


def _resize(image, size, interpolation):
    return image.resize(size, Image.Resampling[interpolation.name])


def _is_drawn(p):
    return float(torch.rand(1)) < p


class Compose:
    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, image):
        for transform in self.transforms:
            image = transform(image)
        return image


class Resize:
    """To (height, width), or the shorter side to a length."""

    def __init__(self, size, interpolation=InterpolationMode.BILINEAR):
        self.size = size
        self.interpolation = interpolation

    def __call__(self, image):
        if not isinstance(self.size, int):
            return _resize(image, tuple(self.size)[::-1], self.interpolation)
        short, long = sorted(image.size)
        longer = int(self.size * long / short)
        wide = image.width > image.height
        size = (longer, self.size) if wide else (self.size, longer)
        return image if size == image.size else _resize(image, size, self.interpolation)


class CenterCrop:
    def __init__(self, size):
        self.height, self.width = (size, size) if isinstance(size, int) else size

    def __call__(self, image):
        # What lies outside of the image is black.
        left = round((image.width - self.width) / 2)
        top = round((image.height - self.height) / 2)
        return image.crop((left, top, left + self.width, top + self.height))


class ToTensor:
    def __call__(self, image):
        values = torch.from_numpy(np.array(image, np.uint8, copy=True))
        return values.permute(2, 0, 1).contiguous().float().div(255)


class Normalize:
    def __init__(self, mean, std):
        self.mean, self.std = (torch.as_tensor(v).view(-1, 1, 1) for v in (mean, std))

    def __call__(self, image):
        return (image - self.mean) / self.std


class RandomResizedCrop:
    """A part of the image, of random area and shape, to a square of `size`."""

    def __init__(self, size, scale, ratio, interpolation=InterpolationMode.BILINEAR):
        self.size, self.scale, self.ratio = size, scale, ratio
        self.interpolation = interpolation

    def __call__(self, image):
        width, height = image.size
        low, high = (math.log(r) for r in self.ratio)
        for _ in range(10):
            area = width * height * float(torch.empty(1).uniform_(*self.scale))
            ratio = math.exp(float(torch.empty(1).uniform_(low, high)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                top = int(torch.randint(0, height - h + 1, (1,)))
                left = int(torch.randint(0, width - w + 1, (1,)))
                break
        else:  # the largest part in the middle that has an allowed shape
            w = min(width, round(height * self.ratio[1]))
            h = min(height, round(width / self.ratio[0]))
            left, top = (width - w) // 2, (height - h) // 2
        part = image.crop((left, top, left + w, top + h))
        return _resize(part, (self.size, self.size), self.interpolation)


class RandomHorizontalFlip:
    def __init__(self, p=0.5):
        self.p = p

    def __call__(self, image):
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if _is_drawn(self.p) else image


class RandomVerticalFlip(RandomHorizontalFlip):
    def __call__(self, image):
        return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if _is_drawn(self.p) else image


class _Nothing:
    """An augmentation that is switched off."""

    def __init__(self, *strengths, inplace=False, **named):
        if any((*strengths, *named.values())):
            raise NotImplementedError(
                f"the stand-in for torchvision has no {type(self).__name__}; train with "
                "auto_augment=None erasing=0 hsv_h=0 hsv_s=0 hsv_v=0"
            )

    def __call__(self, image):
        return image


class ColorJitter(_Nothing):
    pass


class RandomErasing(_Nothing):
    pass
'''

METADATA = "Metadata-Version: 2.1\nName: torchvision\nVersion: {version}\nSummary: {summary}\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: epochal\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build(out: Path, version: str = DEFAULT_VERSION) -> Path:
    """Write the wheel into the folder `out` and return its path. Same input, same bytes."""
    version = f"{version}+stub"
    info = f"torchvision-{version}.dist-info"
    files = {
        "torchvision/__init__.py": PACKAGE.format(version=version, summary=SUMMARY),
        "torchvision/datasets/__init__.py": DATASETS,
        "torchvision/ops/__init__.py": OPS,
        "torchvision/transforms/__init__.py": TRANSFORMS,
        f"{info}/METADATA": METADATA.format(version=version, summary=SUMMARY),
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
