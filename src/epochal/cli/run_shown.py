"""One run, as ``epochal show --json`` gives it and its page draws it."""

from __future__ import annotations

import msgspec

from epochal.decisions.ledger import ledger
from epochal.records import Evaluated, Status
from epochal.registry import aliases_of
from epochal.store.documents import RunDocument
from epochal.store.store import Store

__all__ = ["RunShown", "show_run"]


class RunShown(msgspec.Struct, frozen=True, kw_only=True):
    """A run and what is derived when it is read."""

    status: Status
    duration: float
    """Seconds that its attempts took."""
    aliases: tuple[str, ...]
    """``baseline``, ``production`` ..., where they point at it."""
    folder: str
    run: RunDocument


def show_run(store: Store, document: RunDocument, split: str) -> RunShown:
    """Return the run without the numbers that looks at the test split `split` did not show."""
    _hide_test_numbers(store, document, split)
    return RunShown(
        status=store.status(document),
        duration=document.duration,
        aliases=aliases_of(store, document),
        folder=str(store.folder.run_folder(document.id) or ""),
        run=document,
    )


def _hide_test_numbers(store: Store, document: RunDocument, split: str) -> None:
    """Take out the numbers of looks at the test split that showed a verdict only, or nothing."""
    bodies = [s.body for s in document.evaluations]
    if not any(isinstance(body, Evaluated) and body.split == split for body in bodies):
        return
    looks = ledger(store)
    for place, stamped in enumerate(document.evaluations):
        body = stamped.body
        if isinstance(body, Evaluated) and body.split == split:
            look = looks.look(body.look)
            if look is None or look.revealed != "number":
                hidden = msgspec.structs.replace(body, metrics={})
                document.evaluations[place] = msgspec.structs.replace(stamped, body=hidden)
