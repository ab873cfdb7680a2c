"""MLflow's filter and order clauses: ``metrics.loss < 2 and params."opt" = 'adam'``.

Clauses joined by AND, no OR, no parentheses; evaluated on documents. The grammar is that of
``mlflow.utils.search_utils`` as its clients use it.
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from epochal.interop.mlflow.errors import invalid

__all__ = ["Clause", "Order", "matches", "parse_filter", "parse_order", "sort_by"]

T = TypeVar("T")

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<word>(?:[A-Za-z_]\w*\.)?`[^`]*`|[A-Za-z_]\w*\."[^"]*"|[A-Za-z_][\w.\-/]*)
  | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<text>'(?:[^']|'')*'|"[^"]*")
  | (?P<op>!=|>=|<=|=|>|<)
  | (?P<mark>[(),])
    )""",
    re.VERBOSE,
)
_ENTITIES = {
    **dict.fromkeys(("metric", "metrics"), "metric"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "param"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("attr", "attribute", "attributes", "run"), "attribute"),
    **dict.fromkeys(("dataset", "datasets"), "dataset"),
}
_NUMBER_OPS = ("=", "!=", ">", ">=", "<", "<=")
_TEXT_OPS = ("=", "!=", "LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL")
_MOST_LENGTH, _MOST_CLAUSES, _MOST_LIST = 8_000, 100, 5_000


class Clause(NamedTuple):
    """One comparison: ``entity.key op value``."""

    entity: str
    key: str
    op: str
    value: Any


class Order(NamedTuple):
    """One sort key."""

    entity: str
    key: str
    ascending: bool


