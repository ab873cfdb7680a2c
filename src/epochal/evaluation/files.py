"""From files of ground truth and predictions, of whatever format, to an evaluation.

Nothing is stored here: an error leaves nothing behind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from epochal.datasets.listing import list_files
from epochal.datasets.scanning import scan
from epochal.datasets.yolo import label_file, read_data_yaml
from epochal.errors import InvalidInput, NotFound
from epochal.evaluation.build import build_evaluation
from epochal.evaluation.classification import (
    SCALARS,
    build_scalars,
    is_classification,
    read_classification,
    read_scalars,
)
from epochal.evaluation.coco_format import read_coco, read_coco_predictions, read_coco_truth
from epochal.evaluation.grouping import with_groups
from epochal.evaluation.image_files import find_images, image_sizes
from epochal.evaluation.yolo_format import read_yolo_predictions, read_yolo_truth
from epochal.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from epochal.evaluation.detections import Boxes
    from epochal.evaluation.document import Evaluation
    from epochal.evaluation.storage import ImageRecords

__all__ = ["evaluate_files"]

_YAML = (".yaml", ".yml")


def evaluate_files(
    ground_truth: str | Path,
    predictions: str | Path,
    *,
    split: str = "val",
    data: str | Path | None = None,
    images: str | Path | None = None,
    groups: str | Path | None = None,
    group_of: str = "",
    first_category: int | None = None,
    confidence: float = 0.25,
    max_detections: int = 100,
    weights: str = "",
    weights_name: str = "",
    protocol: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Evaluation, ImageRecords | None, Boxes | None]:
    """Evaluate predictions in files against ground truth in files.

    =========================== ================================================================
    ground truth                what it is taken for
    =========================== ================================================================
    ``*.yaml``                  YOLO data.yaml: the images and labels of `split`
    folder                      YOLO labels, or images whose labels lie in ``labels`` where the
                                folder's path says ``images``; classes from `data`, else from
                                the data.yaml of the dataset or ``classes.txt``
    ``*.json``                  COCO annotations
    ``*.csv``                   classification: ``image,label``
    =========================== ================================================================

    =========================== ================================================================
    predictions                 what it is taken for
    =========================== ================================================================
    ``*.json``                  COCO results, or Ultralytics' ``predictions.json``
    folder                      YOLO labels with confidences; or a validation's folder with
                                ``predictions.json`` or ``labels/``
    ``*.csv``                   classification: ``image`` and a probability per class
    ``{"mAP50-95": 0.4, ...}``  numbers that another evaluator computed (``"evaluator": "..."``)
    =========================== ================================================================

    Parameters
    ----------
    data
        The data.yaml that names the classes, where the ground truth is a folder.
    images
        Folder of the images, where it cannot be told from the ground truth. Sizes and digests
        come from there; COCO files have sizes of their own.
    groups
        CSV file ``image,group``: what each image was sampled with (its clip, its site).
    group_of
        Instead: a regular expression, searched for in the image's name; the group is what its
        first parentheses hold, else all it matches. ``^(.*)_\\d+$`` takes the frame number off.
    first_category
        See `read_coco_predictions`.
    confidence, max_detections, weights, weights_name, protocol
        See `build_evaluation`.
    progress
        Called with (files read, files in all).

    Returns
    -------
    evaluation, records, boxes
        Match records, or a classifier's outcomes; boxes. None for what has none.

    Raises
    ------
    NotFound, InvalidInput
        A file is missing, or something in it cannot be used: file, entry and remedy are named.
    """
    truth_path, prediction_path = Path(ground_truth), Path(predictions)
    for path in (truth_path, prediction_path):
        if not path.exists():
            raise NotFound(f"{path} does not exist")
    described: dict[str, Any] = {
        "split": split,
        "weights": weights,
        "weights_name": weights_name,
        "source": f"{prediction_path}",
        "created_by": f"epochal/{__version__}",
    }
    if is_classification(truth_path, prediction_path):
        evaluation, outcomes = read_classification(
            truth_path,
            prediction_path,
            groups=None if groups is None else Path(groups),
            group_of=group_of,
            protocol=protocol,
            **described,
        )
        return evaluation, outcomes, None
    results = _prediction_file(prediction_path)
    if truth_path.suffix.lower() == ".json":
        folder = None if images is None else Path(images)
        truth = _coco_truth(truth_path, folder, progress)
    else:
        truth = _yolo_truth(truth_path, split, data, images, progress)
    scalars = read_scalars(results) if results.is_file() else None
    if scalars is not None:
        evaluator = str(scalars.pop("evaluator", SCALARS))
        evaluation = build_scalars(
            scalars,
            evaluator=evaluator,
            task="detect",
            dataset=str(truth.name),
            dataset_digest=truth.dataset_digest,
            split_digest=truth.split_digest,
            images=len(truth.boxes.images),
            classes=truth.boxes.classes,
            protocol=dict(protocol or {}),
            **described,
        )
        return evaluation, None, None
    if results.is_dir():
        boxes = read_yolo_predictions(
            results, truth.boxes, keypoints=truth.keypoints, progress=progress
        )
    elif truth_path.suffix.lower() == ".json":
        read = read_coco(truth_path, results, first_category=first_category)
        boxes = replace(read, digests=truth.boxes.digests)
    else:
        boxes = read_coco_predictions(results, truth.boxes, first_category=first_category)
    boxes = with_groups(boxes, None if groups is None else Path(groups), group_of)
    evaluation, records = build_evaluation(
        boxes,
        dataset=str(truth.name),
        dataset_digest=truth.dataset_digest,
        split_digest=truth.split_digest,
        protocol=protocol,
        confidence=confidence,
        max_detections=max_detections,
        **described,
    )
    return evaluation, records, boxes


@dataclass(frozen=True)
class _Truth:
    """Ground truth, and what identifies it."""

    boxes: Boxes
    name: Path
    split_digest: str
    dataset_digest: str = ""
    keypoints: bool = False
    """Whether YOLO labels carry keypoints behind the box."""


def _prediction_file(path: Path) -> Path:
    """Return the JSON file or the label folder that `path` means."""
    if path.is_file():
        if path.suffix.lower() == ".json":
            return path
        raise InvalidInput(
            f"{path} is neither COCO JSON nor a folder of YOLO labels",
            "Name predictions.json, or the folder with the .txt files",
        )
    for found in (path / "predictions.json", path / "labels"):
        if found.exists():
            return found
    if next(path.rglob("*.txt"), None) is None:
        raise InvalidInput(
            f"{path} holds neither predictions.json nor label files",
            "Predict with save_json=True, or save_txt=True save_conf=True",
        )
    return path


def _coco_truth(
    path: Path, images: Path | None, progress: Callable[[int, int], None] | None
) -> _Truth:
    """Read COCO annotations, identified as a tagged dataset is where the images are there."""
    boxes = read_coco_truth(path)
    try:
        manifest = scan(path, images=images or "", progress=progress).manifest
    except InvalidInput:
        if images is not None:
            raise
        return _Truth(boxes, path, _truth_digest(boxes))
    found = {entry.path: entry.image for entry in manifest.entries}
    found |= {PurePosixPath(name).name: image for name, image in found.items()} | found
    digests = tuple(found.get(name, "") for name in boxes.images)
    [split] = manifest.splits.values()
    return _Truth(
        replace(boxes, digests=digests if all(digests) else ()),
        path,
        split.digest,
        dataset_digest=manifest.digest,
    )


def _yolo_truth(
    path: Path,
    split: str,
    data: str | Path | None,
    images: str | Path | None,
    progress: Callable[[int, int], None] | None,
) -> _Truth:
    if path.suffix.lower() in _YAML:
        return _data_yaml_truth(path, split, progress)
    if not path.is_dir():
        raise InvalidInput(
            f"{path} is no ground truth that can be read",
            "Name a data.yaml, a folder of YOLO labels, a COCO .json, or a .csv of labels",
        )
    files = find_images(Path(images) if images is not None else _image_folder(path))
    if next(path.rglob("*.txt"), None) is not None:
        labels: Path | dict[str, Path] = path
    else:
        labels = {name: Path(label_file(str(file.absolute()))) for name, file in files.items()}
        if not any(label.is_file() for label in labels.values()):
            raise InvalidInput(
                f"no label file belongs to the images in {path}",
                "Name the label folder as ground truth, and the images with --images",
            )
    classes, keypoints = _classes(path, data)
    boxes = read_yolo_truth(
        labels,
        sizes=image_sizes(files, progress),
        classes=classes,
        keypoints=keypoints,
        progress=progress,
    )
    ordered = {name: files[name] for name in boxes.images}
    boxes = replace(boxes, digests=_digests(ordered, progress))
    return _Truth(boxes, path, _truth_digest(boxes), keypoints=keypoints)


def _data_yaml_truth(
    path: Path, split: str, progress: Callable[[int, int], None] | None
) -> _Truth:
    data = read_data_yaml(path)
    if split not in data.splits:
        raise InvalidInput(f"{path} has no split {split!r}", f"It has {', '.join(data.splits)}")
    found = scan(path, progress=progress)
    listed = {i.path: Path(i.file) for i in list_files(data).images if i.split == split}
    digests = {e.path: e.image for e in found.manifest.entries if e.split == split}
    files = {name: file for name, file in listed.items() if name in digests}
    labels = {name: Path(label_file(str(file))) for name, file in files.items()}
    boxes = read_yolo_truth(
        labels,
        sizes=image_sizes(files, progress),
        classes=_unique(data.classes),
        keypoints=data.keypoints is not None,
        progress=progress,
    )
    boxes = replace(boxes, digests=tuple(digests[name] for name in boxes.images))
    return _Truth(
        boxes,
        path,
        found.manifest.splits[split].digest,
        dataset_digest=found.manifest.digest,
        keypoints=data.keypoints is not None,
    )


def _image_folder(labels: Path) -> Path:
    """Return the folder of the images whose labels, or which themselves, lie in `labels`."""
    parts = list(labels.absolute().parts)
    if "labels" in parts and next(labels.rglob("*.txt"), None) is not None:
        at = len(parts) - 1 - parts[::-1].index("labels")
        folder = Path(*parts[:at], "images", *parts[at + 1 :])
        if folder.is_dir():
            return folder
        raise InvalidInput(
            f"{labels} are labels, but their images are not in {folder}",
            "Name the folder of the images with --images",
        )
    return labels


def _classes(folder: Path, data: str | Path | None) -> tuple[tuple[str, ...], bool]:
    """Return the class names of a label folder, and whether its labels carry keypoints."""
    beside = next(
        (
            parent.parent / "data.yaml"
            for parent in (folder.absolute(), *folder.absolute().parents)
            if parent.name in ("labels", "images")
        ),
        None,
    )
    if data is not None or (beside is not None and beside.is_file()):
        found = read_data_yaml(data or beside or "")
        return _unique(found.classes), found.keypoints is not None
    listed = folder / "classes.txt"
    if listed.is_file():
        lines = listed.read_text(encoding="utf-8").splitlines()
        return _unique(tuple(line.strip() for line in lines if line.strip())), False
    raise InvalidInput(
        f"the classes of the labels in {folder} are not named",
        "Name the data.yaml with --data, or as the ground truth itself",
    )


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names with a number behind repeated ones, which YOLO allows."""
    return tuple(
        name if (n := names[: i + 1].count(name)) == 1 else f"{name}#{n}"
        for i, name in enumerate(names)
    )


def _digests(
    files: Mapping[str, Path], progress: Callable[[int, int], None] | None
) -> tuple[str, ...]:
    from epochal.store.blobs import digest_of_file

    found = []
    for index, path in enumerate(files.values()):
        try:
            found.append(digest_of_file(path))
        except OSError as error:
            raise InvalidInput(f"image {path} cannot be read ({error.strerror})") from error
        if progress is not None:
            progress(index + 1, len(files))
    return tuple(found)


def _truth_digest(boxes: Boxes) -> str:
    """Return a digest of the images and their true boxes, whatever file they came from."""
    from blake3 import blake3

    order = np.lexsort((*boxes.truth_xyxy.T, boxes.truth_cls, boxes.truth_img))
    hasher = blake3()
    for names in (boxes.images, boxes.classes, boxes.digests):
        hasher.update("\0".join((str(len(names)), *names)).encode())
    for column in ("truth_img", "truth_cls", "truth_xyxy", "truth_crowd", "truth_area"):
        hasher.update(np.ascontiguousarray(getattr(boxes, column)[order]).tobytes())
    return hasher.hexdigest()
