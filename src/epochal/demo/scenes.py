"""Scenes of coloured shapes on cluttered backgrounds, written as a YOLO dataset.

Everything is drawn from seeds: the same arguments give the same bytes. An image depends on its
seed, split and number only, so a larger dataset contains the smaller one, as a second labelling
campaign would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from epochal.demo.bitmaps import write_bitmap

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from epochal.demo.bitmaps import Pixels

__all__ = ["CLASSES", "SPLIT_SIZES", "Scene", "draw_scene", "shape_outline", "write_dataset"]

CLASSES = ("circle", "square", "triangle", "star")

SPLIT_SIZES = {"train": 300, "val": 200, "test": 200}
"""Images per split, enough for a paired bootstrap over the test images to tell a few points."""

_FREQUENCY = (0.40, 0.28, 0.22, 0.10)  # unbalanced as in practice: stars are rare
_RADIUS = (0.06, 0.19)  # of the circumscribed circle, as a share of the image's side
_MOST_OBJECTS = 5
_MOST_OVERLAP = 0.15  # IoU of two objects' boxes
_CONTRAST = 90.0  # distance in RGB between an object and what is behind it
_NOISE = 6.0
_TILT = 0.15  # radians, standard deviation: things stand upright, more or less
_SAMPLES = 3  # per pixel and axis, for smooth edges

Outline: TypeAlias = "NDArray[np.float64]"
"""(n, 2) x, y of a polygon's corners in pixels."""


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and the objects in it.

    Parameters
    ----------
    image
        (size, size, 3) red, green, blue.
    classes
        (m,) index into `CLASSES`.
    xyxy
        (m, 4) left, top, right, bottom in pixels: the smallest box around each outline.
    """

    image: Pixels
    classes: NDArray[np.int64]
    xyxy: NDArray[np.float64]

    def label_text(self) -> str:
        """Return the objects in YOLO's text format: class and centre, size as shares."""
        size = self.image.shape[0]
        low, high = self.xyxy[:, :2], self.xyxy[:, 2:]
        shares = np.hstack([(low + high) / 2, high - low]) / size
        return "".join(
            f"{category} {' '.join(f'{share:.6f}' for share in row)}\n"
            for category, row in zip(self.classes, shares, strict=True)
        )


