"""A small one-stage detector: each cell of a grid says what is centred in it, and how large.

In the manner of CenterNet (Zhou et al., "Objects as points", 2019), reduced to what trains in
seconds: per cell one logit a class, the centre's place within the cell, and the logarithm of the
size. It is far from a good detector, and a real one: it learns, overfits, misses small things.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from epochal.demo.bitmaps import Pixels, read_bitmap
from epochal.demo.network import Array, Convolution, Network

__all__ = ["Detections", "Detector", "Losses", "Split", "read_split"]

CELL = 8
"""Pixels of the network's input that one cell of the grid covers: three layers of stride 2."""

_FOCUS = 2.0  # of the focal loss: well-classified cells count little
_BOX_WEIGHT = 1.0
_LOWEST_SCORE = 0.01
_NMS_IOU = 0.5
_MOST = 40  # candidates of an image


@dataclass(frozen=True, eq=False)
class Split:
    """The images of one split with their objects.

    Parameters
    ----------
    names
        (n,) paths relative to the dataset's folder.
    images
        (n, size, size, 3) pixels.
    truth
        (n,) per image an (m, 5) array: class, left, top, right, bottom in pixels.
    """

    names: tuple[str, ...]
    images: Pixels
    truth: tuple[NDArray[np.float64], ...]


def read_split(data_yaml: Path, split: str) -> Split:
    """Read a split of the demo's dataset: square bitmaps of one size."""
    root = data_yaml.parent
    paths = sorted((root / "images" / split).glob("*.bmp"))
    images = np.stack([read_bitmap(path) for path in paths])
    size = images.shape[1]
    truth = []
    for path in paths:
        label = root / "labels" / split / f"{path.stem}.txt"
        rows = np.array([line.split() for line in label.read_text().splitlines()], np.float64)
        rows = rows.reshape(-1, 5)
        low, high = rows[:, 1:3] - rows[:, 3:] / 2, rows[:, 1:3] + rows[:, 3:] / 2
        truth.append(np.hstack([rows[:, :1], low * size, high * size]))
    names = tuple(path.relative_to(root).as_posix() for path in paths)
    return Split(names, images, tuple(truth))


class Losses(NamedTuple):
    """Mean losses of a batch."""

    box: float
    cls: float


class Detections(NamedTuple):
    """Detections of one image, by falling score."""

    classes: NDArray[np.int64]
    scores: NDArray[np.float64]
    xyxy: NDArray[np.float64]
    """(p, 4) left, top, right, bottom in pixels of the original image."""


