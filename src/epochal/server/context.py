"""What an answer is made from: one thread's store, what all threads share, and the usual words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.analysis.metrics import Registry
from epochal.decisions.charter import Charter
from epochal.decisions.charter_in_force import in_force
from epochal.errors import NotFound
from epochal.lessons.writing import FIELDS
from epochal.records import Evaluated
from epochal.registry.aliases import BASELINE, aliases
from epochal.server.schema.common import Done, RunRef
from epochal.server.schema.runs import NoteState
from epochal.store.documents import RunDocument
from epochal.store.run_table import RunTable
from epochal.store.store import Store

if TYPE_CHECKING:
    from epochal.server.service import Service

__all__ = ["Context", "last_epoch", "note_state", "planned_epochs"]


class Context:
    """One thread's view of the workspace.

    Attributes
    ----------
    store
        The thread's own.
    service
        What all threads share.
    """

    def __init__(self, store: Store, service: Service) -> None:
        self.store = store
        self.service = service
        self._numbers: tuple[int, dict[str, dict[str, int]]] = (-1, {})

    @property
    def change(self) -> int:
        """The change counter, to be read before what is answered: then nothing is missed."""
        return self.service.changes.current

    def run(self, id: str) -> RunDocument:
        """Return the run with exactly this id."""
        return self.store.run(id)

    def runs(self, ids: list[str]) -> list[RunDocument]:
        """Return the runs with these ids, in their order, each once."""
        return [self.store.run(id) for id in dict.fromkeys(ids)]

    def number(self, document: RunDocument) -> int:
        """Return which run of its project it is, by start: everybody sees it in one colour."""
        change = self.store.change
        if self._numbers[0] != change:
            self._numbers = (change, {})
        known = self._numbers[1]
        if document.project not in known:
            known[document.project] = self.store.run_numbers(document.project)
        return known[document.project].get(document.id, 0)

    def ref(self, document: RunDocument) -> RunRef:
        """Return what names and links a run."""
        return RunRef(
            id=document.id,
            name=document.name,
            project=document.project,
            status=self.store.status(document),
            number=self.number(document),
        )

    def ref_of(self, id: str | None) -> RunRef | None:
        """Return what names and links the run with this id; None where it is not here."""
        if not id:
            return None
        try:
            return self.ref(self.store.run(id))
        except NotFound:
            return None

    def charter(self, project: str) -> tuple[Charter, int]:
        """Return the project's charter in force and its version; nothing is recorded."""
        return in_force(self.store, project)

    def table(self, project: str | None) -> RunTable:
        """Return the run table of a project (None: of all), up to date.

        Metric names are those of the project's charter; across all projects, the defaults.
        """
        charter, _ = self.charter(project or "")
        alone = project is not None and self.store.projects() == [project]
        return self.service.table(project, charter, alone=alone)

    def registry(self, project: str) -> Registry:
        """Return what the project's metric keys mean."""
        return self.charter(project)[0].registry()

    def aliases(self, project: str) -> dict[str, list[str]]:
        """Return run id -> names of the project that point at it."""
        found: dict[str, list[str]] = {}
        for name, change in aliases(self.store, project).items():
            found.setdefault(change.run, []).append(name)
        return found

    def baseline(self, project: str) -> RunDocument | None:
        """Return the project's baseline; None where none is set, or it is not here any more."""
        change = aliases(self.store, project).get(BASELINE)
        if change is None:
            return None
        try:
            return self.store.run(change.run)
        except NotFound:
            return None

    def is_withheld(self, document: RunDocument, found: Evaluated) -> bool:
        """Tell whether an evaluation's numbers are not to be shown.

        A look at the test set shows a candidate that does not win the verdict only; whoever saw
        the number would choose by it.
        """
        charter, _ = self.charter(document.project)
        if found.split != charter.split or charter.reveal_test == "all":
            return False
        look = self.service.ledger().look(found.look)
        return look is None or look.revealed != "number"

    def done(self) -> Done:
        """Return that a change was made, and let everybody who listens know soon."""
        self.service.poke()
        return Done(change=self.store.change)


def note_state(document: RunDocument) -> NoteState:
    """Tell how much of a run's lesson is written."""
    lesson = document.lesson
    if lesson is None or not any(getattr(lesson, field).strip() for field in FIELDS):
        return "missing"
    wanted = (lesson.hypothesis or document.hypothesis, lesson.change, lesson.result, lesson.next)
    return "written" if all(text.strip() for text in wanted) else "partial"


def last_epoch(document: RunDocument) -> int | None:
    """Return the last epoch that was logged under any key."""
    epochs = (s.last_epoch for s in document.metrics.values() if s.last_epoch is not None)
    return max(epochs, default=None)


def planned_epochs(document: RunDocument) -> int | None:
    """Return how many epochs are planned, where the configuration says so."""
    for values in (document.effective, document.config):
        found = values.get("epochs")
        if isinstance(found, int) and not isinstance(found, bool) and found > 0:
            return found
    return None
