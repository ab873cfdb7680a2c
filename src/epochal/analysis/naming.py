"""Names of runs: ``<version>_<what_changed>``, checked and suggested.

A name like ``v3_pallets_added`` is read years later; ``train2`` is not. `check` tells whether a
name says something, `suggest` makes one out of the difference to the parent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Collection

    from epochal.analysis.config_difference import Change, ConfigDifference

__all__ = [
    "DEFAULT_PATTERN",
    "MAX_LENGTH",
    "NameVerdict",
    "check",
    "is_tool_default",
    "suggest",
    "version_of",
]

DEFAULT_PATTERN = r"v\d+_[a-z0-9]+(_[a-z0-9]+)*"
"""``<version>_<what_changed>``; a charter may set another."""

MAX_LENGTH = 60
"""Characters that a suggested name has at most, so that it fits a table."""

_MAX_WORD = 24


class NameVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a name says what the run is."""

    ok: bool
    problem: str = ""
    remedy: str = ""


# A counter in the manner of Ultralytics (train2, train-2), YOLOv5 (exp3) or Lightning (version_0).
_COUNTED = re.compile(
    r"(train|val|test|predict|exp|experiment|run|runs|job|trial|task|model|version|output|result"
    r"|results|default|debug|tmp|temp|untitled|unnamed|unknown|new|my_?run)([-_ ]?\d+)?"
)
_MODEL_FILE = re.compile(
    r"(yolov?\d+|yolo_?nas|yolo_?world|rtdetr|rt-detr|fastsam|sam)([-_]?[a-z])?u?"
    r"(-(seg|cls|pose|obb|sem|depth|p2|p6|world|worldv2))*(\.(pt|yaml|yml|onnx))?([-_]?\d+)?"
)
# What could also be meant, and is therefore only looked at where the project's pattern fails.
_GENERATED = {
    "random words": re.compile(r"[a-z]+-[a-z]+-\d+|[a-z]+_[a-z]+_\d+"),
    "a time": re.compile(r"([a-z]+[-_])?\d{4}-?\d\d-?\d\d([t_ -]?\d\d[-:.h]?\d\d([-:.m]?\d\d)?)?"),
    "an id": re.compile(
        r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}|[0-9a-f]{16,}"
        r"|[a-z]{2,}-\d+"
    ),
    "a number": re.compile(r"\d+"),
}


def is_tool_default(name: str) -> bool:
    """Whether `name` is one that a tool gives when nobody names the run (``train2``, ``exp``)."""
    folded = name.strip().casefold()
    return not folded or bool(_COUNTED.fullmatch(folded) or _MODEL_FILE.fullmatch(folded))


def check(name: str, pattern: str = DEFAULT_PATTERN, *, suggestion: str = "") -> NameVerdict:
    """Return whether `name` follows `pattern`, and if not, what to do.

    Parameters
    ----------
    pattern
        A regular expression for the whole name, from the charter. A tool's default name is
        refused even where it fits.
    suggestion
        A better name, e.g. from `suggest`, for the remedy.

    Raises
    ------
    InvalidInput
        If `pattern` is no regular expression.
    """
    try:
        follows = re.fullmatch(pattern, name) is not None
    except re.error as error:
        raise InvalidInput(
            f"The naming pattern {pattern!r} is no regular expression: {error}",
            "Correct it in the charter",
        ) from None
    if pattern == DEFAULT_PATTERN:
        remedy = f"Name it <version>_<what_changed>, e.g. {suggestion or 'v3_pallets_added'}"
    else:
        remedy = f"Name it by the charter's pattern {pattern}"
        remedy += f", e.g. {suggestion}" if suggestion else ""
    if is_tool_default(name):
        problem = (
            f"{name!r} is a tool's default, not a name" if name.strip() else "The run has no name"
        )
        return NameVerdict(ok=False, problem=problem, remedy=remedy)
    if follows:
        return NameVerdict(ok=True)
    folded = name.strip().casefold()
    for what, generated in _GENERATED.items():
        if generated.fullmatch(folded):
            problem = f"{name!r} looks like {what} that a tool made up"
            return NameVerdict(ok=False, problem=problem, remedy=remedy)
    return NameVerdict(
        ok=False, problem=f"{name!r} does not say version and change", remedy=remedy
    )


def version_of(name: str) -> int | None:
    """Return the version that `name` begins with (3 for ``v3_pallets_added``), or None."""
    # more than six digits are a date or an id, not a count of trainings
    match = re.match(r"v(\d{1,6})(?!\d)", name, re.IGNORECASE)
    return int(match[1]) if match else None


def suggest(
    parent_name: str | None,
    difference: ConfigDifference | None,
    taken_names: Collection[str] = (),
) -> str:
    """Return a name for a run: the project's next version, and what changed against the parent.

    ``v4_imgsz_160`` for one change, two are joined, of more the first two are named
    (``v4_imgsz_160_lr0_0p002_and_3_more``). A run without a parent is a baseline. The name is not
    in `taken_names`, has at most `MAX_LENGTH` characters and passes `check`.
    """
    names = set(taken_names) | ({parent_name} if parent_name else set())
    version = 1 + max((version_of(name) or 0 for name in names), default=0)
    more = ""
    if parent_name is None or difference is None:
        words = "baseline" if parent_name is None else "rerun"
    elif difference.replicate:
        seed = next(change for change in difference.ignored if change.ignored == "seed")
        words = _slug(f"seed_{_value_words(seed.after)}")
    elif not difference.changes:
        words = "rerun"
    else:
        words = "_".join(_words(change) for change in difference.changes[:2])
        more = f"_and_{difference.count - 2}_more" if difference.count > 2 else ""
    while (name := _fitted(version, words, more)) in names:
        version += 1
    return name


def _fitted(version: int, words: str, more: str) -> str:
    room = MAX_LENGTH - len(f"v{version}_{more}")
    return f"v{version}_{words[:room].rstrip('_')}{more}"


def _words(change: Change) -> str:
    """Return one change as name parts: ``imgsz_160``, ``dataset_v3``, ``no_freeze``."""
    last = change.key.rpartition(".")[2]
    key = (_slug(last) or _slug(change.key) or "config")[:_MAX_WORD].rstrip("_")
    if change.kind == "removed":
        return f"no_{key}"
    after, before = change.after, change.before
    if change.source == "dataset" and isinstance(after, str) and isinstance(before, str):
        # of pallets@v2 -> pallets@v3 only the tag has changed
        name, _, tag = after.rpartition("@")
        after = tag if name == before.rpartition("@")[0] else after
    return f"{key}_{_value_words(after)}"


def _value_words(value: Any) -> str:
    """Return a value as name parts; of a path its stem, of a float ``0p002``."""
    if value is None:
        text = "none"
    elif isinstance(value, bool):
        text = "on" if value else "off"
    elif isinstance(value, int | float):
        text = _number_words(value)
    elif isinstance(value, list | tuple):
        text = "_".join(_value_words(item) for item in value[:4])
    elif isinstance(value, str):
        stem = re.split(r"[/\\]", value.rstrip("/\\"))[-1]
        text = re.sub(r"\.(pt|pth|ya?ml|json|txt|onnx)$", "", stem, flags=re.IGNORECASE)
    else:
        text = "changed"
    return _slug(text)[:_MAX_WORD].rstrip("_") or "changed"


def _number_words(value: int | float) -> str:
    if isinstance(value, int) and abs(value) >= 10**9:
        return "large"
    return f"{value:.6g}".replace("+", "").replace("-", "m").replace(".", "p")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_")
