"""The ledger: every use of test images, written down before they are evaluated.

A test set tells the truth once. Each further model that is measured on it and compared uses it
up a little, whoever does it and whatever the data's tag says by then; so looks count together
where they share images. A look is opened before the first test image is evaluated and completed
by a second record with what was shown. A crash in between counts: the numbers may have been
seen. The same weights on the same images again are the same look.

This is evidence, not prevention: who has the images can measure without writing here.

A training process imports this module: standard library, msgspec and light modules only.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from epochal.errors import EpochalError, InvalidInput
from epochal.journal.author import author
from epochal.journal.governance import Governance, declare, read_governance
from epochal.journal.reader import read_journal
from epochal.records import Alias, DecisionMade, Look, Purged

if TYPE_CHECKING:
    from epochal.journal.folder import Folder

__all__ = [
    "SAME_SET",
    "Ledger",
    "LookView",
    "Purpose",
    "Revealed",
    "complete_look",
    "ledger",
    "open_look",
]

SAME_SET = 0.1
"""Share of the smaller set's images from which two sets of test images count as one."""

Purpose: TypeAlias = Literal["gate", "explore", "monitor"]
Revealed: TypeAlias = Literal["nothing", "verdict", "number"]
_MORE = {"nothing": 0, "verdict": 1, "number": 2}


def open_look(
    folder: Folder,
    *,
    project: str,
    run: str,
    weights: str,
    dataset: str,
    split: str,
    image_digests: Iterable[str],
    purpose: Purpose = "explore",
    charter: int = 0,
) -> Look:
    """Record that these test images are about to be used, and return the record.

    Parameters
    ----------
    run, weights
        Id of the run and digest of the weights that are measured; empty where unknown.
    dataset
        ``name@tag``, or the path of the data. For people: images decide what counts together.
    image_digests
        Digests of the images' contents, in any order; stored as a blob.
    charter
        Version in force; 0 where none is recorded.

    Raises
    ------
    InvalidInput
        If no images are named.
    """
    from epochal.store.blobs import Blobs

    images = frozenset(image_digests)
    if not images:
        raise InvalidInput("a look at no images cannot be recorded", "name the split's images")
    look = Look(
        look=secrets.token_hex(16),
        state="opened",
        project=project,
        run=run,
        weights=weights,
        dataset=dataset,
        split=split,
        images=Blobs(folder.blobs).put(_encoded(images)),
        n_images=len(images),
        purpose=purpose,
        charter=charter,
        author=author(),
    )
    declare(folder, look)
    return look


def complete_look(
    folder: Folder,
    look: Look,
    result: dict[str, Any] | None = None,
    revealed: Revealed = "number",
) -> Look:
    """Record what was seen in `look`, and return the record.

    Parameters
    ----------
    result
        The numbers, kept also where they were not shown.
    revealed
        What a person was shown; a trainer that prints its metrics reveals the number.
    """
    done = msgspec.structs.replace(
        look, state="completed", revealed=revealed, result=result or {}, author=author(), prev=()
    )
    declare(folder, done)
    return done


def _encoded(images: frozenset[str]) -> bytes:
    return msgspec.json.encode(sorted(images))


class LookView(msgspec.Struct, frozen=True, kw_only=True):
    """One look: all that its records say together."""

    id: str
    opened: int
    """Microseconds since the Unix epoch, UTC."""
    completed: int | None
    """None: never completed, as after a crash. It counts."""
    project: str
    run: str
    run_name: str = ""
    """Name that a purged run had; others are looked up in the store."""
    weights: str
    dataset: str
    split: str
    images: str
    n_images: int
    purpose: Purpose
    revealed: Revealed
    result: dict[str, Any]
    charter: int
    author: str
    ids: tuple[str, ...]
    """Ids of all looks that these weights had at these images, the first one's first."""


