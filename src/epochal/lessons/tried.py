"""Have we tried this? Earlier runs that changed the same thing, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from epochal.analysis.config_difference import Change, ConfigDifference
from epochal.analysis.metrics import DEFAULT_REGISTRY, Registry
from epochal.lessons.drafting import draft_result
from epochal.lessons.index import LessonIndex, Searchable
from epochal.lessons.searching import search_lessons

if TYPE_CHECKING:
    from epochal.store.store import Store

__all__ = ["Tried", "have_we_tried"]

_SAME_KEY, _SAME_VALUE, _SAME_WAY = 0.6, 0.4, 0.2
_LIKE = 0.3
"""From this similarity on an earlier change is worth mentioning."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier run that changed something similar."""

    run: str
    name: str
    project: str
    created: int
    change: str
    """What it changed against its parent."""
    similarity: float | None
    """1: the same keys to the same values and nothing else; less, the less of it is the same.
    None: found by words, which have no measure."""
    result: str
    """What its lesson says came of it; drafted from the numbers where nobody wrote one."""
    drafted: bool
    """Whether `result` is such a draft."""


def have_we_tried(
    store: Store,
    project: str,
    change: ConfigDifference | Sequence[Change] | str,
    *,
    exclude: str = "",
    limit: int = 5,
    metric: str = "mAP50-95",
    registry: Registry = DEFAULT_REGISTRY,
) -> list[Tried]:
    """Return earlier runs of the project with a similar change, the most similar first.

    Parameters
    ----------
    change
        What is about to be changed: a difference to the parent, or text. ``imgsz=1280 lr0=0.01``
        is read as keys and values; any other text is searched for.
    exclude
        Id of the run that asks.
    metric, registry
        For the drafted results.
    """
    index = LessonIndex.of(store)
    runs = {run.id: run for run in index.runs(project) if run.id != exclude}
    if isinstance(change, ConfigDifference):
        change = change.changes
    if isinstance(change, str) and not (parsed := _parse(change)):
        hits = search_lessons(store, change, project=project, limit=limit + 1)
        ranked: list[tuple[float | None, Searchable]] = [
            (None, runs[hit.run]) for hit in hits if hit.run in runs
        ]
    else:
        asked = parsed if isinstance(change, str) else [c for c in change if c.source != "commit"]
        alike = [(_similarity(asked, run), run) for run in runs.values()]
        alike.sort(key=lambda pair: (-pair[0], -pair[1].created, pair[1].id))
        ranked = [pair for pair in alike if pair[0] >= _LIKE]
    found = []
    for similarity, run in ranked[:limit]:
        written = run.lesson.result if run.lesson else ""
        result = written or draft_result(
            store, store.run(run.id), metric=metric, registry=registry
        )
        found.append(
            Tried(
                run=run.id,
                name=run.name,
                project=run.project,
                created=run.created,
                change=run.texts.get("config", "") or run.texts.get("change", ""),
                similarity=None if similarity is None else round(similarity, 3),
                result=result,
                drafted=not written,
            )
        )
    return found


def _parse(text: str) -> list[Change]:
    """Return ``key=value`` pairs as changes; nothing where the text is anything else."""
    parts = text.replace(",", " ").split()
    pairs = [re.fullmatch(r"([\w.\-]+)=(\S+)", part) for part in parts]
    if not pairs or None in pairs:
        return []
    return [Change(key=m[1], kind="changed", after=_value(m[2])) for m in pairs if m]


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _similarity(asked: Sequence[Change], run: Searchable) -> float:
    """Return how alike two sets of changes are, 0..1."""
    made = [c for c in run.changes if c.source != "commit"]
    if not asked or not made:
        return 0.0
    shared = sum(max(_alike(one, other) for other in made) for one in asked) / len(asked)
    extra = max(0, len(made) - len(asked))
    return shared / (1 + 0.1 * extra)


def _alike(one: Change, other: Change) -> float:
    if _last(one.key) != _last(other.key):
        return 0.0
    if one.source == "dataset" and _name(one.after) != _name(other.after):
        return 0.0
    if one.after == other.after or str(one.after) == str(other.after):
        return _SAME_KEY + _SAME_VALUE
    ways = (_way(one), _way(other))
    return _SAME_KEY + (_SAME_WAY if ways[0] and ways[0] == ways[1] else 0.0)


def _last(key: str) -> str:
    return key.rpartition(".")[2].casefold()


def _name(value: Any) -> str:
    return str(value).partition("@")[0]


def _way(change: Change) -> int:
    """Return whether a number went up (1) or down (-1); 0 where that is not known."""
    before, after = change.before, change.after
    if not (isinstance(before, int | float) and isinstance(after, int | float)):
        return 0
    return (after > before) - (after < before)
