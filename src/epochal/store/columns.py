"""One key's values over all runs, as typed arrays, and what can be asked of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from epochal.store.filter_tree import Comparison, Value

__all__ = ["BOOL", "LIST", "MISSING", "NUMBER", "TEXT", "Column", "matches_glob"]

MISSING, NUMBER, BOOL, TEXT, LIST = range(5)
"""What a cell holds."""

Mask: TypeAlias = npt.NDArray[np.bool_]
Word: TypeAlias = str | tuple[Any, ...]

_NAN_LAST, _MISSING_LAST = 8.0, 9.0  # behind every kind, in either direction


class Column:
    """Cells of mixed types: numbers and booleans as doubles, texts and lists as codes.

    Numbers are IEEE doubles; a larger integer is the nearest of them. Equal texts share one
    code, so that a condition on texts is judged once a text, not once a run.

    Parameters
    ----------
    capacity
        Number of cells, all missing.
    """

    def __init__(self, capacity: int) -> None:
        self.kind = np.zeros(capacity, np.uint8)
        self.number = np.full(capacity, np.nan)
        self.code: npt.NDArray[np.int32] | None = None
        """Index into `words`; None while there is no text and no list."""
        self.words: list[Word] = []
        self._code_of: dict[Any, int] = {}
        self._ranks: npt.NDArray[np.float64] | None = None

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` cells."""
        added = capacity - len(self.kind)
        self.kind = np.concatenate([self.kind, np.zeros(added, np.uint8)])
        self.number = np.concatenate([self.number, np.full(added, np.nan)])
        if self.code is not None:
            self.code = np.concatenate([self.code, np.zeros(added, np.int32)])

    def clear(self, rows: npt.NDArray[np.int64]) -> None:
        """Make the cells of `rows` missing."""
        self.kind[rows] = MISSING

    def put(self, rows: Sequence[int], values: Sequence[Any]) -> None:
        """Set cells. None is missing; what is neither number, text nor list becomes its JSON."""
        types = set(map(type, values))
        at = np.asarray(rows, np.int64)
        if types <= {float, int}:
            self.kind[at] = NUMBER
            self.number[at] = _doubles(values)
        elif types == {bool}:
            self.kind[at] = BOOL
            self.number[at] = np.asarray(values, np.float64)
        elif types == {str}:
            self._put_words(at, TEXT, values)
        elif types <= {list, tuple}:
            self._put_words(at, LIST, [tuple(map(_plain, value)) for value in values])
        elif types == {type(None)}:
            self.kind[at] = MISSING
        elif len(types) == 1:
            self._put_words(at, TEXT, [_plain(value) for value in values])
        else:
            for one in types:
                same = [i for i, value in enumerate(values) if type(value) is one]
                self.put(at[same].tolist(), [values[i] for i in same])

    def _put_words(self, at: npt.NDArray[np.int64], kind: int, words: Sequence[Word]) -> None:
        if self.code is None:
            self.code = np.zeros(len(self.kind), np.int32)
        codes = []
        for word in words:
            # As a dictionary's key (1.0,) is (True,): the types have to tell them apart.
            key = word if kind == TEXT else (word, *map(type, word))
            code = self._code_of.get(key)
            if code is None:
                code = self._code_of[key] = len(self.words)
                self.words.append(word)
                self._ranks = None
            codes.append(code)
        self.kind[at] = kind
        self.code[at] = codes

    def get(self, row: int) -> Any:
        """Return one cell's value: float, bool, str, tuple or None."""
        match self.kind[row]:
            case 1:
                return float(self.number[row])
            case 2:
                return bool(self.number[row])
            case 3 | 4 if self.code is not None:
                return self.words[self.code[row]]
        return None

    # --- conditions ----------------------------------------------------------------------------

    def fits(self, comparison: Comparison) -> Mask:
        """Return which cells fit; a missing one fits only ``null``."""
        values = comparison.values
        match comparison.operator:
            case "null":
                return np.equal(self.kind, MISSING)
            case "=" | "in":
                return self._any(self._equal(value) for value in values)
            case "!=":
                return np.not_equal(self.kind, MISSING) & ~self._equal(values[0])
            case "~":
                return self._words_where(TEXT, matches_glob(str(values[0])))
            case "has":
                wanted = values[0]
                return self._words_where(LIST, lambda word: _among(wanted, word)) | (
                    self._words_where(TEXT, lambda word: wanted in word)
                    if isinstance(wanted, str)
                    else False
                )
            case ordered:
                return self._ordered(_ORDERS[ordered], values[0])

    def _any(self, masks: Any) -> Mask:
        found = np.zeros(len(self.kind), np.bool_)
        for mask in masks:
            found |= mask
        return found

    def _where(self, kind: int, fits: Mask) -> Mask:
        found: Mask = np.equal(self.kind, kind) & fits
        return found

    def _equal(self, value: Value) -> Mask:
        if isinstance(value, bool):
            return self._where(BOOL, np.equal(self.number, value))
        if isinstance(value, str):
            code = self._code_of.get(value)
            if code is None or self.code is None:
                return np.zeros(len(self.kind), np.bool_)
            return self._where(TEXT, np.equal(self.code, code))
        same = np.isnan(self.number) if math.isnan(value) else np.equal(self.number, value)
        return self._where(NUMBER, same)

    def _ordered(self, order: Callable[[Any, Any], Any], value: Value) -> Mask:
        if isinstance(value, bool):
            return np.zeros(len(self.kind), np.bool_)
        if isinstance(value, str):
            return self._words_where(TEXT, lambda word: bool(order(word, value)))
        return self._where(NUMBER, order(self.number, value))

    def _words_where(self, kind: int, fits: Callable[[Any], bool]) -> Mask:
        if self.code is None:
            return np.zeros(len(self.kind), np.bool_)
        # Judged once for each word, whatever the number of runs that have it.
        wanted = str if kind == TEXT else tuple
        flags = np.array([type(word) is wanted and fits(word) for word in self.words])
        return self._where(kind, flags[self.code])

    # --- order ---------------------------------------------------------------------------------

    def order(self, rows: npt.NDArray[np.int64], *, descending: bool) -> list[npt.NDArray[Any]]:
        """Return the sort keys of `rows` for `numpy.lexsort`, the weaker one first.

        Numbers, then booleans, texts, lists; reversed where `descending`. NaN and then missing
        cells come last either way.
        """
        kind = self.kind[rows]
        value = self.number[rows].copy()
        words = kind >= TEXT
        if self.code is not None and words.any():
            value[words] = self._word_ranks()[self.code[rows[words]]]
        group = kind.astype(np.float64)
        if descending:
            value, group = -value, -group
        group[(kind == NUMBER) & np.isnan(value)] = _NAN_LAST
        group[kind == MISSING] = _MISSING_LAST
        value[group >= _NAN_LAST] = 0.0
        return [value, group]

    def _word_ranks(self) -> npt.NDArray[np.float64]:
        if self._ranks is None:
            by_word = sorted(range(len(self.words)), key=lambda i: _text(self.words[i]))
            self._ranks = np.empty(len(self.words))
            self._ranks[by_word] = np.arange(len(self.words))
        return self._ranks


_ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _doubles(values: Sequence[Any]) -> npt.NDArray[np.float64]:
    try:
        return np.asarray(values, np.float64)
    except OverflowError:  # an integer beyond the largest double
        return np.array([_double(value) for value in values])


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _plain(value: Any) -> Any:
    if isinstance(value, (str, bool)) or value is None:
        return value
    if isinstance(value, (int, float)):
        return _double(value)
    return msgspec.json.encode(value).decode()


def _among(wanted: Value, items: tuple[Any, ...]) -> bool:
    return any(type(item) is type(wanted) and item == wanted for item in items)


def _text(word: Word) -> str:
    return word if isinstance(word, str) else msgspec.json.encode(word).decode()


def matches_glob(pattern: str) -> Callable[[str], bool]:
    """Return a test for `pattern`, in which ``*`` is any text and ``?`` any one character.

    The parts between stars are looked for from left to right, so that no pattern takes longer
    than (length of pattern) x (length of text).
    """
    first, *rest = pattern.split("*")
    if not rest:
        return lambda text: len(text) == len(first) and _at(text, first, 0)
    *middle, last = rest

    def matches(text: str) -> bool:
        if len(text) < len(first) + len(last) or not _at(text, first, 0):
            return False
        at, end = len(first), len(text) - len(last)
        for part in middle:
            at = _find(text, part, at, end)
            if at < 0:
                return False
            at += len(part)
        return _at(text, last, end)

    return matches


def _at(text: str, part: str, start: int) -> bool:
    if "?" not in part:
        return text.startswith(part, start)
    piece = text[start : start + len(part)]
    return all(p in ("?", c) for c, p in zip(piece, part, strict=True))


def _find(text: str, part: str, start: int, end: int) -> int:
    """Return where `part` first lies within text[start:end]; -1 where it does not."""
    if "?" not in part:
        return text.find(part, start, end)
    return next((i for i in range(start, end - len(part) + 1) if _at(text, part, i)), -1)
