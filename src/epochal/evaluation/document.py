"""The evaluation document: all that one evaluation says, and what it may be compared with."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from epochal.errors import Damaged

__all__ = [
    "CONDITIONS",
    "ClassResult",
    "ConfusionMatrix",
    "CurvePoints",
    "Evaluation",
    "OperatingPoint",
    "conditions",
    "decode",
    "differences",
    "encode",
]

CONDITIONS = frozenset({"imgsz", "half", "batch", "rect", "device", "workers"})
"""Protocol keys that may be the very change under test; see `Evaluation.fingerprint`."""

_WORDS = {
    "task": "task",
    "split": "split",
    "data": "images and labels of the split",
    "images": "number of images",
    "evaluator": "evaluator",
    "iou_thresholds": "IoU thresholds",
    "max_detections": "detections per image and class",
    "classes": "class list",
    "conf": "confidence floor",
    "iou": "IoU of non-maximum suppression",
    "max_det": "detections per image",
    "augment": "test-time augmentation",
    "agnostic_nms": "class-agnostic non-maximum suppression",
    "single_cls": "classes taken as one",
}


class OperatingPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A named threshold and what it reaches, 0..1; None where undefined."""

    name: str
    """``recall@precision=0.95`` or ``best-f1``."""
    scope: str
    """``micro``: all classes under one threshold; ``macro``: mean over classes."""
    iou: float
    threshold: float | None
    precision: float | None
    recall: float | None
    f1: float | None


class ClassResult(msgspec.Struct, frozen=True, kw_only=True):
    """Results of one class, 0..1; None where the class has no truth or the value is undefined."""

    id: int
    name: str
    images: int
    """Images that hold at least one object of the class."""
    instances: int
    ap: float | None
    """Mean over the IoU thresholds (AP50-95)."""
    ap50: float | None
    ap75: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    """Precision, recall and F1 at the threshold that gives the best mean F1."""
    recall_at_precision: float | None
    threshold_at_precision: float | None
    """Highest recall with precision >= 0.95 at IoU .5, and the class's own threshold for it."""


class CurvePoints(msgspec.Struct, frozen=True, kw_only=True):
    """Curves at IoU .5: one row per class, 101 points each; None where undefined."""

    iou: float
    recall: tuple[float, ...]
    precision_at_recall: tuple[tuple[float | None, ...], ...]
    confidence: tuple[float, ...]
    precision: tuple[tuple[float | None, ...], ...]
    recall_at_confidence: tuple[tuple[float | None, ...], ...]
    f1: tuple[tuple[float | None, ...], ...]


