"""Evaluation, bootstrap and dataset scan at the sizes people have."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmarks.measuring import Figure, Measurements

__all__ = ["dataset_scan", "evaluation"]


def _coco_val_sized() -> tuple[object, dict[str, np.ndarray]]:
    """5,000 images, 80 classes, 36,000 objects, 500,000 detections: jittered truth."""
    from epochal.evaluation import Boxes

    n, k, m, p = 5_000, 80, 36_000, 500_000
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 400, (m, 2))
    truth = np.hstack([corner, corner + rng.uniform(8, 200, (m, 2))])
    img, cls = rng.integers(0, n, m), rng.integers(0, k, m)
    of = rng.integers(0, m, p)
    found = truth[of] + rng.normal(0, 1, (p, 4)) * rng.choice([2, 20, 200], (p, 1))
    found = np.hstack(
        [np.minimum(found[:, :2], found[:, 2:]), np.maximum(found[:, :2], found[:, 2:])]
    )
    score = rng.random(p)
    boxes = Boxes(
        images=[f"{i:06}" for i in range(n)], classes=[f"c{i}" for i in range(k)],
        truth_img=img, truth_cls=cls, truth_xyxy=truth,
        pred_img=img[of], pred_cls=cls[of], pred_score=score, pred_xyxy=found,
    )  # fmt: skip
    raw = {"img": img, "cls": cls, "truth": truth, "of": of, "found": found, "score": score}
    return boxes, raw


def _pycocotools_seconds(raw: dict[str, np.ndarray]) -> float:
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def wh(xyxy: np.ndarray) -> np.ndarray:
        return np.hstack([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]])

    truth, found = wh(raw["truth"]), wh(raw["found"])
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i} for i in range(5_000)],
            "categories": [{"id": c} for c in range(80)],
            "annotations": [
                {"id": i + 1, "image_id": int(raw["img"][i]), "category_id": int(raw["cls"][i]),
                 "bbox": truth[i].tolist(), "area": float(truth[i, 2] * truth[i, 3]), "iscrowd": 0}
                for i in range(len(truth))
            ],
        }  # fmt: skip
        coco.createIndex()
        of = raw["of"]
        results = np.column_stack([raw["img"][of], found, raw["score"], raw["cls"][of]])
        detections = coco.loadRes(results)
        begun = time.process_time()
        evaluation = COCOeval(coco, detections, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return time.process_time() - begun


def evaluation(place: Path) -> Measurements:
    """COCO val's size beside pycocotools, and 1,000 paired bootstrap resamples."""
    from epochal.decisions.bootstrap import bootstrap
    from epochal.evaluation import build_evaluation

    boxes, raw = _coco_val_sized()
    begun = time.process_time()
    _, records = build_evaluation(boxes, split="val", dataset="coco")  # type: ignore[arg-type]
    ours = time.process_time() - begun
    theirs = _pycocotools_seconds(raw)
    yield Figure(what="evaluation of COCO val's size, all metrics", value=ours, unit="s")
    yield Figure(what="  the 12 COCO numbers by pycocotools", value=theirs, unit="s")
    yield Figure(what="evaluation, of pycocotools", value=ours / theirs, unit="x", budget=1.2)
    begun = time.process_time()
    bootstrap([records, records], "mAP50-95", resamples=1000)
    yield Figure(what="1,000 paired resamples of two such models",
                 value=time.process_time() - begun, unit="s", budget=60)  # fmt: skip


def dataset_scan(place: Path, images: int = 20_000, size: int = 20_000) -> Measurements:
    """Hash and parse a YOLO dataset; check it again unchanged."""
    from epochal.datasets import scan

    root = place / "data"
    payload = np.random.default_rng(4)
    block = payload.bytes(size + images)
    head = b"\xff\xd8\xff\xc0\x00\x11\x08\x02\x80\x02\x80"  # of a JPEG of 640 x 640
    boxes = "".join(f"0 0.{n} 0.5 0.1 0.1\n" for n in range(2, 9))
    for n in range(images):
        split = "val" if n % 10 == 0 else "train"
        image, label = (root / kind / split / f"{n:06}" for kind in ("images", "labels"))
        if n < 2:
            image.parent.mkdir(parents=True)
            label.parent.mkdir(parents=True)
        image.with_suffix(".jpg").write_bytes(head + block[n + len(head) : n + size])
        label.with_suffix(".txt").write_text(boxes)
    yaml = root / "data.yaml"
    yaml.write_text(f"path: {root}\ntrain: images/train\nval: images/val\nnames: [a]\n")
    time.sleep(5)  # files as young as the scan are read again, as by git
    begun = time.perf_counter()
    found = scan(yaml)
    first = time.perf_counter() - begun
    rescans = []
    for _ in range(3):  # half a second each: one hiccup of the machine is a tenth of it
        begun = time.perf_counter()
        scan(yaml, previous=found.cache)
        rescans.append(time.perf_counter() - begun)
    again = min(rescans) / (2 * images) * 100_000
    megabytes = images * size / 1e6
    yield Figure(what=f"dataset scan, {images:,} images of {size // 1000} kB, warm",
                 value=megabytes / first, unit="MB/s")  # fmt: skip
    yield Figure(what="  files (image and label) a second", value=2 * images / first, unit="1/s")
    yield Figure(what="unchanged, per 100,000 files, best of 3", value=again, unit="s", budget=2)
