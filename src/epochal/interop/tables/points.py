"""One row a point: run, key, step, epoch, time, value. Nothing is rounded or thinned."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from epochal.errors import InvalidInput
from epochal.store.chunks import NO_EPOCH, Points
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["COLUMNS", "FORMULA", "export_csv", "export_parquet"]

FORMULA = ("=", "@", "+", "-", "\t", "\r")
COLUMNS = ("run", "name", "key", "step", "epoch", "time", "value")


def export_csv(
    store: Store,
    documents: Sequence[RunDocument],
    destination: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the points of runs as one CSV file; times in ISO 8601, UTC.

    Values keep every digit: reading one back gives the same double.
    """
    with _whole(destination) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for document, key, points in _series(store, documents, progress):
            for step, epoch, t, value in points.rows():
                when = datetime.fromtimestamp(t / 1e6, UTC).isoformat()
                shown = "" if epoch == NO_EPOCH else epoch
                row = (document.id, document.name, key, step, shown, when, repr(value))
                writer.writerow(map(_safe, row))
    return destination


def _safe(cell: Any) -> Any:
    """Keep a name from being a formula where a spreadsheet opens the file."""
    if isinstance(cell, str) and cell.startswith(FORMULA) and not _is_number(cell):
        return f"'{cell}"
    return cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def export_parquet(
    store: Store,
    documents: Sequence[RunDocument],
    destination: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the points of runs as one Parquet file, a row group a series.

    Raises
    ------
    InvalidInput
        If pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise InvalidInput(
            "writing Parquet needs pyarrow", "install it: pip install 'epochal[parquet]'"
        ) from None
    schema = pa.schema(
        [
            ("run", pa.string()),
            ("name", pa.string()),
            ("key", pa.string()),
            ("step", pa.int64()),
            ("epoch", pa.int64()),
            ("time", pa.timestamp("us", tz="UTC")),
            ("value", pa.float64()),
        ]
    )
    with _whole(destination) as part, pq.ParquetWriter(part, schema, compression="zstd") as file:
        for document, key, points in _series(store, documents, progress):
            n = len(points)
            columns = [
                pa.array([document.id] * n),
                pa.array([document.name] * n),
                pa.array([key] * n),
                pa.array(points.step),
                pa.array(points.epoch, mask=points.epoch == NO_EPOCH),
                pa.array(points.time).cast(pa.timestamp("us", tz="UTC")),
                pa.array(points.value),
            ]
            file.write_table(pa.table(columns, schema=schema))
    return destination


def _series(
    store: Store,
    documents: Sequence[RunDocument],
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[RunDocument, str, Points]]:
    total = sum(len(document.metrics) for document in documents)
    done = 0
    for document in documents:
        for key in sorted(document.metrics):
            yield document, key, store.points.read(document.id, key)
            done += 1
            if progress:
                progress(done, total)


class _whole:
    """A file that appears under its name only when it is complete."""

    def __init__(self, destination: Path) -> None:
        self._destination = destination
        self._part = destination.with_name(f".{destination.name}.part")

    def __enter__(self) -> Path:
        self._destination.parent.mkdir(parents=True, exist_ok=True)
        return self._part

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._part.rename(self._destination)
        else:
            self._part.unlink(missing_ok=True)
