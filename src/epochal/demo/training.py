"""Train the demo's detector and record it, as any training script would with `epochal.init`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from epochal.demo.detector import Detector, Split, read_split
from epochal.demo.network import Adam, Array
from epochal.demo.scenes import CLASSES
from epochal.evaluation import Boxes, average_precision, build_evaluation, match
from epochal.store.blobs import digest_of_file
from epochal.version import __version__

if TYPE_CHECKING:
    from epochal.datasets import Manifest
    from epochal.evaluation import Evaluation, MatchRecords
    from epochal.run.run import Run

__all__ = ["Settings", "evaluate", "load_weights", "train"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a training can be told; recorded as the run's config."""

    imgsz: int = 64
    epochs: int = 30
    batch: int = 8
    lr0: float = 0.006
    width: int = 12
    augment: bool = True
    seed: int = 0


def train(
    run: Run, data_yaml: Path, settings: Settings, on_epoch: Callable[[int, float], None]
) -> Path:
    """Train a detector, log every epoch into `run` and return the best weights' path.

    Parameters
    ----------
    on_epoch
        Called with the epoch's number (1, 2 ...) and its mAP50-95 on val.
    """
    training, val = read_split(data_yaml, "train"), read_split(data_yaml, "val")
    rng = np.random.default_rng(settings.seed)
    detector = Detector(len(CLASSES), settings.imgsz, settings.width, settings.seed)
    run.summary["parameters"] = detector.parameters
    optimizer = Adam(detector.network.weights)
    inputs, size = detector.prepare(training.images), training.images.shape[1]
    best, weights = -1.0, data_yaml.parent.parent / "weights" / run.name / "best.npz"
    weights.parent.mkdir(parents=True, exist_ok=True)
    for epoch in range(1, settings.epochs + 1):
        rate = settings.lr0 / 2 * (1 + np.cos(np.pi * (epoch - 1) / settings.epochs))
        losses = []
        order = rng.permutation(len(inputs))
        for start in range(0, len(order), settings.batch):
            chosen = order[start : start + settings.batch]
            images, truth = inputs[chosen], [training.truth[i] for i in chosen]
            if settings.augment:
                images, truth = _augmented(rng, images, truth, size)
            loss, gradients = detector.loss(images, truth, size)
            optimizer.step(gradients, rate)
            losses.append(loss)
        ap = average_precision(match(_boxes(detector, val)))
        box, cls = np.mean(losses, axis=0)
        run.log(
            {
                "train/box_loss": float(box),
                "train/cls_loss": float(cls),
                "lr": float(rate),
                "metrics/mAP50-95(B)": ap.map,
                "metrics/mAP50(B)": ap.map50,
                **{
                    f"class/mAP50-95/{name}": float(value)
                    for name, value in zip(CLASSES, ap.per_class, strict=True)
                },
            },
            step=epoch,
            epoch=epoch,
        )
        if ap.map > best:
            best = ap.map
            weights.write_bytes(detector.to_bytes())
        on_epoch(epoch, ap.map)
    run.artifact(weights, "weights/best.npz", role="weights")
    return weights


def load_weights(path: Path) -> Detector:
    """Return the detector whose weights are in the file at `path`."""
    return Detector.from_bytes(path.read_bytes())


def evaluate(
    weights: Path, data_yaml: Path, split: str, *, dataset: str, manifest: Manifest
) -> tuple[Evaluation, MatchRecords, Boxes]:
    """Measure weights on a split of a tagged dataset version."""
    detector = load_weights(weights)
    by_path = {entry.path: entry.image for entry in manifest.entries}
    images = read_split(data_yaml, split)
    boxes = _boxes(detector, images, tuple(by_path[name] for name in images.names))
    evaluation, records = build_evaluation(
        boxes,
        split=split,
        dataset=dataset,
        dataset_digest=manifest.digest,
        split_digest=manifest.splits[split].digest,
        weights=digest_of_file(weights),
        weights_name=weights.name,
        protocol={"imgsz": detector.imgsz, "conf": 0.01, "iou": 0.5, "max_det": 40},
        source="the demo's detector",
        created_by=f"epochal/{__version__}",
    )
    return evaluation, records, boxes


def _boxes(detector: Detector, split: Split, digests: tuple[str, ...] = ()) -> Boxes:
    found = detector.detect(split.images)
    truth = np.vstack(split.truth)
    side = split.images.shape[1]
    return Boxes(
        images=split.names,
        classes=CLASSES,
        sizes=np.full((len(split.names), 2), side),
        truth_img=np.repeat(np.arange(len(split.truth)), [len(t) for t in split.truth]),
        truth_cls=truth[:, 0].astype(np.int64),
        truth_xyxy=truth[:, 1:],
        pred_img=np.repeat(np.arange(len(found)), [len(f.scores) for f in found]),
        pred_cls=np.concatenate([f.classes for f in found]),
        pred_score=np.concatenate([f.scores for f in found]),
        pred_xyxy=np.vstack([f.xyxy for f in found]),
        digests=digests,
    )


_MOST_SHIFT = 1 / 12  # of the image's side


def _augmented(
    rng: np.random.Generator, images: Array, truth: list[NDArray[np.float64]], size: int
) -> tuple[Array, list[NDArray[np.float64]]]:
    """Return a batch mirrored, shifted and recoloured at random.

    Only shapes matter here, so any permutation of the colours, and their negative, is a new image.
    """
    if rng.random() < 0.5:
        images = images[:, :, ::-1]
        truth = [
            np.stack([t[:, 0], size - t[:, 3], t[:, 2], size - t[:, 1], t[:, 4]], axis=1)
            for t in truth
        ]
    images = images[..., rng.permutation(3)] * np.float32(rng.choice([-1, 1]))
    side = images.shape[1]
    most = int(side * _MOST_SHIFT)
    right, down = rng.integers(-most, most + 1, 2)
    images = np.roll(images, (down, right), axis=(1, 2))
    moved = np.array([0, right, down, right, down]) * (size / side)
    return images, [_inside(t + moved, size) for t in truth]


def _inside(objects: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return the objects whose centre is still in the image."""
    x, y = (objects[:, 1] + objects[:, 3]) / 2, (objects[:, 2] + objects[:, 4]) / 2
    inside: NDArray[np.float64] = objects[(x >= 0) & (x < size) & (y >= 0) & (y < size)]
    return inside
