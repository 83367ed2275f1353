"""Canonical JSON out, strict JSON in."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterfit.bundle import encode_json
from afterfit.bundle._json import audit_json, decode_json
from afterfit.bundle._limits import MAX_JSON_DEPTH
from afterfit.errors import ArgumentError, AuditError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXT
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def spelled(value: Any) -> Any:
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [spelled(item) for item in value]
    if isinstance(value, dict):
        return {key: spelled(item) for key, item in value.items()}
    return value


@given(DOCUMENTS)
def test_what_is_written_is_read_back_equal(document: Any) -> None:
    encoded = encode_json(document)
    decoded = decode_json(encoded, object, entry="x", rule="schema-invalid")
    assert decoded == spelled(document) == json.loads(encoded)
    assert encode_json(decoded) == encoded


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_round_trip_to_the_bit(number: float) -> None:
    decoded = json.loads(encode_json([number]))[0]
    assert np.float64(decoded).tobytes() == np.float64(number).tobytes()


@given(st.dictionaries(TEXT, st.integers(0, 9)))
def test_the_order_of_keys_does_not_matter(members: dict[str, int]) -> None:
    assert encode_json(members) == encode_json(dict(reversed(members.items())))


def test_the_spelling_is_canonical() -> None:
    class Point(msgspec.Struct):
        y: float
        x: Any = None

    document = {
        "b": [1, 1.0, -0.0, True, None],
        "a": Point(np.float64(0.1), (np.int64(3), np.array([math.nan]))),
        "é": math.inf,
        "Z": -math.inf,
    }
    assert encode_json(document) == (
        '{"Z":"-Infinity","a":{"x":[3,["NaN"]],"y":0.1},"b":[1,1.0,-0.0,true,null],"é":"Infinity"}'.encode()
    )


@pytest.mark.parametrize("value", [b"bytes", {1: 2}, {"a": {3}}, object(), "\ud800", 1j])
def test_what_json_cannot_hold_is_an_argument_error(value: Any) -> None:
    with pytest.raises(ArgumentError):
        encode_json(value)


def test_a_value_within_itself_is_an_argument_error() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ArgumentError):
        encode_json(value)


def is_strict(content: bytes) -> bool:
    """What the typed decoder takes, which is strict about everything but duplicate keys."""
    try:
        decoded = msgspec.json.decode(content)
    except (ValueError, RecursionError):
        return False
    return count(decoded) == count(json.loads(content, object_pairs_hook=list))


def count(value: Any) -> int:
    """Members of objects, or of lists of pairs that stand for them."""
    if isinstance(value, dict):
        return len(value) + sum(map(count, value.values()))
    if isinstance(value, tuple):
        return 1 + count(value[1])
    return sum(map(count, value)) if isinstance(value, list) else 0


def is_accepted(content: bytes) -> bool:
    try:
        audit_json(content, "x")
    except AuditError:
        return False
    return True


@given(st.binary(max_size=30) | st.text('[]{}":,\\ntrue01.eE-', max_size=30).map(str.encode))
def test_what_is_accepted_is_what_a_strict_parser_accepts(content: bytes) -> None:
    assert is_accepted(content) == is_strict(content)


@pytest.mark.parametrize("inside", ["[]", "{}", '{"a\\\\":[]}', '["]\\"]]]"]'])
def test_depth_is_counted_outside_strings(inside: str) -> None:
    depth = 2 if len(inside) > 2 and inside[0] == "{" else 1
    for more, fits in ((MAX_JSON_DEPTH - depth, True), (MAX_JSON_DEPTH - depth + 1, False)):
        content = ("[" * more + inside + "]" * more).encode()
        if fits:
            audit_json(content, "x")
        else:
            with pytest.raises(AuditError, match="json-nesting"):
                audit_json(content, "x")
