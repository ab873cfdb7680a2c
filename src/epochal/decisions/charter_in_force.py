"""Which charter is in force: the recorded one, and how ``epochal.toml`` becomes it.

``epochal.toml`` in the user's repository proposes; the last charter record is in force. A rule
that could be changed silently after a disappointing result would be no rule, so every change is
a governance record with a version, a reason and an author.

A training process imports this module: standard library, msgspec and light modules only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from epochal.decisions.charter import Charter
from epochal.errors import InvalidInput, NewerFormat, Refused
from epochal.journal.author import author
from epochal.journal.governance import declare, read_governance
from epochal.records import CharterChanged

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from epochal.journal.folder import Folder
    from epochal.store.store import Store

__all__ = [
    "CharterState",
    "CharterVersion",
    "apply",
    "charter_differences",
    "charter_for_decision",
    "charter_for_training",
    "history",
    "in_force",
    "record_first_charter",
    "sync_charter",
]


class CharterState(msgspec.Struct, frozen=True, kw_only=True):
    """The charter in force, and where ``epochal.toml`` proposes something else."""

    charter: Charter
    version: int
    """1, 2, ... of the record in force; 0: nothing is recorded yet."""
    differences: tuple[str, ...] = ()
    """One line for each rule that the file would change."""


def charter_differences(in_force: Charter, proposed: Charter) -> tuple[str, ...]:
    """Return one line for each rule in which `proposed` differs from what is in force."""
    return tuple(
        f"{field}: {_shown(old)} is in force, {_shown(new)} is proposed"
        for field in Charter.__struct_fields__
        if (old := getattr(in_force, field)) != (new := getattr(proposed, field))
    )


def _shown(value: object) -> str:
    return "none" if value is None else msgspec.json.encode(value).decode()


def in_force(store: Store, project: str) -> tuple[Charter, int]:
    """Return the charter in force and its version; the defaults and 0 where none is recorded.

    Raises
    ------
    NewerFormat
        If the record holds rules that this version does not know.
    """
    return _last(project, (governed.body for governed in store.governance("charter")))


def sync_charter(store: Store, project: str, toml: Path | None = None) -> CharterState:
    """Return the charter in force, recording version 1 where there is none yet.

    Version 1 is what the file `toml` says, or the defaults, recorded as such. From then on the
    file only proposes: differences are reported until `apply` puts them in force.

    Parameters
    ----------
    toml
        Path of an ``epochal.toml``. One that is for another project proposes nothing here.

    Raises
    ------
    InvalidInput
        If the file cannot be read as a charter.
    """
    charter, version = in_force(store, project)
    proposed = _proposal(toml, project)
    if version == 0:
        charter = proposed or charter
        reason = _first_reason(toml) if toml and proposed else "defaults: no epochal.toml"
        _record(store, charter, 1, reason)
        return CharterState(charter=charter, version=1)
    differences = charter_differences(charter, proposed) if proposed else ()
    return CharterState(charter=charter, version=version, differences=differences)


class CharterVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the rules."""

    version: int
    t: int
    """Microseconds since the Unix epoch, UTC."""
    author: str
    reason: str
    rules: dict[str, Any]
    """As they are recorded; a newer version of Epochal may know more of them."""
    changes: tuple[str, ...]
    """One line for each rule that differs from the version before; from the defaults for 1."""


def history(store: Store, project: str) -> list[CharterVersion]:
    """Return all versions of the project's charter, oldest first."""
    found: list[CharterVersion] = []
    before = msgspec.to_builtins(Charter(project=project))
    for governed in store.governance("charter"):
        body = governed.body
        if body.project != project:
            continue
        changes = tuple(
            f"{key}: {_shown(before.get(key))} -> {_shown(value)}"
            for key, value in body.rules.items()
            if before.get(key) != value
        )
        found.append(
            CharterVersion(
                version=body.version,
                t=governed.t,
                author=body.author,
                reason=body.reason,
                rules=body.rules,
                changes=changes,
            )
        )
        before = body.rules
    return found


def apply(store: Store, project: str, charter: Charter, reason: str) -> CharterState:
    """Put `charter` in force as the project's next version.

    Raises
    ------
    InvalidInput
        If no reason is given, or the charter is for another project.
    Refused
        If nothing would change.
    """
    if not reason.strip():
        raise InvalidInput(
            "a charter change needs a reason", "add one: `epochal charter apply -m REASON`"
        )
    if charter.project != project:
        raise InvalidInput(
            f"the charter is for project {charter.project!r}, not {project!r}",
            "correct `project` in epochal.toml, or name the other project",
        )
    old, version = in_force(store, project)
    settled = version and not made_apart(store, project)
    if settled and not charter_differences(old, charter):
        raise Refused(
            f"nothing to apply: version {version} of the charter says the same",
            "edit epochal.toml first",
        )
    _record(store, charter, version + 1, reason.strip())
    return CharterState(charter=charter, version=version + 1)


