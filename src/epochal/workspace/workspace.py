"""The workspace: its runs, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from epochal.errors import NotFound
from epochal.journal.folder import Folder
from epochal.records import DatasetTagged
from epochal.workspace.run_view import RunView
from epochal.workspace.runs import Runs

if TYPE_CHECKING:
    from epochal.analysis.metrics import Registry
    from epochal.comparison.compare import Comparison
    from epochal.decisions.charter import Charter
    from epochal.decisions.decision import Decision
    from epochal.lessons.searching import Hit
    from epochal.store.documents import RunDocument
    from epochal.store.run_table import Group, RunTable
    from epochal.store.store import Store

__all__ = ["Workspace"]


class Workspace:
    """All runs of a folder, what was said about them, and what can be asked of them.

    What others write appears when something is asked next. Usable as a context manager.

    Parameters
    ----------
    folder
        See `open_workspace`.
    """

    def __init__(self, folder: Folder) -> None:
        from epochal.store.store import Store

        self.store: Store = Store(folder)
        self._tables: dict[str | None, RunTable] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the index and the journals that were written to."""
        self.store.close()

    def __repr__(self) -> str:
        return f"Workspace({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The ``.epochal`` folder."""
        return self.store.folder.root

    @property
    def projects(self) -> list[str]:
        """The names of all projects that have runs."""
        self.store.refresh()
        return self.store.projects()

    # --- runs ----------------------------------------------------------------------------------

    def runs(
        self,
        project: str | None = None,
        where: str = "",
        sort: str = "",
        limit: int | None = None,
        *,
        trashed: bool = False,
    ) -> Runs:
        """Return the runs that fit, newest first.

        Parameters
        ----------
        project
            None: of all projects.
        where
            A filter such as ``metrics."mAP50-95" > 0.5 and config.imgsz = 640``; its language is
            described in `epochal.store.filter_language`.
        sort
            Such as ``best(metrics."mAP50-95") desc, created``.
        trashed
            Those in the trash instead of those that are not.

        Raises
        ------
        InvalidInput
            If `where` or `sort` cannot be read, with the place.
        NotFound
            If there is no such project.
        """
        table = self._table(project)
        found = table.select(where, sort, trashed=trashed, limit=limit)
        return Runs([RunView(self, self.store.run(run)) for run in found.ids], found.total)

    def run(self, name: str, project: str | None = None) -> RunView:
        """Return the run that `name` names.

        Raises
        ------
        NotFound
            If no run fits; `epochal.errors.Ambiguous` if several do.
        """
        self.store.refresh()
        return RunView(self, self.store.find_run(name, project))

    def group(
        self,
        by: Sequence[str] | str,
        of: Sequence[str] | str,
        project: str | None = None,
        where: str = "",
    ) -> list[Group]:
        """Return n, mean and standard deviation of the fields `of` for each value of `by`.

        ``ws.group("config.imgsz", 'best(metrics."mAP50-95")')`` tells what an image size gave.
        """
        by, of = ([text] if isinstance(text, str) else text for text in (by, of))
        return self._table(project).group(by, of, where)

    def _table(self, project: str | None) -> RunTable:
        from epochal.store.run_table import RunTable

        self.store.refresh()
        if project is not None and project not in self.store.projects():
            known = ", ".join(self.store.projects()) or "none"
            raise NotFound(f"no project {project!r}; there are: {known}", "check the spelling")
        if project not in self._tables:
            self._tables[project] = RunTable(self.store, self.registry(project), project)
        table = self._tables[project]
        table.refresh()
        return table

    # --- questions -----------------------------------------------------------------------------

    def compare(
        self, *names: str | RunView, metric: str | None = None, project: str | None = None
    ) -> Comparison:
        """Return two or more runs side by side; the first is what the others are held against.

        Parameters
        ----------
        metric
            Default: the one that the charter of the first run's project decides by.
        """
        from epochal.comparison.compare import compare

        documents = [self._document(name, project) for name in names]
        charter = self._charter(documents[0].project if documents else "")
        return compare(
            self.store,
            documents,
            metric=metric or charter.metric,
            registry=charter.registry(),
            evaluator=charter.evaluator,
            require_metric=metric is not None,
        )

    def decide(
        self,
        candidate: str | RunView,
        baseline: str | RunView | None = None,
        *,
        project: str | None = None,
        record: bool = True,
        override: str = "",
    ) -> Decision:
        """Ask the four gates whether `candidate` may replace `baseline`.

        Parameters
        ----------
        baseline
            Default: the project's baseline; without one the candidate is a first version.
        record
            Store the decision. Without, nothing is written.
        override
            Reason for which a person ships against the gates.

        Raises
        ------
        Refused
            If ``epochal.toml`` proposes other rules than those in force.
        """
        from epochal.decisions import decide
        from epochal.decisions.charter_file import find_toml
        from epochal.decisions.charter_in_force import charter_for_decision
        from epochal.registry import get_baseline

        run = self._document(candidate, project)
        charter, version = charter_for_decision(self.store, run.project, find_toml(Path.cwd()))
        against = (
            get_baseline(self.store, run.project)
            if baseline is None
            else self._document(baseline, run.project)
        )
        return decide(
            self.store,
            run,
            against,
            charter=charter,
            version=version,
            record=record,
            override=override,
        )

    def lessons(
        self, words: str = "", *, project: str | None = None, limit: int = 50
    ) -> list[Hit]:
        """Return the runs in whose lessons `words` occur, best first; the newest without words."""
        from epochal.lessons import search_lessons

        self.store.refresh()
        return search_lessons(self.store, words, project=project, limit=limit)

    def datasets(self) -> list[DatasetTagged]:
        """Return all tagged dataset versions, oldest first."""
        self.store.refresh()
        return [governed.body for governed in self.store.governance("dataset")]

    def _document(self, run: str | RunView, project: str | None) -> RunDocument:
        if isinstance(run, RunView):
            return run.refresh().document
        return self.run(run, project).document

    def _charter(self, project: str) -> Charter:
        from epochal.decisions.charter_in_force import charter_for_training

        return charter_for_training(self.store.folder, project, Path.cwd())

    def registry(self, project: str | None = None) -> Registry:
        """Return what metric keys mean, with what the project's charter adds."""
        from epochal.analysis.metrics import DEFAULT_REGISTRY

        return DEFAULT_REGISTRY if project is None else self._charter(project).registry()
