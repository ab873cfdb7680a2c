"""The ledger for people: by test set, verified, exported."""

from __future__ import annotations

from pathlib import Path

import msgspec

from epochal.analysis.metrics import format_gain
from epochal.decisions.budget import Budget, budget_of
from epochal.decisions.charter_in_force import in_force
from epochal.decisions.ledger import Ledger, LookView
from epochal.errors import InvalidInput
from epochal.records import Evaluated
from epochal.store.store import Store
from epochal.version import __version__

__all__ = [
    "LedgerReport",
    "LookLine",
    "TestSet",
    "Verification",
    "export",
    "heads_of_export",
    "report",
    "verify",
]


class LookLine(msgspec.Struct, frozen=True, kw_only=True):
    """One look, and what it counts."""

    look: LookView
    number: int
    """Which challenger look it is; 0 for the reference's own, which is free."""


class TestSet(msgspec.Struct, frozen=True, kw_only=True):
    """Looks at sets of images that count together."""

    project: str
    min_gain: str
    """The charter's smallest gain worth having, in words."""
    budget: Budget
    looks: tuple[LookLine, ...]


class LedgerReport(msgspec.Struct, frozen=True, kw_only=True):
    """All test sets that were looked at, by project."""

    sets: tuple[TestSet, ...]
    notes: tuple[str, ...]
    """Measurements on test images that no look covers."""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the ledger is whole."""

    records: int
    looks: int
    heads: tuple[str, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    """What is no tampering and still worth knowing."""


def report(store: Store, project: str | None = None) -> LedgerReport:
    """Return the looks of a project (None: of all) by test set, the set used last at the end."""
    ledger = Ledger(store.folder)
    sets: list[TestSet] = []
    covered: set[tuple[str, str]] = set()
    for look in reversed(ledger.looks):
        if (project is not None and look.project != project) or (
            look.project,
            look.id,
        ) in covered:
            continue
        together = ledger.at(look.images)
        covered |= {(look.project, other.id) for other in together}
        charter, _ = in_force(store, look.project)
        reference = ledger.baseline(look.project)
        challengers = [c.id for c in ledger.challengers(look.images, reference)]
        sets.append(
            TestSet(
                project=look.project,
                min_gain=format_gain(
                    charter.registry().resolve(charter.metric), charter.min_gain_stored
                ).lstrip("+"),
                budget=budget_of(ledger, look.images, charter, reference=reference),
                looks=tuple(
                    LookLine(
                        look=_shown(other, reveal=charter.reveal_test == "all"),
                        number=challengers.index(other.id) + 1 if other.id in challengers else 0,
                    )
                    for other in together
                ),
            )
        )
    return LedgerReport(
        sets=tuple(reversed(sets)), notes=tuple(_uncovered(store, ledger, project))
    )


def _shown(look: LookView, *, reveal: bool) -> LookView:
    """Return the look without numbers that nobody was shown."""
    if reveal or look.revealed == "number":
        return look
    return msgspec.structs.replace(look, result={})


def _uncovered(store: Store, ledger: Ledger, project: str | None) -> list[str]:
    """Return evaluations on the deciding split that no look announces."""
    notes = []
    splits: dict[str, str] = {}
    for run in (*store.runs(project), *store.runs(project, trashed=True)):
        if run.project not in splits:
            splits[run.project] = in_force(store, run.project)[0].split
        for stamped in run.evaluations:
            body = stamped.body
            if not isinstance(body, Evaluated) or body.split != splits[run.project]:
                continue
            if body.look and ledger.look(body.look) is None:
                notes.append(
                    f"{run.name} was measured on {body.split} under look {body.look[:8]}, "
                    "which is not in the ledger"
                )
            elif not body.look and not any(
                look.weights and look.weights == body.weights for look in ledger.looks
            ):
                notes.append(f"{run.name} was measured on {body.split} without a look")
    return list(dict.fromkeys(notes))


def verify(store: Store, expected_heads: tuple[str, ...] = ()) -> Verification:
    """Return whether all records link, and what else is odd.

    Parameters
    ----------
    expected_heads
        Heads of an earlier export (see `heads_of_export`).
    """
    ledger = Ledger(store.folder)
    problems = ledger.verify(expected_heads)
    notes = []
    heads = ledger.governance.heads
    if len(heads) > 1:
        notes.append(
            f"{len(heads)} heads: people wrote apart, or a copy was merged; whoever writes next "
            "names them all"
        )
    for note in _uncovered(store, ledger, None):
        (problems if "not in the ledger" in note else notes).append(note)
    return Verification(
        records=len(ledger.governance.records),
        looks=len(ledger.looks),
        heads=heads,
        problems=tuple(problems),
        notes=tuple(notes),
    )


class _ExportedRecord(msgspec.Struct, frozen=True, kw_only=True):
    hash: str
    writer: str
    seq: int
    t: int
    body: msgspec.Raw


class _Export(msgspec.Struct, frozen=True, kw_only=True):
    kind: str = "epochal-ledger"
    created_by: str = f"epochal {__version__}"
    heads: tuple[str, ...]
    records: tuple[_ExportedRecord, ...]


def export(store: Store) -> bytes:
    """Return all governance records with their hashes and the heads, as one JSON document."""
    governance = Ledger(store.folder).governance
    return msgspec.json.format(
        msgspec.json.encode(
            _Export(
                heads=governance.heads,
                records=tuple(
                    _ExportedRecord(
                        hash=record.hash,
                        writer=record.writer,
                        seq=record.seq,
                        t=record.t,
                        body=msgspec.Raw(msgspec.json.encode(record.body)),
                    )
                    for record in governance.records
                ),
            )
        ),
        indent=1,
    )


def heads_of_export(path: Path) -> tuple[str, ...]:
    """Return every hash that an export holds: all of them have to be there still.

    Raises
    ------
    InvalidInput
        If the file is not such an export.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Export)
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise InvalidInput(
            f"{path} is no export of a ledger: {error}",
            "`epochal ledger export -o FILE` makes one",
        ) from None
    return tuple(record.hash for record in found.records)
