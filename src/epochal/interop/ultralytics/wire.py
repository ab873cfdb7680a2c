"""Answers an unmodified Ultralytics that reports to its Platform.

    ULTRALYTICS_PLATFORM_URL=http://host:port ULTRALYTICS_API_KEY=any \\
        yolo train ... project=pallets name=v2_imgsz_160

The client sends from a pool of threads, so messages overtake each other, and again where no
answer came. A stop request travels back as ``cancelled``. A crash sends nothing: such a run goes
stale by its silence.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from epochal.errors import EpochalError, InvalidInput, NotFound
from epochal.interop.facts import Facts
from epochal.interop.importing import NO_PROCESS, Stream
from epochal.interop.serving import Gate
from epochal.interop.ultralytics import platform_records as records
from epochal.records import (
    AnyBody,
    Artifact,
    Config,
    Environment,
    Evaluated,
    Finished,
    Heartbeat,
    Opened,
    Summary,
)
from epochal.run.naming import suggested_name
from epochal.run.opening import default_project
from epochal.run.values import portions
from epochal.store.blobs import artifact_key
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["PREFIXES", "platform_app"]

K = TypeVar("K")
T = TypeVar("T")

PREFIXES = ("/api/webhooks",)
"""Below these the server mounts the application, behind its own guard."""

_SYSTEM = "ultralytics-platform"
_MOST_BODY = 32 << 20
_SESSIONS = 64
_REMEMBERED = 1000
"""Trainings and uploads of which the server knows between two messages."""
_REPEAT = 120.0
"""Seconds within which the same announcement is the same training, sent again."""
_PATIENCE = 0.5
"""Seconds that a part of the console waits for the part before it."""


class _Event(msgspec.Struct):
    event: str
    data: dict[str, Any] = {}
    modelId: str = ""
    project: str = ""
    name: str = ""


class _Upload(msgspec.Struct):
    filename: str
    modelId: str = ""
    runId: str = ""


def platform_app(gate: Gate, page_of: Callable[[str], str] | None = None) -> Router:
    """Return the application that speaks the Platform's training protocol.

    Parameters
    ----------
    gate
        The server's way to the workspace.
    page_of
        Returns the URL of a run's page, which the client prints.
    """
    platform = _Platform(gate, page_of)
    return Router(
        [
            Route("/training/metrics", platform.event, methods=["POST"]),
            Route("/models/upload", platform.announce_upload, methods=["POST"]),
            Route("/models/upload/{ticket}", platform.upload, methods=["PUT"]),
        ]
    )


class _Turns:
    """Lets the numbered parts of a stream through in their order, as far as they come."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._waiting: set[int] = set()
        self._last: int | None = None
        self._seen: set[int] = set()

    @asynccontextmanager
    async def turn(self, number: int) -> AsyncIterator[bool]:
        """Wait for the turn of this part; yields whether it is new."""
        async with self._changed:
            self._waiting.add(number)
            try:
                ready = self._changed.wait_for(lambda: self._is_next(number))
                await asyncio.wait_for(ready, _PATIENCE)
            except TimeoutError:
                pass  # the part before it never came
        try:
            yield number not in self._seen
            self._seen.add(number)
        finally:
            async with self._changed:
                self._waiting.discard(number)
                self._last = number if self._last is None else max(number, self._last)
                self._changed.notify_all()

    def _is_next(self, number: int) -> bool:
        is_first = number == min(self._waiting)
        return is_first and self._last is not None and number == self._last + 1


