"""A manifest as a Parquet file: one row an image, for notebooks and query engines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from epochal.errors import EpochalError, InvalidInput, Refused

if TYPE_CHECKING:
    from epochal.datasets.manifest import Manifest, ManifestEntry

__all__ = ["write_parquet"]

_ROWS = 50_000
"""Rows a group: what is in memory at once."""


def write_parquet(manifest: Manifest, file: str | os.PathLike[str]) -> None:
    """Write a manifest to `file`, which appears when everything is in it.

    Columns: split, path, size (bytes), image and label digests, label path, width and height
    (pixels, null where not known), objects (class name -> number), malformed, repeats. The
    version's digest, task and classes are in the file's metadata under ``epochal``.

    Raises
    ------
    Refused
        If the file exists.
    InvalidInput
        If it cannot be written.
    EpochalError
        If pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise EpochalError(
            "writing Parquet needs pyarrow", "install it: pip install 'epochal[parquet]'"
        ) from error
    target = Path(file)
    if target.exists():
        raise Refused(f"{target} exists", "name a file that does not exist yet")
    header = manifest.header
    about = {"digest": manifest.digest, "task": header.task, "classes": header.classes}
    schema = pa.schema(
        [
            ("split", pa.dictionary(pa.int32(), pa.string())),
            ("path", pa.string()),
            ("size", pa.int64()),
            ("image", pa.string()),
            ("label", pa.string()),
            ("label_digest", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("objects", pa.map_(pa.string(), pa.int64())),
            ("malformed", pa.bool_()),
            ("repeats", pa.int32()),
        ],
        metadata={"epochal": msgspec.json.encode(about)},
    )
    work = target.with_name(f".{target.name}.writing-{os.getpid()}")
    try:
        with pq.ParquetWriter(work, schema, compression="zstd") as writer:
            for part in _parts(manifest.entries):
                rows = [_row(entry, header.classes) for entry in part]
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        work.replace(target)
    except OSError as error:
        raise InvalidInput(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        work.unlink(missing_ok=True)


def _parts(entries: tuple[ManifestEntry, ...]) -> Iterator[tuple[ManifestEntry, ...]]:
    for at in range(0, len(entries), _ROWS):
        yield entries[at : at + _ROWS]


def _row(entry: ManifestEntry, classes: tuple[str, ...]) -> dict[str, Any]:
    objects: dict[str, int] = {}
    for category, number in entry.objects:
        objects[classes[category]] = objects.get(classes[category], 0) + number
    return {
        "split": entry.split,
        "path": entry.path,
        "size": entry.size,
        "image": entry.image,
        "label": entry.label or None,
        "label_digest": entry.label_digest or None,
        "width": entry.width or None,
        "height": entry.height or None,
        "objects": list(objects.items()),
        "malformed": entry.malformed,
        "repeats": entry.repeats,
    }
