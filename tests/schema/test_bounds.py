"""Bounds: their laws, and how every way into a model holds to them."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterfit.errors import SchemaError
from afterfit.schema import Bounds, RowDecoder, pack_table

finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def some_bounds(draw):
    low, high = sorted(draw(st.tuples(finite, finite)))
    lower = draw(st.sampled_from([{}, {"minimum": low}, {"exclusive_minimum": low}]))
    upper = draw(st.sampled_from([{}, {"maximum": high}, {"exclusive_maximum": high}]))
    return Bounds(**lower, **upper)


@given(some_bounds(), finite)
def test_what_is_admitted_is_what_json_schema_says(bounds, value):
    within = (
        (bounds.minimum is None or value >= bounds.minimum)
        and (bounds.exclusive_minimum is None or value > bounds.exclusive_minimum)
        and (bounds.maximum is None or value <= bounds.maximum)
        and (bounds.exclusive_maximum is None or value < bounds.exclusive_maximum)
    )
    assert bounds.admit(value) == within
    assert not bounds.admit(math.nan)


@given(some_bounds(), some_bounds(), finite)
def test_meet_admits_what_both_admit(a, b, value):
    assert a.meet(b).admit(value) == (a.admit(value) and b.admit(value))
    assert b.meet(a).admit(value) == a.meet(b).admit(value)
    assert a.meet(a) == a


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (Bounds(exclusive_minimum=0.0), "greater than 0"),
        (Bounds(minimum=0.5, maximum=16.0), "at least 0.5 and at most 16"),
        (Bounds(exclusive_minimum=-1.0, exclusive_maximum=1e300), "greater than -1 and less than 1e+300"),
    ],
)
def test_in_words(bounds, words):
    assert bounds.in_words() == words


@pytest.fixture(scope="module")
def schema(build_schema):
    return build_schema(
        [
            {"name": "weight", "type": "float", "bounds": Bounds(exclusive_minimum=0.0), "nullable": True},
            {"name": "code", "type": "integer", "bounds": Bounds(minimum=0.0, exclusive_maximum=5.0)},
            {"name": "ticket", "type": "integer", "input": "integer", "bounds": Bounds(minimum=0.5)},
        ]
    )


GOOD = {"weight": 5e-324, "code": 4, "ticket": 2**60}


def ways_in(schema, row):
    """The mistakes that each way into the model finds in one row."""
    decoder = RowDecoder(schema)
    ways = {
        "rows": lambda: decoder.decode_rows([row]),
        "json": lambda: decoder.decode_json(json.dumps({"rows": [row]}).encode()),
        "table": lambda: pack_table(schema, pd.DataFrame([row])),
    }
    found = {}
    for name, read in ways.items():
        try:
            read()
        except SchemaError as error:
            found[name] = [(mistake.column, mistake.expected, mistake.fix) for mistake in error.errors]
        else:
            found[name] = []
    return found


@pytest.mark.parametrize("change", [{}, {"weight": None}, {"weight": 1}, {"code": 0}, {"ticket": 1}], ids=str)
def test_numbers_within_are_accepted(schema, change):
    assert ways_in(schema, {**GOOD, **change}) == {"rows": [], "json": [], "table": []}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"weight": 0.0}, "a number greater than 0 or null"),
        ({"weight": -3}, "a number greater than 0 or null"),
        ({"weight": -1e300}, "a number greater than 0 or null"),
        ({"code": 5}, "an integer of at least 0 and less than 5"),
        ({"code": -1}, "an integer of at least 0 and less than 5"),
        ({"ticket": 0}, "an integer of at least 0.5"),
        ({"ticket": -(2**60)}, "an integer of at least 0.5"),
    ],
    ids=str,
)
def test_others_are_an_error_that_says_the_bound(schema, change, expected):
    mistake = (next(iter(change)), expected, "the model has no answer for other numbers")
    assert ways_in(schema, {**GOOD, **change}) == dict.fromkeys(("rows", "json", "table"), [mistake])


def test_columns_of_numbers_are_checked_at_once(schema):
    frame = pd.DataFrame([GOOD] * 1000)
    frame.loc[700, "code"] = 9
    with pytest.raises(SchemaError, match="less than 5") as caught:
        pack_table(schema, frame)
    assert [mistake.row for mistake in caught.value.errors] == [700]
    np.testing.assert_array_equal(pack_table(schema, frame[:700])["number"][:, 1], 4.0)
