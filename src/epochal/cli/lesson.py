"""Lessons: `epochal lesson RUN` writes one, `epochal lessons` finds them again."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from epochal.cli.common import (
    age,
    console,
    default_project,
    in_force,
    json_option,
    open_store,
    print_json,
    project_option,
    run_name,
    workspace_option,
)
from epochal.errors import EpochalError, InvalidInput

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from epochal.lessons.drafting import Draft
    from epochal.lessons.searching import Hit, Snippet
    from epochal.records import LessonWritten
    from epochal.store.documents import RunDocument
    from epochal.store.store import Store

__all__ = ["lesson_command", "lessons_command"]

_TITLES = {
    "hypothesis": "hypothesis",
    "change": "change",
    "result": "result",
    "next": "next",
    "text": "notes",
}


@click.command("lesson")
@click.argument("run")
@click.option("--hypothesis", help="What you expected, and why.")
@click.option("--change", help="What you changed.")
@click.option("--result", help="What came of it.")
@click.option("--next", "next_", help="What to try now.")
@click.option("--text", help="Free Markdown; - reads it from stdin.")
@click.option(
    "--accept-draft", is_flag=True, help="Fill what is empty with what the numbers and config say."
)
@click.option("--show", is_flag=True, help="Print the lesson instead of writing it.")
@click.option("--history", is_flag=True, help="Print all edits, oldest first.")
@project_option
@workspace_option
@json_option
def lesson_command(
    run: str,
    hypothesis: str | None,
    change: str | None,
    result: str | None,
    next_: str | None,
    text: str | None,
    *,
    accept_draft: bool,
    show: bool,
    history: bool,
    project: str | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Write down what RUN taught.

    Opens $EDITOR on a text in which the result is drafted from the numbers. With any of the field
    options nothing is opened, for scripts.

    \b
      epochal lesson v3_pallets_added
      epochal lesson v3_pallets_added --result "+3 points, still blind at night"
      epochal lesson v3_pallets_added --accept-draft --show
    """
    from epochal.lessons import draft_lesson, remember_workspace

    store = open_store(workspace)
    remember_workspace(store.folder)
    document = store.find_run(run, project)
    if history:
        _print_history(document, as_json=as_json)
        return
    given = {
        "hypothesis": hypothesis,
        "change": change,
        "result": result,
        "next": next_,
        "text": sys.stdin.read() if text == "-" else text,
    }
    draft = draft_lesson(store, document, **_terms(store, document))
    if accept_draft:
        given |= _drafted(document, draft, given)
    in_editor = not show and not as_json and all(value is None for value in given.values())
    if in_editor:
        given |= _edited(document, draft)
    recorded = None
    if any(value is not None for value in given.values()):
        recorded = _write(store, document, given, keep=in_editor)
        document = store.run(document.id)
    if as_json:
        print_json(
            {
                "run": document.id,
                "name": document.name,
                "project": document.project,
                "hypothesis": document.hypothesis,
                "lesson": document.lesson,
                "draft": draft,
                "recorded": recorded is not None,
            }
        )
        return
    if show:
        _print_lesson(console(), document, draft)
    elif recorded is not None:
        click.echo(f"recorded the lesson of {run_name(document)}")
    else:
        click.echo(f"nothing changed, so nothing was recorded for {run_name(document)}")


def _terms(store: Store, document: RunDocument) -> dict[str, Any]:
    """Return what a draft is measured by: the charter's rules and the project's baseline."""
    from epochal.registry import get_baseline

    charter, _ = in_force(store, document.project)
    return {
        "metric": charter.metric,
        "registry": charter.registry(),
        "evaluator": charter.evaluator,
        "keep_share": charter.keep_share,
        "baseline": get_baseline(store, document.project),
    }


def _drafted(
    document: RunDocument, draft: Draft, given: dict[str, str | None]
) -> dict[str, str | None]:
    """Return the drafted fields that neither this call nor an earlier edit has filled."""
    return {
        field: value
        for field in ("hypothesis", "change", "result")
        if (value := getattr(draft, field))
        and given[field] is None
        and not (document.lesson and getattr(document.lesson, field))
    }


def _edited(document: RunDocument, draft: Draft) -> dict[str, str | None]:
    """Let the person edit; return the fields, or none where they changed nothing."""
    from epochal.lessons.template import fill_template, read_template

    if not (sys.stdin.isatty() or os.environ.get("VISUAL") or os.environ.get("EDITOR")):
        raise InvalidInput(
            "there is no terminal to edit the lesson in",
            "give the fields as options (--result ...), or --accept-draft",
        )
    template = fill_template(document, document.lesson, draft)
    try:
        text = click.edit(template, extension=".md", require_save=False)
    except click.ClickException as error:
        raise InvalidInput(error.format_message(), "set EDITOR to your editor") from None
    if text is None or text == template or text.rstrip() == template.rstrip():
        return {}
    try:
        fields = dict(read_template(text))
    except InvalidInput as error:
        raise _kept(text, error) from None
    return dict(fields) if any(fields.values()) else {}


def _write(
    store: Store, document: RunDocument, given: dict[str, str | None], *, keep: bool
) -> LessonWritten | None:
    from epochal.lessons import write_lesson

    try:
        return write_lesson(store, document, **given)
    except (EpochalError, OSError) as error:
        if not keep:
            raise
        text = "\n\n".join(f"## {_TITLES[k].title()}\n{v}" for k, v in given.items() if v)
        raise _kept(text, error) from error


