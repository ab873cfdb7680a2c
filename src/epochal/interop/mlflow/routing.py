"""One call of the protocol, and how its requests are read."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from epochal.interop.mlflow.errors import invalid, missing, unusable
from epochal.store.store import Store

__all__ = [
    "Answer",
    "Call",
    "Given",
    "digits",
    "entries",
    "listed",
    "number",
    "of_view",
    "page",
    "required",
    "run_id",
    "tags_in",
    "text",
]

_VIEWS = ("ACTIVE_ONLY", "DELETED_ONLY", "ALL")

Given: TypeAlias = Mapping[str, Any]
"""The fields of a request: of its body, its query and its path."""
Answer: TypeAlias = Callable[[Store, Given], dict[str, Any]]
T = TypeVar("T")


class Call(NamedTuple):
    """A method and path with what answers it."""

    method: str
    path: str
    answer: Answer
    writes: bool = False
    lists: tuple[str, ...] = ()
    """Query parameters that may be repeated."""


def required(given: Given, name: str) -> str:
    """Return a field that must be there, as text.

    Raises
    ------
    MlflowError
        If it is missing, or no text.
    """
    value = given.get(name)
    if value is None or value == "":
        raise missing(name)
    return text(given, name)


def run_id(given: Given) -> str:
    """Return which run a request is about: clients of all ages name it in one of two fields."""
    return text(given, "run_id") or text(given, "run_uuid") or required(given, "run_id")


def text(given: Given, name: str, default: str = "") -> str:
    """Return a field that is text.

    Raises
    ------
    MlflowError
        If it is something else.
    """
    value = given.get(name, default)
    if value is None:
        return default
    if not isinstance(value, str):
        raise unusable(value, name)
    return value


def digits(given: Given, name: str) -> str:
    """Return an id of digits that must be there; old clients send it as a number."""
    value = given.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return required(given, name)


def number(given: Given, name: str) -> int | None:
    """Return a field that is a whole number; None where it is missing.

    Raises
    ------
    MlflowError
        If it is something else.
    """
    value = given.get(name)
    if value in (None, ""):
        return None
    try:
        found = int(value)
    except (TypeError, ValueError, OverflowError):
        raise unusable(value, name) from None
    if isinstance(value, bool) or (isinstance(value, float) and value != found):
        raise unusable(value, name)
    return found


def page(
    given: Given, items: Sequence[T], default: int, most: int
) -> tuple[list[T], dict[str, str]]:
    """Return one page of `items`, and the field that leads to the next one.

    Raises
    ------
    MlflowError
        If size or token cannot be used.
    """
    asked = number(given, "max_results")
    size = default if asked is None else asked
    if not 1 <= size <= most:
        raise invalid(
            f"Invalid value {size} for parameter 'max_results' supplied: "
            f"it must be at least 1 and at most {most}"
        )
    start = _offset(text(given, "page_token"))
    end = start + size
    token = {} if end >= len(items) else {"next_page_token": _token(end)}
    return list(items[start:end]), token


def of_view(view: str) -> Callable[[bool], bool]:
    """Return which of what is there and what is in the trash a view shows.

    Raises
    ------
    MlflowError
        If there is no such view.
    """
    if view not in _VIEWS:
        raise invalid(f"Invalid value {view} for parameter 'view_type' supplied")
    return {
        "ACTIVE_ONLY": lambda active: active,
        "DELETED_ONLY": lambda active: not active,
        "ALL": lambda _active: True,
    }[view]


def listed(given: Given, name: str) -> list[Any]:
    """Return a field that is a list; empty where it is missing.

    Raises
    ------
    MlflowError
        If it is something else.
    """
    value = given.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise unusable(value, name)
    return value


def entries(given: Given, name: str) -> list[Mapping[str, Any]]:
    """Return a field that is a list of objects; empty where it is missing.

    Raises
    ------
    MlflowError
        If it is something else.
    """
    found = listed(given, name)
    if not all(isinstance(one, Mapping) for one in found):
        raise unusable(found, name)
    return found


def tags_in(given: Given, name: str) -> dict[str, str]:
    """Return a field that is a list of keys with their values.

    Raises
    ------
    MlflowError
        If it is something else.
    """
    found = entries(given, name)
    if not all(
        isinstance(one.get("key"), str) and isinstance(one.get("value", ""), str) for one in found
    ):
        raise unusable(found, name)
    return {one["key"]: one.get("value", "") for one in found}


def _token(offset: int) -> str:
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        offset = json.loads(base64.b64decode(token, validate=True))["offset"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise invalid("Invalid page token, could not decode") from None
    if not isinstance(offset, int) or offset < 0:
        raise invalid("Invalid page token, could not decode")
    return offset
