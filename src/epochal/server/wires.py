"""Other systems' protocols, mounted: where each is found, and its way to the workspace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from starlette.types import ASGIApp

from epochal.interop.mlflow.wire import PREFIXES, mlflow_app
from epochal.server.service import Service
from epochal.store.store import Store

__all__ = ["wires_of"]

R = TypeVar("R")


class _Gate:
    """The service, seen by a protocol that knows stores only (`epochal.interop.serving.Gate`)."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def read(self, answer: Callable[[Store], R]) -> R:
        return await self._service.read(lambda context: answer(context.store))

    async def write(self, answer: Callable[[Store], R]) -> R:
        found = await self._service.write(lambda context: answer(context.store))
        self._service.poke()  # pages that look at it are told at once
        return found


def wires_of(service: Service) -> dict[str, ASGIApp]:
    """Return the applications of other systems by the path that they are mounted at."""
    gate = _Gate(service)
    mlflow = mlflow_app(gate)
    return dict.fromkeys(PREFIXES, mlflow)
