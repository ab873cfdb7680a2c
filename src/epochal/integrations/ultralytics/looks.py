"""The ledger's entry for an evaluation on test images: opened before, completed after.

A crash in between counts: the numbers may have been seen.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from epochal.integrations.ultralytics.pins import EvaluatedData
from epochal.journal.author import author
from epochal.journal.folder import Folder
from epochal.journal.governance import append_governance
from epochal.journal.writer import Writer
from epochal.records import Look
from epochal.store.blobs import Blobs, digest_of_file

__all__ = ["complete_look", "open_look"]


def open_look(
    folder: Folder,
    *,
    project: str,
    run: str,
    weights: str,
    data: EvaluatedData,
    split: str,
    files: Sequence[str],
    purpose: Literal["gate", "explore", "monitor"] = "explore",
) -> Look:
    """Record that these test images are about to be used, and return the record."""
    digests = data.digests_of(files) or [digest_of_file(Path(file)) for file in files]
    images = Blobs(folder.blobs).put(msgspec.json.encode(sorted(set(digests))))
    look = Look(
        look=secrets.token_hex(16),
        state="opened",
        project=project,
        run=run,
        weights=weights,
        dataset=data.dataset,
        split=split,
        images=images,
        n_images=len(files),
        purpose=purpose,
        author=author(),
    )
    _append(folder, look)
    return look


def complete_look(folder: Folder, look: Look, result: dict[str, Any]) -> None:
    """Record what was seen. Ultralytics prints its numbers, so they count as revealed."""
    _append(
        folder, msgspec.structs.replace(look, state="completed", revealed="number", result=result)
    )


def _append(folder: Folder, look: Look) -> None:
    writer = Writer(folder.journal, author=look.author)
    try:
        append_governance(writer, folder, look)
    finally:
        writer.close()
