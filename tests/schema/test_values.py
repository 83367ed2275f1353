"""What one value may be, column type by column type."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterfit.schema import MISSING_TEXT, decode_text, encode_text
from afterfit.schema._mistakes import MisfitError, clip, nearest, show
from afterfit.schema._values import Rule

FLOAT32_MAX = float(np.finfo(np.float32).max)


@settings(deadline=None)
@given(st.none() | st.text())
def test_text_is_spelled_so_that_it_reads_back(value):
    assert decode_text(encode_text(value)) == value


@settings(deadline=None)
@given(st.lists(st.none() | st.text(alphabet="\x1aab", max_size=3), min_size=2, max_size=2, unique=True))
def test_no_two_texts_share_a_spelling(pair):
    assert encode_text(pair[0]) != encode_text(pair[1])


def rule(build_schema, **settings):
    return Rule(build_schema([{"name": "x", **settings}]).columns[0])


@pytest.mark.parametrize(
    ("settings", "value", "packed"),
    [
        ({"type": "float"}, 1.5, 1.5),
        ({"type": "float"}, 3, 3.0),
        ({"type": "float"}, 2**60, float(2**60)),
        ({"type": "float"}, np.float32(0.1), float(np.float32(0.1))),
        ({"type": "float"}, np.int16(7), 7.0),
        ({"type": "float"}, FLOAT32_MAX, FLOAT32_MAX),
        ({"type": "float", "range": (0.0, 1e39)}, 1e300, 1e300),
        ({"type": "float", "range": (0.0, "Infinity")}, "Infinity", math.inf),
        ({"type": "float", "range": ("-Infinity", 0.0)}, -math.inf, -math.inf),
        ({"type": "integer"}, 4, 4.0),
        ({"type": "integer"}, 4.0, 4.0),
        ({"type": "integer"}, -(2**53), float(-(2**53))),
        ({"type": "integer", "input": "integer"}, 2**63 - 1, 2**63 - 1),
        ({"type": "integer", "input": "integer"}, 4.0, 4),
        ({"type": "integer", "input": "integer", "closed": [2**60 + 1]}, 2**60 + 1, 2**60 + 1),
        ({"type": "boolean"}, True, 1.0),
        ({"type": "boolean"}, np.bool_(False), 0.0),
        ({"type": "string"}, "001", "001"),
        ({"type": "string"}, "", ""),
        ({"type": "string"}, "NaN", "NaN"),
        ({"type": "string"}, "None", "None"),
        ({"type": "string"}, np.str_("a"), "a"),
        ({"type": "string"}, "\x1a", "\x1a\x1a"),
        ({"type": "string", "closed": ["a", "\x1ab"]}, "\x1ab", "\x1a\x1ab"),
        ({"type": "integer", "closed": [1, 2]}, 2.0, 2.0),
    ],
)
def test_values_that_fit(build_schema, settings, value, packed):
    found = rule(build_schema, **settings).read(value)
    assert found == packed
    assert type(found) is type(packed)


@pytest.mark.parametrize("kind", ["float", "integer", "boolean", "string"])
@pytest.mark.parametrize("missing", [None, math.nan, np.float32("nan"), pd.NA])
def test_missing_values(build_schema, kind, missing):
    found = rule(build_schema, type=kind, nullable=True).read(missing)
    assert found == MISSING_TEXT if kind == "string" else math.isnan(found)
    with pytest.raises(MisfitError, match="has no answer"):
        rule(build_schema, type=kind).read(missing)


def test_the_string_nan_is_a_missing_float(build_schema):
    assert math.isnan(rule(build_schema, type="float", nullable=True).read("NaN"))
    with pytest.raises(MisfitError):
        rule(build_schema, type="float").read("NaN")


def test_an_int64_input_has_no_missing_value(build_schema):
    with pytest.raises(MisfitError):
        rule(build_schema, type="integer", input="integer", nullable=True).read(None)


@pytest.mark.parametrize(
    ("settings", "value", "got", "fix"),
    [
        ({"type": "float"}, "12", "'12'", "without the quotes"),
        ({"type": "float"}, True, "true", "send 1"),
        ({"type": "float"}, [1], "a list", "send a number"),
        ({"type": "float"}, {}, "an object", "send a number"),
        ({"type": "float"}, "Infinity", "'Infinity'", "a finite number"),
        ({"type": "float"}, -math.inf, "-Infinity", "a finite number"),
        ({"type": "float"}, np.nextafter(FLOAT32_MAX, math.inf), "3.402", "check the unit"),
        ({"type": "float"}, 10**400, "an integer of 1329 bits", "check the unit"),
        ({"type": "float"}, Decimal(1), "a value of type Decimal", "send a number"),
        ({"type": "float"}, np.longdouble(1), "a value of type longdouble", "send a number"),
        ({"type": "float", "nullable": True}, "", "''", "send null"),
        ({"type": "float", "range": (0.0, 1e39)}, -1e39, "-1e+39", "check the unit"),
        ({"type": "integer"}, 1.5, "1.5", "without a fraction"),
        ({"type": "integer"}, math.inf, "Infinity", "send an integer"),
        ({"type": "integer"}, 2**53 + 1, "9007199254740993", "float64 holds exactly"),
        ({"type": "integer"}, "NaN", "'NaN'", "send an integer"),
        ({"type": "integer", "input": "integer"}, 2**63, str(2**63), "within 64 bits"),
        ({"type": "integer", "input": "integer"}, float(2**54), "1.8014398509481984e+16", "without a point"),
        ({"type": "integer"}, float(2**53), "9007199254740992.0", "float64 holds exactly"),
        ({"type": "boolean"}, 1, "1", "send true"),
        ({"type": "boolean"}, "true", "'true'", "without quotes"),
        ({"type": "string"}, 1, "1", '"1"'),
        ({"type": "string"}, b"a", "a value of type bytes", "send a string"),
        ({"type": "string"}, "\ud800", "'\\ud800'", "surrogate"),
        ({"type": "string", "closed": ["EWR", "JFK"]}, "x", "'x'", "the model learned"),
        ({"type": "integer", "closed": [1, 2]}, 3, "3", "the model learned"),
    ],
)
def test_values_that_do_not_fit(build_schema, settings, value, got, fix):
    with pytest.raises(MisfitError) as caught:
        rule(build_schema, **settings).read(value)
    assert got in caught.value.got
    assert fix in caught.value.fix


def test_what_was_got_is_shown_in_bounded_length():
    for value in ("x" * 10_000, 10**5_000, 10**140, ["x" * 10_000], "\ud800" * 1_000, "\n" * 1_000):
        assert len(show(value)) <= 60
        show(value).encode()
    assert clip("a\x00b") == "a\\x00b"


def test_the_nearest_name_is_found():
    assert nearest("carier", ["carrier", "origin"]) == "carrier"
    assert nearest("Origin ", ["carrier", "origin"]) == "origin"
    assert nearest("zzz", ["carrier", "origin"]) is None
    long = "a" * 500
    assert nearest(long + "b", [long]) == long


@settings(deadline=None)
@given(
    st.sampled_from(
        [
            {"type": "float"},
            {"type": "float", "nullable": True, "range": ("-Infinity", 1e40)},
            {"type": "float", "closed": [0.5, 2.0]},
            {"type": "integer"},
            {"type": "integer", "nullable": True, "closed": [1, 3]},
            {"type": "integer", "input": "integer"},
            {"type": "integer", "input": "integer", "closed": [2**53 + 1, 5]},
        ]
    ),
    st.lists(
        st.floats() | st.integers(-4, 4).map(float) | st.sampled_from([0.5, 2.0**53, 2.0**54, FLOAT32_MAX])
    )
    | st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 5) | st.just(2**53 + 1)),
)
def test_the_vectorised_check_vouches_for_what_read_accepts(build_schema, settings, values):
    checked = rule(build_schema, **settings)
    array = np.array(values, dtype=np.int64 if values and isinstance(values[0], int) else np.float64)
    for value, good in zip(array, checked.vouch(array), strict=True):
        try:
            checked.read(value)
        except MisfitError:
            assert not good
        else:
            assert good