class _Platform:
    """The protocol's answers, over one workspace."""

    def __init__(self, gate: Gate, page_of: Callable[[str], str] | None) -> None:
        self._gate = gate
        self._page_of = page_of
        self._facts: OrderedDict[tuple[str, int], Facts] = OrderedDict()
        self._announced: dict[str, tuple[str, float]] = {}
        self._tickets: dict[str, tuple[str, int, str]] = {}
        self._turns: dict[tuple[str, int], _Turns] = {}

    # --- requests --------------------------------------------------------------------------------

    async def event(self, request: Request) -> Response:
        """Answer POST /training/metrics."""
        try:
            event = await _body(request, _Event)
            if event.event == "training_started":
                return JSONResponse(
                    await self._gate.write(lambda store: self._start(store, event))
                )
            if event.event == "console_output":
                return JSONResponse(await self._console(event))
            return JSONResponse(await self._gate.write(lambda store: self._say(store, event)))
        except EpochalError as error:
            return _refusal(error)

    async def announce_upload(self, request: Request) -> Response:
        """Answer POST /models/upload with the place that the file goes to."""
        try:
            asked = await _body(request, _Upload)
            key = artifact_key(f"weights/{Path(asked.filename).name}")
            document = await self._gate.read(lambda store: _run(store, asked.modelId))
        except EpochalError as error:
            return _refusal(error)
        ticket = secrets.token_urlsafe(24)
        _remember(self._tickets, ticket, (document.id, _attempt(document), key))
        url = str(request.url.replace(query="")).rstrip("/")
        path = f"{document.id}/{key}"
        return JSONResponse({"uploadUrl": f"{url}/{ticket}", "gcsPath": path, "uploadPath": path})

    async def upload(self, request: Request) -> Response:
        """Answer PUT of a file: kept as the run's weights."""
        place = self._tickets.get(request.path_params["ticket"])
        if place is None:
            return _refusal(NotFound("no upload was announced under this address"))
        run, attempt, key = place
        with tempfile.TemporaryDirectory(prefix="epochal-") as folder:
            received = Path(folder) / "upload"
            try:
                with received.open("wb") as file:
                    async for piece in request.stream():
                        file.write(piece)
            except ClientDisconnect:
                return Response(status_code=400)  # half a file is none; the client sends it again

            def keep(store: Store) -> None:
                digest = store.blobs.put_file(received)
                size = received.stat().st_size
                body = Artifact(key=key, digest=digest, size=size, role="weights")
                bodies: list[AnyBody] = [body]
                if key == "weights/best.pt":
                    bodies.append(Summary(values={"model_size": size}))
                self._record(store, run, attempt, bodies)

            try:
                await self._gate.write(keep)
            except EpochalError as error:
                return _refusal(error)
        return JSONResponse({"saved": True})

    # --- a training ------------------------------------------------------------------------------

    def _start(self, store: Store, event: _Event) -> dict[str, Any]:
        known = _run(store, event.modelId) if event.modelId else None
        # Sent again, because the answer was lost: the same training.
        text = msgspec.json.encode([event.project, event.name, event.modelId, event.data])
        fingerprint = hashlib.blake2b(text, digest_size=16).hexdigest()
        answered, when = self._announced.get(fingerprint, ("", 0.0))
        if answered and time.monotonic() - when < _REPEAT:
            return self._identity(store.run(answered))
        run = known.id if known else secrets.token_hex(16)
        attempt = _attempt(known) + 1 if known else 1
        opened = self._opening(store, event, run, attempt, known)
        identity = f"platform attempt {attempt}"
        with Stream(store.folder, run, opened.name, identity, attempt=attempt) as stream:
            now = time.time_ns() // 1000
            stream.say(opened, now)
            if not known:
                for body in records.configs(event.data):
                    for part in portions(body.values):
                        stream.say(Config(values=part, role=body.role), now)
            for part in portions(records.environment(event.data).values):
                stream.say(Environment(values=part), now)
            if load := records.system(event.data.get("system")):
                stream.say(load, now)
        store.refresh()
        _remember(self._announced, fingerprint, (run, time.monotonic()))
        return self._identity(store.run(run))

    def _opening(
        self, store: Store, event: _Event, run: str, attempt: int, known: RunDocument | None
    ) -> Opened:
        if known is not None:
            project, name = known.project, known.name
        else:
            project, name = records.identity(event.data, event.project, event.name)
            project = project or default_project(store.folder)
            config = next(iter(records.configs(event.data))).values
            name = name or suggested_name(store.folder, project, None, config)
        return Opened(
            run=run,
            attempt=attempt,
            project=project,
            name=name,
            dataset=str(records.arguments(event.data).get("data") or "") or None,
            source=_SYSTEM,
            owner=NO_PROCESS,
        )

    def _identity(self, document: RunDocument) -> dict[str, Any]:
        answer = {"modelId": document.id, "runId": f"{document.id}-{_attempt(document)}"}
        # Releases that know no modelUrl print project/modelSlug: the server leads it to the run.
        answer["modelSlug"] = document.id
        if self._page_of is not None:
            answer["modelUrl"] = self._page_of(document.id)
        return answer | _control(document)

    async def _console(self, event: _Event) -> dict[str, Any]:
        document = await self._gate.read(lambda store: _run(store, event.modelId))
        place = document.id, _attempt(document)
        bodies = list(records.console(event.data))
        chunk = event.data.get("chunkId")
        if not isinstance(chunk, int):
            return await self._gate.write(lambda store: self._record(store, *place, bodies))
        turns = self._turns.get(place) or _remember(self._turns, place, _Turns())
        async with turns.turn(chunk) as is_new:
            if not is_new:
                return _control(document)
            return await self._gate.write(lambda store: self._record(store, *place, bodies))

    def _say(self, store: Store, event: _Event) -> dict[str, Any]:
        document = _run(store, event.modelId)
        bodies = list(self._bodies(store, document, event))
        return self._record(store, document.id, _attempt(document), bodies)

    def _bodies(self, store: Store, document: RunDocument, event: _Event) -> Iterable[AnyBody]:
        data = event.data
        epochs = document.effective.get("epochs")
        match event.event:
            case "epoch_end":
                metrics = records.epoch(data, epochs if isinstance(epochs, int) else None)
                found = (metrics, records.summary(data))
                yield from (body for body in found if body is not None)
                if load := records.system(data.get("system")):
                    yield load
            case "system_metrics":
                if load := records.system(data):
                    yield load
            case "training_complete":
                yield from self._completed(store, document, data)
            case "training_failed":
                yield records.failed(data)
            case "training_progress" | "checkpoint_saved":
                yield Heartbeat()
            case other:
                raise InvalidInput(f"an event {other[:60]!r} is not known here")

    def _completed(
        self, store: Store, document: RunDocument, data: dict[str, Any]
    ) -> Iterable[AnyBody]:
        from epochal.evaluation.storage import store_evaluation

        said = document.environment.get("ultralytics")
        version = str(said.get("version", "")) if isinstance(said, dict) else ""
        best = document.artifacts.get("weights/best.pt")
        weights = best.body.digest if best and isinstance(best.body, Artifact) else ""
        evaluation = records.evaluation(data, version, document.effective, weights)
        if evaluation.metrics:
            recorded: Evaluated = store_evaluation(store.blobs, evaluation)
            yield recorded
        results = data.get("results")
        results = results if isinstance(results, dict) else {}
        best_epoch, fitness = results.get("bestEpoch"), results.get("bestFitness")
        values: dict[str, Any] = {}
        if isinstance(best_epoch, int):
            values["best_epoch"] = best_epoch + 1
        if isinstance(fitness, int | float):
            values["best_fitness"] = fitness
        if values:
            yield Summary(values=values)
        yield Finished(status="finished")

    # --- the journal -----------------------------------------------------------------------------

    def _record(
        self, store: Store, run: str, attempt: int, bodies: Iterable[AnyBody]
    ) -> dict[str, Any]:
        """Append what is new, make it durable, take it in; answer with what there is to obey."""
        facts = self._open(store, run, attempt)
        for body in bodies:
            facts.say(body)
        facts.sync()
        store.refresh()
        # Never empty: the client takes an empty answer for a failure.
        return {"ok": True} | _control(store.run(run))

    def _open(self, store: Store, run: str, attempt: int) -> Facts:
        place = run, attempt
        if place not in self._facts:
            while len(self._facts) >= _SESSIONS:
                self._facts.popitem(last=False)[1].close()
            self._facts[place] = Facts(store.folder, run, attempt)
        self._facts.move_to_end(place)
        return self._facts[place]


def _remember(kept: dict[K, T], key: K, value: T) -> T:
    """Keep `value` for the messages that follow, and forget what is long past."""
    while len(kept) >= _REMEMBERED:
        del kept[next(iter(kept))]
    kept[key] = value
    return value


def _run(store: Store, model: str) -> RunDocument:
    try:
        return store.run(model)
    except NotFound:
        raise NotFound(f"no model {model[:64]!r} is recorded here") from None


def _attempt(document: RunDocument) -> int:
    return document.attempts[-1].number if document.attempts else 1


def _control(document: RunDocument) -> dict[str, Any]:
    return {"cancelled": True} if document.stop_requested else {}


async def _body(request: Request, kind: type[T]) -> T:
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > _MOST_BODY:
            raise InvalidInput(f"a message of more than {_MOST_BODY >> 20} MiB")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not a message of this protocol: {error}") from None


def _refusal(error: EpochalError) -> Response:
    return JSONResponse({"error": str(error)}, 404 if isinstance(error, NotFound) else 400)
