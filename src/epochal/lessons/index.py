"""All that is searched, folded once and kept in memory: names, tags, lessons, what changed."""

from __future__ import annotations

import re
import threading
import unicodedata
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from epochal.analysis.config_difference import Change
from epochal.comparison.run_difference import config_difference, parent_of
from epochal.lessons.writing import is_empty

if TYPE_CHECKING:
    from epochal.records import LessonWritten
    from epochal.store.documents import RunDocument
    from epochal.store.store import Store

__all__ = ["SEARCHED", "LessonIndex", "Searchable", "fold"]

SEARCHED = {
    "name": 6.0,
    "tags": 5.0,
    "hypothesis": 4.0,
    "change": 4.0,
    "result": 4.0,
    "next": 3.0,
    "config": 3.0,
    "text": 2.0,
}
"""Field -> how much a word in it says of the run. ``config`` is the difference to the parent."""


_BETWEEN_WORDS = re.compile(r"[\W_]+")


class Searchable(NamedTuple):
    """One run as it is searched."""

    id: str
    name: str
    project: str
    created: int
    hypothesis: str
    """As pre-registered."""
    lesson: LessonWritten | None
    changes: tuple[Change, ...]
    """What counts as changed against the parent."""
    texts: dict[str, str]
    """Field of `SEARCHED` -> what stands there; empty ones are left out."""
    folded: dict[str, str]
    """The same, by `fold`."""
    whole: str
    """All of `folded`, a line each."""


class LessonIndex:
    """The runs of a store, ready to be searched. One for each open store; see `of`."""

    def __init__(self) -> None:
        self._change = 0
        self._runs: dict[str, Searchable] = {}
        self._lock = threading.Lock()
        # a child may be read before its parent, whose journal came later
        self._orphans: set[str] = set()

    @classmethod
    def of(cls, store: Store) -> LessonIndex:
        """Return the index of a store, up to date with it."""
        index = _indexes.setdefault(store, cls())
        with index._lock:
            index._refresh(store)
        return index

    def runs(self, project: str | None = None) -> list[Searchable]:
        """Return the runs of a project (None: of all), in no particular order."""
        found = list(self._runs.values())
        return [run for run in found if project is None or run.project == project]

    def forget(self, run: str) -> None:
        """Leave out a run that is no longer in the store."""
        self._runs.pop(run, None)

    def _refresh(self, store: Store) -> None:
        """Take in the runs that changed since; those in the trash are left out."""
        changed, self._change = store.changed_since(self._change)
        if not changed:
            return
        fresh = {document.id: document for document in changed}
        by_name = {(d.project, d.name): d for d in changed}
        for orphan in self._orphans - fresh.keys():
            if orphan in self._runs:
                changed.append(store.run(orphan))
        self._orphans.clear()
        for document in changed:
            if document.trashed:
                self._runs.pop(document.id, None)
                continue
            parent = by_name.get((document.project, document.parent or ""))
            if parent is None or parent.id == document.id:
                parent = fresh.get(document.parent or "") or parent_of(store, document)
            if parent is None and document.parent:
                self._orphans.add(document.id)
            self._runs[document.id] = _searchable(document, parent)


_indexes: WeakKeyDictionary[Store, LessonIndex] = WeakKeyDictionary()


def _searchable(document: RunDocument, parent: RunDocument | None) -> Searchable:
    changes = config_difference(parent, document).changes if parent is not None else ()
    lesson = document.lesson if not is_empty(document.lesson) else None
    texts = {
        "name": document.name,
        "tags": " ".join((*document.tags, document.group)).strip(),
        "hypothesis": (lesson.hypothesis if lesson else "") or document.hypothesis,
        "config": ", ".join(map(str, changes)),
    }
    if lesson is not None:
        texts |= {field: getattr(lesson, field) for field in ("change", "result", "next", "text")}
    texts = {field: text for field, text in texts.items() if text.strip()}
    folded = {field: fold(text) for field, text in texts.items()}
    return Searchable(
        id=document.id,
        name=document.name,
        project=document.project,
        created=document.created,
        hypothesis=document.hypothesis,
        lesson=lesson,
        changes=changes,
        texts=texts,
        folded=folded,
        whole="\n".join(folded.values()),
    )


def fold(text: str) -> str:
    """Return `text` in lower case, without accents, as words with single spaces around them.

    What is neither letter nor digit parts words, so ``v3_pallets`` and ``mAP50-95`` are two each.
    """
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text.casefold())
        text = "".join(c for c in decomposed if not unicodedata.combining(c))
    return f" {_BETWEEN_WORDS.sub(' ', text.casefold()).strip()} "
