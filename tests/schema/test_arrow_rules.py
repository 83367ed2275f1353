"""Tables of Arrow are packed whole exactly as their columns are packed one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterfit.errors import ArgumentError, SchemaError
from afterfit.schema import MISSING_TEXT, Categories, TablePacker

pa = pytest.importorskip("pyarrow", reason="tables of Arrow")

LIMITS = [0, 1, -1, 17, 4983, 2**31, 2**53 - 1, 2**53, 2**53 + 1, -(2**53), 2**63 - 1, -(2**63)]
NUMBERS = {
    pa.int8(): st.integers(-128, 127),
    pa.uint16(): st.integers(0, 2**16 - 1),
    pa.int64(): st.sampled_from(LIMITS) | st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.sampled_from([0, 17, 2**53, 2**63, 2**64 - 1]),
    pa.float32(): st.floats(width=32) | st.sampled_from([0.0, 17.0, 18.0]),
    pa.float64(): st.floats() | st.sampled_from([0.5, 17.0, 2.0**53, math.nan, math.inf, 1e300]),
    pa.float16(): st.sampled_from([np.float16(1.0), np.float16(17.0)]),
    pa.bool_(): st.booleans(),
    pa.timestamp("us"): st.integers(0, 10**15),
    pa.null(): st.none(),
}
WORDS = st.sampled_from(["EWR", "JFK", "UA", "", "\x1a", "\x1aX", "ä", "no such", "x" * 300])
TEXTS = (pa.string(), pa.large_string(), pa.string_view(), pa.binary())
CODED = (pa.int8(), pa.uint8(), pa.int32(), pa.int64())


@st.composite
def arrays(draw, rows):
    """A column of any type, with nulls or without, now and then a piece of a longer one or one of several pieces."""
    nulls = draw(st.booleans())

    def values(strategy, size):
        return draw(st.lists(st.none() | strategy if nulls else strategy, min_size=size, max_size=size))

    shape = draw(st.sampled_from(["number", "number", "text", "text", "dictionary", "coded numbers"]))
    lead = draw(st.integers(0, 2))
    if shape == "number":
        kind = draw(st.sampled_from(list(NUMBERS)))
        array = pa.array(values(NUMBERS[kind], lead + rows), kind)
    elif shape == "text":
        kind = draw(st.sampled_from(TEXTS))
        array = pa.array(values(WORDS.map(str.encode) if kind == pa.binary() else WORDS, lead + rows), kind)
    else:
        held = pa.int64() if shape == "coded numbers" else draw(st.sampled_from(TEXTS[:2]))
        words = values(st.integers(0, 99) if shape == "coded numbers" else WORDS, draw(st.integers(1, 4)))
        codes = pa.array(values(st.integers(0, len(words) - 1), lead + rows), draw(st.sampled_from(CODED)))
        array = pa.DictionaryArray.from_arrays(codes, pa.array(words, held))
    cut = draw(st.integers(0, rows)) if draw(st.integers(0, 4)) == 0 else None
    array = array.slice(lead)
    return pa.chunked_array([array] if cut is None else [array[:cut], array[cut:]])


@st.composite
def tables(draw, schema):
    rows = draw(st.integers(0, 4))
    names = [column.name for column in schema.columns]
    kept = [name for name in names if draw(st.integers(0, 30))]
    extra = draw(st.sampled_from([[], [], ["zzz"], ["zzz", "zzz"], names[:1]]))
    order = draw(st.permutations([*kept, *extra]))
    table = pa.table([draw(arrays(rows)) for _ in order], names=order)
    return table.combine_chunks().to_batches()[0] if draw(st.booleans()) and rows and order else table


@pytest.fixture(scope="module")
def schema(build_schema):
    """Numbers and texts of every kind."""
    some = Categories(values=("EWR", "JFK", "ä", "\x1aX"), open=True)
    return build_schema(
        [
            {"name": "delay", "type": "float", "nullable": True, "range": (-43.0, 1301.0)},
            {"name": "carrier", "type": "string", "nullable": True, "categories": some},
            {"name": "distance", "type": "integer", "range": (17.0, 4983.0)},
            {"name": "stops", "type": "integer", "nullable": True},
            {"name": "origin", "type": "string", "closed": ["EWR", "JFK", "LGA"]},
            {"name": "night", "type": "boolean"},
            {"name": "late", "type": "boolean", "nullable": True},
            {"name": "class", "type": "integer", "closed": [1, 17]},
            {"name": "note", "type": "string", "input": None},
        ]
    )


GOOD = {
    "delay": [2.5, None],
    "carrier": ["ä", None],
    "distance": [17, 4983],
    "stops": [1, None],
    "origin": ["EWR", "LGA"],
    "night": [True, False],
    "late": [None, True],
    "class": [17, 1],
}


class ByColumns(TablePacker):
    """Packs no table whole."""

    def _pack_arrow(self, table):
        return None


def outcome(packer, table):
    try:
        packed = packer.pack(table)
    except SchemaError as error:
        return error.errors, error.truncated
    except ArgumentError as error:
        return str(error)
    for array in packed.values():
        assert array.flags["C_CONTIGUOUS"]
        assert array.flags["WRITEABLE"]
    return {
        name: (array.dtype, array.shape, [[(type(one), repr(one)) for one in row] for row in array.tolist()])
        for name, array in packed.items()
    }


@given(data=st.data())
def test_any_table_is_packed_as_its_columns_are(schema, data):
    table = data.draw(tables(schema))
    assert outcome(TablePacker(schema), table) == outcome(ByColumns(schema), table)


@given(data=st.data())
def test_a_good_table_with_one_other_column_is_packed_as_its_columns_are(schema, data):
    name = data.draw(st.sampled_from(list(GOOD)))
    good = pa.table(GOOD)
    table = good.set_column(good.schema.get_field_index(name), name, data.draw(arrays(2)))
    assert outcome(TablePacker(schema), table) == outcome(ByColumns(schema), table)


def whole(schema, table):
    """What the rules of whole tables say, None where they are not sure."""
    packer = TablePacker(schema)
    return packer._pack_arrow(table)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"delay": pa.array([1, None], pa.int16())},
        {"delay": pa.array([1.5, math.nan], pa.float32())},
        {"distance": pa.array([18.0, 20.0])},
        {"carrier": pa.array(["new", "\x1a"], pa.large_string())},
        {"carrier": pa.array(["EWR", None]).dictionary_encode()},
        {"carrier": pa.DictionaryArray.from_arrays([1, 0], pa.array([None, "EWR"]))},
        {"zzz": pa.array([[1], [2]])},
    ],
)
def test_tables_as_they_mostly_come_are_packed_whole(schema, changed):
    table = pa.table({**GOOD, **changed})
    for one in (table, table.to_batches()[0]):
        packed = whole(schema, one)
        assert list(packed) == ["number", "text"]
        assert outcome(TablePacker(schema), one) == outcome(ByColumns(schema), one)


def test_what_is_packed_whole(schema):
    packed = whole(schema, pa.table(GOOD))
    np.testing.assert_array_equal(
        packed["number"], [[2.5, 17, 1, 1, np.nan, 17], [np.nan, 4983, np.nan, 0, 1, 1]]
    )
    assert packed["text"].tolist() == [["ä", "EWR"], [MISSING_TEXT, "LGA"]]


@pytest.mark.parametrize(
    "changed",
    [
        {"delay": pa.array([1.0, math.inf])},
        {"delay": pa.array([True, False])},
        {"distance": pa.array([17, None])},
        {"distance": pa.array([17, 2**53])},
        {"distance": pa.array([17.0, 18.5])},
        {"night": pa.array([0, 1])},
        {"night": pa.array([True, None])},
        {"origin": pa.array(["EWR", None])},
        {"origin": pa.array(["EWR", "no such"])},
        {"carrier": pa.array([1, 2])},
        {"carrier": pa.array(["a", "b"], pa.string_view())},
        {"class": pa.array([17, 2])},
        {"stops": pa.array([1, 2]).dictionary_encode()},
        {"carrier": pa.chunked_array([["EWR"], ["JFK"]])},
    ],
)
def test_where_one_value_is_in_doubt_nothing_is_packed_whole(schema, changed):
    assert whole(schema, pa.table({**GOOD, **changed})) is None


def test_a_table_without_a_column_or_rows_or_with_two_of_one_name_is_not_packed_whole(schema):
    table = pa.table(GOOD)
    assert whole(schema, table.drop_columns("origin")) is None
    assert whole(schema, table[:0]) is None
    assert whole(schema, table.append_column("delay", table.column("delay"))) is None


def test_schemas_with_other_inputs_are_packed_column_by_column(flights, row):
    assert whole(flights, pa.Table.from_pylist([row])) is None
    packed = TablePacker(flights).pack(pa.Table.from_pylist([row]))
    assert packed["integer"].dtype == np.int64


def test_pieces_whose_dictionaries_hold_nulls_are_read(schema):
    pieces = [
        pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array([None, "EWR"])),
        pa.DictionaryArray.from_arrays(pa.array([0, None]), pa.array(["JFK", None])),
    ]
    table = pa.concat_tables([pa.table(GOOD)] * 2)
    place = table.schema.get_field_index("carrier")
    packed = TablePacker(schema).pack(table.set_column(place, "carrier", pa.chunked_array(pieces)))
    assert packed["text"][:, 0].tolist() == [MISSING_TEXT, "EWR", "JFK", MISSING_TEXT]
