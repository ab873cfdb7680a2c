"""From a finished validation to evaluation documents: Ultralytics' numbers, and ours.

Two records of one validation, under two evaluators, because their definitions differ and change
between releases: what the trainer printed is kept as printed, and what gates compare is computed
from the boxes, or from a classifier's outcomes.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import Any, NamedTuple

import msgspec
import numpy as np  # noqa: TID253 - only a YOLO process imports this, and it has NumPy

from epochal.errors import EpochalError
from epochal.evaluation import (
    CLASSIFICATION,
    Boxes,
    Evaluation,
    ImageRecords,
    MatchRecords,
    build_evaluation,
    ultralytics_evaluator,
)
from epochal.evaluation.classification import evaluate_outcomes
from epochal.integrations.ultralytics.capture import Capture, ImageBoxes, Matches
from epochal.integrations.ultralytics.pins import EvaluatedData
from epochal.integrations.ultralytics.rankings import Rankings
from epochal.version import __version__

__all__ = ["Measured", "Result", "evaluations", "ultralytics_version"]

_BOX_TASKS = ("detect", "segment", "pose")
"""Tasks whose predictions have upright boxes; of others the printed numbers are kept."""

_PROTOCOL = ("imgsz", "batch", "augment")
_BOX_PROTOCOL = ("conf", "iou", "max_det", "rect", "agnostic_nms")
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
    records: ImageRecords | None = None
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
    if isinstance(capture, Rankings):
        return _classified(validator, capture, measured, common)
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


def _classified(
    validator: Any, capture: Rankings, measured: Measured, common: dict[str, Any]
) -> list[Result]:
    """Return a classifier's evaluations: as printed, and from the outcomes of its images."""
    printed = _printed(validator, common)
    if capture.problem:
        return [Result(printed, problem=f"outcomes could not be read: {capture.problem}")]
    if len(capture.files) != printed.images:  # DDP: this rank saw its share
        seen = f"{len(capture.files)} of {printed.images} images were seen by this process"
        return [Result(printed, problem=seen)]
    names = _unique([measured.data.name_of(file) for file in capture.files])
    try:
        outcomes = capture.outcomes(names, printed.classes, CLASSIFICATION)
        ours = evaluate_outcomes(outcomes, **common)
    except EpochalError as error:
        return [Result(printed, problem=f"outcomes could not be read: {error.message}")]
    off = _deviation(ours.metrics, printed.metrics, ("accuracy_top1", "accuracy_top5"))
    return [Result(printed, problem=off), Result(ours, outcomes)]


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
    has_boxes = args.task != "classify"
    keys = _PROTOCOL + (_BOX_PROTOCOL if has_boxes else ())
    protocol = {key: getattr(args, key, None) for key in keys}
    protocol["half"] = getattr(args, "quantize", None) == 16 or bool(getattr(args, "half", False))
    protocol["single_cls"] = bool(args.single_cls)
    if has_boxes:
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


def _deviation(
    ours: dict[str, float | None],
    printed: dict[str, float | None],
    names: tuple[str, ...] = ("mAP50-95", "mAP50", "precision", "recall"),
) -> str:
    """Return where what was captured does not give the printed numbers; empty where it does."""
    for name in names:
        a, b = ours.get(name), printed.get(name)
        if abs((a or 0.0) - (b or 0.0)) > _TOLERANCE:
            return (
                f"Ultralytics {ultralytics_version()} prints {name} {b}, what it found gives {a} "
                f"by the definition known to us: its per-class numbers may be off by as much"
            )
    return ""


def _printed(validator: Any, common: dict[str, Any]) -> Evaluation:
    """Return an evaluation that holds the printed numbers and nothing else."""
    names = [str(name) for _, name in sorted(dict(validator.names).items())]
    return Evaluation(
        **common,
        task=str(validator.args.task),
        images=_n_images(validator),
        evaluator=ultralytics_evaluator(ultralytics_version()),
        classes=_unique(names),
        metrics=_metrics(validator),
    )


def _n_images(validator: Any) -> int:
    if validator.args.task == "classify":  # which leaves `seen` alone
        return sum(len(batch) for batch in validator.targets)
    return int(validator.seen)


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
