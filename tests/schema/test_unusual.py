from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from afterfit.schema import Categories, Column, Output, RowDecoder, Schema, UnusualValues

SCHEMA = Schema(
    columns=(
        Column(
            name="carrier",
            type="string",
            nullable=True,
            input="text",
            position=0,
            categories=Categories(values=("AA", "\x1aB"), open=True),
        ),
        Column(name="delay", type="float", nullable=True, input="number", position=1, range=(-5.0, 60.0)),
        Column(name="stops", type="integer", nullable=True, input="number", position=0, range=(0, 3)),
        Column(name="free", type="float", nullable=True, input="number", position=2),
        Column(name="id", type="integer", nullable=False, input="integer", position=0, range=(1, 2**60)),
        Column(
            name="closed",
            type="string",
            nullable=False,
            input="text",
            position=1,
            categories=Categories(values=("x",), open=False),
        ),
    ),
    outputs=(Output(name="prediction", type="float", shape=(-1,)),),
)
ORDINARY = {"carrier": "AA", "delay": 0.0, "stops": 1, "free": 1e9, "id": 5, "closed": "x"}
UNUSUAL = UnusualValues(SCHEMA)


def pack(*rows):
    return RowDecoder(SCHEMA).decode_rows([{**ORDINARY, **row} for row in rows])


def test_ordinary_and_missing_values_are_not_unusual():
    packed = pack({}, {"carrier": None, "delay": None, "stops": None}, {"carrier": "\x1aB"}, {"delay": 60.0})
    assert not UNUSUAL.is_any(packed)
    assert UNUSUAL.find(packed) == []


def test_each_unusual_value_is_found_in_order_of_row_and_column():
    packed = pack({}, {"stops": 4, "carrier": "aa", "delay": -6.5}, {"id": 0}, {"carrier": "\x1a"})
    found = UNUSUAL.find(packed)
    assert [(one.row, one.column, one.got) for one in found] == [
        (1, "carrier", "'aa'"),
        (1, "delay", "-6.5"),
        (1, "stops", "4"),
        (2, "id", "0"),
        (3, "carrier", "'\\x1a'"),
    ]
    assert found[0].fix == "did you mean 'AA'?"
    assert found[1].expected == "a number from -5.0 to 60.0, as in training"
    assert UNUSUAL.find(packed, 2) == found[:2]


VALUES = st.fixed_dictionaries(
    {
        "carrier": st.sampled_from(["AA", "\x1aB", "zz", None, ""]),
        "delay": st.sampled_from([None, -5.0, -5.1, 60.0, 1e30]) | st.floats(-100, 100),
        "stops": st.none() | st.integers(-2, 5),
    }
)


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_joined_rows_are_as_unusual_as_each(rows):
    joined = UNUSUAL.find(pack(*rows))
    apart = [
        (number, one.column, one.got) for number, row in enumerate(rows) for one in UNUSUAL.find(pack(row))
    ]
    assert [(one.row, one.column, one.got) for one in joined] == apart
    assert UNUSUAL.is_any(pack(*rows)) == bool(joined)


@given(st.lists(VALUES, min_size=1, max_size=6), st.none() | st.integers(0, 4))
def test_the_columns_alone_are_those_of_what_is_found(rows, limit):
    packed = pack(*rows)
    assert UNUSUAL.columns(packed, limit) == [one.column for one in UNUSUAL.find(packed, limit)]
