"""COCO JSON decoded: images, categories, and entries (annotations or results) as columns."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
import numpy as np

from epochal.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from epochal.evaluation.columns import Floats, Ints

__all__ = [
    "UNKNOWN",
    "Category",
    "Dataset",
    "Entries",
    "Image",
    "Repeating",
    "read_dataset",
    "read_results",
]

UNKNOWN = -2
"""What a value stands for that a table does not have."""

_PIECE = 1 << 17  # bytes of results decoded at once: their objects stay in the cache

_Side: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None


class Image(msgspec.Struct, gc=False):
    """One of ``images``."""

    id: int | str
    file_name: str = ""
    width: _Side = None
    height: _Side = None
    video_id: int | str | None = None


class Category(msgspec.Struct, gc=False):
    """One of ``categories``."""

    id: int
    name: str


class _Annotation(msgspec.Struct, gc=False):
    image_id: int | str
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float | None = None
    iscrowd: int | bool = 0
    file_name: str = ""


class Dataset(msgspec.Struct):
    """A ground-truth file."""

    images: list[Image]
    categories: list[Category]
    annotations: list[_Annotation] = []


class _Result(msgspec.Struct, gc=False):
    image_id: int | str
    category_id: int
    bbox: tuple[float, float, float, float]
    score: float
    file_name: str = ""


class _Results(msgspec.Struct):
    """Results inside a whole COCO file, as some tools export them."""

    annotations: list[_Result]
    categories: list[Category] = []


_Rows: TypeAlias = "Sequence[_Annotation] | Sequence[_Result]"


@dataclass(frozen=True, eq=False)
class Repeating:
    """A column in which values repeat: each once, and which one a row has."""

    values: tuple[Any, ...]
    place: Ints

    def __getitem__(self, row: int) -> Any:
        """Return the value of a row."""
        return self.values[self.place[row]]

    def looked_up(self, table: Mapping[Any, int]) -> Ints:
        """Return what `table` has for each row, else `UNKNOWN`."""
        found = np.array([table.get(value, UNKNOWN) for value in self.values], np.int32)
        return found.take(self.place)


@dataclass(frozen=True, eq=False)
class Entries:
    """Annotations or results.

    Parameters
    ----------
    image_id, category_id, file_name
        As the file has them; a missing name is empty.
    bbox
        (n, 4) x, y, width, height.
    score
        (n,) of results; empty for annotations.
    """

    image_id: Repeating
    category_id: Repeating
    file_name: Repeating
    bbox: Floats
    score: Floats

    @property
    def named(self) -> bool:
        """Whether any entry has a ``file_name``."""
        return any(self.file_name.values)

    @classmethod
    def of(cls, pieces: Iterable[_Rows], *, scored: bool) -> Entries:
        """Return the entries of one or more pieces as columns."""
        known = {name: _Places() for name in ("image_id", "category_id", "file_name")}
        parts: dict[str, list[Any]] = {name: [] for name in (*known, "bbox", "score")}
        for rows in pieces:
            n = len(rows)
            # Without a step of Python for each row.
            for name, places in known.items():
                found = map(places.__getitem__, map(attrgetter(name), rows))
                parts[name].append(np.fromiter(found, np.int32, n))
            sides = chain.from_iterable(map(attrgetter("bbox"), rows))
            parts["bbox"].append(np.fromiter(sides, np.float64, 4 * n))
            if scored:
                score = map(attrgetter("score"), rows)
                parts["score"].append(np.fromiter(score, np.float64, n))
        columns = {name: np.concatenate(part) for name, part in parts.items() if part}
        return cls(
            bbox=columns["bbox"].reshape(-1, 4),
            score=columns.get("score", np.empty(0)),
            **{name: Repeating(tuple(places), columns[name]) for name, places in known.items()},
        )


class _Places(dict[Any, int]):
    """Places of values, in the order in which they are first asked for."""

    def __missing__(self, value: Any) -> int:
        self[value] = place = len(self)
        return place


def read_dataset(path: Path) -> tuple[Dataset, Entries]:
    """Return a ground-truth file, and its annotations as columns.

    Raises
    ------
    NotFound, InvalidInput
        There is no such file, or it is none.
    """
    dataset: Dataset = _decode(path, Dataset)
    return dataset, Entries.of([dataset.annotations], scored=False)


def read_results(path: Path) -> tuple[Entries, list[Category]]:
    """Return the entries of a results file, and its categories where it has them.

    Raises
    ------
    NotFound, InvalidInput
        There is no such file, or it is none; the entry is named.
    """
    try:
        return Entries.of(_pieces(path), scored=True), []
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        # Something else than a plain list of results: read as a whole it is understood, or named.
        decoded: Any = _decode(path, list[_Result] | _Results)
    if isinstance(decoded, _Results):
        return Entries.of([decoded.annotations], scored=True), decoded.categories
    return Entries.of([decoded], scored=True), []


def _pieces(path: Path) -> Iterator[list[_Result]]:
    """Yield a list of results in pieces.

    The text is cut after an object. Where that is not the end of an entry, but of something in one
    or inside a name, what comes before the cut is no JSON and is refused.

    Raises
    ------
    msgspec.DecodeError, OSError
        The file cannot be read like this.
    """
    decode = msgspec.json.Decoder(list[_Result]).decode
    opening = rest = b""
    with path.open("rb") as file:
        while more := file.read(_PIECE):
            text = rest + more
            stop = text.rfind(b"},") + 1
            if not stop:
                rest = text + file.read()
                break
            yield decode(b"%b%b]" % (opening, text[:stop]))
            opening, rest = b"[", text[stop + 1 :]
    rows = decode(opening + rest)
    if opening and not rows:
        raise msgspec.DecodeError("nothing after the last comma")
    yield rows


def _decode(path: Path, kind: Any) -> Any:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror})") from error
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _refuse_nan(path, data)
        reason = str(error).replace("`$[", "`[").replace("`$.", "`")
        raise InvalidInput(f"{path} is not readable as COCO JSON ({reason})") from error


def _refuse_nan(path: Path, data: bytes) -> None:
    """Raise where the file is JSON but for NaN and infinity, which some writers let through."""
    try:
        decoded = json.loads(data)
    except ValueError:
        return
    rows = decoded.get("annotations", []) if isinstance(decoded, dict) else decoded
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        if not isinstance(row, dict):
            continue
        box = row.get("bbox")
        numbers = [*(box if isinstance(box, list) else []), row.get("score")]
        if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
            raise InvalidInput(
                f"{path}, entry {index}: a box or score is not finite",
                "A model that emits NaN is broken: predict again in full precision",
            )
