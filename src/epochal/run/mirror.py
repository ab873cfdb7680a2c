"""Dicts whose changes are recorded: `run.config` and `run.summary`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import msgspec

__all__ = ["Mirror", "portions"]


class Mirror(MutableMapping[str, Any]):
    """A dict whose changes are recorded."""

    def __init__(self, record: Callable[..., None]) -> None:
        self._values: dict[str, Any] = {}
        self._record = record

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        raise TypeError("records are never deleted; set the value to None")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def update(self, values: Any = (), /, **more: Any) -> None:
        """Set several values; takes what `epochal.init(config=...)` takes.

        ``role="effective"`` says that they are what the trainer made of the request.
        """
        # A parameter may itself be called "role"; it is ours only with a value of ours.
        role = more.pop("role") if more.get("role") in ("requested", "effective") else "requested"
        self._record(values, more, role)


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
