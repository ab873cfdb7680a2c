"""Full-text search over what runs taught, were meant to show, are called and have changed.

Every word has to occur, as the beginning of a word, in any field; where no run has them all,
those that have the most are returned and say which are missing. Accents and case do not matter.
A part in quotes, and one with punctuation inside (``mAP50-95``), is found as it stands.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from epochal.errors import EpochalError
from epochal.lessons.index import SEARCHED, LessonIndex, Searchable, fold
from epochal.lessons.workspaces import known_workspaces
from epochal.records import LessonWritten

if TYPE_CHECKING:
    from epochal.store.store import Store

__all__ = ["Hit", "Snippet", "search_everywhere", "search_lessons"]

_SNIPPET = 160
"""Characters of a snippet."""
_WITH_LESSON = 1.5
"""A run that somebody wrote about says more than one with a fitting name."""


class Snippet(msgspec.Struct, frozen=True, kw_only=True):
    """Where the words were found."""

    field: str
    """One of ``name``, ``tags``, ``hypothesis``, ``change``, ``result``, ``next``, ``text``,
    ``config`` (the difference to the parent)."""
    text: str
    """The part of the field with the words in it, on one line."""
    marks: tuple[tuple[int, int], ...]
    """(start, end) of what was found, in characters of `text`."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One run that was found."""

    run: str
    name: str
    project: str
    created: int
    score: float
    snippets: tuple[Snippet, ...]
    """Best field first."""
    lesson: LessonWritten | None
    hypothesis: str
    """As pre-registered."""
    missing: tuple[str, ...] = ()
    """The words that occur nowhere in it."""
    workspace: str = ""
    """Folder of the workspace, where that is another one than the one searched from."""


def search_lessons(
    store: Store, words: str, *, project: str | None = None, limit: int = 50
) -> list[Hit]:
    """Return the runs in which `words` occur, best first.

    Parameters
    ----------
    words
        Empty: all runs with a lesson or a hypothesis, newest first.
    project
        None searches all projects.
    """
    index = LessonIndex.of(store)
    runs = index.runs(project)
    terms = _terms(words)
    if not terms:
        told = [run for run in runs if run.lesson or run.hypothesis]
        told.sort(key=lambda run: run.created, reverse=True)
        return _still_there(store, index, [_hit(run, (), 0.0) for run in told[:limit]])
    if not runs:
        return []
    occurs = [[term in run.whole for term in terms] for run in runs]
    counts = [sum(column) for column in zip(*occurs, strict=True)]
    rarity = {
        term: math.log(1 + len(runs) / count)
        for term, count in zip(terms, counts, strict=True)
        if count
    }
    most = max(map(sum, occurs), default=0)
    if not most:
        return []
    scored = [
        (_score(run, terms, rarity), run)
        for run, found in zip(runs, occurs, strict=True)
        if sum(found) == most
    ]
    scored.sort(key=lambda pair: (-pair[0], -pair[1].created, pair[1].id))
    hits = [_hit(run, terms, score) for score, run in scored[:limit]]
    return _still_there(store, index, hits)


def search_everywhere(
    store: Store,
    words: str,
    *,
    limit: int = 50,
    workspaces: Iterable[Path] | None = None,
) -> tuple[list[Hit], list[str]]:
    """Search this workspace and all others that this user knows.

    Parameters
    ----------
    workspaces
        Default: those of `known_workspaces`.

    Returns
    -------
    hits, unreadable
        Best first over all; and a line for each workspace that could not be searched.
    """
    from epochal.journal.folder import Folder
    from epochal.store.store import Store as OpenStore

    hits = search_lessons(store, words, limit=limit)
    unreadable = []
    here = store.folder.root.resolve()
    for place in known_workspaces() if workspaces is None else workspaces:
        if place.resolve() == here:
            continue
        try:
            with OpenStore(Folder.at(place)) as other:
                hits.extend(
                    msgspec.structs.replace(hit, workspace=str(place))
                    for hit in search_lessons(other, words, limit=limit)
                )
        except (EpochalError, OSError) as error:
            unreadable.append(f"{place}: {error}")
    hits.sort(key=lambda hit: (len(hit.missing), -hit.score, -hit.created))
    return hits[:limit], unreadable


