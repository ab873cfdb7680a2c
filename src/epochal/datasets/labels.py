"""Label files in YOLO's text format: one object a line, checked and reduced to their meaning.

A line is ``class x y w h`` (a box), ``class x1 y1 x2 y2 x3 y3 ...`` (a polygon) or, where the
dataset declares keypoints, a box followed by its points; everything but the class is a share of
the image's width or height. The rules are those by which Ultralytics keeps or drops an image.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal, NamedTuple

import msgspec
from blake3 import blake3

from epochal.datasets.problems import Severity

__all__ = ["MAX_LABEL_BYTES", "Flaw", "Form", "LabelRules", "Labels", "parse_labels"]

MAX_LABEL_BYTES = 64 << 20
"""A label file larger than this is not one."""

_TOLERANCE = 0.01
"""Ultralytics keeps coordinates up to one percent outside the image."""

_MAX_FLAWS = 20
"""Flaws reported for one file; a wrong file is wrong in every line."""

Form = Literal["", "boxes", "polygons", "keypoints", "class"]


class LabelRules(msgspec.Struct, frozen=True):
    """What a dataset's data.yaml says about its labels."""

    classes: int
    """Number of classes; a label's class is below it."""
    keypoints: tuple[int, int] | None = None
    """(points, numbers per point: 2 or 3), or None."""


class Flaw(NamedTuple):
    """One thing wrong in a label file."""

    line: int
    problem: str
    remedy: str
    severity: Severity = "error"


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """One parsed label file."""

    digest: str = ""
    """BLAKE3 of the meaning: the rows, numbers in shortest form, sorted. Line ends, spacing, the
    order of rows and ``0.50`` for ``0.5`` do not change it; any box does. Empty for background,
    with or without a file. A file with errors has the digest of its bytes instead."""
    objects: tuple[tuple[int, int], ...] = ()
    """(class, number of objects), sorted. Empty where the file has errors."""
    form: Form = ""
    """Empty where there are no objects."""
    flaws: tuple[Flaw, ...] = ()

    @property
    def malformed(self) -> bool:
        """Whether there is an error, so that the trainer ignores the image."""
        return any(flaw.severity == "error" for flaw in self.flaws)


def parse_labels(content: bytes, rules: LabelRules) -> Labels:
    """Parse the bytes of a label file; what is wrong is returned, not raised."""
    parser = _Parser(rules)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        parser.flaw(line, "is not UTF-8 text", "Export the labels again as plain text")
    else:
        if not rules.keypoints and (plain := _plain_boxes(text, rules.classes)) is not None:
            return plain
        parser.read(text)
    return parser.result(content)


def _plain_boxes(text: str, classes: int) -> Labels | None:
    """Return the labels of a file of nothing but boxes without a flaw; None for any other.

    Nearly all files are such, and a scan parses a hundred thousand of them.
    """
    objects: dict[int, int] = {}
    rows: list[str] = []
    for line in text.split("\n"):
        words = line.split()
        if not words:
            continue
        if len(words) != 5:
            return None
        try:
            number, x, y, w, h = map(float, words)
        except ValueError:
            return None
        if not (
            0 <= x <= 1 and 0 <= y <= 1 and 0 < w <= 1 and 0 < h <= 1 and 0 <= number < classes
        ):
            return None
        category = int(number)
        if category != number:
            return None
        objects[category] = objects.get(category, 0) + 1
        rows.append(f"{category} {x + 0.0!r} {y + 0.0!r} {w!r} {h!r}")
    if not rows:
        return Labels()
    if len(set(rows)) < len(rows):
        return None
    rows.sort()
    return Labels(
        digest=blake3("\n".join(rows).encode()).hexdigest(),
        objects=tuple(sorted(objects.items())),
        form="boxes",
    )


