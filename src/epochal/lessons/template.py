"""The text that a person edits: Markdown with one heading for each field of a lesson.

Comments (``<!-- ... -->``) explain and are dropped. Headings that the template does not have
belong to the text around them, so free Markdown may have its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from epochal.errors import InvalidInput
from epochal.lessons.writing import FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from epochal.lessons.drafting import Draft
    from epochal.records import LessonWritten
    from epochal.store.documents import RunDocument

__all__ = ["fill_template", "read_template"]

_TITLES = {
    "hypothesis": "Hypothesis",
    "change": "Change",
    "result": "Result",
    "next": "Next",
    "text": "Notes",
}
_HINTS = {
    "hypothesis": "What you expected, and why.",
    "change": "What you changed. One thing, if the result is to be laid to it.",
    "result": "What came of it. The numbers are drafted; only you know why.",
    "next": "What you would try now.",
    "text": "Anything else, in Markdown.",
}
_HEADING = {title.casefold(): field for field, title in _TITLES.items()}
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def fill_template(document: RunDocument, lesson: LessonWritten | None, draft: Draft) -> str:
    """Return the text to edit: what was written so far, else what can be drafted."""
    parts = [
        f"<!-- Lesson of {_inert(document.name)} ({document.id[:8]}).",
        "     Write below the headings. Save and close to record it; leave it as it is, or empty,",
        "     and nothing is recorded. -->",
        "",
    ]
    drafted = {"hypothesis": draft.hypothesis, "change": draft.change, "result": draft.result}
    for field in FIELDS:
        written = getattr(lesson, field) if lesson else ""
        content = written or drafted.get(field, "")
        parts += [f"## {_TITLES[field]}", f"<!-- {_HINTS[field]} -->"]
        if field == "result" and written and written != draft.result:
            parts.append(f"<!-- From the numbers: {_inert(draft.result)} -->")
        parts += ["", *([content, ""] if content else [""])]
    return "\n".join(parts)


def read_template(text: str) -> Mapping[str, str]:
    """Return the fields of an edited template; one whose heading was removed is empty.

    Raises
    ------
    InvalidInput
        If a comment was opened and not closed, or text stands before the first heading.
    """
    plain = _COMMENT.sub("", text.replace("\r\n", "\n"))
    if "<!--" in plain:
        raise InvalidInput(
            "a comment in the lesson is not closed: <!-- without -->", "close it, or remove it"
        )
    fields: dict[str, list[str]] = {field: [] for field in FIELDS}
    current = ""
    for line in plain.split("\n"):
        heading = re.fullmatch(r"##\s*([^#\s].*?)\s*#*\s*", line)
        field = _HEADING.get(heading[1].casefold()) if heading else None
        if field is not None:
            current = field
        elif current:
            fields[current].append(line)
        elif line.strip():
            raise InvalidInput(
                f"text before the first heading: {line.strip()[:60]!r}",
                f"write below one of {', '.join(f'## {title}' for title in _TITLES.values())}",
            )
    return {field: "\n".join(lines).strip() for field, lines in fields.items()}


def _inert(text: str) -> str:
    """Return `text` such that it cannot end a comment."""
    return " ".join(text.split()).replace("--", "- -")
