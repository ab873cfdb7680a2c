"""From a finished validation to evaluation documents: Ultralytics' numbers, and ours.

Two records of one validation, under two evaluators, because their definitions differ and change
between releases: what the trainer printed is kept as printed, and what gates compare is computed
from the boxes.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import Any, NamedTuple

import msgspec
import numpy as np  # noqa: TID253 - only a YOLO process imports this, and it has NumPy

from epochal.evaluation import (
    Boxes,
    Evaluation,
    MatchRecords,
    build_evaluation,
    ultralytics_evaluator,
)
from epochal.integrations.ultralytics.capture import Capture, ImageBoxes, Matches
from epochal.integrations.ultralytics.pins import EvaluatedData
from epochal.version import __version__

__all__ = ["Measured", "Result", "evaluations", "ultralytics_version"]

_BOX_TASKS = ("detect", "segment", "pose")
"""Tasks whose predictions have upright boxes; of others the printed numbers are kept."""

_PROTOCOL = ("imgsz", "conf", "iou", "max_det", "batch", "rect", "augment", "agnostic_nms")
_TOLERANCE = 1e-6


class Measured(NamedTuple):
    """What a validation was, apart from its boxes."""

    data: EvaluatedData
    weights: str
    """Digest of the weights file; empty where there is none."""
    weights_name: str
    source: str


class Result(NamedTuple):
    """One evaluation and what it was computed from."""

    evaluation: Evaluation
    matches: MatchRecords | None = None
    boxes: Boxes | None = None
    problem: str = ""


def ultralytics_version() -> str:
    """Return the version of the Ultralytics package in this process."""
    return str(getattr(sys.modules.get("ultralytics"), "__version__", "unknown"))


def evaluations(validator: Any, capture: Capture, measured: Measured) -> list[Result]:
    """Return the evaluations of a finished validation, the trainer's own first."""
    common: dict[str, Any] = {
        "split": str(validator.args.split),
        "dataset": measured.data.dataset,
        "dataset_digest": measured.data.digest,
        "split_digest": measured.data.split_digest,
        "weights": measured.weights,
        "weights_name": measured.weights_name,
        "protocol": _protocol(validator),
        "speed": {stage: float(ms) for stage, ms in dict(validator.speed).items()},
        "source": measured.source,
        "created_by": f"epochal/{__version__}",
    }
    problem = _incomplete(validator, capture)
    if problem:
        return [Result(_printed(validator, common), problem=problem)]
    classes = _unique([str(name) for _, name in sorted(dict(validator.names).items())])
    # By name: between equal scores the order decides, and every machine lists files as it likes.
    names = _unique([measured.data.name_of(image.file) for image in capture.images])
    order = sorted(range(len(names)), key=names.__getitem__)
    found = []
    matches = capture.matches()
    if matches is not None:
        records = _records(matches, names, order, classes)
        theirs, records = build_evaluation(records, **common)
        printed = _metrics(validator)
        off = _deviation(theirs.metrics, printed)
        theirs = msgspec.structs.replace(
            theirs, task=str(validator.args.task), metrics=theirs.metrics | printed
        )
        found.append(Result(theirs, records, problem=off))
    else:
        found.append(Result(_printed(validator, common), problem="matches could not be kept"))
    images = [capture.images[i] for i in order]
    digests = measured.data.digests_of([image.file for image in images])
    boxes = _boxes(images, [names[i] for i in order], classes, digests)
    ours, matched = build_evaluation(boxes, **common)
    ours = msgspec.structs.replace(ours, task=str(validator.args.task))
    found.append(Result(ours, matched, boxes))
    return found


def _incomplete(validator: Any, capture: Capture) -> str:
    """Return why there are no boxes to compute from; empty where there are."""
    if validator.args.task not in _BOX_TASKS:
        return f"{validator.args.task}: the printed numbers are kept, without boxes"
    if capture.problem:
        return f"boxes could not be read: {capture.problem}"
    if len(capture.images) != int(validator.seen):  # DDP: this rank saw its share
        return f"{len(capture.images)} of {validator.seen} images were seen by this process"
    return ""


