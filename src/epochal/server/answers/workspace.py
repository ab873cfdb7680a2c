"""The workspace, search by name, Markdown previews."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, TypeAlias

from epochal.journal.author import author
from epochal.lessons.writing import is_empty
from epochal.server import markdown as rendering
from epochal.server.context import Context
from epochal.server.schema.common import Markdown, MarkdownText
from epochal.server.schema.workspace import (
    ProjectRow,
    SearchHit,
    SearchQuery,
    SearchResult,
    WorkspaceInfo,
)
from epochal.store.index_reader import FileHealth
from epochal.store.run_table import RunTable
from epochal.version import __version__

__all__ = ["markdown", "search", "workspace"]

Kind: TypeAlias = Literal["run", "project", "dataset", "decision"]

_ENDED_WITHOUT_RESULT = "lesson is null and status in (finished, failed, killed)"
_JUDGED = 300
"""Candidates that are looked at one by one; more are counted as they are."""
_NEWEST = 20


def workspace(context: Context) -> WorkspaceInfo:
    """Return the workspace and its projects, the one with the newest record first."""
    change = context.change
    projects = [_project(context, name) for name in context.store.projects()]
    return WorkspaceInfo(
        name=context.store.folder.root.parent.name,
        path=str(context.store.folder.root),
        version=__version__,
        author=author(),
        change=change,
        projects=sorted(projects, key=lambda project: -project.last_t),
        problems=[line for found in context.store.health() if (line := _problem(found))],
    )


def _project(context: Context, name: str) -> ProjectRow:
    charter, version = context.charter(name)
    table = context.table(name)
    newest = table.select(limit=_NEWEST)
    running = table.select("status = running", limit=_NEWEST)
    baseline = context.baseline(name)
    return ProjectRow(
        name=name,
        runs=newest.total,
        running=running.total,
        trashed=table.select(trashed=True, limit=0).total,
        undocumented=_undocumented(context, table),
        decisions=sum(r.body.project == name for r in context.store.governance("decision")),
        last_t=max((d.last_t for d in context.runs([*newest.ids, *running.ids])), default=0),
        baseline=context.ref(baseline) if baseline is not None else None,
        charter_version=version,
        metric=charter.metric,
    )


def _undocumented(context: Context, table: RunTable) -> int:
    waiting = table.select(_ENDED_WITHOUT_RESULT, limit=_JUDGED)
    if waiting.total > _JUDGED:
        return waiting.total
    documents = context.runs(list(waiting.ids))
    return sum(bool(document.metrics) and is_empty(document.lesson) for document in documents)


def _problem(found: FileHealth) -> str:
    """Return what is wrong with a journal; a torn end alone is a line in the making."""
    parts = [
        f"{count} {what}"
        for count, what in (
            (found.damaged, "damaged lines"),
            (found.missing, "missing lines"),
            (found.unknown, "lines of a newer version"),
        )
        if count
    ]
    return f"{found.path}: {', '.join(parts)}" if parts else ""


def search(context: Context, query: SearchQuery) -> SearchResult:
    """Return what has the words in its name, names that begin with them first."""
    words = query.q.casefold().split()
    found = sorted(
        (
            (_rank(name, words), place, made)
            for place, (name, searched, made) in enumerate(_searchable(context))
            if all(word in searched for word in words)
        ),
        key=lambda hit: hit[:2],
    )
    return SearchResult(hits=[made() for _, _, made in found[: query.limit]])


def _rank(name: str, words: list[str]) -> int:
    folded = name.casefold()
    return 0 if words and folded.startswith(words[0]) else 1 if words and words[0] in folded else 2


def _searchable(context: Context) -> Iterator[tuple[str, str, Callable[[], SearchHit]]]:
    """Yield name, searched text and how to make the hit: of many runs, few are found."""
    for project in context.store.projects():
        yield (
            project,
            project.casefold(),
            partial(_found, "project", project, project, "", project),
        )
    versions = {
        f"{r.body.name}@{r.body.tag}": r.body
        for r in reversed(context.store.governance("dataset"))
    }
    for ref, body in versions.items():
        yield ref, ref.casefold(), partial(_found, "dataset", body.digest, ref, body.message, "")
    table = context.table(None)
    ids = table.select().ids
    runs = zip(ids, table.values(ids, "name"), table.values(ids, "project"), strict=True)
    names = {}
    for id, name, project in runs:
        names[id] = name
        searched = f"{name} {project} {id}".casefold()
        yield name, searched, partial(_found, "run", id, name, project, project)
    for governed in reversed(context.store.governance("decision")):
        body = governed.body
        name = names.get(body.candidate, body.candidate[:8])
        yield (
            name,
            f"{name} {body.verdict} {body.project} {body.digest}".casefold(),
            partial(_found, "decision", body.digest, name, body.verdict, body.project),
        )


def _found(kind: Kind, id: str, title: str, detail: str, project: str) -> SearchHit:
    return SearchHit(kind=kind, id=id, title=title, detail=detail[:200], project=project)


def markdown(_: Context, body: MarkdownText) -> Markdown:
    """Return Markdown as HTML for a preview."""
    return Markdown(html=rendering.render(body.text))