class Ledger:
    """All looks of a workspace, folded, oldest first.

    Parameters
    ----------
    folder
        The workspace.
    governance
        Its records, where they were read already.
    """

    def __init__(self, folder: Folder, governance: Governance | None = None) -> None:
        self.folder = folder
        self.governance = governance or read_governance(folder)
        self._sets: dict[str, frozenset[str] | None] = {}
        self.looks: tuple[LookView, ...] = self._fold()

    def images(self, digest: str) -> frozenset[str] | None:
        """Return the image digests in a look's blob; None where it cannot be read."""
        if digest not in self._sets:
            from epochal.store.blobs import Blobs

            try:
                found = msgspec.json.decode(Blobs(self.folder.blobs).get(digest), type=list[str])
                self._sets[digest] = frozenset(found)
            except (EpochalError, msgspec.DecodeError):
                self._sets[digest] = None
        return self._sets[digest]

    def known_images(self, image_digests: Iterable[str]) -> str:
        """Return the digest of the blob that these images would have; nothing is stored."""
        from epochal.store.blobs import digest_of

        images = frozenset(image_digests)
        digest = digest_of(_encoded(images))
        self._sets[digest] = images
        return digest

    def counts_together(self, a: str, b: str) -> bool:
        """Return whether two sets of images (blobs) share a tenth; unknown sets do."""
        if a == b:
            return True
        left, right = self.images(a), self.images(b)
        if left is None or right is None:
            return True
        return len(left & right) >= SAME_SET * min(len(left), len(right))

    def look(self, id: str) -> LookView | None:
        """Return the look that `id`, one of its ids, names."""
        return next((look for look in self.looks if id in look.ids), None)

    def at(self, images: str) -> list[LookView]:
        """Return all looks at the images of a blob, or at sets that count together with it."""
        return [look for look in self.looks if self.counts_together(look.images, images)]

    def find(self, weights: str, images: str) -> LookView | None:
        """Return the look of these weights at these images."""
        if not weights:
            return None
        return next((look for look in self.at(images) if look.weights == weights), None)

    def challengers(self, images: str, reference: str | None = None) -> list[LookView]:
        """Return the looks at these images that use them up, oldest first.

        The reference's own look is free: it is compared with nobody. Free is the look of a run
        that was never decided on as a candidate and is the reference now, was one in an earlier
        decision, or was the project's baseline when it looked.

        Parameters
        ----------
        reference
            Id of the run that is compared against now.
        """
        candidates: set[str] = set()
        references = {reference} if reference else set()
        for record in self.governance.records:
            if isinstance(record.body, DecisionMade):
                candidates.add(record.body.candidate)
                if record.body.baseline:
                    references.add(record.body.baseline)
        return [
            look
            for look in self.at(images)
            if not (
                look.run
                and look.run not in candidates
                and (
                    look.run in references or look.run == self.baseline(look.project, look.opened)
                )
            )
        ]

    def baseline(self, project: str, t: int | None = None) -> str:
        """Return the id of the run that the project compared against at `t` (None: now)."""
        run = ""
        for record in self.governance.records:
            if t is not None and record.t > t:
                break
            body = record.body
            if isinstance(body, Alias) and body.alias == "baseline" and body.project == project:
                run = body.run
        return run

    def verify(self, expected_heads: tuple[str, ...] = ()) -> list[str]:
        """Return what is wrong with the ledger, one line each; empty where everything links.

        Parameters
        ----------
        expected_heads
            Heads that were saved elsewhere: what has been cut off since shows only against them.
        """
        problems = self.governance.verify(expected_heads)
        for path in sorted(self.folder.journal.glob("*.jsonl")):
            places = [line.seq for line in read_journal(path).lines]
            problems += [
                f"{path.name}:{later} stands behind {earlier}: lines were reordered or repeated"
                for earlier, later in pairwise(places)
                if later <= earlier
            ]
        problems += [
            f"the image list {look.images[:12]} of look {look.id[:8]} is missing or damaged"
            for look in self.looks
            if self.images(look.images) is None
        ]
        return problems

    def _fold(self) -> tuple[LookView, ...]:
        names = {
            record.body.run: record.body.name
            for record in self.governance.records
            if isinstance(record.body, Purged)
        }
        views: dict[str, LookView] = {}
        for record in self.governance.records:
            body = record.body
            if not isinstance(body, Look):
                continue
            known = views.get(body.look)
            if known is None:
                views[body.look] = _first(body, record.t, names.get(body.run, ""))
            else:
                views[body.look] = _merged(known, _first(body, record.t, known.run_name))
        folded: list[LookView] = []
        for view in sorted(views.values(), key=lambda v: (v.opened, v.id)):
            for place, earlier in enumerate(folded):
                if (
                    view.weights
                    and earlier.weights == view.weights
                    and self.counts_together(earlier.images, view.images)
                ):
                    folded[place] = _merged(earlier, view)
                    break
            else:
                folded.append(view)
        return tuple(folded)


def ledger(source: Any) -> Ledger:
    """Return the ledger of a workspace, given as a `Folder` or a `Store`."""
    return Ledger(getattr(source, "folder", source))


def _first(body: Look, t: int, run_name: str) -> LookView:
    return LookView(
        id=body.look,
        opened=t,
        completed=t if body.state == "completed" else None,
        project=body.project,
        run=body.run,
        run_name=run_name,
        weights=body.weights,
        dataset=body.dataset,
        split=body.split,
        images=body.images,
        n_images=body.n_images,
        purpose=body.purpose,
        revealed=body.revealed,
        result=body.result,
        charter=body.charter,
        author=body.author,
        ids=(body.look,),
    )


def _merged(earlier: LookView, later: LookView) -> LookView:
    """Return both as one: opened once, completed at last, revealed as far as anyone was shown."""
    return msgspec.structs.replace(
        earlier,
        completed=later.completed or earlier.completed,
        purpose="gate" if "gate" in (earlier.purpose, later.purpose) else earlier.purpose,
        revealed=max(earlier.revealed, later.revealed, key=_MORE.__getitem__),
        result=later.result or earlier.result,
        ids=tuple(dict.fromkeys((*earlier.ids, *later.ids))),
    )
