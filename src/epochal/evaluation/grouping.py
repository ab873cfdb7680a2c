"""Groups of images that were sampled together: clips, sites, sessions. Resampling draws groups."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from epochal.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from epochal.evaluation.detections import Boxes
    from epochal.evaluation.match_records import MatchRecords
    from epochal.evaluation.outcomes import Outcomes

__all__ = ["with_groups"]

Grouped = TypeVar("Grouped", bound="Boxes | MatchRecords | Outcomes")


def with_groups(boxes: Grouped, file: Path | None, group_of: str) -> Grouped:
    """Return boxes or records with a group for each image; unchanged if none is asked for.

    Parameters
    ----------
    file
        CSV file ``image,group``.
    group_of
        Regular expression, searched for in the image's name without its suffix; the group is
        what its first parentheses hold, else all it matches.

    Raises
    ------
    NotFound, InvalidInput
        The file is missing or names not every image, or the expression does not fit one.
    """
    if file is not None and group_of:
        raise InvalidInput("groups come from a file or from image names, not from both")
    if file is not None:
        listed = _group_column(file)
        missing = [name for name in boxes.images if name not in listed]
        if missing:
            raise InvalidInput(
                f"{file} names no group for {len(missing)} images, the first is {missing[0]}",
                "Give each image of the split a line",
            )
        return replace(boxes, groups=tuple(listed[name] for name in boxes.images))
    if not group_of:
        return boxes
    try:
        pattern = re.compile(group_of)
    except re.error as error:
        raise InvalidInput(f"{group_of!r} is no regular expression ({error})") from error
    found = []
    for name in boxes.images:
        hit = pattern.search(str(Path(name).with_suffix("")))
        if hit is None:
            raise InvalidInput(
                f"image {name} does not match {group_of!r}", "It has to fit each image's name"
            )
        found.append(hit.group(1) if pattern.groups else hit.group())
    return replace(boxes, groups=tuple(str(group) for group in found))


def _group_column(file: Path) -> dict[str, str]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened)
            if not {"image", "group"} <= set(reader.fieldnames or ()):
                raise InvalidInput(f"{file} lacks the columns image and group")
            return {row["image"]: row["group"] for row in reader}
    except FileNotFoundError as error:
        raise NotFound(f"{file} does not exist") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{file} cannot be read as CSV ({error})") from error
