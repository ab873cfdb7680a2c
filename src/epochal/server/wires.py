"""Other systems' protocols, mounted: an unmodified client records here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from starlette.routing import BaseRoute, Mount

from epochal.interop.mlflow.wire import mlflow_routes
from epochal.interop.ultralytics.wire import PREFIXES as PLATFORM
from epochal.interop.ultralytics.wire import platform_app
from epochal.server.context import Context
from epochal.server.service import Service
from epochal.store.store import Store

__all__ = ["mounts"]

R = TypeVar("R")


def mounts(service: Service, page_of: Callable[[str], str] | None = None) -> list[BaseRoute]:
    """Return the routes of all foreign protocols over a workspace.

    They stand behind the same guard as everything else. A client that needs a token sends it as
    its own: ``MLFLOW_TRACKING_TOKEN``, ``ULTRALYTICS_API_KEY``.

    Parameters
    ----------
    page_of
        Returns the address of a run's page, for clients that print it.
    """
    gate = _Gate(service)
    platform = platform_app(gate, page_of)
    return [
        *mlflow_routes(gate),
        *(Mount(prefix, platform) for prefix in PLATFORM),
    ]


class _Gate:
    """The way to the workspace that `epochal.interop.serving.Gate` asks for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def read(self, answer: Callable[[Store], R]) -> R:
        """Call ``answer(store)`` in a thread that reads."""
        return await self._service.read(_with_store, answer)

    async def write(self, answer: Callable[[Store], R]) -> R:
        """Call ``answer(store)`` in the thread that writes."""
        found = await self._service.write(_with_store, answer)
        self._service.poke()
        return found


def _with_store(context: Context, answer: Callable[[Store], R]) -> R:
    return answer(context.store)
