"""Lessons: one run's with its draft, the search over all, what is undocumented, the digest."""

from __future__ import annotations

from epochal.errors import EpochalError
from epochal.lessons import digest
from epochal.lessons.drafting import draft_lesson
from epochal.lessons.searching import Hit, search_lessons
from epochal.lessons.writing import FIELDS
from epochal.lessons.writing import undocumented as find_undocumented
from epochal.lessons.writing import write_lesson as record_lesson
from epochal.records import LessonWritten
from epochal.server.context import Context
from epochal.server.markdown import render
from epochal.server.problems import Conflict
from epochal.server.schema.common import AnyProjectQuery, ProjectQuery
from epochal.server.schema.lessons import (
    DigestView,
    LessonHit,
    LessonHits,
    LessonsQuery,
    Undocumented,
    UndocumentedRun,
)
from epochal.server.schema.run import LessonEdit, LessonFields, LessonView
from epochal.store.documents import RunDocument

__all__ = ["lesson", "lesson_view", "lessons", "lessons_digest", "undocumented", "write_lesson"]

_LISTED = 200


def lesson(context: Context, run: str) -> LessonView:
    """Return what a run taught, and what could be written."""
    return lesson_view(context, context.run(run), draft=True)


def write_lesson(context: Context, body: LessonEdit, run: str) -> LessonView:
    """Record what a run taught.

    Raises
    ------
    Conflict
        If somebody else wrote since the lesson was read.
    """
    document = context.run(run)
    rev = document.lesson.rev if document.lesson is not None else 0
    if body.rev != rev:
        by = document.lesson.author if document.lesson is not None else ""
        raise Conflict(
            f"the lesson of {document.name} was edited meanwhile{f' by {by}' if by else ''}",
            "compare with the newer one, then save again",
        )
    record_lesson(
        context.store,
        document,
        hypothesis=body.hypothesis,
        change=body.change,
        result=body.result,
        next=body.next,
        text=body.text,
    )
    context.service.poke()
    return lesson_view(context, context.run(run), draft=True)


def lesson_view(context: Context, document: RunDocument, *, draft: bool = False) -> LessonView:
    """Return a run's lesson; with what the numbers suggest where `draft` is asked for."""
    written = document.lesson
    times = {s.body.rev: s.t for s in document.lessons if isinstance(s.body, LessonWritten)}
    return LessonView(
        lesson=_fields(written, times.get(written.rev, 0)) if written is not None else None,
        rev=written.rev if written is not None else 0,
        html={
            field: render(text)
            for field in FIELDS
            if written is not None and (text := getattr(written, field))
        },
        preregistered=bool(document.hypothesis),
        hypothesis=document.hypothesis,
        draft=_draft(context, document) if draft else {},
        history=[
            _fields(s.body, s.t) for s in document.lessons if isinstance(s.body, LessonWritten)
        ],
    )


def _fields(written: LessonWritten, t: int) -> LessonFields:
    return LessonFields(
        hypothesis=written.hypothesis,
        change=written.change,
        result=written.result,
        next=written.next,
        text=written.text,
        author=written.author,
        rev=written.rev,
        t=t,
    )


def _draft(context: Context, document: RunDocument) -> dict[str, str]:
    charter, _ = context.charter(document.project)
    baseline = context.baseline(document.project)
    try:
        found = draft_lesson(
            context.store,
            document,
            metric=charter.metric,
            registry=charter.registry(),
            baseline=baseline if baseline is not None and baseline.id != document.id else None,
            evaluator=charter.evaluator,
            keep_share=charter.keep_share,
        )
    except EpochalError:
        return {}  # nothing to draft from: an empty editor is no error
    drafted = {"hypothesis": found.hypothesis, "change": found.change, "result": found.result}
    return {field: text for field, text in drafted.items() if text}


def lessons(context: Context, query: LessonsQuery) -> LessonHits:
    """Return the lessons that have the words, best first."""
    found = search_lessons(context.store, query.q, project=query.project, limit=query.limit)
    hits = [hit for one in found if (hit := _hit(context, one)) is not None]
    return LessonHits(hits=hits, total=len(hits))


def _hit(context: Context, found: Hit) -> LessonHit | None:
    ref = context.ref_of(found.run)
    if ref is None:
        return None
    snippet = found.snippets[0] if found.snippets else None
    terms = {s.text[start:end] for s in found.snippets for start, end in s.marks if end > start}
    written = found.lesson or LessonWritten(hypothesis=found.hypothesis)
    return LessonHit(
        run=ref,
        t=found.created,
        lesson=_fields(written, found.created),
        snippet=snippet.text if snippet is not None else "",
        terms=sorted(terms),
    )


def undocumented(context: Context, query: AnyProjectQuery) -> Undocumented:
    """Return the runs that wait for their lesson, newest first."""
    waiting = find_undocumented(context.store, query.project)
    return Undocumented(
        runs=[
            UndocumentedRun(
                run=context.ref(document),
                created=document.created,
                missing=[
                    field
                    for field in ("hypothesis", "change", "result", "next")
                    if not (field == "hypothesis" and document.hypothesis)
                ],
                draft=_draft(context, document).get("result", "") if place < 20 else "",
            )
            for place, document in enumerate(waiting[:_LISTED])
        ],
        total=len(waiting),
    )


def lessons_digest(context: Context, query: ProjectQuery) -> DigestView:
    """Return all lessons of a project as one text."""
    text = digest(context.store, query.project)
    return DigestView(markdown=text, html=render(text))
