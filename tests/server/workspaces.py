"""Workspaces to look at, made through the real SDK: a pair, a thousand runs, hostile text.

Each function takes a `Folder` and returns what it made. They are plain functions so that other
rooms' tests can load this file too.
"""

from __future__ import annotations

import math
import uuid
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import epochal
from epochal.datasets import save_manifest, tag
from epochal.evaluation import Boxes, build_evaluation, match
from epochal.journal.folder import Folder
from epochal.journal.writer import Writer
from epochal.records import Config, Finished, Latency, Metrics, Opened, Summary
from epochal.run.media import png
from epochal.store.blobs import digest_of, digest_of_file
from epochal.store.store import Store

KEY = "metrics/mAP50-95(B)"
CLASSES = ("pallet", "truck", "person")

HOSTILE = (
    "<script>window.pwned=1</script>",
    '"><img src=x onerror="window.pwned=1">',
    "javascript:window.pwned=1",
    "</script><script>window.pwned=1</script>",
    "{{7*7}} ${7*7} <%= 7*7 %>",
    '=cmd|"/C calc"!A0',
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "[link](javascript:window.pwned=1) ![image](http://evil.example/x.png)",
    "../../../etc/passwd",
)
"""Text that is code somewhere: shown as text everywhere."""


def write_dataset(place: Path, images: int = 6) -> Path:
    """Write a small YOLO dataset with val and test images; return its data.yaml."""
    rng = np.random.default_rng(3)
    for split in ("train", "val", "test"):
        for name in ("images", "labels"):
            (place / name / split).mkdir(parents=True)
        for i in range(images):
            picture = rng.integers(0, 255, (48, 64, 3), np.uint8)
            (place / "images" / split / f"{split}{i}.png").write_bytes(png(picture))
            (place / "labels" / split / f"{split}{i}.txt").write_text(
                f"{i % 3} 0.5 0.5 0.4 0.4\n0 0.2 0.2 0.2 0.2\n"
            )
    file = place / "data.yaml"
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(CLASSES))
    file.write_text(
        f"path: {place}\ntrain: images/train\nval: images/val\ntest: images/test\nnames:\n{names}"
    )
    return file


def tag_dataset(folder: Folder, file: Path, ref: str, existing: dict) -> object:
    """Tag the dataset, and return its record."""
    done = tag(file, ref, "first pallets", existing=existing, author="Test Author")
    save_manifest(folder.datasets, done.manifest)
    with Store(folder) as store:
        store.record(done.record)
    return done


def boxes_of(manifest, split: str, *, shift: float) -> Boxes:
    """Return truth of a split and predictions that miss it by `shift` pixels."""
    entries = [e for e in manifest.entries if e.split == split]
    truth = np.array([[19.2, 14.4, 44.8, 33.6], [6.4, 4.8, 19.2, 14.4]])
    n = len(entries)
    classes = np.array([[i % 3, 0] for i in range(n)]).ravel()
    rng = np.random.default_rng(int(shift * 10))
    # The detector takes every fourth object for another class and sees one that is not there.
    predicted = np.where(np.arange(2 * n) % 4 == 3, (classes + 1) % 3, classes)
    return Boxes(
        images=[Path(e.path).name for e in entries],
        classes=CLASSES,
        digests=[e.image for e in entries],
        sizes=np.tile([64, 48], (n, 1)),
        truth_img=np.repeat(np.arange(n), 2),
        truth_cls=classes,
        truth_xyxy=np.tile(truth, (n, 1)),
        pred_img=np.append(np.repeat(np.arange(n), 2), 0),
        pred_cls=np.append(predicted, 1),
        pred_score=np.append(rng.uniform(0.3, 0.95, 2 * n), 0.5),
        pred_xyxy=np.vstack([np.tile(truth + shift, (n, 1)), [[50, 40, 60, 47]]]),
    )


