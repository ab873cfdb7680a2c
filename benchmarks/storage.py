"""What a reader pays: taking journals in, drawing curves, the bytes on disk."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import numpy as np

from benchmarks.measuring import Figure, Measurements, median_ms
from epochal.journal.folder import Folder
from epochal.journal.writer import Writer
from epochal.records import Finished, Metrics, Opened
from epochal.store.chunks import NO_EPOCH, Points
from epochal.store.store import Store

__all__ = ["curves", "ingest"]


def _curve(rng: np.random.Generator, n: int) -> np.ndarray:
    """A loss as a training prints it: falling, noisy, in single precision as trainers compute."""
    steps = np.arange(n)
    return (2 * np.exp(-steps / n * 4) + rng.normal(0, 0.05, n)).astype(np.float32).astype(float)


def _record_run(folder: Folder, rng: np.random.Generator, steps: int, keys: int, n: int) -> str:
    run = secrets.token_hex(16)
    place = folder.new_run_folder(run, f"v{n}_bench")
    writer = Writer(place / "journal", run=run)
    writer.append(Opened(run=run, attempt=1, project="bench", name=f"v{n}_bench", owner=writer.id))
    columns = {f"train/metric_{key}": _curve(rng, steps).tolist() for key in range(keys)}
    for step in range(steps):
        values = {key: column[step] for key, column in columns.items()}
        writer.append(Metrics(values=values, step=step, epoch=step // 100))
    writer.append(Finished(status="finished"))
    writer.close()
    return run


def ingest(place: Path) -> Measurements:
    """From journals into the index, one core: ten metrics a line, 20 runs."""
    folder = Folder.create(place / "ingest")
    rng = np.random.default_rng(0)
    runs, steps, keys = 20, 5_000, 10
    for n in range(runs):
        _record_run(folder, rng, steps, keys, n)
    points = runs * steps * keys
    journal = sum(file.path.stat().st_size for file in folder.journals())
    begun = time.perf_counter()
    with Store(folder) as store:
        took = time.perf_counter() - begun
        assert len(store.runs()) == runs
        again = median_ms(store.refresh, 5)
        path = store._db.path
        store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        index = path.stat().st_size
    yield Figure(what="ingest from journals", value=points / took, unit="points/s",
                 budget=100_000, better="high")  # fmt: skip
    yield Figure(what="refresh with nothing new, 20 runs", value=again, unit="ms")
    yield Figure(what="journal", value=journal / points, unit="bytes/point")
    yield Figure(what="index", value=index / points, unit="bytes/point", budget=10)


def _append(store: Store, run: str, values: np.ndarray, key: str = "loss") -> None:
    n = len(values)
    step = np.arange(n, dtype=np.int64)
    time_us = 1_764_000_000_000_000 + step * 50_000
    points = Points(step, np.full(n, NO_EPOCH), time_us, values)
    with store._db.transaction():
        store.points.append(run, key, f"writer-{run}", 1, points)


def curves(place: Path) -> Measurements:
    """An overlay of 100 runs, and one series of ten million points."""
    folder = Folder.create(place / "curves")
    rng = np.random.default_rng(1)
    with Store(folder) as store:
        runs = [f"{n:032x}" for n in range(100)]
        for run in runs:
            _append(store, run, _curve(rng, 10_000))
        took = median_ms(lambda: store.points.overlay(runs, "loss", buckets=1000))
        found = store.points.overlay(runs, "loss", buckets=1000)
        assert len(found.runs) == 100
        assert len(found.x) == 1000
        yield Figure(what="overlay, 100 runs x 10,000 points, 1,000 buckets", value=took,
                     unit="ms", budget=150)  # fmt: skip
        long = "f" * 32
        values = _curve(rng, 10_000_000)
        _append(store, long, values)
        took = median_ms(lambda: store.points.overlay([long], "loss", buckets=2000))
        table = store.points.overlay([long], "loss", buckets=2000).runs[long]
        assert np.nanmin(table.min) == values.min()
        assert np.nanmax(table.max) == values.max()
        yield Figure(what="one series of 10,000,000 points, 2,000 buckets", value=took,
                     unit="ms", budget=100)  # fmt: skip
        window = median_ms(
            lambda: store.points.overlay([long], "loss", buckets=2000, lo=5_000_000, hi=5_010_000)
        )
        yield Figure(what="a window of 10,000 of them, 2,000 buckets", value=window, unit="ms")