def write_dataset(
    folder: Path,
    *,
    sizes: Mapping[str, int] = SPLIT_SIZES,
    size: int = 96,
    seed: int = 0,
) -> Path:
    """Write a dataset as Ultralytics reads it and return its data.yaml.

    Parameters
    ----------
    sizes
        Images per split.
    size
        Side of the square images in pixels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for index, (split, count) in enumerate(sizes.items()):
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            scene = draw_scene(np.random.default_rng([seed, index, number]), size)
            write_bitmap(images / f"{number:04d}.bmp", scene.image)
            (labels / f"{number:04d}.txt").write_text(scene.label_text())
    data = folder / "data.yaml"
    lines = [f"{split}: images/{split}" for split in sizes]
    lines += ["names:", *(f"  {index}: {name}" for index, name in enumerate(CLASSES))]
    data.write_text("\n".join(lines) + "\n")
    return data


def draw_scene(rng: np.random.Generator, size: int = 96) -> Scene:
    """Return a scene of one to five shapes on a square image of `size` pixels."""
    canvas = _background(rng, size)
    classes: list[int] = []
    boxes = np.zeros((0, 4))
    for _ in range(int(rng.integers(1, _MOST_OBJECTS + 1))):
        category = int(rng.choice(len(CLASSES), p=_FREQUENCY))
        radius = size * rng.uniform(*_RADIUS)
        centre = rng.uniform(radius, size - radius, 2)
        outline = shape_outline(CLASSES[category], centre, radius, rng.normal(0, _TILT))
        box = np.concatenate([outline.min(axis=0), outline.max(axis=0)])
        if (_overlap(box, boxes) > _MOST_OVERLAP).any():
            continue  # a crowded place stays as it is; the scene has one object less
        _paint(canvas, outline, _colour(rng, canvas, box))
        classes.append(category)
        boxes = np.vstack([boxes, box])
    canvas += rng.normal(0, _NOISE, canvas.shape)
    image = np.clip(np.round(canvas), 0, 255).astype(np.uint8)
    return Scene(image, np.array(classes, np.int64), boxes)


def shape_outline(name: str, centre: NDArray[np.float64], radius: float, angle: float) -> Outline:
    """Return the corners (n, 2) of a shape of `CLASSES`.

    Parameters
    ----------
    centre
        (2,) x, y in pixels.
    radius
        Of the circumscribed circle, in pixels.
    angle
        By which the upright shape is turned, in radians.
    """
    corners = {"circle": 48, "square": 4, "triangle": 3, "star": 10}[name]
    distance = np.full(corners, radius)
    if name == "star":
        distance[1::2] *= 0.45
    first = -np.pi / 4 if name == "square" else -np.pi / 2  # one corner up; a square on its side
    turn = first + angle + np.arange(corners) * (2 * np.pi / corners)
    outline: Outline = centre + distance[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return outline


def _background(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Return a smooth field of colours crossed by bars, which share edges with the shapes."""
    coarse = rng.uniform(40, 215, (4, 4, 3)) * 0.5 + rng.uniform(20, 110, 3)
    steps = np.linspace(0, 3, size)
    blend = np.maximum(0, 1 - np.abs(steps[:, None] - np.arange(4)))  # linear interpolation
    rows = np.tensordot(blend, coarse, axes=1)
    canvas: NDArray[np.float64] = np.tensordot(blend, rows, axes=(1, 1)).swapaxes(0, 1)
    for _ in range(int(rng.integers(2, 6))):
        middle, along = rng.uniform(0, size, 2), rng.uniform(0, np.pi)
        half = size * np.array([rng.uniform(0.08, 0.4), rng.uniform(0.005, 0.02)])
        axes = np.array([[np.cos(along), np.sin(along)], [-np.sin(along), np.cos(along)]])
        bar = middle + (np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * half) @ axes
        _paint(canvas, bar, rng.uniform(0, 255, 3))
    return canvas


def _colour(
    rng: np.random.Generator, canvas: NDArray[np.float64], box: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return a colour that can be told from what is behind the box."""
    x0, y0, x1, y1 = np.round(box).astype(int)
    behind = canvas[y0:y1, x0:x1].mean(axis=(0, 1))
    while True:
        colour: NDArray[np.float64] = rng.uniform(0, 255, 3)
        if np.linalg.norm(colour - behind) > _CONTRAST:
            return colour


def _paint(canvas: NDArray[np.float64], outline: Outline, colour: NDArray[np.float64]) -> None:
    """Fill a polygon; a pixel takes the share of the colour by which the polygon covers it."""
    height, width, _ = canvas.shape
    x0, y0 = np.maximum(np.floor(outline.min(axis=0)), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(outline.max(axis=0)), (width, height)).astype(int)
    if x1 <= x0 or y1 <= y0:
        return
    x = x0 + (np.arange((x1 - x0) * _SAMPLES) + 0.5) / _SAMPLES
    y = y0 + (np.arange((y1 - y0) * _SAMPLES) + 0.5) / _SAMPLES
    inside = np.zeros((len(y), len(x)), np.bool_)
    for (ax, ay), (bx, by) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if ay == by:
            continue
        # Even-odd rule: each edge flips what lies to its left, on the lines that it crosses.
        crossing = ax + (y - ay) * (bx - ax) / (by - ay)
        crossed = (ay > y) != (by > y)
        inside ^= crossed[:, None] & (x[None, :] < crossing[:, None])
    blocks = inside.reshape(y1 - y0, _SAMPLES, x1 - x0, _SAMPLES)
    cover = blocks.mean(axis=(1, 3))[:, :, None]
    canvas[y0:y1, x0:x1] += cover * (colour - canvas[y0:y1, x0:x1])


def _overlap(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union (m,) of one box with others (m, 4)."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    area = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    overlap: NDArray[np.float64] = shared / (area - shared)
    return overlap
