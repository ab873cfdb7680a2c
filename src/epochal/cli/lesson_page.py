"""How lessons look in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.text import Text

from epochal.cli.common import age, console, run_name

if TYPE_CHECKING:
    from rich.console import Console

    from epochal.lessons import Draft, Hit, Snippet, Tried
    from epochal.records import LessonWritten
    from epochal.store.documents import RunDocument

__all__ = [
    "TITLES",
    "print_history",
    "print_hits",
    "print_lesson",
    "print_tried",
    "print_undocumented",
]

TITLES = {
    "hypothesis": "hypothesis",
    "change": "change",
    "result": "result",
    "next": "next",
    "text": "notes",
}
"""Field of a lesson -> what it is called where it is shown."""


def print_history(document: RunDocument) -> None:
    """Print all edits of a run's lesson, oldest first."""
    out = console()
    if not document.lessons:
        out.print(f"nobody has written a lesson for {run_name(document)} yet", markup=False)
    for edit in document.lessons:
        lesson: Any = edit.body
        who = Text(f"{age(edit.t)}, {lesson.author or 'somebody'}")
        out.rule(who, style="dim", align="left")
        _print_fields(out, lesson)


def print_lesson(document: RunDocument, draft: Draft) -> None:
    """Print what a run taught; what can be said from its numbers where nobody wrote it down."""
    from epochal.lessons import is_empty

    out = console()
    out.print(Text.assemble((document.name, "bold"), (f"  {document.project}", "dim")))
    if document.hypothesis and (
        not document.lesson or document.lesson.hypothesis != document.hypothesis
    ):
        out.print(_line("pre-registered", document.hypothesis))
    if document.lesson is not None and not is_empty(document.lesson):
        _print_fields(out, document.lesson)
        return
    out.print(Text("No lesson yet. From the numbers:", style="dim"))
    for field in ("change", "result"):
        if value := getattr(draft, field):
            out.print(_line(field, value))


def _print_fields(out: Console, lesson: LessonWritten) -> None:
    from rich.markdown import Markdown

    for field in ("hypothesis", "change", "result", "next"):
        if value := getattr(lesson, field):
            out.print(_line(field, value))
    if lesson.text:
        out.print(Markdown(lesson.text))


def _line(title: str, value: str) -> Text:
    return Text.assemble((f"{title}: ", "cyan"), value)


def _indented(out: Console, line: Text) -> None:
    out.print(Padding(line, (0, 0, 0, 2), expand=False))


def print_hits(hits: Sequence[Hit]) -> None:
    """Print what a search found, with the words marked."""
    out = console()
    if hits and hits[0].missing:
        missing = ", ".join(repr(word) for word in hits[0].missing)
        out.print(Text(f"nothing has all of these words; without {missing}:", style="yellow"))
    for hit in hits:
        _print_hit(out, hit)


def _print_hit(out: Console, hit: Hit) -> None:
    place = f"  {hit.workspace}" if hit.workspace else ""
    facts = f"  {hit.project}  {hit.run[:8]}  {age(hit.created)}{place}"
    out.print(Text.assemble((hit.name, "bold"), (facts, "dim")))
    shown = [snippet for snippet in hit.snippets if snippet.field != "name"]
    for snippet in shown:
        _indented(out, _snippet_line(snippet))
    # What the run taught belongs there even where the words were found elsewhere.
    result = hit.lesson.result if hit.lesson else ""
    if result and all(snippet.field != "result" for snippet in shown):
        _indented(out, _line("result", " ".join(result.split())))
    elif not hit.lesson:
        _indented(out, Text("no lesson yet", style="dim"))


def _snippet_line(snippet: Snippet) -> Text:
    line = _line(TITLES.get(snippet.field, snippet.field), snippet.text)
    shift = len(line.plain) - len(snippet.text)
    for start, end in snippet.marks:
        line.stylize("bold yellow", start + shift, end + shift)
    return line


def print_tried(found: Sequence[Tried]) -> None:
    """Print earlier runs with a similar change, and what came of each."""
    out = console()
    for tried in found:
        like = "" if tried.similarity is None else f"  {tried.similarity * 100:.0f} % alike"
        facts = f"  {tried.run[:8]}  {age(tried.created)}{like}"
        out.print(Text.assemble((tried.name, "bold"), (facts, "dim")))
        if tried.change:
            _indented(out, _line("change", tried.change))
        _indented(out, _line("from the numbers" if tried.drafted else "result", tried.result))


def print_undocumented(waiting: Sequence[RunDocument], limit: int) -> None:
    """Print the runs that taught nothing yet."""
    out = console()
    if not waiting:
        out.print("every run that ended has its lesson")
        return
    for document in waiting[:limit]:
        facts = f"  {document.id[:8]}  {document.project}  {age(document.created)}"
        out.print(Text.assemble((document.name, "bold"), (facts, "dim")))
    count = "1 run has" if len(waiting) == 1 else f"{len(waiting)} runs have"
    more = f" ({len(waiting) - limit} more with --limit)" if len(waiting) > limit else ""
    out.print(Text(f"{count} no lesson yet{more}; `epochal lesson RUN` drafts one", style="dim"))
