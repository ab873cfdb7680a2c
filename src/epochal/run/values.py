"""From what people log to what can be said: numbers, plain config values, steps."""

from __future__ import annotations

import dataclasses
import enum
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, TypeVar

import msgspec

from epochal.records import Number, to_wire

__all__ = ["config_values", "metric_values", "plain", "portions", "step_value"]

_INT64 = 1 << 63
_DEPTH = 32

Warn = Callable[[str, str, str], None]
"""Called with (code, key, what is wrong)."""


def metric_values(values: Mapping[Any, Any], warn: Warn) -> dict[str, Number]:
    """Return the numbers in `values`, ready for the wire.

    Nested mappings are joined with ``/``. Scalars of any array library are taken by their
    ``item()``. What is no number is left out and reported through `warn`.
    """
    return {key: number for key, number in _numbers("", values, warn, 0) if number is not None}


def _numbers(
    prefix: str, values: Mapping[Any, Any], warn: Warn, depth: int
) -> Iterator[tuple[str, Number | None]]:
    for raw_key, value in values.items():
        key = f"{prefix}{raw_key}"
        if not isinstance(raw_key, str):
            warn("key", key, f"the key {raw_key!r} is no text; kept as {key!r}")
        if isinstance(value, Mapping) and depth < _DEPTH:
            yield from _numbers(f"{key}/", value, warn, depth + 1)
        else:
            yield _clean_key(key, warn), _number(key, value, warn)


def _clean_key(key: str, warn: Warn) -> str:
    try:
        key.encode()
    except UnicodeEncodeError:  # lone surrogates have no UTF-8
        warn("key", ascii(key), "the key is not valid text; escaped")
        return key.encode("utf-8", "backslashreplace").decode()
    return key


def _number(key: str, value: Any, warn: Warn) -> Number | None:
    if not isinstance(value, (float, int)):
        try:
            value = value.item() if hasattr(value, "item") else value
        except Exception as error:
            warn("value", key, f"an array is no number: {_first_line(error)}; log its mean, say")
            return None
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            warn("value", key, f"an integer of {value.bit_length()} bits is beyond any double")
            return to_wire(math.inf if value > 0 else -math.inf)
        if int(number) != value:
            warn("precision", key, f"{value} became {number!r}: a double holds 53 bits")
        return number
    if value is None or isinstance(value, (str, bytes, complex)):
        warn("value", key, f"{type(value).__name__} is no number; text belongs into config")
        return None
    try:
        return to_wire(float(value))
    except Exception:  # whatever a foreign type does with the question
        warn("value", key, f"{type(value).__name__} is no number")
        return None


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


_Fallback = TypeVar("_Fallback", int, None)


def step_value(step: Any, fallback: _Fallback, warn: Warn) -> int | _Fallback:
    """Return `step` as an int64; what is none is reported, kept in the report, and `fallback`."""
    try:
        step = step.item() if hasattr(step, "item") else step
    except Exception:
        pass  # an array of several, or something stranger: reported below
    if isinstance(step, float) and step.is_integer() and abs(step) < _INT64:
        return int(step)
    try:
        number = operator.index(step)
    except Exception:
        warn("step", "step", f"{_short(step)} is no integer; {fallback} is used")
        return fallback
    if -_INT64 <= number < _INT64:
        return number
    bits = number.bit_length()
    warn("step", "step", f"a step of {bits} bits does not fit into 64; {fallback} is used")
    return fallback


def _short(value: Any) -> str:
    try:
        return repr(value)[:200]
    except Exception:
        return f"a {type(value).__name__}"


def config_values(config: Any) -> dict[str, Any]:
    """Return a config as a plain dict: mappings, dataclasses, namespaces and argparse results.

    Raises
    ------
    TypeError
        If `config` has no named fields.
    """
    if config is None:
        return {}
    if isinstance(config, Mapping):
        found = plain(config)
    elif dataclasses.is_dataclass(config) and not isinstance(config, type):
        found = plain({f.name: getattr(config, f.name) for f in dataclasses.fields(config)})
    elif callable(getattr(config, "model_dump", None)):  # pydantic
        found = plain(config.model_dump())
    elif hasattr(config, "__dict__"):
        found = plain({k: v for k, v in vars(config).items() if not k.startswith("_")})
    else:
        raise TypeError(f"a config is a mapping or has fields; this is {type(config).__name__}")
    return dict(found)


def plain(value: Any, depth: int = 0) -> Any:
    """Return `value` made of JSON's types only; every digit of numbers is kept.

    Integers beyond 64 bits and what has no JSON form become text.
    """
    if depth > _DEPTH:
        return repr(value)[:200]
    if value is None or isinstance(value, (bool, str)):
        return _text(value) if isinstance(value, str) else value
    if isinstance(value, enum.Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, int):
        return int(value) if -_INT64 <= value < 2 * _INT64 else str(value)
    if isinstance(value, float):
        return to_wire(float(value))
    if isinstance(value, Mapping):
        return {_text(str(k)): plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset, range)):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        return [plain(v, depth + 1) for v in items]
    if isinstance(value, PurePath):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: plain(getattr(value, f.name), depth + 1) for f in dataclasses.fields(value)
        }
    try:
        return _foreign(value, depth)
    except Exception:  # whatever a foreign type does when it is looked at
        return f"<{type(value).__name__}>"


def _foreign(value: Any, depth: int) -> Any:
    for method in ("item", "tolist"):  # scalars, then small arrays, of any array library
        if callable(getattr(value, method, None)):
            try:
                return plain(getattr(value, method)(), depth + 1)
            except (ValueError, TypeError, RuntimeError):
                continue
    if isinstance(value, type) or callable(value):
        name = getattr(value, "__qualname__", "")
        return f"{getattr(value, '__module__', '')}.{name}" if name else repr(value)[:200]
    return _text(repr(value)[:2000])


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


def portions(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield `values` in parts that fit into lines; a single value that does not is cut."""
    part: dict[str, Any] = {}
    room = 48_000
    for key, value in values.items():
        size = len(msgspec.json.encode(value)) + len(key) + 8
        if size > 40_000:
            value, size = f"{str(value)[:2000]} ... [cut: {size} bytes]", 2100
        if size > room and part:
            yield part
            part, room = {}, 48_000
        part[key] = value
        room -= size
    if part:
        yield part
