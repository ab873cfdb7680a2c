"""Generated evaluations, and pycocotools as the oracle."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from epochal.evaluation import Boxes, MatchRecords, ultralytics_evaluator

DATA = Path(__file__).parents[1] / "data"


def random_boxes(
    seed, n=12, k=3, *, per_image=4, crowd=0.15, levels=0, size=200.0, duplicates=True, grid=4
):
    """Boxes whose predictions are jittered truth and noise.

    `levels` quantises scores so that they tie; coordinates lie on a grid of 1/`grid` pixel.
    """
    rng = np.random.default_rng(seed)
    m = rng.poisson(per_image * n) if n else 0

    def draw(count):
        corner = rng.uniform(0, size * 0.7, (count, 2))
        side = rng.uniform(4, size * 0.3, (count, 2))
        return snap(np.hstack([corner, corner + side]))

    def snap(xyxy):
        return np.round(xyxy * grid) / grid

    truth_img = rng.integers(0, max(n, 1), m)
    truth_cls = rng.integers(0, k, m)
    truth = draw(m)
    copies = rng.integers(0, 3, m)
    img = np.repeat(truth_img, copies)
    cls = np.repeat(truth_cls, copies)
    wrong = rng.random(len(cls)) < 0.1
    cls = np.where(wrong, rng.integers(0, k, len(cls)), cls)
    near = np.repeat(truth, copies, axis=0)
    jitter = rng.normal(0, 4, near.shape) * rng.integers(0, 2, (len(near), 1))
    near = snap(near + jitter)
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    extra = 2 * n
    img = np.concatenate([img, rng.integers(0, max(n, 1), extra)])
    cls = np.concatenate([cls, rng.integers(0, k, extra)])
    xyxy = np.concatenate([near, draw(extra)])
    if duplicates and len(img):
        again = rng.integers(0, len(img), len(img) // 5)
        img, cls = np.concatenate([img, img[again]]), np.concatenate([cls, cls[again]])
        xyxy = np.concatenate([xyxy, xyxy[again]])
    score = rng.random(len(img))
    if levels:
        score = np.round(score * levels) / levels
    return Boxes(
        images=[f"{i:04}.jpg" for i in range(n)],
        sizes=np.full((n, 2), int(size)),
        classes=[f"class{c}" for c in range(k)],
        truth_img=truth_img,
        truth_cls=truth_cls,
        truth_xyxy=truth,
        truth_crowd=rng.random(m) < crowd,
        pred_img=img,
        pred_cls=cls,
        pred_score=score,
        pred_xyxy=xyxy,
    )


def repeated(boxes, weights):
    """Return the boxes with image i physically repeated weights[i] times."""
    copies = np.repeat(np.arange(len(boxes.images)), weights)

    def rows(img):
        found = [np.flatnonzero(img == image) for image in copies]
        target = np.repeat(np.arange(len(copies)), [len(row) for row in found])
        return np.concatenate([np.zeros(0, int), *found]), target

    t, truth_img = rows(boxes.truth_img)
    p, pred_img = rows(boxes.pred_img)
    return Boxes(
        images=[f"copy{i:05}" for i in range(len(copies))],
        classes=boxes.classes,
        truth_img=truth_img,
        truth_cls=boxes.truth_cls[t],
        truth_xyxy=boxes.truth_xyxy[t],
        truth_crowd=boxes.truth_crowd[t],
        truth_area=boxes.truth_area[t],
        pred_img=pred_img,
        pred_cls=boxes.pred_cls[p],
        pred_score=boxes.pred_score[p],
        pred_xyxy=boxes.pred_xyxy[p],
    )


def to_coco(boxes):
    """Return the ground truth and the results as the JSON structures of COCO."""

    def xywh(xyxy):
        return [float(v) for v in (xyxy[0], xyxy[1], xyxy[2] - xyxy[0], xyxy[3] - xyxy[1])]

    truth = {
        "images": [
            {"id": i, "file_name": name, "width": 200, "height": 200}
            for i, name in enumerate(boxes.images)
        ],
        "categories": [{"id": c, "name": name} for c, name in enumerate(boxes.classes)],
        # pycocotools takes id 0 for "not matched"
        "annotations": [
            {
                "id": row + 1,
                "image_id": int(boxes.truth_img[row]),
                "category_id": int(boxes.truth_cls[row]),
                "bbox": xywh(boxes.truth_xyxy[row]),
                "area": float(boxes.truth_area[row]),
                "iscrowd": int(boxes.truth_crowd[row]),
            }
            for row in range(len(boxes.truth_img))
        ],
    }
    results = [
        {
            "image_id": int(boxes.pred_img[row]),
            "category_id": int(boxes.pred_cls[row]),
            "bbox": xywh(boxes.pred_xyxy[row]),
            "score": float(boxes.pred_score[row]),
        }
        for row in range(len(boxes.pred_img))
    ]
    return truth, results


def coco_precision(truth, results, max_detections=100):
    """Return pycocotools' precision (4 areas, k, 10, 101), NaN where it says -1, and its stats."""
    with contextlib.redirect_stdout(io.StringIO()):
        ground = COCO()
        ground.dataset = {"info": {}, **truth}
        ground.createIndex()
        found = ground.loadRes(results)
        evaluation = COCOeval(ground, found, "bbox")
        evaluation.params.maxDets = [1, min(10, max_detections), max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
        if max_detections == 100:
            evaluation.summarize()
    precision = evaluation.eval["precision"][..., 2].transpose(3, 2, 0, 1)
    return np.where(precision == -1, np.nan, precision), evaluation.stats


def ultralytics_records(name):
    """Return the match records of a validation captured from Ultralytics 8.4.190."""
    with np.load(DATA / "ultralytics" / f"{name}.npz") as z:
        return MatchRecords.from_arrays(
            images=z["im_files"].tolist(),
            classes=("circle", "square", "triangle", "star"),
            evaluator=ultralytics_evaluator("8.4.190"),
            tp=z["tp"],
            score=z["conf"],
            pred_cls=z["pred_cls"],
            pred_img=z["pred_img"],
            target_cls=z["target_cls"],
            target_img=z["target_img"],
        )


def records_of(scores, tp, truth, *, img=None, cls=None, k=1, n=1):
    """Return records at IoU .5 only, from one flag per detection."""
    p = len(scores)
    return MatchRecords(
        images=[str(i) for i in range(n)],
        classes=[f"c{i}" for i in range(k)],
        evaluator="epochal/coco101",
        thresholds=(0.5,),
        img=np.zeros(p) if img is None else img,
        cls=np.zeros(p) if cls is None else cls,
        score=scores,
        tp=np.array(tp, bool).reshape(-1, 1),
        ignored=np.zeros((p, 1), bool),
        truth_img=[0] * len(truth),
        truth_cls=range(len(truth)),
        truth_count=truth,
        truth_ignored=[0] * len(truth),
    )


seeds = st.integers(0, 2**32 - 1)


@pytest.fixture
def coco_files():
    folder = DATA / "coco_val2014_100"
    return folder / "instances.json", folder / "results.json"
