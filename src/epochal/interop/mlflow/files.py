"""Artifacts through the server: a run's files and a model's, by validated relative key.

The client's path is taken apart into an owner (run or model) and a key; nothing of it is ever a
path of ours. Two shapes are handed out, by `entities.artifact_root` and `models`::

    <experiment>/<run>/artifacts/<key>
    <experiment>/models/<model>/artifacts/<key>
"""

from __future__ import annotations

import contextlib
import mimetypes
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from epochal.errors import InvalidInput
from epochal.interop.mlflow import recording
from epochal.interop.mlflow.entities import SYSTEM, experiment, foreign_of, run_of
from epochal.interop.mlflow.errors import invalid, not_found
from epochal.interop.mlflow.kept import now
from epochal.interop.mlflow.logged_models import LoggedModels
from epochal.interop.mlflow.registry import Registry
from epochal.records import Artifact, Foreign
from epochal.store.blobs import Blobs, artifact_key
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = [
    "Place",
    "blob_of",
    "content_headers",
    "keep",
    "list_files",
    "list_place",
    "locate",
    "locate_in",
    "locate_version",
    "receive",
    "remove",
    "run_files",
]

_RUN = re.compile(r"[^/]+/(?P<run>[0-9a-f]{32})/artifacts(?:/(?P<key>.*))?")
_MODEL = re.compile(r"[^/]+/models/(?P<model>m-[0-9a-f]{32})/artifacts(?:/(?P<key>.*))?")
_IN_RUN = re.compile(r"runs:/(?P<run>[0-9a-f]{32})(?:/(?P<path>.*?))?/*")
_HERE = re.compile(r"mlflow-artifacts:(?://[^/]*)?/+(?P<path>.*?)/*")
_WEIGHTS = (".pt", ".pth", ".onnx", ".engine", ".safetensors", ".ckpt", ".keras", ".h5")
_MODEL_FOLDER = "models"
_TEXTS = frozenset({
    "txt", "log", "err", "cfg", "conf", "ini", "toml", "yaml", "yml", "json", "js", "py", "csv",
    "tsv", "md", "rst", "ipynb", "mlmodel", "mlproject",
})  # fmt: skip
"""Extensions, and names without one, that are shown as text whatever the machine makes of them."""


class Place(NamedTuple):
    """Where an artifact belongs: a run, and the key (or folder) in it."""

    run: str
    """Empty: a model that came without a run, and has no files yet."""
    prefix: str
    """``models/<model>/`` for the files of a logged model, else empty."""
    key: str
    """Relative; empty for the root."""


def locate(store: Store, path: str) -> Place:
    """Take a client's artifact path apart.

    Raises
    ------
    MlflowError
        If it has neither of the two shapes, or leaves its place.
    """
    path = path.strip("/")
    if match := _RUN.fullmatch(path):
        return Place(run_of(store, match["run"]).id, "", _key(match["key"]))
    if match := _MODEL.fullmatch(path):
        home = LoggedModels(store).home(match["model"])
        prefix = f"{_MODEL_FOLDER}/{match['model']}/"
        return Place("" if home is None else home.id, prefix, _key(match["key"]))
    raise invalid(f"Invalid artifact path: {path[:300]!r}")


def locate_in(store: Store, run: str, path: str) -> Place:
    """Return the place of a file in a run.

    Raises
    ------
    MlflowError
        If there is no such run, or the path leaves it.
    """
    return Place(run_of(store, run).id, "", _key(path))


def locate_version(store: Store, name: str, version: str, path: str) -> Place:
    """Return the place of a file of a model version.

    Raises
    ------
    MlflowError
        If there is no such version, its files are not here, or the path leaves it.
    """
    key = _key(path)
    source = Registry(store).download_uri(name, version)
    if match := _IN_RUN.fullmatch(source):
        return locate_in(store, match["run"], f"{match['path'] or ''}/{key}".strip("/"))
    if match := _HERE.fullmatch(source):
        return locate(store, f"{match['path']}/{key}")
    raise not_found(f"The files of version {version} of {name} are not here: {source[:200]}")


def _key(text: str | None) -> str:
    text = (text or "").removeprefix("./")  # clients join what they asked for and what they got
    if text in ("", "."):
        return ""
    try:
        return artifact_key(text)
    except InvalidInput:
        raise invalid("Invalid path") from None  # word for word: clients compare it


