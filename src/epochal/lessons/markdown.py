"""All lessons as one Markdown document: for a review, a wiki, a newcomer."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from epochal.comparison.run_difference import config_difference, parent_of
from epochal.lessons.writing import is_empty, undocumented

if TYPE_CHECKING:
    from epochal.store.documents import RunDocument
    from epochal.store.store import Store

__all__ = ["digest"]

_TITLES = {"hypothesis": "Hypothesis", "change": "Change", "result": "Result", "next": "Next"}


def digest(store: Store, project: str | None = None) -> str:
    """Return the lessons of a project (None: of all) in Markdown, newest first per project.

    Runs that taught nothing yet are named at the end of their project.
    """
    projects = [project] if project is not None else store.projects()
    parts = ["# Lessons", ""]
    for name in projects:
        told = [d for d in store.runs(name) if not is_empty(d.lesson)]
        waiting = undocumented(store, name)
        if not told and not waiting:
            continue
        parts += [f"## {_plain(name)}", ""]
        for document in reversed(told):
            parts += _lesson(store, document)
        if waiting:
            names = ", ".join(_code(d.name) for d in waiting)
            parts += [f"Without a lesson yet: {names}", ""]
    if len(parts) == 2:
        parts += ["No lessons have been written yet.", ""]
    return "\n".join(parts)


def _lesson(store: Store, document: RunDocument) -> list[str]:
    lesson = document.lesson
    assert lesson is not None
    day = time.strftime("%Y-%m-%d", time.gmtime(document.created / 1e6))
    facts = [day, store.status(document)]
    parent = parent_of(store, document)
    if parent is not None:
        facts.append(f"from {_code(parent.name)}")
    if document.tags:
        facts.append(", ".join(map(_code, document.tags)))
    if lesson.author:
        facts.append(f"written by {_plain(lesson.author)}")
    parts = [f"### {_code(document.name)}", "", " · ".join(facts), ""]
    if parent is not None:
        parts += [f"- **Config:** {_plain(config_difference(parent, document).summary())}"]
    for field, title in _TITLES.items():
        text = getattr(lesson, field)
        if field == "hypothesis":
            text, mark = _hypothesis(document, text)
            title += mark
        if text.strip():
            parts += [f"- **{title}:** {_indented(text)}"]
    parts.append("")
    if lesson.text.strip():
        parts += [_demoted(lesson.text.strip()), ""]
    return parts


def _hypothesis(document: RunDocument, written: str) -> tuple[str, str]:
    text = written or document.hypothesis
    registered = bool(document.hypothesis) and text.strip() == document.hypothesis.strip()
    return text, " (pre-registered)" if registered else ""


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.strip().splitlines()).lstrip()


def _demoted(text: str) -> str:
    """Return Markdown with its headings below those of the digest."""
    lines, fenced = [], False
    for line in text.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        lines.append(f"###{line}" if not fenced and re.match(r"#{1,3}\s", line) else line)
    return "\n".join(lines)


def _code(text: str) -> str:
    plain = " ".join(text.split())
    return f"`{plain}`" if "`" not in plain else f"`` {plain} ``"


def _plain(text: str) -> str:
    return re.sub(r"([\\`*<\[\]])", r"\\\1", " ".join(text.split()))