def _protocol(validator: Any) -> dict[str, Any]:
    args = validator.args
    protocol = {key: getattr(args, key, None) for key in _PROTOCOL}
    protocol["half"] = getattr(args, "quantize", None) == 16 or bool(getattr(args, "half", False))
    protocol["single_cls"] = bool(args.single_cls)
    # A trainer's validator has rectangular batches whatever its arguments say.
    dataset = getattr(validator.dataloader, "dataset", None)
    protocol["rect"] = bool(getattr(dataset, "rect", protocol["rect"]))
    protocol["device"] = str(validator.device)
    protocol["classes"] = getattr(args, "classes", None)  # these two narrow what is evaluated
    protocol["fraction"] = _share(getattr(args, "fraction", None), str(args.split))
    return {key: value for key, value in protocol.items() if value is not None}


def _share(fraction: Any, split: str) -> float | int | None:
    """Return the share or number of the split's images that is used; None for all of them.

    A single number is about train alone; a list is train, val, test.
    """
    if not isinstance(fraction, list | tuple):
        return None
    by_split = dict(zip(("train", "val", "test"), fraction, strict=False))
    share: float | int | None = by_split.get(split)
    return None if share == 1 else share


def _metrics(validator: Any) -> dict[str, float | None]:
    """Return the printed numbers under plain names; box metrics own them, others keep a mark."""
    found: dict[str, float | None] = {}
    for key, value in validator.metrics.results_dict.items():
        name = re.sub(r"\(B\)$", "", key.removeprefix("metrics/"))
        found[name] = float(value) if np.isfinite(value) else None
    return found


def _deviation(ours: dict[str, float | None], printed: dict[str, float | None]) -> str:
    """Return where the matches do not give the printed numbers; empty where they do."""
    for name in ("mAP50-95", "mAP50", "precision", "recall"):
        a, b = ours.get(name), printed.get(name)
        if abs((a or 0.0) - (b or 0.0)) > _TOLERANCE:
            return (
                f"Ultralytics {ultralytics_version()} prints {name} {b}, its matches give {a} by "
                f"the definition known to us: its per-class numbers may be off by as much"
            )
    return ""


def _printed(validator: Any, common: dict[str, Any]) -> Evaluation:
    """Return an evaluation that holds the printed numbers and nothing else."""
    names = [str(name) for _, name in sorted(dict(validator.names).items())]
    return Evaluation(
        **common,
        task=str(validator.args.task),
        images=int(validator.seen),
        evaluator=ultralytics_evaluator(ultralytics_version()),
        classes=_unique(names),
        metrics=_metrics(validator),
    )


def _records(
    matches: Matches, names: tuple[str, ...], order: list[int], classes: tuple[str, ...]
) -> MatchRecords:
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return MatchRecords.from_arrays(
        images=[names[i] for i in order],
        classes=classes,
        evaluator=ultralytics_evaluator(ultralytics_version()),
        tp=matches.tp,
        score=matches.score,
        pred_cls=matches.pred_cls,
        pred_img=place[matches.pred_img],
        target_cls=matches.target_cls,
        target_img=place[matches.target_img],
    )


def _boxes(
    images: list[ImageBoxes],
    names: list[str],
    classes: tuple[str, ...],
    digests: tuple[str, ...],
) -> Boxes:
    def joined(column: str) -> Any:
        return np.concatenate([getattr(image, column) for image in images])

    def owners(column: str) -> Any:
        return np.repeat(np.arange(len(images)), [len(getattr(i, column)) for i in images])

    if not images:
        return Boxes(images=(), classes=classes)
    return Boxes(
        images=tuple(names),
        classes=classes,
        sizes=np.array([[image.width, image.height] for image in images]),
        truth_img=owners("truth_cls"),
        truth_cls=joined("truth_cls"),
        truth_xyxy=joined("truth_xyxy"),
        pred_img=owners("pred_cls"),
        pred_cls=joined("pred_cls"),
        pred_score=joined("pred_score"),
        pred_xyxy=joined("pred_xyxy"),
        digests=digests,
    )


def _unique(names: list[str]) -> tuple[str, ...]:
    """Return the names with a number behind repeated ones: YOLO allows what we must tell apart."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(found)
