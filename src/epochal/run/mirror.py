"""Dicts whose changes are recorded: `run.config` and `run.summary`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Literal

from epochal.records import Config, Summary
from epochal.run.recorder import Recorder
from epochal.run.values import config_values, plain, portions

__all__ = ["ConfigMirror", "SummaryMirror"]

_ROLES = ("requested", "effective")


class _Mirror(MutableMapping[str, Any]):
    """A dict whose changes are recorded. No error of ours leaves it."""

    def __init__(self, recorder: Recorder) -> None:
        self._values: dict[str, Any] = {}
        self._recorder = recorder

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

    @abstractmethod
    def update(self, values: Any = (), /, **more: Any) -> None:
        """Set several values; takes what `epochal.init(config=...)` takes."""


class ConfigMirror(_Mirror):
    """The parameters as requested, without their secrets."""

    def update(self, values: Any = (), /, **more: Any) -> None:
        """Set several values; takes what `epochal.init(config=...)` takes.

        ``role="effective"`` says that they are what the trainer made of the request.
        """
        # A parameter may itself be called "role"; it is ours only with a value of ours.
        role: Any = more.pop("role") if more.get("role") in _ROLES else "requested"
        try:
            self._set(_found(values, more), role)
        except Exception as error:
            self._recorder.trouble("config", error)

    def _set(self, values: Mapping[str, Any], role: Literal["requested", "effective"]) -> None:
        from epochal.capture.redaction import redact

        clean, _ = redact(values)
        if role == "requested":
            self._values.update(clean)
        for part in portions(clean):
            self._recorder.record(Config(values=part, role=role))


class SummaryMirror(_Mirror):
    """Single values that stand for the run."""

    def update(self, values: Any = (), /, **more: Any) -> None:
        """Set several values; takes what `epochal.init(config=...)` takes."""
        try:
            found = _found(values, more)
            self._values.update(found)
            for part in portions(found):
                self._recorder.record(Summary(values=part))
        except Exception as error:
            self._recorder.trouble("summary", error)


def _found(values: Any, more: Mapping[str, Any]) -> dict[str, Any]:
    return {**config_values(values or None), **plain(more)}
