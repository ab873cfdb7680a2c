"""A filter and a sort order as trees: what `filter_language` reads and the run table evaluates."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

__all__ = [
    "And",
    "Comparison",
    "Field",
    "Filter",
    "Not",
    "Operator",
    "Or",
    "SortKey",
    "Statistic",
    "Value",
    "quoted",
]

Statistic: TypeAlias = Literal["last", "first", "min", "max", "best", "count"]
Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">=", "~", "!~", "in", "has", "null"]
Value: TypeAlias = float | str | bool


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison, a sort order or a column is about."""

    path: tuple[str, ...]
    """``("name",)``, or a space and a key: ``("config", "optimizer.lr")``."""
    statistic: Statistic = "last"
    """Which number of a curve; without meaning outside ``metrics``."""
    position: int = 0

    def __str__(self) -> str:
        space, *key = self.path
        text = ".".join([space, *map(quoted, key)])
        return text if self.statistic == "last" else f"{self.statistic}({text})"


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A field against values: one, or any number of them for ``in``, or none for ``null``."""

    field: Field
    operator: Operator
    values: tuple[Value, ...] = ()


class Not(msgspec.Struct, frozen=True):
    """The runs that do not fit."""

    term: Filter


class And(msgspec.Struct, frozen=True):
    """The runs that fit all terms."""

    terms: tuple[Filter, ...]


class Or(msgspec.Struct, frozen=True):
    """The runs that fit any term."""

    terms: tuple[Filter, ...]


Filter: TypeAlias = Comparison | Not | And | Or


class SortKey(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a sort order. Runs without the value come last either way."""

    field: Field
    descending: bool = False


def quoted(key: str) -> str:
    """Return `key` as it is written in a filter: in quotes where it is no plain word."""
    words = key.split(".")
    plain = all(
        word and all(c.isalnum() or c == "_" or (i and c in "@/:-") for i, c in enumerate(word))
        for word in words
    )
    if plain:
        return key
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
