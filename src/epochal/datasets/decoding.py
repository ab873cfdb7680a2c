"""Whether images can be decoded: what a trainer finds out one by one, known before it starts."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from epochal.datasets.problems import Problem, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from epochal.datasets.scanning import Scan

__all__ = ["undecodable"]

_SMALLEST = 10
"""Pixels a side below which Ultralytics ignores an image."""
_END_OF_JPEG = b"\xff\xd9"


def undecodable(
    scanned: Scan, *, progress: Callable[[int, int], None] | None = None
) -> list[Problem]:
    """Return a row for each image that cannot be decoded, or that a trainer would change.

    Every image is decoded, which takes milliseconds each. Empty files are among the problems of
    the scan already.

    Parameters
    ----------
    progress
        Called with (images done, images in all).
    """
    files = sorted({scanned.files[entry.path] for entry in scanned.manifest.entries if entry.size})
    found = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for done, problem in enumerate(pool.map(_check, files), 1):
            if problem is not None:
                found.append(problem)
            if progress is not None:
                progress(done, len(files))
    return found


def _check(file: str) -> Problem | None:
    from PIL import Image  # a reader of many formats, needed here alone

    try:
        with Image.open(file) as image:
            form, size = image.format, image.size
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        what = " ".join(str(error).replace(file, "the file").split())[:120]
        return _problem(file, f"cannot be decoded ({what})", "Replace the image, or remove it")
    if min(size) < _SMALLEST:
        sides = f"{size[0]} x {size[1]} pixels"
        return _problem(file, f"{sides}: a trainer ignores it", "Remove the image")
    if form in ("JPEG", "MPO") and not _ends(file):
        # it still trains, on a file that Ultralytics rewrites in place as it starts
        problem = (
            "JPEG that goes on after its end marker: Ultralytics rewrites it, a change of version"
        )
        return _problem(file, problem, "Save the image again before tagging", warning=True)
    return None


def _ends(file: str) -> bool:
    with open(file, "rb") as opened:  # noqa: PTH123 - a path as the scan holds it
        opened.seek(-2, os.SEEK_END)
        return opened.read() == _END_OF_JPEG


def _problem(file: str, problem: str, remedy: str, *, warning: bool = False) -> Problem:
    return Problem(
        file=printable(file),
        problem=problem,
        remedy=remedy,
        severity="warning" if warning else "error",
    )
