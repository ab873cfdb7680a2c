"""The run table at 100,000 runs."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.measuring import Figure, Measurements, median_ms
from epochal.analysis.metrics import DEFAULT_REGISTRY
from epochal.journal.folder import Folder
from epochal.store.documents import Attempt, RunDocument
from epochal.store.points import SeriesSummary
from epochal.store.run_table import RunTable
from epochal.store.store import Store

__all__ = ["run_table"]

_encode = msgspec.json.Encoder().encode


def _document(rng: np.random.Generator, n: int) -> RunDocument:
    best = float(rng.random())
    metrics = {
        f"metrics/metric_{key}": SeriesSummary(
            n=100, lo=0, hi=99, first=(0, 0.0), last=(99, best), min=(0, 0.0), max=(99, best)
        )
        for key in range(10)
    }
    metrics["metrics/mAP50-95(B)"] = SeriesSummary(
        n=100, lo=0, hi=99, first=(0, 0.0), last=(99, best / 2), min=(0, 0.0), max=(90, best)
    )
    config = {f"param_{key}": float(rng.random()) for key in range(38)}
    config["imgsz"] = int(rng.choice([320, 640, 1024]))
    return RunDocument(
        id=f"{n:032x}",
        project="bench",
        name=f"v{n}_bench",
        created=1_764_000_000_000_000 + n,
        attempts=[Attempt(number=1, opened=n, ended=n + 1, status="finished")],
        config=config,
        metrics=metrics,
    )


def run_table(place: Path, runs: int = 100_000) -> Measurements:
    """Filter, sort and page over 50 values of each run."""
    folder = Folder.create(place / "table")
    rng = np.random.default_rng(2)
    with Store(folder) as store:
        for at in range(0, runs, 5_000):
            rows: list[tuple[object, ...]] = []
            for n in range(at, at + 5_000):
                doc = _document(rng, n)
                text = _encode(doc).decode()
                rows.append((doc.id, doc.project, doc.name, doc.created, n + 1, 0, text))
            with store._db.transaction():
                columns = "id, project, name, created, change, trashed, document"
                store._db.execute_many(
                    f"INSERT INTO run ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
                )
        begun = time.process_time()
        table = RunTable(store, DEFAULT_REGISTRY)
        table.refresh()
        filled = time.process_time() - begun
        assert len(table) == runs

        def ask() -> None:
            found = table.select(
                'metrics."mAP50-95" > 0.1 and config.imgsz = 640',
                'metrics."mAP50-95" desc',
                limit=100,
            )
            assert len(found.ids) == 100

        took = median_ms(ask)
        yield Figure(what="run table filled, 100,000 runs x 50 values", value=filled, unit="s")
        yield Figure(what="100,000 runs: filter, sort, first 100", value=took, unit="ms",
                     budget=100)  # fmt: skip