class _Tokens:
    def __init__(self, text: str) -> None:
        if len(text) > _MOST_LENGTH:
            raise invalid(f"Filter string is too long: at most {_MOST_LENGTH} characters")
        self._text = text
        self._found: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise invalid(f"Invalid filter '{text}': cannot read it from position {at} on")
            self._found.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()
        self._at = 0

    def peek(self) -> tuple[str, str]:
        return self._found[self._at] if self._at < len(self._found) else ("end", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self._at += 1
        return token

    def keyword(self, *words: str) -> bool:
        """Take `words` if they come next, in any case."""
        ahead = self._found[self._at : self._at + len(words)]
        if [text.upper() for _, text in ahead] != list(words):
            return False
        self._at += len(words)
        return True

    def wrong(self) -> Exception:
        return invalid(
            f"Invalid filter '{self._text}'. Expected clauses of the form "
            "<entity>.<key> <operator> <value>, joined by AND."
        )


def parse_filter(
    text: str, numeric: Iterable[str] = (), default: str = "attribute"
) -> list[Clause]:
    """Return the clauses of a filter, all of which must hold.

    Parameters
    ----------
    numeric
        Attributes that are numbers.
    default
        Entity of a key without one.

    Raises
    ------
    MlflowError
        If it is not a filter.
    """
    tokens, clauses = _Tokens(text), []
    numbers = frozenset(numeric)
    while tokens.peek()[0] != "end":
        clauses.append(_clause(tokens, numbers, default))
        if len(clauses) > _MOST_CLAUSES:
            raise invalid(f"A filter has at most {_MOST_CLAUSES} clauses")
        if tokens.peek()[0] != "end" and not tokens.keyword("AND"):
            raise tokens.wrong()
    return clauses


def _clause(tokens: _Tokens, numeric: frozenset[str], default: str) -> Clause:
    kind, word = tokens.take()
    if kind not in ("word", "text"):
        raise tokens.wrong()
    entity, key = _identifier(word, default)
    op = _operator(tokens)
    is_number = entity == "metric" or (entity == "attribute" and key in numeric)
    if op not in (_NUMBER_OPS if is_number else _TEXT_OPS):
        raise invalid(f"The operator '{op}' is not supported for '{word}'")
    if op in ("IS NULL", "IS NOT NULL"):
        return Clause(entity, key, op, None)
    if op in ("IN", "NOT IN"):
        return Clause(entity, key, op, _list(tokens))
    kind, value = tokens.take()
    if is_number:
        if kind != "number":
            raise invalid(f"Expected numeric value type for {word}. Found {value}")
        return Clause(entity, key, op, float(value))
    if kind != "text":
        raise invalid(
            f"Expected a quoted string value for {word} (e.g. 'my-value'). Got value {value}"
        )
    return Clause(entity, key, op, _unquoted(value))


def _operator(tokens: _Tokens) -> str:
    for words in (
        ("IS", "NOT", "NULL"),
        ("IS", "NULL"),
        ("NOT", "IN"),
        ("IN",),
        ("LIKE",),
        ("ILIKE",),
    ):
        if tokens.keyword(*words):
            return " ".join(words)
    kind, op = tokens.take()
    if kind != "op":
        raise tokens.wrong()
    return op


def _list(tokens: _Tokens) -> frozenset[str]:
    if tokens.take() != ("mark", "("):
        raise tokens.wrong()
    values: list[str] = []
    while True:
        kind, value = tokens.take()
        if kind != "text" or len(values) > _MOST_LIST:
            raise invalid("A list holds quoted strings, at least one and not too many")
        values.append(_unquoted(value))
        mark = tokens.take()
        if mark == ("mark", ")"):
            return frozenset(values)
        if mark != ("mark", ","):
            raise tokens.wrong()
        if tokens.peek() == ("mark", ")"):  # as Python writes a tuple of one
            tokens.take()
            return frozenset(values)


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'") if text[:1] == "'" else text[1:-1]


def _identifier(word: str, default: str) -> tuple[str, str]:
    head, dot, rest = word.partition(".")
    entity = _ENTITIES.get(head.strip('`"').lower()) if dot else None
    if entity is None:
        return default, word.strip('`"')
    return entity, rest.strip('`"')


def parse_order(clauses: Iterable[Any], default: str = "attribute") -> list[Order]:
    """Return the sort keys of ``["metrics.loss DESC", "start_time"]``.

    Raises
    ------
    MlflowError
        If one cannot be read.
    """
    found = []
    for clause in clauses:
        if not isinstance(clause, str):
            raise invalid(f"Invalid order_by clause '{clause}'")
        match = re.fullmatch(r"\s*(.+?)(?:\s+(ASC|DESC))?\s*", clause, re.IGNORECASE | re.DOTALL)
        if match is None:
            raise invalid(f"Invalid order_by clause '{clause}'")
        entity, key = _identifier(match[1].strip(), default)
        if not key or (re.search(r"\s", match[1]) and "`" not in match[1] and '"' not in match[1]):
            raise invalid(f"Invalid order_by clause '{clause}'")
        found.append(Order(entity, key, (match[2] or "ASC").upper() == "ASC"))
    return found


Lookup = Callable[[str, str], Any]
"""(entity, key) -> the value; None where there is none."""


def matches(clauses: Iterable[Clause], lookup: Lookup) -> bool:
    """Tell whether all `clauses` hold for what `lookup` finds."""
    return all(_holds(clause, lookup(clause.entity, clause.key)) for clause in clauses)


def _holds(clause: Clause, found: Any) -> bool:
    if isinstance(found, list):  # datasets: any of them
        return any(_holds(clause, one) for one in found)
    if clause.op == "IS NULL":
        return found is None
    if clause.op == "IS NOT NULL":
        return found is not None
    if found is None:
        return False
    value = clause.value
    match clause.op:
        case "=":
            return bool(found == value)
        case "!=":
            return bool(found != value)
        case ">":
            return bool(found > value)
        case ">=":
            return bool(found >= value)
        case "<":
            return bool(found < value)
        case "<=":
            return bool(found <= value)
        case "IN":
            return found in value
        case "NOT IN":
            return found not in value
        case "LIKE":
            return _like(str(found), value)
        case _:
            return _like(str(found).lower(), value.lower())


def _like(text: str, pattern: str) -> bool:
    """SQL's LIKE: ``%`` any text, ``_`` one character."""
    glob = re.sub(r"[\[\]*?]", lambda m: f"[{m[0]}]", pattern).replace("%", "*").replace("_", "?")
    return fnmatch.fnmatchcase(text, glob)


def sort_by(items: list[T], orders: Iterable[Order], lookup: Callable[[T], Lookup]) -> list[T]:
    """Return `items` sorted; those without a value last, NaN just before them."""
    found = list(items)
    for order in reversed(list(orders)):
        values = {id(item): lookup(item)(order.entity, order.key) for item in found}

        def is_nan(value: Any) -> bool:
            return isinstance(value, float) and math.isnan(value)

        known = [i for i in found if values[id(i)] is not None and not is_nan(values[id(i)])]
        nan = [i for i in found if is_nan(values[id(i)])]
        none = [i for i in found if values[id(i)] is None]
        known.sort(key=lambda i: values[id(i)], reverse=not order.ascending)
        found = known + nan + none
    return found
