"""The values in W&B's logs: JSON under paths, made into what a record can hold."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from epochal.records import Number, to_wire

__all__ = ["flat", "is_number", "microseconds", "number", "pieces", "plain", "tree"]

_MOST_TEXT = 2_000
_DEEPEST = 20
_PIECE = 48 << 10
"""Bytes of values in one record; a line holds 64 KiB."""
_LATEST = 253_402_300_799  # seconds: the end of the year 9999


def tree(items: Iterable[Any]) -> dict[str, Any]:
    """Return what items say as one nested dict: the log names leaves by their path."""
    root: dict[str, Any] = {}
    for item in items:
        *parents, last = list(item.nested_key) or [item.key]
        at = root
        for part in parents:
            while not isinstance(at.setdefault(part, {}), dict):
                part += "."
            at = at[part]
        at[last] = _value(item)
    return root


def flat(items: Iterable[Any]) -> dict[str, Any]:
    """Return what items say under dotted keys; media stay dicts."""
    values: dict[str, Any] = {}
    for key, value in tree(items).items():
        _flatten(key, value, values)
    return values


def _value(item: Any) -> Any:
    said = item.value_json
    try:
        value = json.loads(said)  # with NaN and Infinity as the client writes them
        if "\\ud" in said.lower():  # perhaps half a surrogate pair, which is no text
            whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
            value = json.loads(whole)
    except (ValueError, RecursionError):
        return said[:_MOST_TEXT]
    return value


def _flatten(key: str, value: Any, into: dict[str, Any], depth: int = 0) -> None:
    if isinstance(value, dict) and "_type" not in value and depth < _DEEPEST:
        for inner, one in value.items():
            _flatten(f"{key}.{inner}", one, into, depth + 1)
    else:
        into[key] = value


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value as a record can hold it.

    NaN, infinities, integers beyond 64 bits and what is nested too deep become text.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else to_wire(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    if isinstance(value, dict | list) and depth >= _DEEPEST:
        return f"nested deeper than {_DEEPEST} levels"
    if isinstance(value, dict):
        return {key: plain(one, depth + 1) for key, one in value.items()}
    return [plain(one, depth + 1) for one in value] if isinstance(value, list) else value


def is_number(value: Any) -> bool:
    """Tell numbers from everything else; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: float) -> Number:
    """Return a number as the double it is kept as; beyond those it is infinite."""
    try:
        return to_wire(float(value))
    except OverflowError:
        return to_wire(math.inf if value > 0 else -math.inf)


def pieces(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield `values` in parts that fit into a record each; one that fits into none is named."""
    part: dict[str, Any] = {}
    filled = 0
    for key, value in values.items():
        size = len(msgspec.json.encode({key: value}))
        if size > _PIECE:
            key, value = key[:_MOST_TEXT], f"{size} bytes, too long to keep"
            size = len(msgspec.json.encode({key: value}))
        if part and filled + size > _PIECE:
            yield part
            part, filled = {}, 0
        part[key] = value
        filled += size
    if part:
        yield part


def microseconds(time: Any) -> int:
    """Return a protobuf timestamp as microseconds since 1970; 0 where it cannot be a time."""
    if not 0 <= time.seconds <= _LATEST:
        return 0
    return int(time.seconds) * 1_000_000 + int(time.nanos) // 1000
