"""A curve as NumPy arrays and data frames."""

from __future__ import annotations

from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from epochal.workspace.frames import frame_library
from epochal.workspace.notebook import SHOWN, table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from epochal.store.chunks import Points

__all__ = ["Series"]


class Series:
    """A curve: what a run logged under one key, point by point.

    Where a run was resumed, the later attempt's points stand from its first step on.

    Parameters
    ----------
    key
        As it was logged.
    points
        Its points.
    """

    def __init__(self, key: str, points: Points) -> None:
        self.key = key
        self._points = points

    def __len__(self) -> int:
        return len(self._points)

    def __repr__(self) -> str:
        return f"Series({self.key!r}, {len(self)} points)"

    @property
    def step(self) -> npt.NDArray[np.int64]:
        """(n,) steps."""
        return self._points.step

    @cached_property
    def epoch(self) -> npt.NDArray[np.float64]:
        """(n,) epochs; NaN where none was given."""
        import numpy as np

        from epochal.store.chunks import NO_EPOCH

        epoch = self._points.epoch
        return np.where(epoch == NO_EPOCH, np.nan, epoch.astype(np.float64))

    @property
    def time(self) -> npt.NDArray[np.datetime64]:
        """(n,) when each was logged, UTC, to the microsecond."""
        return self._points.time.astype("datetime64[us]")

    @property
    def value(self) -> npt.NDArray[np.float64]:
        """(n,) values."""
        return self._points.value

    def _columns(self) -> dict[str, Any]:
        return {"step": self.step, "epoch": self.epoch, "time": self.time, "value": self.value}

    def pandas(self) -> Any:
        """Return it as a pandas DataFrame with the columns step, epoch, time, value."""
        return frame_library("pandas").DataFrame(self._columns())

    def polars(self) -> Any:
        """Return it as a polars DataFrame with the columns step, epoch, time, value."""
        return frame_library("polars").DataFrame(self._columns())

    def _repr_html_(self) -> str:
        rows = [
            (str(step), f"{value:.6g}")
            for step, value in zip(self.step[:SHOWN], self.value[:SHOWN], strict=True)
        ]
        left = len(self) - len(rows)
        more = f"<p>and {left} more</p>" if left > 0 else ""
        return f"<b>{escape(self.key)}</b>{table(rows, ('step', 'value'))}{more}"
