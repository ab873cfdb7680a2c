"""Evaluations without boxes: classification from probabilities, any metrics as plain numbers."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from epochal.errors import InvalidInput
from epochal.evaluation.document import ClassResult, ConfusionMatrix, Evaluation
from epochal.evaluation.grouping import with_groups
from epochal.evaluation.outcomes import ACCURACIES, Outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from epochal.evaluation.columns import Floats, Ints

__all__ = [
    "CLASSIFICATION",
    "SCALARS",
    "build_classification",
    "build_scalars",
    "evaluate_outcomes",
    "is_classification",
    "rank",
    "read_classification",
    "read_scalars",
]

CLASSIFICATION = "epochal/classification"
"""Evaluator id of accuracies computed here."""

SCALARS = "external"
"""Evaluator id of numbers that somebody else computed, where no other is given."""


def build_classification(
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    images: Sequence[str],
    classes: Sequence[str],
    split: str,
    dataset: str,
    groups: Sequence[str] = (),
    **described: Any,
) -> tuple[Evaluation, Outcomes]:
    """Compute the evaluation of a classifier.

    Top-1 and top-5 accuracy are the shares of images whose class is the most probable, or among
    the five most probable (all, where there are fewer classes); of equally probable classes the
    earlier in the list comes first. A class's accuracy is its recall. The confusion matrix counts
    the most probable class; classification has no background.

    Parameters
    ----------
    truth
        (n,) index of the true class.
    probabilities
        (n, k) a score for each class, higher is more probable.
    images, groups
        (n,) names, by which two models' results are paired; what each was sampled with, or none.
    split, dataset, described
        Copied into the document, see `Evaluation`.

    Returns
    -------
    evaluation, outcomes
        The document, and what was said of each image, from which it follows.

    Raises
    ------
    InvalidInput
        Shapes that do not fit, a class out of range, a score that is not finite, no images.
    """
    score = np.asarray(probabilities, np.float64)
    true = np.asarray(truth)
    k = len(classes)
    if score.ndim != 2 or score.shape != (len(true), k):
        raise InvalidInput(
            f"probabilities have shape {score.shape}, expected ({len(true)}, {k}): images, classes"
        )
    if not len(true):
        raise InvalidInput("there are no images to evaluate")
    if not np.issubdtype(true.dtype, np.integer) or true.min() < 0 or true.max() >= k:
        raise InvalidInput(f"a true class is not an index within 0..{k - 1}")
    if not np.isfinite(score).all():
        at = int((~np.isfinite(score)).any(axis=1).argmax())
        raise InvalidInput(f"image {at}: a probability is not finite")
    likeliest, place = rank(score, true)
    outcomes = Outcomes(
        images=tuple(images),
        classes=tuple(classes),
        groups=tuple(groups),
        evaluator=CLASSIFICATION,
        true=true,
        predicted=likeliest,
        place=place,
    )
    return evaluate_outcomes(outcomes, split=split, dataset=dataset, **described), outcomes


def rank(scores: Floats, true: NDArray[Any]) -> tuple[Ints, Ints]:
    """Return the most probable class (n,) and how many classes come before the true one (n,).

    Of equally probable classes the earlier in the list comes first.

    Parameters
    ----------
    scores
        (n, k) finite; higher is more probable.
    true
        (n,) index of the true class.
    """
    own = np.take_along_axis(scores, true[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < true[:, None]
    place = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
    return scores.argmax(axis=1).astype(np.int32), place.astype(np.int32)


def evaluate_outcomes(
    outcomes: Outcomes, *, split: str, dataset: str, **described: Any
) -> Evaluation:
    """Return the evaluation of a classifier that follows from its outcomes.

    Parameters
    ----------
    split, dataset, described
        Copied into the document, see `Evaluation`.

    Raises
    ------
    InvalidInput
        There are no images.
    """
    classes, k = outcomes.classes, len(outcomes.classes)
    if not outcomes.n_images:
        raise InvalidInput("there are no images to evaluate")
    cell = outcomes.predicted.astype(np.int64) * k + outcomes.true
    matrix: NDArray[np.int64] = np.bincount(cell, minlength=k * k).reshape(k, k)
    instances, predicted, hits = matrix.sum(axis=0), matrix.sum(axis=1), np.diag(matrix)
    precision, recall = _share(hits, predicted), _share(hits, instances)
    f1 = _share(2 * hits, instances + predicted)
    once = np.ones((1, outcomes.n_images))
    return Evaluation(
        task="classify",
        split=split,
        dataset=dataset,
        images=outcomes.n_images,
        evaluator=outcomes.evaluator,
        classes=classes,
        metrics={metric: float(outcomes.accuracy(metric, once)[0]) for metric in ACCURACIES},
        per_class=tuple(
            ClassResult(
                id=c,
                name=name,
                images=int(instances[c]),
                instances=int(instances[c]),
                ap=None,
                ap50=None,
                ap75=None,
                precision=precision[c],
                recall=recall[c],
                f1=f1[c] if instances[c] else None,
                recall_at_precision=None,
                threshold_at_precision=None,
            )
            for c, name in enumerate(classes)
        ),
        confusion=ConfusionMatrix(
            confidence=0.0,
            iou=0.0,
            labels=classes,
            matrix=tuple(tuple(row) for row in matrix.tolist()),
        ),
        **described,
    )


def build_scalars(
    metrics: Mapping[str, float],
    *,
    split: str,
    dataset: str,
    evaluator: str = SCALARS,
    task: str = "other",
    images: int = 0,
    classes: Sequence[str] = (),
    **described: Any,
) -> Evaluation:
    """Return an evaluation that consists of numbers computed elsewhere.

    Without per-image results no interval can be computed from it, so that no gate is ever passed
    on its strength alone.

    Parameters
    ----------
    metrics
        Name -> value; NaN for undefined. Ratios as shares, 0..1.
    evaluator
        Who computed them: numbers of two evaluators are never compared.
    task, images, classes, described
        Copied into the document, see `Evaluation`.

    Raises
    ------
    InvalidInput
        No metrics, or a value that is no number.
    """
    if not metrics:
        raise InvalidInput("there are no metrics")
    known: dict[str, float | None] = {}
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(f"metric {name} is {value!r}, not a number")
        known[name] = float(value) if math.isfinite(value) else None
    return Evaluation(
        task=task,
        split=split,
        dataset=dataset,
        images=images,
        evaluator=evaluator,
        classes=tuple(classes),
        metrics=known,
        **described,
    )


def read_scalars(path: Path) -> dict[str, Any] | None:
    """Return the metrics of a JSON file ``{"mAP50-95": 0.41, ..., "evaluator": "mmdet/3.3"}``.

    None if it is anything else, such as COCO results.
    """
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None  # whoever reads it as boxes says what is wrong
    if not isinstance(found, dict) or not found:
        return None
    numbers = [value for name, value in found.items() if name != "evaluator"]
    plain = all(isinstance(v, int | float) and not isinstance(v, bool) for v in numbers)
    return found if plain and numbers else None


def is_classification(ground_truth: Path, predictions: Path) -> bool:
    """Return whether the files are for classification: both are CSV.

    Raises
    ------
    InvalidInput
        Only one is.
    """
    csvs = [path.suffix.lower() == ".csv" for path in (ground_truth, predictions)]
    if csvs[0] != csvs[1]:
        raise InvalidInput(
            f"{ground_truth} and {predictions} do not belong together",
            "Classification takes two .csv files: image,label and image with a column per class",
        )
    return all(csvs)


def read_classification(
    ground_truth: Path,
    predictions: Path,
    *,
    split: str,
    groups: Path | None = None,
    group_of: str = "",
    protocol: Mapping[str, Any] | None = None,
    **described: Any,
) -> tuple[Evaluation, Outcomes]:
    """Evaluate a CSV file ``image,label`` and one of ``image`` and a probability per class.

    Classes are the columns of the predictions; each image of the ground truth has to be predicted,
    and no other. Images may be grouped, see `with_groups`.

    Raises
    ------
    InvalidInput
        A column is missing, a line names an unknown image or class, or holds no number; file and
        line are named.
    """
    from blake3 import blake3

    header, rows = _csv(predictions)
    if "image" not in header or len(header) < 3:
        raise InvalidInput(
            f"{predictions} has the columns {', '.join(header)}", "Write image and one per class"
        )
    classes = tuple(name for name in header if name != "image")
    index = {name: c for c, name in enumerate(classes)}
    header, labelled = _csv(ground_truth)
    if not {"image", "label"} <= set(header):
        raise InvalidInput(f"{ground_truth} lacks the columns image and label")
    truth: dict[str, int] = {}
    for line, row in labelled:
        if row["label"] not in index:
            raise InvalidInput(
                f"{ground_truth}, line {line}: {row['label']!r} is no class of {predictions}",
                f"Its classes are {', '.join(classes[:8])}",
            )
        if row["image"] in truth:
            raise InvalidInput(f"{ground_truth}, line {line}: {row['image']} is there twice")
        truth[row["image"]] = index[row["label"]]
    scores: dict[str, list[float]] = {}
    for line, row in rows:
        name = row["image"]
        if name not in truth or name in scores:
            what = "is there twice" if name in scores else f"is not in {ground_truth}"
            raise InvalidInput(
                f"{predictions}, line {line}: {name} {what}", "Is it the split that was predicted?"
            )
        try:
            scores[name] = [float(row[c]) for c in classes]
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"{predictions}, line {line} holds something that is not a number"
            ) from error
        if not all(map(math.isfinite, scores[name])):
            raise InvalidInput(f"{predictions}, line {line}: a probability is not finite")
    missing = [name for name in truth if name not in scores]
    if missing:
        raise InvalidInput(
            f"{predictions} lacks {len(missing)} images, the first is {missing[0]}",
            "Predict the whole split",
        )
    images = sorted(truth)
    content = "\n".join(f"{name}\t{classes[truth[name]]}" for name in images)
    evaluation, outcomes = build_classification(
        np.array([truth[name] for name in images], np.int64),
        np.array([scores[name] for name in images]).reshape(-1, len(classes)),
        images=images,
        classes=classes,
        split=split,
        dataset=str(ground_truth),
        split_digest=blake3(content.encode()).hexdigest(),
        protocol=dict(protocol or {}),
        **described,
    )
    return evaluation, with_groups(outcomes, groups, group_of)


def _csv(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the header, and each row with its line number."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened)
            header = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = header
            return header, [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} cannot be read as CSV ({error})") from error


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> list[float | None]:
    return [float(a / b) if b else None for a, b in zip(part, whole, strict=True)]