class Detector:
    """The network with what surrounds it.

    Parameters
    ----------
    classes
        How many there are.
    imgsz
        Side of the network's input in pixels, a multiple of `CELL`.
    width
        Channels of the first layer; deeper ones have more.
    """

    def __init__(self, classes: int, imgsz: int, width: int = 12, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.classes, self.imgsz, self.width = classes, imgsz, width
        self.network = Network(
            [
                Convolution.random(rng, 3, width, 2),
                Convolution.random(rng, width, 2 * width, 2),
                Convolution.random(rng, 2 * width, 4 * width, 2),
                Convolution.random(rng, 4 * width, 4 * width),
                Convolution.random(rng, 4 * width, classes + 4, is_last=True),
            ]
        )
        head = self.network.layers[-1]
        head.kernel *= 0.1
        head.bias[:classes] = -4.0  # nearly every cell is empty

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(weight.size for weight in self.network.weights)

    def prepare(self, images: Pixels) -> Array:
        """Return `images` (n, size, size, 3) as the network's input."""
        size = images.shape[1]
        if size != self.imgsz:
            # Mean over blocks where the sizes divide, nearest pixel elsewhere.
            if size % self.imgsz == 0:
                block = size // self.imgsz
                shape = (len(images), self.imgsz, block, self.imgsz, block, 3)
                small: Array = images.reshape(shape).mean(axis=(2, 4), dtype=np.float32)
                return small / np.float32(255) - np.float32(0.5)
            at = (np.arange(self.imgsz) * size) // self.imgsz
            images = images[:, at][:, :, at]
        return images.astype(np.float32) / np.float32(255) - np.float32(0.5)

    def loss(
        self, images: Array, truth: list[NDArray[np.float64]], size: int
    ) -> tuple[Losses, list[Array]]:
        """Return the losses of a batch and the gradients of the network's weights.

        Parameters
        ----------
        images
            What `prepare` returned.
        truth
            Per image an (m, 5) array, boxes in pixels of an original of side `size`.
        """
        out = self.network.forward(images)
        heat, boxes, here = self._targets(truth, size, out.shape[1])
        count = max(1, int(here.sum()))
        logit = out[..., : self.classes]
        p = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
        wrong = np.where(heat > 0, 1 - p, p)
        with np.errstate(divide="ignore"):
            surprise = -np.log(np.maximum(1 - wrong, 1e-7))
        cls = (wrong**_FOCUS * surprise).sum() / count
        slope = wrong**_FOCUS * (wrong + _FOCUS * (1 - wrong) * surprise)
        gradient = np.zeros_like(out)
        gradient[..., : self.classes] = np.where(heat > 0, -slope, slope) / count
        off = (out[..., self.classes :] - boxes) * here[..., None]
        box = np.abs(off).sum() / count
        gradient[..., self.classes :] = _BOX_WEIGHT * np.sign(off) / count
        return Losses(float(box), float(cls)), self.network.backward(gradient)

    def _targets(
        self, truth: list[NDArray[np.float64]], size: int, cells: int
    ) -> tuple[Array, Array, NDArray[np.bool_]]:
        heat = np.zeros((len(truth), cells, cells, self.classes), np.float32)
        boxes = np.zeros((len(truth), cells, cells, 4), np.float32)
        here = np.zeros((len(truth), cells, cells), np.bool_)
        for index, objects in enumerate(truth):
            for category, left, top, right, bottom in objects:
                x, y = (left + right) / 2 / size * cells, (top + bottom) / 2 / size * cells
                column, row = min(int(x), cells - 1), min(int(y), cells - 1)
                heat[index, row, column, int(category)] = 1
                width, height = (right - left) / size * cells, (bottom - top) / size * cells
                boxes[index, row, column] = (
                    x - column - 0.5,
                    y - row - 0.5,
                    np.log(width),
                    np.log(height),
                )
                here[index, row, column] = True
        return heat, boxes, here

    def detect(self, images: Pixels, batch: int = 50) -> list[Detections]:
        """Return what is found in each of `images` (n, size, size, 3)."""
        found: list[Detections] = []
        for start in range(0, len(images), batch):
            part = images[start : start + batch]
            out = self.network.forward(self.prepare(part)).astype(np.float64)
            found += [self._decode(one, images.shape[1]) for one in out]
        return found

    def _decode(self, out: NDArray[np.float64], size: int) -> Detections:
        cells = out.shape[0]
        scores = 1 / (1 + np.exp(-out[..., : self.classes]))
        row, column, category = np.nonzero(scores > _LOWEST_SCORE)
        score = scores[row, column, category]
        box = out[row, column, self.classes :]
        middle = np.stack([column + 0.5 + box[:, 0], row + 0.5 + box[:, 1]], axis=1)
        half = np.exp(np.clip(box[:, 2:], -3, 4)) / 2
        xyxy = np.clip(np.hstack([middle - half, middle + half]) * (size / cells), 0, size)
        order = np.argsort(-score, kind="stable")[:_MOST]
        chosen = order[_suppress(xyxy[order], category[order])]
        return Detections(category[chosen], score[chosen], xyxy[chosen])

    def to_bytes(self) -> bytes:
        """Return the weights as an npz archive."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {f"weight{i}": w for i, w in enumerate(self.network.weights)}
        np.savez(buffer, imgsz=self.imgsz, width=self.width, classes=self.classes, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Detector:
        """Return the detector that `to_bytes` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            made = cls(int(archive["classes"]), int(archive["imgsz"]), int(archive["width"]))
            for index, weight in enumerate(made.network.weights):
                weight[...] = archive[f"weight{index}"]
        return made


def _suppress(xyxy: NDArray[np.float64], category: NDArray[np.int64]) -> list[int]:
    """Return the rows that greedy non-maximum suppression within each class keeps."""
    keep: list[int] = []
    left = np.ones(len(xyxy), np.bool_)
    area = (xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1)
    for row in range(len(xyxy)):
        if not left[row]:
            continue
        keep.append(row)
        low = np.maximum(xyxy[row, :2], xyxy[:, :2])
        high = np.minimum(xyxy[row, 2:], xyxy[:, 2:])
        shared = np.maximum(high - low, 0).prod(axis=1)
        overlap = shared / np.maximum(area[row] + area - shared, 1e-9)
        left &= (overlap <= _NMS_IOU) | (category != category[row])
    return keep