class ConfusionMatrix(msgspec.Struct, frozen=True, kw_only=True):
    """Counts ``matrix[predicted][true]``; the last label is the background."""

    confidence: float
    iou: float
    labels: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """A run's weights measured on one split of one dataset version by one evaluator.

    Every metric is a share in 0..1, None where undefined. Other tasks use the same document with
    other metrics and fewer fields.
    """

    task: str = "detect"
    split: str
    dataset: str
    """``name@tag``, or the path of the data where there is no tag."""
    dataset_digest: str = ""
    split_digest: str = ""
    """Over images and labels of the split, from the dataset's manifest."""
    images: int
    weights: str = ""
    """Digest of the weights file."""
    weights_name: str = ""
    evaluator: str
    iou_thresholds: tuple[float, ...] = ()
    max_detections: int = 0
    """The evaluator's cut per image and class; 0 for none."""
    protocol: dict[str, Any] = {}
    """How predictions were made: ``imgsz``, ``conf``, ``iou`` (of NMS), ``max_det``, ``half``."""
    classes: tuple[str, ...]
    metrics: dict[str, float | None]
    """``mAP50-95``, ``mAP50``, ``mAP75``, ``precision``, ``recall``, ``f1``,
    ``recall@precision=0.95`` (micro), and mAP50-95 by size of the object."""
    per_class: tuple[ClassResult, ...] = ()
    operating_points: tuple[OperatingPoint, ...] = ()
    curves: CurvePoints | None = None
    confusion: ConfusionMatrix | None = None
    speed: dict[str, float] = {}
    """Milliseconds per image by stage, as the trainer printed them: throughput, not latency."""
    matches: str = ""
    """Digest of the blob with the `MatchRecords`; empty: not kept."""
    boxes: str = ""
    """Digest of the blob with the `Boxes`; empty: not kept."""
    outcomes: str = ""
    """Digest of the blob with a classifier's `Outcomes`; empty: not kept."""
    source: str = ""
    """Where it comes from, e.g. ``ultralytics/8.4.190 final validation``."""
    created_by: str = ""
    """Program and version that wrote the document."""

    @property
    def fingerprint(self) -> str:
        """Digest, 32 hex digits, of what two evaluations must share to be compared.

        It covers the task, the split and its content, the evaluator with its IoU thresholds and
        limits, the class list, and how predictions were made, except for the image size, half
        precision, batch size and rectangular batches. Those belong to the model as it is deployed:
        "96 against 160 pixels" is a change one tests, on the same images and labels, with boxes
        measured in pixels of the original image, so the two numbers mean the same. A fingerprint
        with them would refuse the very comparison that such an experiment is made for. They are
        kept in `protocol`, and `conditions` states where two evaluations differ in them.

        The content of the split is its digest; where that is unknown, the dataset's name.
        """
        text = msgspec.json.encode(_identity(self), order="sorted")
        return hashlib.blake2b(text, digest_size=16).hexdigest()


def _identity(evaluation: Evaluation) -> dict[str, Any]:
    """Return the fields under the fingerprint."""
    protocol = {k: v for k, v in evaluation.protocol.items() if k not in CONDITIONS}
    return {
        "task": evaluation.task,
        "split": evaluation.split,
        "data": evaluation.split_digest or evaluation.dataset,
        "images": evaluation.images,
        "evaluator": evaluation.evaluator,
        "iou_thresholds": [round(t, 9) for t in evaluation.iou_thresholds],
        "max_detections": evaluation.max_detections,
        "classes": evaluation.classes,
        "protocol": {key: _number(value) for key, value in protocol.items()},
    }


def _number(value: Any) -> Any:
    """Return `value` such that 300 and 300.0 are the same."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def differences(a: Evaluation, b: Evaluation) -> list[str]:
    """Return, in words, the fields in which the fingerprints differ; empty if they are equal.

    For example ``confidence floor: 0.001 against 0.25``.
    """
    return _compare(_flat(_identity(a)), _flat(_identity(b)))


def conditions(a: Evaluation, b: Evaluation) -> list[str]:
    """Return, in words, the measuring conditions that differ without blocking a comparison.

    For example ``imgsz: 96 against 160``.
    """
    left = {key: value for key, value in a.protocol.items() if key in CONDITIONS}
    right = {key: value for key, value in b.protocol.items() if key in CONDITIONS}
    return _compare(left, right)


def _flat(identity: dict[str, Any]) -> dict[str, Any]:
    return {**identity.pop("protocol"), **identity}


def _compare(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    found = []
    for key in sorted(a.keys() | b.keys()):
        left, right = a.get(key, "unknown"), b.get(key, "unknown")
        if left != right:
            found.append(f"{_WORDS.get(key, key)}: {_shown(left)} against {_shown(right)}")
    return found


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        text = ", ".join(_shown(item) for item in value)
        return f"{len(value)} ({text if len(text) <= 60 else text[:57] + '...'})"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def encode(evaluation: Evaluation) -> bytes:
    """Return the document as JSON; equal documents give equal bytes."""
    return msgspec.json.encode(evaluation, order="deterministic")


def decode(data: bytes) -> Evaluation:
    """Return the document that `encode` wrote; unknown fields of a newer version are ignored.

    Raises
    ------
    Damaged
        The bytes are not an evaluation.
    """
    try:
        return msgspec.json.decode(data, type=Evaluation)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"not a readable evaluation ({error})") from error
