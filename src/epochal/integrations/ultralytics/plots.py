"""Ultralytics draws its images in threads; files are taken once these are done."""

from __future__ import annotations

import threading
import time

__all__ = ["wait_for_plots"]

_PLOT_FUNCTIONS = {"plot_images", "plot_labels", "plot_results"}


def wait_for_plots(timeout: float = 30.0) -> None:
    """Wait for the threads in which Ultralytics still draws images, `timeout` seconds at most."""
    deadline = time.monotonic() + timeout
    for thread in threading.enumerate():
        target = getattr(thread, "_target", None)  # no public way to ask a thread what it does
        if getattr(target, "__name__", "") in _PLOT_FUNCTIONS:
            thread.join(max(0.0, deadline - time.monotonic()))