def _still_there(store: Store, index: LessonIndex, hits: list[Hit]) -> list[Hit]:
    """Return the hits whose runs were not purged meanwhile."""
    kept = []
    for hit in hits:
        try:
            store.run(hit.run)
        except EpochalError:
            index.forget(hit.run)
        else:
            kept.append(hit)
    return kept


def _terms(words: str) -> tuple[str, ...]:
    """Return what has to occur in folded text, each once; most begin with a space."""
    found: dict[str, None] = {}
    for quoted, plain in re.findall(r'"([^"]*)"?|([^\s"]+)', words):
        folded = fold(quoted or plain)
        if not folded.strip():
            continue
        term = folded if quoted else folded.rstrip()
        # scripts without spaces between words have no beginnings of words to look for
        found[term.strip() if _unspaced(term) else term] = None
    return tuple(found)


def _unspaced(text: str) -> bool:
    return any("\u3040" <= c <= "\u9fff" or "\u0e00" <= c <= "\u0fff" for c in text)


def _score(run: Searchable, terms: tuple[str, ...], rarity: dict[str, float]) -> float:
    score = 0.0
    for field, text in run.folded.items():
        weight = SEARCHED[field] / (1 + len(text) / 2000)
        for term in terms:
            if term in text:
                score += weight * rarity[term] * (1.25 if f"{term} " in text else 1.0)
    return score * (_WITH_LESSON if run.lesson else 1.0)


def _hit(run: Searchable, terms: tuple[str, ...], score: float) -> Hit:
    snippets = []
    fields = sorted(run.texts, key=lambda field: -SEARCHED[field])
    for field in fields:
        hit_terms = [term for term in terms if term in run.folded[field]]
        if hit_terms:
            snippets.append(_snippet(field, run.texts[field], hit_terms))
    return Hit(
        run=run.id,
        name=run.name,
        project=run.project,
        created=run.created,
        score=round(score, 4),
        snippets=tuple(snippets),
        lesson=run.lesson,
        hypothesis=run.hypothesis,
        missing=tuple(term.strip() for term in terms if term not in run.whole),
    )


def _snippet(field: str, text: str, terms: list[str]) -> Snippet:
    line = " ".join(text.split())
    marks = _marks(line, terms)
    start = 0
    if marks and len(line) > _SNIPPET:
        start = max(0, min(marks[0][0] - _SNIPPET // 4, len(line) - _SNIPPET))
        if start:  # begin with a whole word
            start = line.find(" ", start, marks[0][0]) + 1 or start
    end = min(len(line), start + _SNIPPET)
    before, after = ("… " if start else ""), (" …" if end < len(line) else "")
    shift = len(before) - start
    return Snippet(
        field=field,
        text=f"{before}{line[start:end]}{after}",
        marks=tuple((a + shift, min(b, end) + shift) for a, b in marks if start <= a < end),
    )


def _marks(line: str, terms: list[str]) -> list[tuple[int, int]]:
    """Return where the terms stand in the unfolded line, without overlaps."""
    folded, places = _folded_with_places(line)
    spans: list[tuple[int, int]] = []
    for term in terms:
        lead = len(term) - len(term.lstrip())
        width = len(term.strip())
        at = folded.find(term)
        while at >= 0:
            first = at + lead
            spans.append((places[first], places[first + width - 1] + 1))
            at = folded.find(term, at + 1)
    merged: list[tuple[int, int]] = []
    for span in sorted(spans):
        if merged and span[0] < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], span[1]))
        else:
            merged.append(span)
    return merged


def _folded_with_places(line: str) -> tuple[str, list[int]]:
    """Return `fold(line)` and, for each of its characters, the place in `line` it comes from."""
    out: list[str] = [" "]
    places = [0]
    for place, character in enumerate(line):
        plain = unicodedata.normalize("NFKD", character.casefold()).casefold()
        for c in plain:
            if unicodedata.combining(c):
                continue
            if c.isalnum():
                out.append(c)
                places.append(place)
            elif out[-1] != " ":
                out.append(" ")
                places.append(place)
    if out[-1] != " ":
        out.append(" ")
        places.append(len(line) - 1)
    return "".join(out), places
