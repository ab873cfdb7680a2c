"""``epochal decide``: the four gates, the verdict, and what next."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from epochal.cli.common import (
    console,
    default_project,
    json_option,
    open_store,
    print_json,
    progress,
    project_option,
    workspace_option,
)
from epochal.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from epochal.decisions.decision import Decision
    from epochal.store.documents import RunDocument
    from epochal.store.store import Store

__all__ = ["decide_command"]


@click.command("decide")
@click.argument("candidate", required=False)
@click.option(
    "--baseline",
    "baseline_name",
    metavar="RUN",
    help="Default: the project's baseline; none: a first version.",
)
@click.option("--explain", is_flag=True, help="Also say what each gate asks and rests on.")
@click.option(
    "--dry-run", is_flag=True, help="Store nothing: neither the decision nor what was shown."
)
@click.option("--override", default="", metavar="REASON", help="Ship against the gates.")
@click.option("--show", metavar="DECISION", help="Show a stored decision by its id.")
@click.option("--list", "listed", is_flag=True, help="List the project's decisions.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Also write Markdown to a file.")
@click.option("--html", type=click.Path(path_type=Path), help="Also write one HTML file.")
@project_option
@workspace_option
@json_option
def decide_command(
    candidate: str | None,
    baseline_name: str | None,
    explain: bool,
    dry_run: bool,
    override: str,
    show: str | None,
    listed: bool,
    markdown: Path | None,
    html: Path | None,
    project: str | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Ask four gates whether CANDIDATE may replace the baseline.

    Exit code 0: ship. 1: more experiments. 2: an error.

    \b
      1  on val, the gain is worth having and noise cannot explain it
      2  no class is lost
      3  the test set confirms both
      4  fast enough on the target device
    """
    with open_store(workspace) as store:
        if listed:
            _list(store, default_project(store, project), as_json)
            return
        if show is not None:
            from epochal.decisions.decision import load_decision

            decision = load_decision(store, show)
        elif candidate is None:
            raise InvalidInput("no candidate is named", "`epochal decide RUN`, or --list, --show")
        else:
            decision = _decide(
                store,
                _candidate(store, candidate, project),
                baseline_name,
                record=not dry_run,
                override=override,
            )
    _write(decision, markdown, html)
    if as_json:
        print_json(decision)
    else:
        from epochal.cli.decision_drawing import draw_decision

        draw_decision(console(), decision, explain=explain)
    if show is None:
        sys.exit(0 if decision.ships else 1)


def _candidate(store: Store, name: str, project: str | None) -> RunDocument:
    """Return the run: in the project named, in the default one, else wherever it is alone."""
    if project is None:
        try:
            project = default_project(store, None)
            return store.find_run(name, project)
        except NotFound:
            return store.find_run(name)
    return store.find_run(name, project)


def _decide(
    store: Store,
    candidate: RunDocument,
    baseline_name: str | None,
    *,
    record: bool,
    override: str,
) -> Decision:
    from epochal.decisions.charter_file import find_toml
    from epochal.decisions.charter_in_force import charter_for_decision
    from epochal.decisions.deciding import decide
    from epochal.registry import get_baseline

    project = candidate.project
    charter, version = charter_for_decision(store, project, find_toml(Path.cwd()))
    baseline = (
        store.find_run(baseline_name, project)
        if baseline_name is not None
        else get_baseline(store, project)
    )
    with progress("drawing images", unit="") as advance:
        return decide(
            store,
            candidate,
            baseline,
            charter=charter,
            version=version,
            record=record,
            override=override,
            progress=advance,
        )


def _write(decision: Decision, markdown: Path | None, html: Path | None) -> None:
    from epochal.decisions.explain import to_markdown
    from epochal.decisions.page import to_html

    for path, made in ((markdown, to_markdown), (html, to_html)):
        if path is not None:
            path.write_text(made(decision), encoding="utf-8")
            click.echo(f"wrote {path}", err=True)


def _list(store: Store, project: str, as_json: bool) -> None:
    from epochal.decisions.decision import decisions

    made = decisions(store, project)
    if as_json:
        print_json(made)
        return
    from epochal.cli.decision_drawing import draw_decisions

    names = {run.id: run.name for run in (*store.runs(), *store.runs(trashed=True))}
    draw_decisions(console(), made, names)
