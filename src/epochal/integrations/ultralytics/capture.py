"""What a validator sees, image by image: true and predicted boxes, and its own matches.

None of it survives the validation: boxes are dropped batch by batch, and the matches are cleared
before ``on_val_end``. So three methods of the validator are wrapped on the instance while one
validation runs: ``init_metrics``, which gets the model, ``update_metrics``, which gets the boxes,
and ``get_stats``, which clears the matches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np  # noqa: TID253 - only a YOLO process imports this, and it has NumPy
from numpy.typing import NDArray  # noqa: TID253

__all__ = ["Capture", "ImageBoxes", "Matches", "array", "to_original"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_WRAPPED = ("init_metrics", "update_metrics", "get_stats")


@dataclass(frozen=True, slots=True)
class ImageBoxes:
    """One image: boxes are xyxy in pixels of the original image."""

    file: str
    width: int
    height: int
    truth_cls: Ints
    truth_xyxy: Floats
    pred_cls: Ints
    pred_score: Floats
    pred_xyxy: Floats


@dataclass(frozen=True, slots=True)
class Matches:
    """The validator's own matches of all images, in its order; see `Capture.matches`."""

    tp: NDArray[np.bool_]
    """(p, t) true positive at each IoU threshold."""
    score: Floats
    pred_cls: Ints
    pred_img: Ints
    target_cls: Ints
    target_img: Ints


