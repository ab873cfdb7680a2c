"""The filter language of the run table: text in, a tree of `filter_tree` out.

    metrics."mAP50-95" > 0.5 and config.imgsz = 640
    best(metrics.mAP50-95) >= 0.4 or tags has "candidate"
    name ~ "v3_*" and status in (running, finished) and not lesson is null
    created > 2026-11-01 and duration < 2h

A comparison has a field on its left and a value on its right. A run that lacks the field fits no
comparison, not even ``!=``; ``is null`` asks for it. Values are typed: ``640`` is not ``"640"``.
Quotes may be left out where a value or a key is a plain word; a key may hold ``-``, ``/``, ``@``
and ``:``. ``~`` matches a glob with ``*`` and ``?``.

Text from strangers is bounded in length, depth and number of terms, and reaches neither `eval`
nor a regular expression.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec

from epochal.errors import InvalidInput
from epochal.store.filter_tree import (
    And,
    Comparison,
    Field,
    Filter,
    Not,
    Operator,
    Or,
    SortKey,
    Statistic,
    Value,
)

if TYPE_CHECKING:
    from lark import Lark, Token

__all__ = ["FilterError", "parse_field", "parse_filter", "parse_sort"]

MAX_LENGTH = 4096
"""Characters a filter may have."""
MAX_DEPTH = 32
"""How deep parentheses and ``not`` may nest."""
MAX_TERMS = 200
"""Comparisons and values of lists that a filter may have, together."""
MAX_PATTERNS = 8
"""Conditions on every text of a column (``~``, ``has``) that a filter may have."""
MAX_PATTERN = 200
"""Characters a pattern may have."""


class FilterError(InvalidInput):
    """A filter or sort order that cannot be used, and the place in its text.

    Parameters
    ----------
    problem
        What is wrong, without the place.
    text
        The whole text.
    position
        Index of the character where the problem begins.
    """

    def __init__(self, problem: str, text: str, position: int, remedy: str = "") -> None:
        self.problem = problem
        self.text = text
        self.position = position
        shown, column = _excerpt(text, position)
        super().__init__(f"{problem}\n    {shown}\n    {' ' * column}^", remedy)

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


def _excerpt(text: str, position: int, width: int = 72) -> tuple[str, int]:
    """Return the surroundings of a place on one line, and the place's column there."""
    start = max(0, min(position - width // 2, len(text) - width))
    end = start + width
    line = "".join(c if c.isprintable() else " " for c in text[start:end])
    before, after = "…" if start else "", "…" if end < len(text) else ""
    return f"{before}{line}{after}", position - start + len(before)


def parse_filter(text: str) -> Filter:
    """Return the tree of `text`; an empty one fits every run.

    Raises
    ------
    FilterError
        If it does not follow the grammar or exceeds a bound.
    """
    if not text.strip():
        return And(())
    tree: Filter = _parse("filter", text)
    return tree


def parse_sort(text: str) -> tuple[SortKey, ...]:
    """Return the sort order ``metrics.K desc, created`` as its keys; see `parse_filter`."""
    keys: tuple[SortKey, ...] = _parse("order", text)
    return keys


def parse_field(text: str) -> Field:
    """Return the field that `text` names, such as ``best(metrics.K)``; see `parse_filter`."""
    field: Field = _parse("field", text)
    return field


# A word may hold what keys of trackers hold; it ends before what compares, closes or separates.
_GRAMMAR = r"""
filter: term ("or"i term)*
term: factor ("and"i factor)*
?factor: "not"i factor -> negation
    | "(" filter ")"
    | field OPERATOR value -> comparison
    | field GLOB value -> comparison
    | field "in"i values -> membership
    | field "not"i "in"i values -> no_membership
    | field "has"i value -> containment
    | field "is"i "null"i -> absence
    | field "is"i "not"i "null"i -> presence
values: "(" value ("," value)* ")" | "[" value ("," value)* "]"
field: WORD ("." key)* | STATISTIC "(" WORD ("." key)* ")"
key: WORD | STRING
value: STRING | NUMBER | AMOUNT | DATE | WORD
order: sort_key ("," sort_key)*
sort_key: field DIRECTION?

OPERATOR: "<=" | ">=" | "!=" | "<>" | "==" | "=" | "<" | ">"
GLOB: "!~" | "~"
STATISTIC.5: /(last|first|min|max|best|count)(?=\s*\()/i
DIRECTION.5: /(asc|desc)(?![\w@\/:.-])/i
DATE.4: /\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?(Z|[+-]\d\d:\d\d)?(?![\w@\/:-])/
AMOUNT.3: /\d+(\.\d+)?(s|min|h|d|w)(?![\w@\/:-])/
NUMBER.2: /[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|inf|nan)(?![\w@\/:-])/i
STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
WORD: /\w[\w@\/:-]*/i
%ignore /\s+/
"""

_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class _Part(msgspec.Struct):
    """A subtree on its way up, with what the bounds are held against."""

    tree: Filter
    depth: int = 1
    terms: int = 1
    patterns: int = 0


class _Builder:
    """What the parser calls for each rule, from the leaves up."""

    def filter(self, parts: list[_Part]) -> _Part:
        return _joined(parts, Or)

    def term(self, parts: list[_Part]) -> _Part:
        return _joined(parts, And)

    def negation(self, parts: list[_Part]) -> _Part:
        return _bounded(Not(parts[0].tree), parts)

    def comparison(self, parts: list[Any]) -> _Part:
        field, sign, value = parts
        operator: Operator = {"==": "=", "<>": "!="}.get(str(sign), str(sign))  # type: ignore[assignment] # the terminal's choices
        if value is None:
            if operator not in ("=", "!="):
                raise _Problem(f"null has no order: {sign} cannot be used", sign.start_pos)
            absent = Comparison(field=field, operator="null")
            return _Part(absent if operator == "=" else Not(absent))
        if operator in ("~", "!~"):
            if not isinstance(value, str):
                raise _Problem(f"{sign} takes a pattern", sign.start_pos, 'such as "v3_*"')
            if len(value) > MAX_PATTERN:
                raise _Problem(f"a pattern longer than {MAX_PATTERN}", sign.start_pos)
            matches = Comparison(field=field, operator="~", values=(value,))
            # Like `!=`: a run that lacks the field does not fit.
            return _Part(matches if operator == "~" else _unlike(field, matches), patterns=1)
        return _Part(Comparison(field=field, operator=operator, values=(_timed(field, value),)))

    def membership(self, parts: list[Any]) -> _Part:
        field, values = parts
        found = tuple(_timed(field, value) for value in values)
        return _Part(Comparison(field=field, operator="in", values=found), terms=len(values))

    def no_membership(self, parts: list[Any]) -> _Part:
        within = self.membership(parts)
        return _Part(_unlike(parts[0], within.tree), terms=within.terms)

    def containment(self, parts: list[Any]) -> _Part:
        field, value = parts
        return _Part(Comparison(field=field, operator="has", values=(value,)), patterns=1)

    def absence(self, parts: list[Field]) -> _Part:
        return _Part(Comparison(field=parts[0], operator="null"))

    def presence(self, parts: list[Field]) -> _Part:
        return _Part(Not(Comparison(field=parts[0], operator="null")))

    def values(self, parts: list[Any]) -> list[Any]:
        return [value for value in parts if value is not None]

    def field(self, parts: list[Any]) -> Field:
        statistic: Statistic = "last"
        first, *rest = parts
        if first.type == "STATISTIC":
            statistic = first.lower()
            space, *keys = rest
        else:
            space, keys = first, rest
        path = (str(space), ".".join(keys)) if keys else (str(space),)
        return Field(path=path, statistic=statistic, position=first.start_pos)

    def key(self, parts: list[Token]) -> str:
        token = parts[0]
        return _unquoted(token) if token.type == "STRING" else str(token)

    def value(self, parts: list[Token]) -> Value | None:
        token = parts[0]
        match token.type:
            case "STRING":
                return _unquoted(token)
            case "NUMBER":
                return float(token)
            case "AMOUNT":
                number = token.rstrip("smindhw")
                return float(number) * _SECONDS[token[len(number) :]]
            case "DATE":
                return _microseconds(token, token.start_pos or 0)
        constants = {"true": True, "false": False, "null": None, "none": None}
        return constants.get(token.lower(), str(token))

    def order(self, parts: list[SortKey]) -> tuple[SortKey, ...]:
        if len(parts) > MAX_DEPTH:
            raise _Problem(f"more than {MAX_DEPTH} sort keys", 0)
        return tuple(parts)

    def sort_key(self, parts: list[Any]) -> SortKey:
        field, *direction = parts
        return SortKey(field=field, descending=bool(direction) and direction[0].lower() == "desc")


class _Problem(Exception):
    """What a rule finds wrong, before the whole text is at hand."""

    def __init__(self, problem: str, position: int, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem, self.position, self.remedy = problem, position, remedy


def _joined(parts: list[_Part], kind: type[And] | type[Or]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    return _bounded(kind(tuple(part.tree for part in parts)), parts)


def _bounded(tree: Filter, parts: list[_Part]) -> _Part:
    depth = 1 + max(part.depth for part in parts)
    terms = sum(part.terms for part in parts)
    if depth > MAX_DEPTH:
        raise _Problem(f"nested deeper than {MAX_DEPTH}", 0, "write it flatter")
    return _Part(tree, depth, terms, sum(part.patterns for part in parts))


def _unlike(field: Field, tree: Filter) -> Filter:
    return And((Not(Comparison(field=field, operator="null")), Not(tree)))


def _timed(field: Field, value: Value) -> Value:
    """Return a value for `created` as microseconds, whether the date was quoted or not."""
    if field.path == ("created",) and isinstance(value, str):
        return _microseconds(value, field.position)
    return value


def _microseconds(text: str, position: int) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _Problem(f"{text[:40]!r} is no date", position, "write 2026-11-30 (UTC)") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1e6)


def _unquoted(token: Token) -> str:
    inner = token[1:-1]
    parts, at = [], 0
    while (slash := inner.find("\\", at)) >= 0:
        parts += [inner[at:slash], inner[slash + 1]]
        at = slash + 2
    return "".join([*parts, inner[at:]])


@functools.cache
def _parser() -> Lark:
    from lark import Lark

    rules: Any = _Builder()  # any object with a method for each rule will do
    return Lark(_GRAMMAR, parser="lalr", start=["filter", "order", "field"], transformer=rules)


def _parse(start: str, text: str) -> Any:
    from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

    if len(text) > MAX_LENGTH:
        raise FilterError(f"longer than {MAX_LENGTH} characters", text, MAX_LENGTH)
    try:
        found = _parser().parse(text, start=start)
    except _Problem as error:
        raise FilterError(error.problem, text, error.position, error.remedy) from None
    except UnexpectedCharacters as error:
        at = cast("int", error.pos_in_stream)
        if text[at] in "\"'":
            raise FilterError("this quote is not closed", text, at) from None
        raise FilterError(
            f"{text[at]!r} is not understood here", text, at, "put what is no plain word in quotes"
        ) from None
    except UnexpectedToken as error:
        at = len(text) if error.token.type == "$END" else int(error.token.start_pos or 0)
        what = "the end" if error.token.type == "$END" else repr(str(error.token)[:40])
        hint = 'write a key with more than plain words in quotes: metrics."mAP50-95(B)"'
        raise FilterError(
            f"{what} where {_wanted(error.expected)} should be",
            text,
            at,
            hint if error.token == "(" else "",
        ) from None
    except UnexpectedInput:
        raise FilterError("not understood", text, 0) from None
    if isinstance(found, _Part):
        if found.terms > MAX_TERMS:
            raise FilterError(f"more than {MAX_TERMS} terms", text, 0, "ask in several steps")
        if found.patterns > MAX_PATTERNS:
            raise FilterError(f"more than {MAX_PATTERNS} conditions with ~ and has", text, 0)
        return found.tree
    return found


_EXPECTED = (
    ("OPERATOR", "a comparison (= != < <= > >= ~ in has is)"),
    ("NUMBER", "a value"),
    ("STATISTIC", "a field such as config.imgsz"),
    ("WORD", "a key"),
    ("AND", "'and', 'or' or the end"),
    ("NULL", "null"),
    ("DIRECTION", "'asc', 'desc', ',' or the end"),
    ("COMMA", "',' or a closing bracket"),
    ("RPAR", "a closing bracket"),
)


def _wanted(expected: set[str]) -> str:
    for terminal, text in _EXPECTED:
        if terminal in expected:
            return text
    return " or ".join(sorted(name.lower() for name in expected)) or "the end"