class _Parser:
    def __init__(self, rules: LabelRules) -> None:
        self.rules = rules
        self.form: Form = ""
        self.objects: Counter[int] = Counter()
        self.rows: list[str] = []
        self.flaws: list[Flaw] = []
        self.failed = False

    def flaw(self, line: int, problem: str, remedy: str, severity: Severity = "error") -> None:
        self.failed = self.failed or severity == "error"
        if len(self.flaws) < _MAX_FLAWS:
            self.flaws.append(Flaw(line, problem, remedy, severity))

    def read(self, text: str) -> None:
        lines = [
            (n, words) for n, line in enumerate(text.splitlines(), 1) if (words := line.split())
        ]
        if not lines:
            return
        if self.rules.keypoints:
            self.form = "keypoints"
        else:
            self.form = "polygons" if any(len(words) > 6 for _, words in lines) else "boxes"
        seen: set[str] = set()
        for number, words in lines:
            row = self._row(number, words)
            if row is None:
                continue
            if row in seen:
                self.flaw(number, "repeats an earlier row", "Remove the duplicate", "warning")
            seen.add(row)
            self.rows.append(row)

    def _row(self, line: int, words: list[str]) -> str | None:
        """Return the canonical text of a row, or None after noting what is wrong with it."""
        if not self._columns_fit(line, len(words)):
            return None
        try:
            # adding zero makes -0.0 the 0.0 that it means
            category, *values = [float(word) + 0.0 for word in words]
        except ValueError:
            bad = next(word for word in words if not _is_number(word))
            self.flaw(line, f"{bad[:40]!r} is not a number", "Write numbers only")
            return None
        if not 0 <= category < self.rules.classes or category % 1:
            known = f"0 to {self.rules.classes - 1}"
            remedy = "Correct the label, or add the class to names in data.yaml"
            self.flaw(line, f"class {words[0][:40]} is not one of the classes {known}", remedy)
            return None
        if not self._coordinates_fit(line, values):
            return None
        self.objects[int(category)] += 1
        return f"{int(category)} {' '.join(map(repr, values))}"

    def _columns_fit(self, line: int, columns: int) -> bool:
        if self.rules.keypoints:
            points, numbers = self.rules.keypoints
            wanted = 5 + points * numbers
            if columns == wanted:
                return True
            expected = (
                f"{wanted} expected: class x y w h and {points} keypoints of {numbers} numbers"
            )
        elif self.form == "polygons":
            if columns >= 7 and columns % 2:
                return True
            if columns == 5:
                remedy = "Keep boxes and polygons in different files: the trainer drops a mixture"
                self.flaw(line, "is a box in a file of polygons", remedy)
                return False
            expected = "a polygon has a class and at least three points of two numbers"
        else:
            if columns == 5:
                return True
            expected = "5 expected: class x y w h"
        self.flaw(line, f"{columns} columns, {expected}", "Correct or remove the line")
        return False

    def _coordinates_fit(self, line: int, values: list[float]) -> bool:
        inside = values
        if self.rules.keypoints:
            step = self.rules.keypoints[1]
            inside = values[:4] + [v for i, v in enumerate(values[4:]) if i % step < 2]
        # written so that NaN, which fails every comparison, is outside
        outside = [v for v in inside if not 0.0 <= v <= 1.0]
        outside += [v for v in values if not v > -_TOLERANCE and v not in outside]
        size = values[2:4] if self.form != "polygons" else []
        remedy = "Divide by the image's width and height, and clip to the image"
        for value in outside:
            if not -_TOLERANCE <= value <= 1 + _TOLERANCE:
                self.flaw(line, f"coordinate {value:g} is outside 0..1", remedy)
                return False
        if any(v < 0 for v in size):
            self.flaw(line, "the width or height is negative", remedy)
            return False
        if outside:
            self.flaw(line, f"coordinate {outside[0]!r} is just outside 0..1", remedy, "warning")
        if 0.0 in size:
            self.flaw(line, "the box has no area", "Remove the line", "warning")
        return True

    def result(self, content: bytes) -> Labels:
        flaws = tuple(self.flaws)
        if self.failed:
            # an error must be among the reported ones even where warnings filled the list
            if not any(flaw.severity == "error" for flaw in flaws):
                more = Flaw(
                    0, "has more problems than are listed", "Correct the listed ones first"
                )
                flaws = (*flaws, more)
            return Labels(digest=blake3(b"malformed\0" + content).hexdigest(), flaws=flaws)
        if not self.rows:
            return Labels(flaws=flaws)
        canonical = "\n".join(sorted(self.rows))
        return Labels(
            digest=blake3(canonical.encode()).hexdigest(),
            objects=tuple(sorted(self.objects.items())),
            form=self.form,
            flaws=flaws,
        )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
