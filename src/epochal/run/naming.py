"""What a run is called: the name given, checked; or one that says what changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from epochal.analysis.config_difference import difference
from epochal.analysis.naming import check, suggest
from epochal.decisions.charter_in_force import charter_for_training
from epochal.errors import Refused
from epochal.journal.folder import Folder, slug
from epochal.journal.reader import read_journal
from epochal.records import Config, Notice, Opened, Renamed
from epochal.run.telling import say
from epochal.run.values import config_values

__all__ = ["settle_name", "suggested_name"]


def settle_name(
    folder: Folder, project: str, name: str | None, parent: str | None, config: Any
) -> tuple[str, list[Notice]]:
    """Return the run's name, and what there is to say about it.

    Raises
    ------
    Refused
        If the charter's naming policy is ``refuse`` and the name does not follow its pattern.
    """
    charter = charter_for_training(folder, project, Path.cwd())
    notices = _on_parent(folder, project, parent)
    if name is not None and check(name, charter.naming_pattern).ok:
        return name, notices
    suggestion = suggested_name(folder, project, parent, config)
    if name is None:
        say(f"no name was given; this run is called {suggestion}")
        return suggestion, [*notices, Notice(code="name", text=f"named {suggestion} by Epochal")]
    verdict = check(name, charter.naming_pattern, suggestion=suggestion)
    if charter.naming_policy == "refuse":
        raise Refused(verdict.problem, verdict.remedy)
    say(f"{verdict.problem}. {verdict.remedy}")
    return name, [*notices, Notice(code="name", text=f"{verdict.problem}. {verdict.remedy}")]


def _on_parent(folder: Folder, project: str, parent: str | None) -> list[Notice]:
    """Return a notice where no run is the parent; it may still come, as from another machine."""
    if not parent or any(_may_be(f, parent) for f in folder.run_folders()):
        return []
    # A run that was renamed keeps its folder: only its journal knows the name it has now.
    if _parent_of(_known_runs(folder, project, None), parent) is not None:
        return []
    text = f"no run {parent!r} is here to be the parent; `epochal runs` lists those that are"
    say(text)
    return [Notice(code="parent", text=text)]


def suggested_name(folder: Folder, project: str, parent: str | None, config: Any) -> str:
    """Return a name from the config difference to `parent`, or ``v<n>_baseline`` without one."""
    known = _known_runs(folder, project, parent)
    taken = {opened.name for opened, _ in known.values()}
    found = _parent_of(known, parent) if parent else None
    if found is None:
        # Without a known parent there is nothing to compare with; the next version still counts.
        name = suggest(None, None, taken)
        return name if not taken else re.sub("_baseline$", "_unnamed_change", name)
    opened, parent_config = found
    return suggest(opened.name, difference(parent_config, config_values(config)), taken)


def _parent_of(
    known: dict[str, tuple[Opened, dict[str, Any]]], parent: str
) -> tuple[Opened, dict[str, Any]] | None:
    names = [parent, parent.rpartition("/")[2]]
    return next(
        (known[run] for run in known if run.startswith(parent) or known[run][0].name in names),
        None,
    )


def _known_runs(
    folder: Folder, project: str, parent: str | None
) -> dict[str, tuple[Opened, dict[str, Any]]]:
    """Return opening and config of the project's newest runs by id, from their journals alone."""
    known: dict[str, tuple[Opened, dict[str, Any]]] = {}
    for run_folder in _newest(folder, parent):
        opened: Opened | None = None
        config: dict[str, Any] = {}
        for path in sorted((run_folder / "journal").glob("*.jsonl")):
            for line in read_journal(path, limit=_HEAD).lines:
                body = line.entry.body if line.entry is not None else None
                if isinstance(body, Opened) and opened is None:
                    opened = body
                elif isinstance(body, Config) and body.role == "requested":
                    config.update(body.values)
                elif isinstance(body, Renamed) and opened is not None:
                    opened = Opened(
                        run=opened.run, attempt=1, project=opened.project, name=body.name
                    )
        if opened is not None and opened.project == project:
            known[opened.run] = (opened, config)
    return known


def _newest(folder: Folder, parent: str | None) -> list[Path]:
    """Return the newest run folders, and those that may be the parent's."""
    folders = sorted(folder.run_folders(), key=lambda f: f.name, reverse=True)
    newest, older = folders[:_RUNS], folders[_RUNS:]
    if parent:
        newest += [f for f in older if _may_be(f, parent)]
    return newest


def _may_be(run_folder: Path, parent: str) -> bool:
    """Whether the name of a run's folder allows for it to be the parent."""
    name = run_folder.name
    return f"-{slug(parent.rpartition('/')[2])}-" in name or name.rpartition("-")[2].startswith(
        parent[:8].lower()
    )


_RUNS = 1_000
"""Runs that are looked at: opening a run must not take longer with every run there is."""
_HEAD = 256 * 1024
"""Bytes at the beginning of a journal in which the opening and the config stand."""
