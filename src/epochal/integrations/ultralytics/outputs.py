"""The files that a training leaves in its folder, and which of them are worth keeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["output_files", "wait_for_plots"]

_PLOTS = {".png", ".jpg", ".jpeg"}
_FILES = {
    "results.csv": "table",
    "args.yaml": "config",
    "weights/best.pt": "weights",
    "weights/last.pt": "weights",
}
_PLOT_FUNCTIONS = {"plot_images", "plot_labels", "plot_results"}


def output_files(folder: Path, since: float = 0.0) -> Iterator[tuple[str, Path, str]]:
    """Yield (key, path, role) of the files below `folder` that are to be kept.

    Parameters
    ----------
    since
        Seconds since the Unix epoch: with ``exist_ok=True`` a folder can hold older files, which
        belong to another training.
    """
    candidates = [(key, folder / key, role) for key, role in _FILES.items()]
    plots = sorted(path for path in folder.glob("*") if path.suffix.lower() in _PLOTS)
    candidates += [(path.name, path, "plot") for path in plots]
    for key, path, role in candidates:
        if path.is_file() and path.stat().st_mtime >= since:
            yield key, path, role


def wait_for_plots(timeout: float = 30.0) -> None:
    """Wait for the threads in which Ultralytics still draws images, `timeout` seconds at most."""
    deadline = time.monotonic() + timeout
    for thread in threading.enumerate():
        target = getattr(thread, "_target", None)  # no public way to ask a thread what it does
        if getattr(target, "__name__", "") in _PLOT_FUNCTIONS:
            thread.join(max(0.0, deadline - time.monotonic()))
