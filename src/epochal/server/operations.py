"""Every operation of the API: its route, what it takes, what it returns. Nothing else is served.

The table is the contract: the routes, the OpenAPI document and the tests of what is refused are
all made from it. A handler in `epochal.server.answers` is bound to an operation by its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from epochal.registry.promote import Promotion
from epochal.server.schema import (
    common,
    comparing,
    curves,
    datasets,
    governance,
    lessons,
    run,
    runs,
    workspace,
)

__all__ = ["OPERATIONS", "PREFIX", "Method", "Operation"]

PREFIX = "/api/v1"

Method = Literal["GET", "POST", "PUT"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for or done.

    Parameters
    ----------
    name
        Its ``operationId``, and the name of its handler.
    query
        Struct of the query parameters of a GET.
    body
        Struct of the JSON body of a POST or PUT.
    returns
        Struct of the answer, or the media type of one that is no JSON.
    writes
        It appends records. Everything else only reads, whatever its method.
    """

    method: Method
    path: str
    name: str
    summary: str
    returns: type[msgspec.Struct] | str
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    writes: bool = False

    @property
    def tag(self) -> str:
        """The part of the API it belongs to: the first part of its path."""
        return self.path.split("/")[1].partition(".")[0]


def _get(
    path: str,
    name: str,
    summary: str,
    returns: type[msgspec.Struct] | str,
    query: type[msgspec.Struct] | None = None,
) -> Operation:
    return Operation("GET", path, name, summary, returns, query=query)


def _ask(
    path: str,
    name: str,
    summary: str,
    body: type[msgspec.Struct],
    returns: type[msgspec.Struct] | str,
) -> Operation:
    """Return a read whose question is too large for an address."""
    return Operation("POST", path, name, summary, returns, body=body)


def _write(
    method: Method,
    path: str,
    name: str,
    summary: str,
    body: type[msgspec.Struct],
    returns: type[msgspec.Struct],
) -> Operation:
    return Operation(method, path, name, summary, returns, body=body, writes=True)


# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    # the workspace
    _get("/workspace", "workspace", "The workspace and its projects", workspace.WorkspaceInfo),
    _get("/search", "search", "Find runs, projects, dataset versions and decisions by name",
         workspace.SearchResult, workspace.SearchQuery),
    _get("/events", "events", "What changes, as it changes (server-sent events)",
         "text/event-stream", workspace.EventsQuery),
    _ask("/markdown", "markdown", "Render Markdown for a preview",
         common.MarkdownText, common.Markdown),

    # the run table
    _ask("/runs/query", "query_runs", "Runs, filtered and sorted, page by page",
         runs.RunsQuery, runs.RunsPage),
    _ask("/runs/columns", "run_columns", "Which columns there are, and which differ",
         runs.ColumnsQuery, runs.Columns),
    _ask("/runs/groups", "group_runs", "Groups of runs with mean and spread",
         runs.GroupsQuery, runs.GroupsPage),
    _ask("/runs/filter", "check_filter", "Check a filter while it is typed",
         runs.FilterQuery, runs.FilterCheck),
    _ask("/runs/csv", "runs_csv", "The table as CSV", runs.RunsCsvQuery, "text/csv"),
    _write("POST", "/runs/tags", "edit_tags", "Add and remove tags",
           run.TagsEdit, common.Done),
    _write("POST", "/runs/trash", "edit_trash", "Move runs into the trash, or back",
           run.TrashEdit, common.Done),

    # one run
    _get("/runs/{run}", "run", "One run: everything captured", run.RunDetail),
    _get("/runs/{run}/lineage", "lineage", "The tree of parents and children", run.Lineage),
    _get("/runs/{run}/console", "console", "What the run printed",
         run.ConsolePage, run.ConsoleQuery),
    _get("/runs/{run}/media", "media", "Logged images with their boxes",
         run.MediaPage, run.MediaQuery),
    _get("/runs/{run}/media/{digest}", "media_image", "The bytes of a logged image", "image/*"),
    _get("/runs/{run}/diff", "code_diff", "The code that ran", run.CodeDiff),
    _get("/runs/{run}/artifacts/{key:path}", "artifact", "A file of the run, to be saved",
         "application/octet-stream"),
    _get("/runs/{run}/previews/{key:path}", "artifact_preview", "What can be shown of a file",
         run.ArtifactPreview),
    _get("/runs/{run}/pictures/{key:path}", "artifact_picture",
         "A file of the run that is a PNG, JPEG, GIF or WebP image", "image/*"),
    _get("/runs/{run}/evaluations/{digest}", "evaluation", "One evaluation",
         comparing.EvaluationView),
    _get("/runs/{run}/evaluations/{digest}/confusion", "confusion",
         "Its confusion matrix at any confidence",
         comparing.ConfusionView, comparing.ConfusionQuery),
    _get("/runs/{run}/evaluations/{digest}/cell", "confusion_cell",
         "The images behind a cell of its confusion matrix",
         comparing.CellImages, comparing.CellQuery),
    _get("/runs/{run}/lesson", "lesson", "What the run taught", run.LessonView),
    _write("PUT", "/runs/{run}/lesson", "write_lesson", "Write what the run taught",
           run.LessonEdit, run.LessonView),
    _write("PUT", "/runs/{run}/name", "rename_run", "Give the run another name",
           run.Rename, common.Done),
    _write("POST", "/runs/{run}/stop", "stop_run", "Ask the training to end at its next epoch",
           run.StopRequest, common.Done),
    _get("/names/check", "check_name", "Check a name while it is typed",
         run.NameCheck, run.NameQuery),

    # curves
    _ask("/curves", "curves", "Curves of several runs on one grid",
         curves.CurvesQuery, curves.Curves),
    _ask("/metrics", "metric_keys", "Which metrics a set of runs has",
         curves.MetricKeysQuery, curves.MetricKeys),

    # comparing
    _ask("/compare", "compare", "Runs side by side",
         comparing.CompareQuery, comparing.ComparisonView),

    # datasets
    _get("/datasets", "datasets", "All dataset versions, and who used which", datasets.Datasets),
    _get("/datasets/{digest}", "dataset", "One dataset version in numbers",
         datasets.DatasetDetail),
    _get("/datasets/{digest}/shapes", "dataset_shapes", "How large its objects are",
         datasets.DatasetShapes),
    _get("/datasets/{digest}/entries", "dataset_entries", "Its images",
         datasets.DatasetEntries, datasets.DatasetEntriesQuery),
    _get("/datasets/{digest}/difference/{other}", "dataset_difference",
         "From one version to another",
         datasets.DatasetDifference, datasets.DifferenceQuery),
    _get("/datasets/{digest}/images/{image}", "dataset_image",
         "The bytes of an image, verified against the version", "image/*"),

    # lessons
    _get("/lessons", "lessons", "Search what all runs taught",
         lessons.LessonHits, lessons.LessonsQuery),
    _get("/lessons/undocumented", "undocumented", "Runs that nobody wrote anything about",
         lessons.Undocumented, common.AnyProjectQuery),
    _get("/lessons/digest", "lessons_digest", "All lessons of a project as one text",
         lessons.DigestView, common.ProjectQuery),

    # rules and decisions
    _get("/baseline", "baseline", "What the project compares against",
         governance.BaselineView, common.ProjectQuery),
    _write("PUT", "/baseline", "set_baseline", "Compare against another run from now on",
           governance.BaselineEdit, governance.BaselineView),
    _get("/promotions", "list_promotions", "What is deployed under which name, and was before",
         governance.Promotions, common.ProjectQuery),
    _write("PUT", "/promotions", "promote_run", "Point a name at a run that ships",
           governance.PromotionEdit, Promotion),
    _get("/charter", "charter", "The rules in force, and their history",
         governance.CharterView, common.ProjectQuery),
    _get("/ledger", "ledger", "Every look at test images",
         governance.LedgerView, common.ProjectQuery),
    _get("/decisions", "decisions", "Decisions, newest first",
         governance.Decisions, common.AnyProjectQuery),
    _write("POST", "/decisions", "decide", "Decide on a candidate",
           governance.DecisionQuery, governance.DecisionView),
    _get("/decisions/{digest}", "decision", "One decision", governance.DecisionView),
    _get("/decisions/{digest}/markdown", "decision_markdown", "A decision to be kept elsewhere",
         "text/markdown"),
    _get("/decisions/{digest}/html", "decision_html", "The same as a page of its own",
         "text/html"),
)
# fmt: on
