"""``epochal runs``: the table of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from epochal.cli.common import (
    console,
    default_project,
    json_option,
    open_store,
    print_json,
    project_option,
    workspace_option,
)
from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from epochal.analysis.metrics import Metric, Registry
    from epochal.cli.run_list import RunList
    from epochal.store.documents import RunDocument
    from epochal.store.run_table import RunTable
    from epochal.store.store import Store

__all__ = ["runs_command"]


@click.command("runs")
@click.option(
    "--where",
    default="",
    metavar="FILTER",
    help="""Only runs that fit, e.g. 'metrics."mAP50-95" > 0.5 and config.imgsz = 640'.""",
)
@click.option("--sort", default="", metavar="FIELDS", help="E.g. 'config.imgsz desc, created'.")
@click.option("--columns", default="", metavar="FIELDS", help="Further columns, with commas.")
@click.option("--diff", is_flag=True, help="Show the parameters in which the runs differ.")
@click.option("--group-by", default="", metavar="FIELDS", help="Mean and spread for each value.")
@click.option("--metric", help="Another metric than the project's.")
@click.option("--limit", default=30, show_default=True, help="Rows; 0 for all.")
@click.option("--all", "everywhere", is_flag=True, help="Runs of all projects.")
@click.option("--trashed", is_flag=True, help="Those in the trash.")
@project_option
@workspace_option
@json_option
def runs_command(
    where: str,
    sort: str,
    columns: str,
    diff: bool,
    group_by: str,
    metric: str | None,
    limit: int,
    everywhere: bool,
    trashed: bool,
    project: str | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """List runs, newest first.

    \b
      epochal runs --where 'config.imgsz >= 640 and not lesson is null'
      epochal runs --where 'status in (failed, killed) and age < 7d'
      epochal runs --where 'name ~ "v3_*" and tags has candidate' --diff
      epochal runs --sort 'best(metrics."mAP50-95") desc' --columns config.lr0,duration
      epochal runs --group-by config.imgsz

    A field is name, status, created, age, duration, dataset, pin, tags, lesson, parent, group,
    ..., or config.KEY, metrics.KEY, summary.KEY, environment.KEY. metrics.KEY is the last value;
    best(...), min(...), max(...), first(...) and count(...) are the others.
    """
    if limit < 0:
        raise InvalidInput(f"--limit is {limit}", "give how many rows, or 0 for all")
    from epochal.cli.run_list import RunList, run_line

    with open_store(workspace) as store:
        of_one = None if everywhere else _project(store, project)
        resolved, registry = _metric(store, of_one, metric)
        if group_by:
            _show_groups(store, registry, of_one, resolved, group_by, where, trashed, as_json)
            return
        documents, total, values = _find(
            store, registry, of_one, where, sort, columns, limit, trashed
        )
        if diff:
            _add_differences(documents, values)
        found = RunList(
            project=of_one,
            metric=resolved.name,
            direction=resolved.direction or "",
            total=total,
            runs=tuple(
                run_line(store, document, resolved, registry, value)
                for document, value in zip(documents, values, strict=True)
            ),
        )
    if as_json:
        print_json(found)
        return
    from epochal.cli.run_list_page import draw_runs

    hint = _hint(found, where, trashed) or _metric_hint(resolved, registry, documents)
    draw_runs(console(), found, resolved, hint=hint)


def _project(store: Store, given: str | None) -> str | None:
    """Return the project to list; None where there are several and none is meant."""
    if given is None and len(store.projects()) != 1:
        from epochal.decisions.charter_file import find_toml, read_toml

        toml = find_toml(Path.cwd())
        named = read_toml(toml).project if toml is not None else None
        return named if named in store.projects() else None
    return default_project(store, given)


def _metric(store: Store, project: str | None, given: str | None) -> tuple[Metric, Registry]:
    """Return the metric of the list, with a direction where one is known or can be guessed."""
    from epochal.analysis.metrics import DEFAULT_REGISTRY, guess_direction
    from epochal.decisions.charter_in_force import charter_for_training

    registry, name = DEFAULT_REGISTRY, given or "mAP50-95"
    if project is not None:
        charter = charter_for_training(store.folder, project, Path.cwd())
        registry, name = charter.registry(), given or charter.metric
    metric = registry.resolve(name)
    direction = metric.direction or guess_direction(name)
    return msgspec.structs.replace(metric, direction=direction), registry


def _find(
    store: Store,
    registry: Registry,
    project: str | None,
    where: str,
    sort: str,
    columns: str,
    limit: int,
    trashed: bool,
) -> tuple[list[RunDocument], int, list[dict[str, Any]]]:
    """Return the runs to list, how many there are, and the values of the columns asked for."""
    rows = limit or -1
    if not (where.strip() or sort.strip() or columns.strip()):
        # The usual question needs no columns over all runs.
        documents = store.newest(rows, project, trashed=trashed)
        total = store.count_runs(project, trashed=trashed)
        return documents, total, [{} for _ in documents]
    table = _table(store, registry, project)
    found = table.select(where, sort, trashed=trashed, limit=limit or None)
    documents = [store.run(run) for run in found.ids]
    names = _fields(columns)
    by_field = [table.values(found.ids, name) for name in names]
    values = [dict(zip(names, row, strict=True)) for row in zip(*by_field, strict=True)]
    return documents, found.total, values or [{} for _ in documents]


def _table(store: Store, registry: Registry, project: str | None) -> RunTable:
    from epochal.store.run_table import RunTable

    table = RunTable(store, registry, project)
    table.refresh()
    return table


def _fields(text: str) -> list[str]:
    """Return the fields of a list with commas, each as it is written in a filter."""
    from epochal.store.filter_language import parse_sort

    return list(dict.fromkeys(str(key.field) for key in parse_sort(text))) if text.strip() else []


def _add_differences(documents: list[RunDocument], values: list[dict[str, Any]]) -> None:
    """Add a column for each parameter that counts and is not the same in all runs."""
    from epochal.analysis.config_difference import difference, flatten
    from epochal.store.filter_tree import quoted

    if not documents:
        return
    first = documents[-1]
    keys = sorted(
        {
            change.key
            for document in documents
            for change in difference(first.config, document.config).changes
        }
    )
    for document, value in zip(documents, values, strict=True):
        config = flatten({**document.config, **document.effective})
        value.update({f"config.{quoted(key)}": config.get(key) for key in keys})


def _show_groups(
    store: Store,
    registry: Registry,
    project: str | None,
    metric: Metric,
    group_by: str,
    where: str,
    trashed: bool,
    as_json: bool,
) -> None:
    from epochal.store.filter_tree import quoted

    statistic = metric.direction or "last"
    of = f"{statistic}(metrics.{quoted(metric.name)})"
    by = _fields(group_by)
    groups = _table(store, registry, project).group(by, [of], where, trashed=trashed)
    if as_json:
        print_json(groups)
        return
    from epochal.cli.run_list_page import draw_groups

    names = {document.id: document.name for document in store.runs(project, trashed=trashed)}
    best = "best" if metric.direction else "last"
    draw_groups(console(), by, groups, metric, best, names)


def _metric_hint(metric: Metric, registry: Registry, documents: Sequence[RunDocument]) -> str:
    """Return which metrics there are where none of the runs logged the one that is listed."""
    logged = sorted({key for document in documents for key in document.metrics})
    if not logged or registry.find_key(metric.name, logged) is not None:
        return ""
    more = f" and {len(logged) - 8} more" if len(logged) > 8 else ""
    return (
        f"no run here logged {metric.name}; there are {', '.join(logged[:8])}{more}\n"
        "see one with --metric, or set `metric` in epochal.toml for good, and "
        "`epochal charter apply -m REASON`"
    )


def _hint(found: RunList, where: str, trashed: bool) -> str:
    """Return what to do where nothing is listed."""
    if found.runs:
        return ""
    if where.strip():
        return "no run fits; without --where all are listed"
    if trashed:
        return "the trash is empty"
    return "no runs yet; `epochal run -- yolo train ...` or epochal.init() in a script records one"