async def receive(blobs: Blobs, body: AsyncIterator[bytes]) -> tuple[str, int]:
    """Store a request's body as a blob, streamed; return digest and size."""
    import asyncio

    blobs.folder.mkdir(exist_ok=True)
    part = blobs.folder / f".upload-{secrets.token_hex(8)}"
    size = 0
    try:
        with part.open("xb") as file:
            async for piece in body:
                size += len(piece)
                file.write(piece)
        return await asyncio.to_thread(blobs.put_file, part), size
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def keep(store: Store, place: Place, digest: str, size: int) -> None:
    """Record a file that was received."""
    if not place.key:
        raise invalid("An artifact needs a name")
    if not place.run:
        place = place._replace(run=_open_home(store, place.prefix.split("/")[1]))
    key = place.prefix + place.key
    role = "weights" if Path(key).suffix in _WEIGHTS else "file"
    store.record_all(
        [
            (Artifact(key=key, digest=digest, size=size, role=role), None),
            (Foreign(system=SYSTEM, type="deleted-file", key=key), None),
        ],
        place.run,
    )


def _open_home(store: Store, model_id: str) -> str:
    """Open a run of a model's name for its files, unless there is one by now; return its id."""
    models = LoggedModels(store)
    home = models.home(model_id)
    if home is not None:
        return home.id
    model = models.get(model_id)
    run = recording.create_run(
        store, experiment(store, model["experiment_id"]), {"run_name": model["name"]}
    )
    recording.end_run(store, store.run(run), "FINISHED", now(), "")
    models.settle(model_id, run)
    return run


def remove(store: Store, place: Place) -> None:
    """Hide files from MLflow's clients; the run keeps what was recorded."""
    if not place.run:
        return
    document = store.run(place.run)
    whole = place.prefix + place.key
    gone = [k for k in document.artifacts if k == whole or k.startswith(f"{whole.rstrip('/')}/")]
    store.record_all(
        [(Foreign(system=SYSTEM, type="deleted-file", key=key, value=True), None) for key in gone],
        place.run,
    )


def run_files(document: RunDocument) -> dict[str, Any]:
    """Return a run's artifacts that clients see, by key."""
    deleted = foreign_of(document, "deleted-file")
    return {k: stamped.body for k, stamped in document.artifacts.items() if k not in deleted}


def content_headers(name: str) -> dict[str, str]:
    """Return the headers under which a file is given out: saved under its name, never run.

    Parameters
    ----------
    name
        The file's name, without folders.
    """
    extension = name.rpartition(".")[2].lower()
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if extension in _TEXTS or guessed.startswith("text/") or "xml" in guessed:
        guessed = "text/plain"
    plain = re.fullmatch(r"[\w.+\-]+", name, re.ASCII)
    saved = f"filename={name}" if plain else f"filename*=UTF-8''{quote(name)}"
    return {
        "content-type": guessed,
        "content-disposition": f"attachment; {saved}",
        "content-security-policy": "sandbox; default-src 'none'",
    }


def list_place(store: Store, place: Place) -> list[dict[str, Any]]:
    """Return what lies directly in a folder of a run or a model, as `list_files` does."""
    if not place.run:
        return []
    return list_files(store.run(place.run), place.key, place.prefix)


def blob_of(store: Store, place: Place) -> Path:
    """Return where the bytes of a file are.

    Raises
    ------
    MlflowError
        If there is no such file, or its bytes are gone.
    """
    body = run_files(store.run(place.run)).get(place.prefix + place.key) if place.run else None
    if body is None or body.digest not in store.blobs:
        raise not_found(f"No such artifact: {place.key}")
    return store.blobs.path(body.digest)


def list_files(document: RunDocument, folder: str, prefix: str = "") -> list[dict[str, Any]]:
    """Return what lies directly in `folder`: names relative to the root, folders once.

    Asked for a file, it is empty, which is how clients tell a file from a folder.
    """
    base = f"{prefix}{folder}/" if folder else prefix
    entries: dict[str, dict[str, Any]] = {}
    for key, body in run_files(document).items():
        if not key.startswith(base) or (not prefix and key.startswith(f"{_MODEL_FOLDER}/m-")):
            continue
        name, slash, _ = key[len(base) :].partition("/")
        path = f"{folder}/{name}" if folder else name
        if slash:
            entries[path] = {"path": path, "is_dir": True}
        else:
            entries[path] = {"path": path, "is_dir": False, "file_size": body.size}
    return [entries[path] for path in sorted(entries)]
