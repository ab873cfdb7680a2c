"""Lessons: what each run taught, written down once and found again.

A lesson has four fields (hypothesis, change, result, next) and free Markdown. The result is
drafted from the numbers and edited by a person; each edit is a record, and the last one stands.
"""

from epochal.lessons.drafting import Draft, draft_lesson, draft_result
from epochal.lessons.index import LessonIndex
from epochal.lessons.markdown import digest
from epochal.lessons.searching import Hit, Snippet, search_everywhere, search_lessons
from epochal.lessons.tried import Tried, have_we_tried
from epochal.lessons.workspaces import known_workspaces, remember_workspace
from epochal.lessons.writing import FIELDS, is_empty, undocumented, write_lesson

__all__ = [
    "FIELDS",
    "Draft",
    "Hit",
    "LessonIndex",
    "Snippet",
    "Tried",
    "digest",
    "draft_lesson",
    "draft_result",
    "have_we_tried",
    "is_empty",
    "known_workspaces",
    "remember_workspace",
    "search_everywhere",
    "search_lessons",
    "undocumented",
    "write_lesson",
]