def made_apart(store: Store, project: str) -> bool:
    """Tell whether the version in force was made more than once, with different rules.

    That happens where two workspaces of one project are merged; the next version settles it.
    """
    found = [g.body for g in store.governance("charter") if g.body.project == project]
    newest = max((body.version for body in found), default=0)
    rules = {msgspec.json.encode(b.rules, order="sorted") for b in found if b.version == newest}
    return len(rules) > 1


def charter_for_decision(
    store: Store, project: str, toml: Path | None = None
) -> tuple[Charter, int]:
    """Return the charter to decide by and its version.

    Raises
    ------
    Refused
        If the file proposes other rules than those in force, or two people made the version in
        force apart: whoever decides might mean either.
    """
    state = sync_charter(store, project, toml)
    if made_apart(store, project):
        raise Refused(
            f"version {state.version} of the charter of {project} was made twice, with different "
            "rules: two workspaces were merged",
            "`epochal charter history` shows both; `epochal charter apply -m REASON` settles it",
        )
    if state.differences:
        more = f" (and {len(state.differences) - 1} more)" if len(state.differences) > 1 else ""
        raise Refused(
            f"{toml} differs from version {state.version} of the charter: "
            f"{state.differences[0]}{more}",
            "`epochal charter apply -m REASON` puts the file in force; or undo the edit",
        )
    return state.charter, state.version


def charter_for_training(folder: Folder, project: str, start_dir: Path) -> Charter:
    """Return the charter for a process without the index: from journals and ``epochal.toml``.

    The record in force; before there is one the file found upwards from `start_dir`, if it is
    for this project; else the defaults. Nothing is recorded.

    Raises
    ------
    InvalidInput
        If the file is needed and cannot be read as a charter.
    NewerFormat
        If the record in force holds rules that this version does not know.
    """
    from epochal.decisions.charter_file import find_toml

    bodies = (record.body for record in read_governance(folder).records)
    charter, version = _last(project, (b for b in bodies if isinstance(b, CharterChanged)))
    if version:
        return charter
    return _proposal(find_toml(start_dir), project) or charter


def record_first_charter(folder: Folder, project: str, start_dir: Path) -> None:
    """Record what ``epochal.toml`` proposes as version 1, where nothing is recorded yet.

    Said by the first training: then the rules are older than its numbers. A project without a
    file has no rules of its own to be held to, and nothing is recorded.
    """
    from epochal.decisions.charter_file import find_toml

    toml = find_toml(start_dir)
    if toml is None:
        return
    bodies = (record.body for record in read_governance(folder).records)
    if any(isinstance(b, CharterChanged) and b.project == project for b in bodies):
        return
    proposed = _proposal(toml, project)
    if proposed is not None:
        declare(folder, _version(proposed, 1, _first_reason(toml)))


def _proposal(toml: Path | None, project: str) -> Charter | None:
    from epochal.decisions.charter_file import read_toml

    if toml is None:
        return None
    proposed = read_toml(toml)
    return proposed if proposed.project == project else None


def _last(project: str, bodies: Iterable[CharterChanged]) -> tuple[Charter, int]:
    """Return the latest of `bodies`, which come by time: two of one version were made apart."""
    last: CharterChanged | None = None
    for body in bodies:
        if body.project == project and (last is None or body.version >= last.version):
            last = body
    if last is None:
        return Charter(project=project), 0
    try:
        return msgspec.convert({**last.rules, "project": project}, Charter), last.version
    except msgspec.ValidationError as error:
        raise NewerFormat(
            f"version {last.version} of the charter of {project} cannot be read here: {error}",
            "upgrade epochal",
        ) from None


def _record(store: Store, charter: Charter, version: int, reason: str) -> None:
    store.record(_version(charter, version, reason))


def _version(charter: Charter, version: int, reason: str) -> CharterChanged:
    return CharterChanged(
        project=charter.project,
        version=version,
        rules=msgspec.to_builtins(charter),
        reason=reason,
        author=author(),
    )


def _first_reason(toml: Path) -> str:
    return f"first read of {toml.name}"
