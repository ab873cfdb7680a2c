"""Who measured: ids under which numbers may be compared, and the AP definition behind each."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

__all__ = ["DEFINITIONS", "EPOCHAL", "Definition", "definition_of", "ultralytics_evaluator"]

EPOCHAL = "epochal/coco101"
"""Our own evaluator: COCO matching and COCO's 101-point AP."""

Definition: TypeAlias = Literal["coco101", "ultralytics", "ultralytics<=8.4.30"]
DEFINITIONS: tuple[Definition, ...] = ("coco101", "ultralytics", "ultralytics<=8.4.30")

_ERAS = (
    ((8, 0, 0), (8, 4, 30), "ultralytics/8.0"),
    ((8, 4, 40), (8, 4, 170), "ultralytics/8.4.40"),
    ((8, 4, 180), (8, 4, 190), "ultralytics/8.4.180"),
)


def ultralytics_evaluator(version: str) -> str:
    """Return the id shared by all Ultralytics versions that define their numbers alike.

    ====================== ========================================= =========================
    versions               AP, and matching for it                   id
    ====================== ========================================= =========================
    8.0.0 to 8.4.30        ramp from the last point to (1, 0);       ``ultralytics/8.0``
                           each detection to its best object
    8.4.40 to 8.4.170      no ramp; the same matching                ``ultralytics/8.4.40``
    8.4.180 to 8.4.190     no ramp; best object still free           ``ultralytics/8.4.180``
    any other              not read                                  ``ultralytics/<version>``
    ====================== ========================================= =========================

    The ramp adds up to several points to AP, so numbers from both sides of a change never compare.
    The releases between two rows lie within the bracket in which the definition changed and
    compare only with themselves, as do releases that nobody has read; evaluating again with
    ``epochal/coco101`` makes any two comparable. Not covered by the id are the confusion matrix
    (its default confidence fell to 0.001 between 8.4.90 and 8.4.105, its matching changed between
    8.4.180 and 8.4.190), which Epochal makes itself, and ``fitness``, which picks the epoch.

    Parameters
    ----------
    version
        As the library states it, e.g. ``8.4.190``; a suffix (``rc1``, ``+cu``) makes it unread.
    """
    numbers = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", version.strip())
    if numbers:
        found = tuple(int(part) for part in numbers.groups())
        for first, last, era in _ERAS:
            if first <= found <= last:
                return era
    return f"ultralytics/{version.strip()}"


def definition_of(evaluator: str) -> Definition:
    """Return the AP definition with which records of `evaluator` are read by default.

    Ultralytics of the first era has its own; every later one, and unread versions, the current
    one; everything else COCO's.
    """
    if evaluator == "ultralytics/8.0":
        return "ultralytics<=8.4.30"
    return "ultralytics" if evaluator.startswith("ultralytics/") else "coco101"