@dataclass(slots=True)
class Capture:
    """Collects one validation.

    Parameters
    ----------
    single_cls
        All classes count as class 0, as Ultralytics has it under ``single_cls=True``.
    """

    single_cls: bool = False
    images: list[ImageBoxes] = field(default_factory=list)
    stats: dict[str, list[Any]] | None = None
    problem: str = ""
    """Why the capture is not complete; empty when it is."""

    def watch(self, validator: Any, on_model: Callable[[Any, Any], None]) -> None:
        """Wrap the validator's methods until `release`; what fails here never reaches it.

        `on_model` is called with the validator and the loaded model, before the first image.
        """
        self.release(validator)
        validator.init_metrics = self._before(
            validator.init_metrics, lambda model: on_model(validator, model)
        )
        validator.update_metrics = self._before(validator.update_metrics, self.add)
        validator.get_stats = self._before(
            validator.get_stats, lambda: self._copy_stats(validator)
        )

    @staticmethod
    def release(validator: Any) -> None:
        """Take the wrappers off."""
        for name in _WRAPPED:
            vars(validator).pop(name, None)

    def _before(self, method: Callable[..., Any], see: Callable[..., None]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if not self.problem:
                try:
                    see(*args, **kwargs)
                except Exception as error:
                    self.problem = f"{type(error).__name__}: {error}"
            return method(*args, **kwargs)

        return wrapped

    def add(self, preds: Any, batch: dict[str, Any]) -> None:
        """Take the boxes of one batch, as ``update_metrics(preds, batch)`` gets them.

        Predictions are in pixels of the network's input, targets in shares of it; both go back
        to the original image the way the loader came: minus the padding, over the scale.
        """
        height, width = (int(n) for n in batch["img"].shape[2:])
        owner = array(batch["batch_idx"]).astype(np.int64)
        classes = array(batch["cls"]).reshape(-1).astype(np.int64)
        targets = array(batch["bboxes"]).reshape(-1, 4)
        for i, pred in enumerate(preds):
            original = tuple(int(n) for n in batch["ori_shape"][i])
            ratio_pad = batch["ratio_pad"][i] if "ratio_pad" in batch else None
            pred_xyxy, score, pred_cls = _prediction(pred)
            mine = owner == i
            truth = _xyxy(targets[mine]) * np.array([width, height, width, height], np.float64)
            truth_cls = classes[mine]
            if self.single_cls:
                pred_cls, truth_cls = pred_cls * 0, truth_cls * 0
            self.images.append(
                ImageBoxes(
                    file=str(batch["im_file"][i]),
                    width=original[1],
                    height=original[0],
                    truth_cls=truth_cls,
                    truth_xyxy=to_original(truth, (height, width), original, ratio_pad),
                    pred_cls=pred_cls,
                    pred_score=score,
                    pred_xyxy=to_original(pred_xyxy, (height, width), original, ratio_pad),
                )
            )

    def _copy_stats(self, validator: Any) -> None:
        # Since 8.3.150 or so on the metrics; before, on the validator itself.
        stats = getattr(validator.metrics, "stats", None) or validator.stats
        self.stats = {key: list(values) for key, values in stats.items()}

    def matches(self) -> Matches | None:
        """Return the validator's own matches, each with the image it belongs to.

        None where they cannot be told apart by image: under DDP other ranks' images come along,
        and releases before 8.3.150 leave out images with neither targets nor predictions, which
        is put right only where the numbers of images agree.
        """
        if not self.stats or "tp" not in self.stats or "conf" not in self.stats:
            return None
        index = np.arange(len(self.images))
        if len(self.stats["conf"]) != len(index):
            kept = [len(image.truth_cls) + len(image.pred_cls) > 0 for image in self.images]
            index = index[np.array(kept, bool)]
        if len(self.stats["conf"]) != len(index):
            return None
        per_image = {
            key: [array(v) for v in self.stats[key]]
            for key in ("tp", "conf", "pred_cls", "target_cls")
        }
        flat = {key: np.concatenate(values or [np.zeros(0)]) for key, values in per_image.items()}
        return Matches(
            tp=np.concatenate(per_image["tp"] or [np.zeros((0, 10))]).astype(bool),
            score=flat["conf"].astype(np.float64),
            pred_cls=flat["pred_cls"].astype(np.int64),
            pred_img=np.repeat(index, [len(v) for v in per_image["conf"]]),
            target_cls=flat["target_cls"].astype(np.int64),
            target_img=np.repeat(index, [len(v) for v in per_image["target_cls"]]),
        )


def to_original(
    xyxy: Floats, shape: tuple[int, int], original: tuple[int, ...], ratio_pad: Any = None
) -> Floats:
    """Return boxes in pixels of the original image, clipped to it.

    Parameters
    ----------
    xyxy
        (n, 4) boxes in pixels of the network's input.
    shape, original
        (height, width) of the input and of the original image.
    ratio_pad
        ``((scale_h, scale_w), (pad_w, pad_h))`` as the loader noted it; None: scaled to fit and
        centred, as Ultralytics' LetterBox does.
    """
    if ratio_pad is None:
        gain = min(shape[0] / original[0], shape[1] / original[1])
        height, width = (max(round(n * gain), 1) for n in original[:2])
        scale = (height / original[0], width / original[1])
        pad = (round((shape[1] - width) / 2 - 0.1), round((shape[0] - height) / 2 - 0.1))
    else:
        scale, pad = ratio_pad
    points = xyxy.reshape(-1, 2, 2) - np.array([float(pad[0]), float(pad[1])])
    points /= np.array([float(scale[1]), float(scale[0])])
    points = points.clip(0.0, np.array([original[1], original[0]], np.float64))
    boxes: Floats = points.reshape(-1, 4)
    return boxes


def _prediction(pred: Any) -> tuple[Floats, Floats, Ints]:
    """Return boxes, scores and classes; before 8.3.150 they are the columns of one tensor."""
    if isinstance(pred, dict):
        boxes, score, cls = (array(pred[key]) for key in ("bboxes", "conf", "cls"))
    else:
        rows = array(pred)
        boxes, score, cls = rows[:, :4], rows[:, 4], rows[:, 5]
    return (
        boxes.astype(np.float64).reshape(-1, 4),
        score.astype(np.float64).reshape(-1),
        cls.astype(np.int64).reshape(-1),
    )


def _xyxy(xywh: NDArray[Any]) -> Floats:
    centre, size = xywh[:, :2].astype(np.float64), xywh[:, 2:4].astype(np.float64)
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1)


def array(values: Any) -> NDArray[Any]:
    """Return a tensor of any device, or an array, as an array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().float() if values.is_floating_point() else values.cpu()
    return np.asarray(values)