def _kept(text: str, error: Exception) -> InvalidInput:
    """Return the error with the place where the text that was written lies: it is not lost."""
    handle, name = tempfile.mkstemp(prefix="epochal-lesson-", suffix=".md")
    with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)
    message = error.message if isinstance(error, EpochalError) else str(error)
    remedy = error.remedy if isinstance(error, EpochalError) else ""
    return InvalidInput(
        f"{message}; nothing was recorded, your text is in {name}", remedy or "try again"
    )


def _print_history(document: RunDocument, *, as_json: bool) -> None:
    if as_json:
        print_json(document.lessons)
        return
    out = console()
    if not document.lessons:
        out.print(f"nobody has written a lesson for {run_name(document)} yet", markup=False)
    for edit in document.lessons:
        lesson: Any = edit.body
        out.rule(f"{age(edit.t)}, {lesson.author or 'somebody'}", style="dim", align="left")
        _print_fields(out, lesson)


def _print_lesson(out: Console, document: RunDocument, draft: Draft) -> None:
    from rich.text import Text

    from epochal.lessons import is_empty

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
    from rich.text import Text

    return Text.assemble((f"{title}: ", "cyan"), value)


@click.command("lessons")
@click.argument("words", nargs=-1)
@click.option("--undocumented", is_flag=True, help="List the runs that taught nothing yet.")
@click.option(
    "--digest",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Write all lessons to a Markdown file; - is stdout.",
)
@click.option("--everywhere", is_flag=True, help="Search all workspaces you have used.")
@click.option("--limit", default=20, show_default=True, help="How many to show.")
@click.option("--project", help="Only this project; default: all.")
@workspace_option
@json_option
def lessons_command(
    words: tuple[str, ...],
    *,
    undocumented: bool,
    digest: Path | None,
    everywhere: bool,
    limit: int,
    project: str | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Search lessons, hypotheses, names, tags and config changes for WORDS.

    All words have to occur, each as the beginning of a word; "in quotes" as they stand. Without
    words: the newest.

    \b
      epochal lessons night pallets
      epochal lessons imgsz --everywhere
      epochal lessons --undocumented
    """
    from epochal.lessons import remember_workspace, search_everywhere, search_lessons

    if everywhere and project is not None:
        raise InvalidInput("--everywhere goes over all projects", "leave --project out")
    store = open_store(workspace)
    if project is not None:
        default_project(store, project)
    remember_workspace(store.folder)
    if digest is not None:
        _write_digest(store, project, digest)
        return
    if undocumented:
        _print_undocumented(store, project, limit, as_json=as_json)
        return
    query = " ".join(words)
    unreadable: list[str] = []
    if everywhere:
        hits, unreadable = search_everywhere(store, query, limit=limit)
    else:
        hits = search_lessons(store, query, project=project, limit=limit)
    for line in unreadable:
        click.echo(f"note: not searched: {line}", err=True)
    if as_json:
        print_json(hits)
        return
    out = console()
    if not hits:
        where = "any known workspace" if everywhere else "this workspace"
        out.print(
            f"no lesson in {where} has {query!r}" if query else "no lessons yet", markup=False
        )
        return
    if hits[0].missing:
        missing = ", ".join(repr(word) for word in hits[0].missing)
        out.print(f"nothing has all of these words; without {missing}:", style="yellow")
    for hit in hits:
        _print_hit(out, hit)


def _print_hit(out: Console, hit: Hit) -> None:
    from rich.padding import Padding
    from rich.text import Text

    place = f"  {hit.workspace}" if hit.workspace else ""
    out.print(
        Text.assemble(
            (hit.name, "bold"),
            (f"  {hit.project}  {hit.run[:8]}  {age(hit.created)}{place}", "dim"),
        )
    )
    shown = [snippet for snippet in hit.snippets if snippet.field != "name"]
    fields = {snippet.field for snippet in shown}
    for snippet in shown:
        out.print(Padding(_snippet_line(snippet), (0, 0, 0, 2), expand=False))
    # What the run taught belongs there even where the words were found elsewhere.
    result = hit.lesson.result if hit.lesson else ""
    if result and "result" not in fields:
        out.print(Padding(_line("result", " ".join(result.split())), (0, 0, 0, 2), expand=False))
    elif not hit.lesson:
        out.print(Padding(Text("no lesson yet", style="dim"), (0, 0, 0, 2), expand=False))


def _snippet_line(snippet: Snippet) -> Text:
    line = _line(_TITLES.get(snippet.field, snippet.field), snippet.text)
    shift = len(line.plain) - len(snippet.text)
    for start, end in snippet.marks:
        line.stylize("bold yellow", start + shift, end + shift)
    return line


def _print_undocumented(store: Store, project: str | None, limit: int, *, as_json: bool) -> None:
    from epochal.lessons import undocumented

    waiting = undocumented(store, project)
    if as_json:
        print_json(waiting)
        return
    out = console()
    if not waiting:
        out.print("every run that ended has its lesson")
        return
    for document in waiting[:limit]:
        out.print(
            f"{document.name}  {document.id[:8]}  {document.project}  {age(document.created)}",
            markup=False,
        )
    more = f" ({len(waiting) - limit} more with --limit)" if len(waiting) > limit else ""
    out.print(f"{_count(len(waiting))}{more}; `epochal lesson RUN` drafts one", style="dim")


def _count(number: int) -> str:
    return "1 run has no lesson yet" if number == 1 else f"{number} runs have no lesson yet"


def _write_digest(store: Store, project: str | None, target: Path) -> None:
    from epochal.lessons import digest

    text = digest(store, project)
    if str(target) == "-":
        click.echo(text)
        return
    target.write_text(text, encoding="utf-8")
    click.echo(f"wrote {target}", err=True)
