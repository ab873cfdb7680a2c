"""Runs in an order: a sequence, a data frame, a table in notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

from epochal.workspace.frames import frame_library
from epochal.workspace.notebook import SHOWN, table
from epochal.workspace.run_view import RunView

__all__ = ["Runs"]


class Runs(Sequence[RunView]):
    """Runs in an order; a table in notebooks.

    Parameters
    ----------
    views
        The runs.
    total
        How many there were before a limit.
    """

    def __init__(self, views: Sequence[RunView], total: int) -> None:
        self._views = tuple(views)
        self.total = total

    @overload
    def __getitem__(self, at: int) -> RunView: ...
    @overload
    def __getitem__(self, at: slice) -> Runs: ...
    def __getitem__(self, at: int | slice) -> RunView | Runs:
        if isinstance(at, slice):
            return Runs(self._views[at], self.total)
        return self._views[at]

    def __len__(self) -> int:
        return len(self._views)

    def __iter__(self) -> Iterator[RunView]:
        return iter(self._views)

    def __repr__(self) -> str:
        names = ", ".join(view.name for view in self._views[:5])
        more = ", ..." if len(self) > 5 else ""
        return f"<{len(self)} of {self.total} runs: {names}{more}>"

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat mapping a run: ``name``, ``config.*``, ``summary.*``, ``metrics.*``."""
        return [
            {
                "id": view.id,
                "project": view.project,
                "name": view.name,
                "status": view.status,
                "created": view.created,
                "duration": view.duration,
                "dataset": view.dataset,
                "tags": view.tags,
                **{f"config.{key}": value for key, value in view.config.items()},
                **{f"summary.{key}": value for key, value in view.summary.items()},
                **{
                    f"metrics.{key}": float(curve.last[1])
                    for key, curve in view.document.metrics.items()
                },
            }
            for view in self._views
        ]

    def pandas(self) -> Any:
        """Return `rows` as a pandas DataFrame."""
        return frame_library("pandas").DataFrame(self.rows())

    def polars(self) -> Any:
        """Return `rows` as a polars DataFrame; types are inferred from all of them."""
        return frame_library("polars").DataFrame(
            self.rows(), infer_schema_length=None, strict=False
        )

    def _repr_html_(self) -> str:
        head = ("name", "project", "status", "created", "dataset", "tags")
        rows = [
            (v.name, v.project, v.status, f"{v.created:%Y-%m-%d %H:%M}", v.dataset or "", tags)
            for v in self._views[:SHOWN]
            for tags in [", ".join(v.tags)]
        ]
        left = len(self) - len(rows)
        more = f"<p>and {left} more</p>" if left else ""
        return f"{table(rows, head)}{more}"
