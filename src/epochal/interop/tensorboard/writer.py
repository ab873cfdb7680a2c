"""Giving a run out as event files, for the real TensorBoard and whatever reads its files."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from epochal.errors import Refused
from epochal.interop.tensorboard.event_files import frame
from epochal.interop.tensorboard.messages import Event, HParams
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["export_run"]

_STATUS = {"finished": 1, "failed": 2, "killed": 2, "running": 3}
_VERSION = "brain.Event:2"


def export_run(
    store: Store,
    document: RunDocument,
    destination: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the run's curves, images and config into a folder of its own; return the event file.

    Parameters
    ----------
    destination
        The log directory: the run's folder in it is named after the run.

    Raises
    ------
    Refused
        If that folder is there and not empty.
    """
    place = destination / (document.name.replace("/", "_") or document.id[:8])
    if place.exists() and any(place.iterdir()):
        raise Refused(f"{place} is not empty", "name another folder, or empty it")
    place.mkdir(parents=True, exist_ok=True)
    name = f"events.out.tfevents.{document.created // 1_000_000}.{socket.gethostname()}.epochal"
    path, part = place / name, place / f".{name}.part"
    keys = sorted(document.metrics)
    with part.open("wb") as file:
        first = Event(wall_time=document.created / 1e6, file_version=_VERSION)
        file.write(frame(first.SerializeToString()))
        file.write(frame(_hparams(document, store).SerializeToString()))
        for done, key in enumerate(keys, start=1):
            points = store.points.read(document.id, key)
            event = Event()
            value = event.summary.value.add(tag=key)
            for step, _, time, number in points.rows():
                event.wall_time, event.step, value.simple_value = time / 1e6, step, number
                file.write(frame(event.SerializeToString()))
            if progress:
                progress(done, len(keys))
        for stamped in document.images:
            event = Event(wall_time=stamped.t / 1e6, step=stamped.body.step)  # type: ignore[union-attr]
            value = event.summary.value.add(tag=stamped.body.key)  # type: ignore[union-attr]
            value.image.encoded_image_string = store.blobs.get(stamped.body.digest)  # type: ignore[union-attr]
            file.write(frame(event.SerializeToString()))
    part.rename(path)
    return path


def _hparams(document: RunDocument, store: Store) -> Event:
    """Return the event that the hparams page reads a session from."""
    session = HParams()
    for key, value in sorted({**document.effective, **document.config}.items()):
        entry = session.session_start_info.hparams[key]
        if isinstance(value, bool):
            entry.bool_value = value
        elif isinstance(value, int | float):
            entry.number_value = value
        else:
            entry.string_value = str(value)
    session.session_start_info.start_time_secs = document.created / 1e6
    event = Event(wall_time=document.created / 1e6)
    event.summary.value.add(tag="_hparams_/session_start_info")
    event.summary.value[0].metadata.plugin_data.plugin_name = "hparams"
    event.summary.value[0].metadata.plugin_data.content = session.SerializeToString()
    end = HParams()
    end.session_end_info.status = _STATUS.get(store.status(document), 0)
    end.session_end_info.end_time_secs = document.last_t / 1e6
    event.summary.value.add(tag="_hparams_/session_end_info")
    event.summary.value[1].metadata.plugin_data.plugin_name = "hparams"
    event.summary.value[1].metadata.plugin_data.content = end.SerializeToString()
    return event
