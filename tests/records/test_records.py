"""What a record says survives its encoding, whatever it says (F40, F42)."""

from __future__ import annotations

import math
import struct
import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.journal.lines import Unknown, decode_line, encode_line, seed_of
from epochal.records import (
    GOVERNANCE,
    AnyBody,
    Body,
    Entry,
    Metrics,
    Split,
    from_wire,
    to_wire,
)

KINDS = typing.get_args(AnyBody)
SEED = seed_of("0" * 32)

text = st.text(st.characters(codec="utf-8"), max_size=40)
int64 = st.integers(-(1 << 63), (1 << 63) - 1)
numbers = st.floats(allow_nan=True, allow_infinity=True).map(to_wire)
plain_values = st.recursive(
    st.none() | st.booleans() | int64 | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


def _strategy(kind: object) -> st.SearchStrategy:
    """A strategy for a field's type, from the declaration itself."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is dict:
        values = plain_values if arguments[1] is typing.Any else _strategy(arguments[1])
        return st.dictionaries(text, values, max_size=4)
    if origin is tuple:
        return st.lists(_strategy(arguments[0]), max_size=3).map(tuple)
    if kind == float | str:
        return numbers
    if arguments:
        return st.one_of([_strategy(one) for one in arguments])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _structs(kind)
    simple = {
        str: text,
        int: int64,
        bool: st.booleans(),
        type(None): st.none(),
        float: st.floats(allow_nan=False, allow_infinity=False),
        typing.Any: plain_values,
    }
    return simple[kind]


def _structs(kind: type) -> st.SearchStrategy:
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{name: _strategy(hints[name]) for name in kind.__struct_fields__})


bodies = st.sampled_from(KINDS).flatmap(_structs)


def _bits(value: float) -> bytes:
    return struct.pack("<d", value)


def test_every_body_has_its_own_kind():
    kinds = {kind.__struct_config__.tag for kind in KINDS}
    assert len(kinds) == len(KINDS)
    ours = {
        kind for kind in Body.__subclasses__() if kind.__module__.startswith("epochal.records.")
    }
    assert set(KINDS) == ours


def test_governance_kinds_are_those_with_links():
    assert set(GOVERNANCE) == {kind for kind in KINDS if "prev" in kind.__struct_fields__}


@given(bodies, st.integers(0, 1 << 53), int64)
def test_a_record_comes_back_as_it_was(body, seq, t):
    entry = Entry(seq=seq, t=t, body=body)
    line = encode_line(entry, SEED)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_line(line[:-1], SEED) == entry


@given(st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True))
def test_a_number_keeps_its_bits(value):
    """F40: -0.0, subnormals, 1e308; NaN, whose payload is nobody's, stays NaN."""
    body = Metrics(values={"k": to_wire(value)}, step=0)
    line = encode_line(Entry(seq=0, t=0, body=body), SEED)
    entry = decode_line(line[:-1], SEED)
    assert isinstance(entry, Entry)
    back = from_wire(entry.body.values["k"])
    assert (math.isnan(value) and math.isnan(back)) or _bits(back) == _bits(value)


@pytest.mark.parametrize(
    ("value", "sent"),
    [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (1.5, 1.5)],
)
def test_what_json_has_no_number_for_travels_by_name(value, sent):
    assert to_wire(value) == sent


@pytest.mark.parametrize(
    "name",
    ["a", "a/b", ".", "..", "metrics/mAP50-95(B)", "损失", "שלום", "😀", '"\\', "a\tb", "é"],
)
def test_names_are_kept_as_they_are(name):
    """F42: slashes, quotes, right-to-left, composed and decomposed, one character."""
    body = Metrics(values={name: 1.0}, step=0)
    entry = decode_line(encode_line(Entry(seq=0, t=0, body=body), SEED)[:-1], SEED)
    assert isinstance(entry, Entry)
    assert list(entry.body.values) == [name]


def test_composed_and_decomposed_names_are_two():
    body = Metrics(values={"\u00e9": 1.0, "e\u0301": 2.0}, step=0)
    entry = decode_line(encode_line(Entry(seq=0, t=0, body=body), SEED)[:-1], SEED)
    assert isinstance(entry, Entry)
    assert len(entry.body.values) == 2


def test_a_kind_of_a_newer_version_keeps_its_place():
    class Later(Body, tag="hologram", frozen=True, kw_only=True):
        depth: int

    line = encode_line(Entry(seq=4, t=5, body=Later(depth=3)), SEED)
    assert decode_line(line[:-1], SEED) == Unknown(4, 5)


def test_a_field_of_a_newer_version_is_passed_over():
    class Later(Body, tag="metrics", frozen=True, kw_only=True):
        values: dict[str, float]
        step: int
        colour: str

    line = encode_line(Entry(seq=4, t=5, body=Later(values={"k": 1.0}, step=2, colour="x")), SEED)
    assert decode_line(line[:-1], SEED) == Entry(
        seq=4, t=5, body=Metrics(values={"k": 1.0}, step=2)
    )


def test_a_split_is_compared_by_its_numbers():
    split = Split(images=1, objects=2, digest="a", images_digest="b", labels_digest="c")
    assert msgspec.convert(msgspec.to_builtins(split), Split) == split
