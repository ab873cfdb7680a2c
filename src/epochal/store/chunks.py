"""How points are packed: columns, byte-shuffled and compressed; and how they are previewed.

A chunk holds up to 4,096 points of one series as four columns of eight bytes: step, epoch, time
(microseconds) and value. Integers are stored as differences. The bytes of each column are
shuffled (all first bytes, then all second ...), so that zstd finds the runs: 4 to 8 bytes a
point for what trainings log.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import zstandard

__all__ = [
    "CHUNK",
    "NO_EPOCH",
    "PREVIEW",
    "Points",
    "decode",
    "decode_curve",
    "encode",
    "preview",
    "read_preview",
]

CHUNK = 4096
"""Points in a sealed chunk."""
PREVIEW = 64
"""Buckets in the preview of a sealed chunk."""
NO_EPOCH = np.iinfo(np.int64).min
"""Stands for "no epoch was given"."""


class _Zstd(threading.local):
    """What packs and unpacks: each thread has its own, because they must not be shared."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=3)
        self.decompressor = zstandard.ZstdDecompressor()


_zstd = _Zstd()

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Points:
    """Columns of equal length: one row a point."""

    step: Ints
    epoch: Ints
    time: Ints
    value: Floats

    def __len__(self) -> int:
        return len(self.step)

    def __getitem__(self, part: slice | npt.NDArray[np.bool_] | Ints) -> Points:
        return Points(self.step[part], self.epoch[part], self.time[part], self.value[part])

    def rows(self) -> Iterator[tuple[int, int, int, float]]:
        """Yield (step, epoch, time, value) of each point, as plain Python numbers."""
        columns = (self.step, self.epoch, self.time, self.value)
        return zip(*(column.tolist() for column in columns), strict=True)

    @classmethod
    def join(cls, parts: list[Points]) -> Points:
        """Return the rows of all `parts` in their order."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            empty = np.empty(0, np.int64)
            return cls(empty, empty, empty, np.empty(0, np.float64))
        return cls(
            np.concatenate([p.step for p in parts]),
            np.concatenate([p.epoch for p in parts]),
            np.concatenate([p.time for p in parts]),
            np.concatenate([p.value for p in parts]),
        )


def _shuffle(columns: list[npt.NDArray[np.int64] | npt.NDArray[np.float64]]) -> bytes:
    rows = np.stack([c.view(np.uint8).reshape(-1, 8) for c in columns])
    return np.ascontiguousarray(rows.transpose(0, 2, 1)).tobytes()


def _differences(column: Ints) -> Ints:
    # Wraps around for extreme values, and the sum in `decode` wraps back: exact either way.
    return np.diff(column, prepend=np.int64(0))


def encode(points: Points) -> bytes:
    """Return `points` (at least one) as the bytes of a chunk."""
    with np.errstate(over="ignore"):
        columns = [_differences(c) for c in (points.step, points.epoch, points.time)]
    return _zstd.compressor.compress(_shuffle([*columns, points.value]))


def decode(data: bytes) -> Points:
    """Return the points that `encode` packed."""
    raw = np.frombuffer(_zstd.decompressor.decompress(data), np.uint8)
    rows = np.ascontiguousarray(raw.reshape(4, 8, -1).transpose(0, 2, 1))
    with np.errstate(over="ignore"):
        step, epoch, time = np.cumsum(rows[:3].view(np.int64)[..., 0], axis=1)
    return Points(step, epoch, time, rows[3].view(np.float64)[..., 0])


def decode_curve(data: bytes) -> tuple[Ints, Floats]:
    """Return step and value of the points that `encode` packed, without what drawing spares."""
    raw = np.frombuffer(_zstd.decompressor.decompress(data), np.uint8).reshape(4, 8, -1)
    rows = np.ascontiguousarray(raw[::3].transpose(0, 2, 1))
    with np.errstate(over="ignore"):
        step = np.cumsum(rows[0].view(np.int64)[..., 0])
    return step, rows[1].view(np.float64)[..., 0]


def preview(points: Points) -> bytes:
    """Return the preview of a sealed chunk with ascending steps.

    For each of `PREVIEW` runs of points: the first step, the number of points that are numbers,
    and the last, minimum, maximum and sum of those (NaN where there is none).
    """
    starts = np.arange(0, len(points), len(points) // PREVIEW)
    value = points.value
    is_number = ~np.isnan(value)
    count = np.add.reduceat(is_number, starts, dtype=np.float64)
    low = np.fmin.reduceat(value, starts)
    high = np.fmax.reduceat(value, starts)
    # +inf and -inf in one bucket have no mean; a sum of huge values is infinite.
    with np.errstate(invalid="ignore", over="ignore"):
        total = np.add.reduceat(np.where(is_number, value, 0.0), starts)
    place = np.where(is_number, np.arange(len(points)), -1)
    last_at = np.maximum.reduceat(place, starts)
    last = np.where(last_at >= 0, value[np.maximum(last_at, 0)], np.nan)
    table = np.stack([points.step[starts].astype(np.float64), count, last, low, high, total])
    return _zstd.compressor.compress(table.tobytes())


def read_preview(data: bytes) -> Floats:
    """Return the preview's table, (6, PREVIEW): step, count, last, min, max, sum."""
    return np.frombuffer(_zstd.decompressor.decompress(data), np.float64).reshape(6, -1)
