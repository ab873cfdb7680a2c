"""Names of a project that point at runs: ``baseline``, ``production`` and others.

An alias is shared by all who work on the project. Moving it is a governance record with an
author and a reason; where it points is the last record, and all earlier ones stay.
"""

from __future__ import annotations

import re

import msgspec

from epochal.errors import InvalidInput, NotFound
from epochal.journal.author import author
from epochal.records import Alias
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = [
    "BASELINE",
    "AliasChange",
    "aliases",
    "aliases_of",
    "get_alias",
    "get_baseline",
    "history",
    "set_alias",
    "set_baseline",
]

BASELINE = "baseline"
"""The alias of the run that a project compares against."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class AliasChange(msgspec.Struct, frozen=True, kw_only=True):
    """One time an alias was pointed at a run."""

    alias: str
    run: str
    """Id of the run."""
    t: int
    """Microseconds since the Unix epoch, UTC."""
    reason: str
    author: str
    hash: str
    """Hash of the governance record."""


def set_alias(store: Store, project: str, alias: str, run: RunDocument, reason: str = "") -> str:
    """Point `alias` at `run` and return the hash of the record.

    Whether a run may bear a name is not judged here; `epochal.registry.promote` does that.

    Raises
    ------
    InvalidInput
        If the name cannot be an alias, or the run belongs to another project.
    """
    if not _NAME.fullmatch(alias):
        raise InvalidInput(
            f"{alias!r} cannot be an alias",
            "use lower-case letters, digits, '.', '_' and '-', such as production",
        )
    if run.project != project:
        raise InvalidInput(
            f"run {run.name} is of project {run.project!r}, not {project!r}",
            "name a run of this project",
        )
    return store.record(
        Alias(project=project, alias=alias, run=run.id, reason=reason.strip(), author=author())
    )


def history(store: Store, project: str, alias: str | None = None) -> list[AliasChange]:
    """Return every change of the project's aliases (or of one), oldest first."""
    return [
        AliasChange(
            alias=body.alias,
            run=body.run,
            t=governed.t,
            reason=body.reason,
            author=body.author,
            hash=governed.hash,
        )
        for governed in store.governance("alias")
        for body in [governed.body]
        if body.project == project and alias in (None, body.alias)
    ]


def aliases(store: Store, project: str) -> dict[str, AliasChange]:
    """Return where each alias of the project points now, by name."""
    return {change.alias: change for change in history(store, project)}


def aliases_of(store: Store, run: RunDocument) -> tuple[str, ...]:
    """Return the names that point at `run`."""
    now = aliases(store, run.project)
    return tuple(name for name, change in now.items() if change.run == run.id)


def get_alias(store: Store, project: str, alias: str) -> RunDocument | None:
    """Return the run that `alias` points at; None where it was never set.

    Raises
    ------
    NotFound
        If it points at a run that is not in the workspace. That is not the same as "none": a
        candidate would be judged as a first version.
    """
    change = aliases(store, project).get(alias)
    if change is None:
        return None
    try:
        return store.run(change.run)
    except NotFound:
        raise NotFound(
            f"{alias} of project {project!r} points at run {change.run[:8]}, which is not here",
            "restore the run, or point the alias at another one",
        ) from None


def set_baseline(store: Store, project: str, run: RunDocument, reason: str = "") -> str:
    """Make `run` what the project compares against; see `set_alias`."""
    return set_alias(store, project, BASELINE, run, reason)


def get_baseline(store: Store, project: str) -> RunDocument | None:
    """Return what the project compares against; None where nothing was chosen yet."""
    return get_alias(store, project, BASELINE)