def make_pair(folder: Folder, data: Path, *, epochs: int = 30) -> SimpleNamespace:
    """Record a baseline and a candidate with everything that a run can have."""
    file = write_dataset(data)
    tagged = tag_dataset(folder, file, "pallets@v1", {})
    ids = []
    for number, (name, imgsz) in enumerate((("v1_baseline", 96), ("v2_imgsz_160", 160))):
        with epochal.init(
            project="pallets",
            name=name,
            workspace=folder.root,
            config={"imgsz": imgsz, "lr0": 0.01, "epochs": epochs, "optimizer": {"name": "SGD"}},
            parent="v1_baseline" if number else None,
            dataset="pallets@v1",
            hypothesis="Small pallets need more pixels." if number else "",
            tags=["candidate"] if number else [],
            group="size",
            capture=False,
        ) as run:
            ids.append(run.id)
            for epoch in range(epochs):
                value = 0.5 * (1 - math.exp(-epoch / 6)) + 0.03 * number
                run.log(
                    {KEY: value, "train/box_loss": 2 * math.exp(-epoch / 8)},
                    step=epoch,
                    epoch=epoch,
                )
            run.summary["fitness"] = value
            run.image(
                "val/batch0",
                np.full((48, 64, 3), 90 + 60 * number, np.uint8),
                step=epochs - 1,
                boxes=[{"box": [5, 5, 30, 30], "class": "pallet", "score": 0.8}],
                caption="first batch",
            )
            weights = data.parent / f"best{number}.pt"
            weights.write_bytes(b"weights %d" % number)
            run.artifact(weights, "weights/best.pt", role="weights")
            notes = data.parent / "notes.txt"
            notes.write_text("some text\n")
            run.artifact(notes, "notes.txt")
            boxes = boxes_of(tagged.manifest, "val", shift=2.5 - 2 * number)
            evaluation, _ = build_evaluation(
                boxes,
                split="val",
                dataset="pallets@v1",
                dataset_digest=tagged.manifest.digest,
                split_digest=tagged.manifest.splits["val"].digest,
                weights=digest_of_file(weights),
                protocol={"conf": 0.001, "iou": 0.7, "max_det": 300, "imgsz": imgsz},
            )
            run.evaluation(evaluation, match(boxes), boxes)
            run.record(
                Latency(
                    digest=digest_of(b"latency"),
                    measure="latency",
                    device="CPU",
                    key="k" * 32,
                    p50=9.0 + number,
                    p95=11.0 + number,
                    p95_upper=12.0 + number,
                    n=200,
                )
            )
            run.alert("half way", "the loss still falls")
    return SimpleNamespace(
        folder=folder, first=ids[0], second=ids[1], dataset=tagged.manifest, data=data
    )


def make_many(
    folder: Folder, count: int, *, project: str = "pallets", points: int = 3
) -> list[str]:
    """Write `count` finished runs straight into their journals, as fast as the disk takes them."""
    rng = np.random.default_rng(1)
    ids = []
    for number in range(count):
        run = uuid.UUID(int=int(rng.integers(1, 1 << 62)) << 64 | number).hex
        ids.append(run)
        journal = folder.runs / f"20260101-r{number}-{run[:8]}" / "journal"
        journal.mkdir(parents=True)
        writer = Writer(journal, run=run)
        t = 1_700_000_000_000_000 + number * 60_000_000
        writer.append(
            Opened(run=run, attempt=1, project=project, name=f"v{number}_run", owner=writer.id), t
        )
        config = {
            "imgsz": int(rng.choice([320, 640, 960])),
            "lr0": float(rng.choice([0.01, 0.001])),
            "seed": number,
            "epochs": points,
            "batch": 16,
        }
        writer.append(Config(values=config), t)
        for step in range(points):
            value = float(rng.uniform(0.3, 0.6))
            values = {KEY: value, "train/box_loss": 1 - value}
            writer.append(Metrics(values=values, step=step, epoch=step), t + step)
        writer.append(Summary(values={"fitness": value}), t + points)
        writer.append(Finished(status="finished"), t + 60_000_000 * points)
        writer.abandon()  # a sync a run would take minutes
    return ids


def make_hostile(folder: Folder, data: Path) -> str:
    """Record a run with hostile text in every field that takes text."""
    joined = " ".join(HOSTILE)
    text = data / "hostile.html"
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text("<html><script>window.pwned=1</script></html>")
    picture = data / "hostile.svg"
    picture.write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='window.pwned=1'/>")
    with epochal.init(
        project=HOSTILE[0],
        name=HOSTILE[1],
        workspace=folder.root,
        config=dict(zip(HOSTILE, reversed(HOSTILE), strict=True)),
        hypothesis=joined,
        tags=list(HOSTILE),
        group=HOSTILE[2],
        capture=False,
    ) as run:
        for step in range(3):
            run.log({f"{prefix}/{HOSTILE[step]}": step for prefix in ("a", HOSTILE[3])}, step=step)
        run.summary.update({"text": joined})
        run.artifact(text, "page.html")
        run.artifact(picture, "picture.svg")
        run.artifact(picture, "picture.png")
        run.artifact(text, f"weights/{HOSTILE[0].replace('/', '')}.html")
        run.image(
            HOSTILE[1],
            np.zeros((8, 8, 3), np.uint8),
            step=1,
            caption=joined,
            boxes=[{"box": [0, 0, 4, 4], "class": HOSTILE[0], "score": 0.5}],
        )
        run.alert(HOSTILE[0], joined)
        run.notice("hostile", joined)
        run.note("\n\n".join(HOSTILE))
        return run.id
