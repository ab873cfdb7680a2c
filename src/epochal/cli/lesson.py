"""Lessons: `epochal lesson RUN` writes one, `epochal lessons` finds them again."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from epochal.cli.common import (
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
    from epochal.lessons import Draft, Tried
    from epochal.records import LessonWritten
    from epochal.store.documents import RunDocument
    from epochal.store.store import Store

__all__ = ["lesson_command", "lessons_command"]


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
    from epochal.cli.lesson_page import print_history, print_lesson
    from epochal.lessons import draft_lesson, remember_workspace

    store = open_store(workspace)
    remember_workspace(store.folder)
    document = store.find_run(run, project)
    if history:
        if as_json:
            print_json(document.lessons)
        else:
            print_history(document)
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
        print_lesson(document, draft)
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
    from epochal.cli.lesson_page import TITLES
    from epochal.lessons import write_lesson

    try:
        return write_lesson(store, document, **given)
    except (EpochalError, OSError) as error:
        if not keep:
            raise
        text = "\n\n".join(f"## {TITLES[k].title()}\n{v}" for k, v in given.items() if v)
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


@click.command("lessons")
@click.argument("words", nargs=-1)
@click.option("--undocumented", is_flag=True, help="List the runs that taught nothing yet.")
@click.option(
    "--digest",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Write all lessons to a Markdown file; - is stdout.",
)
@click.option("--tried", metavar="CHANGE", help="Have we tried this? E.g. imgsz=1280.")
@click.option("--everywhere", is_flag=True, help="Search all workspaces you have used.")
@click.option("--limit", default=20, show_default=True, help="How many to show.")
@click.option("-p", "--project", help="Only this project; default: all.")
@workspace_option
@json_option
def lessons_command(
    words: tuple[str, ...],
    *,
    undocumented: bool,
    digest: Path | None,
    tried: str | None,
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
      epochal lessons --tried imgsz=1280
      epochal lessons --undocumented
    """
    from epochal.cli.lesson_page import print_hits, print_tried, print_undocumented
    from epochal.lessons import remember_workspace, search_everywhere, search_lessons
    from epochal.lessons import undocumented as find_undocumented

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
        waiting = find_undocumented(store, project)
        if as_json:
            print_json(waiting)
        else:
            print_undocumented(waiting, limit)
        return
    if tried is not None:
        found = _tried(store, default_project(store, project), tried, limit)
        if as_json:
            print_json(found)
        elif found:
            print_tried(found)
        else:
            click.echo(f"nothing like {tried!r} has been tried")
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
    if not hits:
        where = "any known workspace" if everywhere else "this workspace"
        click.echo(f"no lesson in {where} has {query!r}" if query else "no lessons yet")
        return
    print_hits(hits)


def _tried(store: Store, project: str, change: str, limit: int) -> list[Tried]:
    from epochal.lessons import have_we_tried

    charter, _ = in_force(store, project)
    return have_we_tried(
        store,
        project,
        change,
        limit=limit,
        metric=charter.metric,
        registry=charter.registry(),
    )


def _write_digest(store: Store, project: str | None, target: Path) -> None:
    from epochal.lessons import digest

    text = digest(store, project)
    if str(target) == "-":
        click.echo(text)
        return
    target.write_text(text, encoding="utf-8")
    click.echo(f"wrote {target}", err=True)
