"""From a field of a filter to its column, or to an error that says which fields there are."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Sequence
from typing import Protocol

from epochal.store.columns import MISSING, Column
from epochal.store.filter_language import FilterError
from epochal.store.filter_tree import Field, quoted
from epochal.store.run_cells import FIELDS, SPACES
from epochal.store.run_columns import RunColumns

__all__ = ["FieldLookup", "MetricNames"]


class MetricName(Protocol):
    """What a metric key means."""

    @property
    def name(self) -> str:
        """The canonical name."""

    @property
    def direction(self) -> str | None:
        """``max``, ``min`` or None: which way is better."""


class MetricNames(Protocol):
    """Which keys are the same metric (see `epochal.analysis.metrics.Registry`)."""

    def resolve(self, key: str, /) -> MetricName:
        """Return what `key` means."""

    def find_key(self, canonical: str, available_keys: Iterable[str], /) -> str | None:
        """Return the one of the keys that means `canonical`, or None."""


class FieldLookup:
    """Finds the columns that fields name.

    Parameters
    ----------
    columns
        Those to look in.
    names
        Tells which metric keys are the same and which way is better; without it a key is only
        itself and ``best`` cannot be asked.
    """

    def __init__(self, columns: RunColumns, names: MetricNames | None) -> None:
        self._columns = columns
        self._names = names
        self._merged: dict[tuple[str, str], Column] = {}
        self._merged_from = 0
        """The version of the columns from which the spellings of curves were merged."""

    def column(self, field: Field, text: str) -> Column:
        """Return the column of `field`, which stands in `text`.

        Raises
        ------
        FilterError
            If no run has it.
        """
        space, *rest = field.path
        if space == "metrics" and rest:
            return self._curve(rest[0], field, text)
        if field.statistic != "last":
            raise FilterError(
                f"{field.statistic} is for metrics", text, field.position, "such as max(metrics.K)"
            )
        if not rest and space == "age":
            return self._age()
        column = self._columns.by_name.get(field.path)
        if column is not None and (rest or space in FIELDS):
            return column
        raise self._unknown(field, text)

    def _age(self) -> Column:
        created = self._columns.by_name["created",]
        age = Column(0)
        age.kind = created.kind
        age.number = time.time() - created.number / 1e6
        return age

    def _curve(self, key: str, field: Field, text: str) -> Column:
        statistic: str = field.statistic
        if statistic == "best":
            direction = self._names.resolve(key).direction if self._names else None
            if direction is None:
                raise FilterError(
                    f"nothing says whether more or less of {key!r} is better",
                    text,
                    field.position,
                    "ask for max(...) or min(...), or name a direction under [metrics] in "
                    "epochal.toml",
                )
            statistic = direction
        if self._merged_from != self._columns.version:
            self._merged_from = self._columns.version
            self._merged.clear()
        column = self._merged.get((key, statistic))
        if column is None:
            spellings = self._spellings(key)
            if not spellings:
                raise self._unknown(field, text)
            curves = [self._columns.by_name["metrics", k, statistic] for k in spellings]
            column = curves[0] if len(curves) == 1 else _first_of(curves)
            self._merged[key, statistic] = column
        return column

    def _spellings(self, key: str) -> list[str]:
        """Return the logged keys that mean `key`, preferred ones first."""
        logged = {name[1] for name in self._columns.by_name if name[0] == "metrics"}
        if self._names is None:
            return [key] if key in logged else []
        wanted = self._names.resolve(key).name
        same = {k for k in logged if k == key or self._names.resolve(k).name == wanted}
        ordered = []
        while same:
            found = self._names.find_key(key, same)
            if found is None:
                break
            ordered.append(found)
            same.remove(found)
        return ordered

    def _unknown(self, field: Field, text: str) -> FilterError:
        space, *rest = field.path
        if not rest and space not in FIELDS and space not in SPACES:
            known = [*FIELDS, *(f"{s}." for s in SPACES)]
            homes = sorted({n[0] for n in self._columns.by_name if n[1:2] == (space,)})
            remedy = (
                f"did you mean {' or '.join(f'{home}.{quoted(space)}' for home in homes)}?"
                if homes
                else _suggestion(space, known) or f"fields are {', '.join(known)}"
            )
            return FilterError(f"there is no field {space!r}", text, field.position, remedy)
        if rest and space not in SPACES:
            remedy = f"keys are looked up in {', '.join(SPACES)}"
            return FilterError(f"{space!r} has no keys", text, field.position, remedy)
        keys = sorted({name[1] for name in self._columns.by_name if name[0] == space and name[1:]})
        if not rest:
            remedy = f"such as {space}.{quoted(keys[0])}" if keys else ""
            return FilterError(f"{space} needs a key", text, field.position, remedy)
        if space == "metrics" and self._names is not None:
            keys = sorted({*keys, *(self._names.resolve(key).name for key in keys)})
        key = rest[0]
        shown = key if len(key) <= 60 else f"{key[:59]}…"
        remedy = _suggestion(key, keys, prefix=f"{space}.") or (
            f"there are {', '.join(map(quoted, keys[:8]))}" if keys else "no run has any"
        )
        return FilterError(f"no run has {space}.{quoted(shown)}", text, field.position, remedy)


def _suggestion(key: str, keys: Sequence[str], prefix: str = "") -> str:
    if len(key) > 100:
        return ""
    # Judging closeness takes a while: only keys of about the same length, and not all of many.
    near = [k for k in keys if abs(len(k) - len(key)) <= max(3, len(key) // 2)][:400]
    close = difflib.get_close_matches(key, near, n=3)
    return f"did you mean {', '.join(prefix + quoted(k) for k in close)}?" if close else ""


def _first_of(columns: list[Column]) -> Column:
    """Return a column of numbers with each cell from the first column that has one."""
    merged = Column(len(columns[0].kind))
    for column in reversed(columns):
        here = column.kind != MISSING
        merged.kind[here] = column.kind[here]
        merged.number[here] = column.number[here]
    return merged
