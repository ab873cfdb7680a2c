"""A run as a reader sees it, and what a person can say about it."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Self

from epochal.errors import InvalidInput, NotFound
from epochal.records import (
    Artifact,
    Evaluated,
    LessonWritten,
    Renamed,
    Status,
    StopRequested,
    Tagged,
    Trashed,
)
from epochal.workspace.notebook import table
from epochal.workspace.series import Series

if TYPE_CHECKING:
    from epochal.evaluation.document import Evaluation
    from epochal.store.documents import RunDocument
    from epochal.workspace.workspace import Workspace

__all__ = ["RunView", "checked_name"]


class RunView:
    """A run as it stands, and what a person can say about it.

    Parameters
    ----------
    workspace
        Where it belongs.
    document
        Everything about it except its points; `refresh` reads it again.
    """

    def __init__(self, workspace: Workspace, document: RunDocument) -> None:
        self._workspace = workspace
        self.document = document

    def __repr__(self) -> str:
        return f"<run {self.project}/{self.name} ({self.id[:8]}) {self.status}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunView) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def refresh(self) -> Self:
        """Read the run again, with what was recorded since."""
        store = self._workspace.store
        store.refresh()
        self.document = store.run(self.id)
        return self

    @property
    def id(self) -> str:
        """32 hex digits that stay the same whatever the run is called."""
        return self.document.id

    @property
    def name(self) -> str:
        """Its name."""
        return self.document.name

    @property
    def project(self) -> str:
        """Its project."""
        return self.document.project

    @property
    def status(self) -> Status:
        """``running``, ``finished``, ``failed``, ``killed`` or ``stale``, as of now."""
        return self._workspace.store.status(self.document)

    @property
    def created(self) -> datetime:
        """When it was opened first, in UTC."""
        return datetime.fromtimestamp(self.document.created / 1e6, UTC)

    @property
    def duration(self) -> float:
        """Seconds that its attempts took."""
        return self.document.duration

    @property
    def config(self) -> dict[str, Any]:
        """Its parameters: as requested, and where the trainer changed one, as it took effect."""
        return {**self.document.config, **self.document.effective}

    @property
    def summary(self) -> dict[str, Any]:
        """What its author summed it up to."""
        return self.document.summary

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags."""
        return self.document.tags

    @property
    def parent(self) -> str | None:
        """The run it was derived from, as given."""
        return self.document.parent

    @property
    def dataset(self) -> str | None:
        """The dataset version it is pinned to, else the data as given."""
        return self.document.pin.dataset if self.document.pin else self.document.dataset

    @property
    def lesson(self) -> LessonWritten | None:
        """What it taught; None while nobody has written that down."""
        return self.document.lesson

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that it logged, sorted."""
        return tuple(sorted(self.document.metrics))

    @property
    def evaluations(self) -> tuple[Evaluated, ...]:
        """Its evaluations in one line each, oldest first; `evaluation` has the whole of one."""
        return tuple(
            stamped.body
            for stamped in self.document.evaluations
            if isinstance(stamped.body, Evaluated)
        )

    def evaluation(self, split: str = "val", evaluator: str | None = None) -> Evaluation:
        """Return its newest evaluation on a split, with per-class AP and curves.

        Raises
        ------
        NotFound
            If it was not evaluated there.
        """
        from epochal.comparison.evaluations import latest_evaluation

        found = latest_evaluation(self._workspace.store, self.document, split, evaluator)
        if found is None:
            raise NotFound(
                f"run {self.name} has no evaluation on {split}",
                f"`epochal evaluate {self.name} --split {split}`",
            )
        return found

    def series(self, key: str) -> Series:
        """Return the curve of a metric.

        Parameters
        ----------
        key
            As it was logged, or another spelling of the same metric (``mAP50-95``).

        Raises
        ------
        NotFound
            If the run never logged it; the message names what comes close.
        """
        found = self._workspace.registry(self.project).find_key(key, self.document.metrics)
        if found is None:
            import difflib

            close = difflib.get_close_matches(key, self.keys, n=3, cutoff=0.4)
            hint = f"did you mean {', '.join(close)}?" if close else "`keys` lists what it logged"
            raise NotFound(f"run {self.name} has no metric {key!r}", hint)
        return Series(found, self._workspace.store.points.read(self.id, found))

    def console(self) -> str:
        """Return everything that it printed."""
        return "".join(part.text for part in self._workspace.store.console(self.id))

    def artifact(self, key: str) -> bytes:
        """Return the content of an artifact, such as ``weights/best.pt``.

        Raises
        ------
        NotFound
            If it has none of this key.
        Damaged
            If the stored bytes are not those that were recorded.
        """
        stamped = self.document.artifacts.get(key)
        if stamped is None or not isinstance(stamped.body, Artifact):
            there = ", ".join(sorted(self.document.artifacts)[:8]) or "none"
            raise NotFound(f"run {self.name} has no artifact {key!r}", f"there are: {there}")
        return self._workspace.store.blobs.get(stamped.body.digest)

    # --- what a person says --------------------------------------------------------------------

    def rename(self, name: str) -> Self:
        """Give it another name."""
        return self._record(Renamed(name=checked_name(name)))

    def tag(self, *tags: str) -> Self:
        """Add tags."""
        return self._set_tags(dict.fromkeys((*self.refresh().tags, *tags)))

    def untag(self, *tags: str) -> Self:
        """Remove tags; those that it does not have are passed over."""
        return self._set_tags(dict.fromkeys(t for t in self.refresh().tags if t not in tags))

    def _set_tags(self, tags: dict[str, None]) -> Self:
        if tuple(tags) == self.tags:
            return self
        return self._record(Tagged(tags=tuple(map(checked_name, tags))))

    def write_lesson(
        self,
        *,
        hypothesis: str | None = None,
        change: str | None = None,
        result: str | None = None,
        next: str | None = None,
        text: str | None = None,
    ) -> Self:
        """Write down what it taught; a field that is not given keeps what it says."""
        from epochal.lessons import write_lesson

        write_lesson(
            self._workspace.store,
            self.refresh().document,
            hypothesis=hypothesis,
            change=change,
            result=result,
            next=next,
            text=text,
        )
        return self.refresh()

    def trash(self) -> Self:
        """Hide it from lists; `restore` brings it back."""
        return self._record(Trashed(on=True))

    def restore(self) -> Self:
        """Bring it back from the trash."""
        return self._record(Trashed(on=False))

    def stop(self, reason: str = "") -> Self:
        """Ask its training to end at the next epoch."""
        return self._record(StopRequested(reason=reason))

    def _record(self, body: Renamed | Tagged | Trashed | StopRequested) -> Self:
        self._workspace.store.record(body, self.id)
        return self.refresh()

    def _repr_html_(self) -> str:
        document = self.document
        rows = [("status", self.status), ("created", f"{self.created:%Y-%m-%d %H:%M} UTC")]
        rows += [("parent", document.parent or ""), ("dataset", self.dataset or "")]
        rows += [("tags", ", ".join(self.tags))]
        rows += [(f"config.{key}", str(value)) for key, value in list(self.config.items())[:20]]
        rows += [
            (f"last {key}", f"{float(curve.last[1]):.4g}")
            for key, curve in list(document.metrics.items())[:20]
        ]
        if document.lesson:
            rows.append(("lesson", document.lesson.result or document.lesson.text))
        title = f"<b>{escape(self.name)}</b> <code>{escape(self.id[:8])}</code>"
        return f"{title}{table([(k, v) for k, v in rows if v])}"


def checked_name(text: str) -> str:
    """Return `text` as a name or tag.

    Raises
    ------
    InvalidInput
        If it is blank, longer than 250 bytes, or has control characters.
    """
    name = text.strip()
    if not name or len(name.encode("utf-8", "surrogatepass")) > 250 or not name.isprintable():
        raise InvalidInput(
            f"{text[:60]!r} cannot be a name", "use 1 to 250 bytes without control characters"
        )
    return name
