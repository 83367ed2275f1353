"""Tables against a schema."""

from __future__ import annotations

import copy
import datetime as dt
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterfit.errors import ArgumentError, SchemaError
from afterfit.schema import MISSING_TEXT, Categories, Column, Schema, TablePacker, pack_table


def mistakes(schema, X):
    with pytest.raises(SchemaError) as caught:
        pack_table(schema, X)
    return caught.value


def test_a_table_is_packed_by_element_type(flights, row):
    frame = pd.DataFrame([{**row, "note": "ignored"}, {**row, "dep_delay": None, "dest": "\x1aX"}])[::-1]
    for table in (frame, pl.from_pandas(frame.drop(columns="note")), pa.Table.from_pandas(frame)):
        packed = pack_table(flights, table)
        assert {name: (a.dtype.kind, a.shape) for name, a in packed.items()} == {
            "number": ("f", (2, 3)),
            "text": ("O", (2, 3)),
            "integer": ("i", (2, 1)),
        }
        np.testing.assert_array_equal(packed["number"], [[np.nan, 1400, 0], [2.5, 1400, 0]])
        assert packed["text"].tolist() == [["UA", "EWR", "\x1a\x1aX"], ["UA", "EWR", MISSING_TEXT]]
        assert {type(value) for value in packed["text"].flat} == {str}
        assert packed["integer"].tolist() == [[2**53 + 1]] * 2


def test_inputs_without_columns_are_absent(build_schema):
    assert set(pack_table(build_schema([{"name": "a", "type": "float"}]), np.zeros((1, 1)))) == {"number"}


def test_columns_are_found_by_name_and_others_ignored(build_schema):
    schema = build_schema([{"name": "b", "type": "float"}, {"name": "a", "type": "float"}])
    frame = pd.DataFrame({"a": [1.0], "when": [dt.date(2020, 1, 1)], "b": [2.0]})
    assert pack_table(schema, frame)["number"].tolist() == [[2.0, 1.0]]


def test_missing_columns_are_answered_with_the_nearest_extra_one(flights, row):
    frame = pd.DataFrame([row]).rename(columns={"carrier": "carier", "ticket": "zzz"}).drop(columns="dest")
    error = mistakes(flights, frame)
    assert [(e.row, e.column) for e in error.errors] == [(None, "carrier"), (None, "dest"), (None, "ticket")]
    assert error.errors[0].fix == "rename the column 'carier'"
    assert error.errors[1].fix == "add it"


def test_arrays_are_taken_by_position(build_schema):
    schema = build_schema([{"name": "a", "type": "float"}, {"name": "b", "type": "string", "input": None}])
    assert pack_table(schema, np.array([[1.5, "x"]], dtype=object))["number"].tolist() == [[1.5]]
    assert "an array of 2 columns" in str(mistakes(schema, np.zeros((3, 1))))


def test_every_mistake_is_listed_in_order(build_schema):
    schema = build_schema(
        [
            {"name": "n", "type": "integer"},
            {"name": "s", "type": "string", "closed": ["EWR", "JFK"]},
            {"name": "f", "type": "float"},
        ]
    )
    frame = pd.DataFrame({"n": [1.0, 1.5, np.nan], "s": ["EWR", "JFX", None], "f": [np.inf, 1.0, "1"]})
    error = mistakes(schema, frame)
    assert [(e.row, e.column, e.got) for e in error.errors] == [
        (0, "f", "Infinity"),
        (1, "n", "1.5"),
        (1, "s", "'JFX'"),
        (2, "n", "null"),
        (2, "s", "null"),
        (2, "f", "'1'"),
    ]
    assert error.errors[2].fix == "did you mean 'JFK'?"


def test_the_list_of_mistakes_is_bounded(build_schema):
    schema = build_schema([{"name": "a", "type": "float"}, {"name": "b", "type": "float"}])
    error = mistakes(schema, pd.DataFrame({"a": ["x"] * 5_000, "b": [1.0] * 5_000}))
    assert error.truncated
    assert len(error.errors) == 1_000
    assert [e.row for e in error.errors] == list(range(1_000))
    exactly = mistakes(schema, pd.DataFrame({"a": ["x"] * 1_000, "b": [1.0] * 1_000}))
    assert len(exactly.errors) == 1_000
    assert not exactly.truncated


def test_suggestions_do_not_take_minutes(build_schema):
    learned = [f"N{number:05d}" for number in range(4_000)]
    schema = build_schema([{"name": "tail", "type": "string", "closed": learned}])
    error = mistakes(schema, pd.DataFrame({"tail": [f"{number:05d}N" for number in range(20_000)]}))
    suggested = [e for e in error.errors if "did you mean" in e.fix]
    assert 0 < len(suggested) <= 5


def test_a_column_of_another_kind_is_one_mistake(build_schema):
    schema = build_schema([{"name": "t", "type": "string"}])
    error = mistakes(schema, pd.DataFrame({"t": pd.to_datetime(["2020-01-01"] * 3)}))
    assert [(e.row, e.column, e.got) for e in error.errors] == [(None, "t", "a column of datetimes")]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1.0, np.nan]),
        pd.Series([1, pd.NA], dtype="Int64"),
        pd.Series([1, None], dtype="int64[pyarrow]"),
        pd.Series([1, None], dtype=object),
        pd.Series(pd.Categorical([1, None])),
    ],
)
def test_integers_arrive_in_every_guise(build_schema, column):
    schema = build_schema([{"name": "n", "type": "integer", "nullable": True}])
    np.testing.assert_array_equal(
        pack_table(schema, pd.DataFrame({"n": column}))["number"], [[1.0], [np.nan]]
    )


def test_strings_arrive_in_every_guise(build_schema):
    schema = build_schema([{"name": "s", "type": "string", "nullable": True}])
    tables = [
        pd.DataFrame({"s": pd.Series(["001", None], dtype=dtype)})
        for dtype in (
            object,
            "str",
            "string[python]",
            "string[pyarrow]",
            "category",
            pd.ArrowDtype(pa.string()),
        )
    ]
    tables += [
        pl.DataFrame({"s": pl.Series(["001", None], dtype=d)})
        for d in (pl.String, pl.Categorical, pl.Enum(["001"]))
    ]
    tables += [pa.table({"s": pa.array(["001", None], pa.dictionary(pa.int8(), pa.string()))})]
    for table in tables:
        assert pack_table(schema, table)["text"].tolist() == [["001"], [MISSING_TEXT]]


def test_a_column_without_any_value_fits_every_type(build_schema):
    schema = build_schema(
        [
            {"name": "s", "type": "string", "nullable": True},
            {"name": "b", "type": "boolean", "nullable": True},
        ]
    )
    for table in (
        pd.DataFrame({"s": [np.nan], "b": [np.nan]}),
        pd.DataFrame({"s": [None], "b": [None]}),
        pl.DataFrame({"s": [None], "b": [None]}),
        pa.table({"s": pa.nulls(1), "b": pa.nulls(1)}),
    ):
        packed = pack_table(schema, table)
        assert packed["text"].tolist() == [[MISSING_TEXT]]
        assert math.isnan(packed["number"][0, 0])


@pytest.mark.parametrize(
    ("kind", "values"), [("float", [1.5, 0.5]), ("integer", [2, 1]), ("boolean", [True, False])]
)
def test_categoricals_with_missing_values(build_schema, kind, values):
    schema = build_schema([{"name": "c", "type": kind, "nullable": True}])
    frame = pd.DataFrame({"c": pd.Categorical([values[0], None, values[1]], categories=values)})
    expected = [[float(values[0])], [np.nan], [float(values[1])]]
    np.testing.assert_array_equal(pack_table(schema, frame)["number"], expected)
    strict = build_schema([{"name": "c", "type": kind}])
    assert [(e.row, e.got) for e in mistakes(strict, frame).errors] == [(1, "null")]


def test_float32_keeps_its_values(build_schema):
    schema = build_schema([{"name": "f", "type": "float"}])
    values = np.array([[0.1], [1e-45]], dtype=np.float32)
    np.testing.assert_array_equal(pack_table(schema, values)["number"], values.astype(np.float64))


def test_big_integers_are_exact(build_schema):
    schema = build_schema([{"name": "n", "type": "integer", "input": "integer"}])
    values = [2**63 - 1, -(2**63), 2**53 + 1]
    for table in (
        pd.DataFrame({"n": values}),
        pl.DataFrame({"n": values}),
        pd.DataFrame({"n": pd.Series(values, dtype=object)}),
    ):
        assert pack_table(schema, table)["integer"][:, 0].tolist() == values
    assert "64 bits" in str(mistakes(schema, pd.DataFrame({"n": np.array([2**63], dtype=np.uint64)})))


def test_sliced_and_chunked_arrow_columns(build_schema):
    schema = build_schema(
        [{"name": "s", "type": "string", "nullable": True}, {"name": "n", "type": "integer"}]
    )
    words = pa.chunked_array([pa.array(["a", "b"]), pa.array([None, "a", "c"])])
    table = pa.table({"s": words, "n": list(range(5))}).slice(1, 3)
    packed = pack_table(schema, table)
    assert packed["text"][:, 0].tolist() == ["b", MISSING_TEXT, "a"]
    assert packed["number"][:, 0].tolist() == [1, 2, 3]
    [batch] = table.combine_chunks().to_batches()
    assert pack_table(schema, batch)["text"][:, 0].tolist() == ["b", MISSING_TEXT, "a"]


def test_tables_without_rows(flights, row):
    packed = pack_table(flights, pd.DataFrame([row])[:0])
    assert {name: array.shape for name, array in packed.items()} == {
        "number": (0, 3),
        "text": (0, 3),
        "integer": (0, 1),
    }


def test_a_table_is_not_changed(flights, row):
    frame = pd.DataFrame([row])
    before = frame.copy(deep=True)
    pack_table(flights, frame)["number"][:] = 0
    pd.testing.assert_frame_equal(frame, before)


def test_what_is_not_a_table(flights):
    with pytest.raises(ArgumentError):
        pack_table(flights, "text")


NUMBERS = Schema(
    columns=(
        Column(name="x0", type="float", nullable=True, input="number", position=1, range=(0.0, 9.0)),
        Column(name="x1", type="any", nullable=True, input=None, position=None),
        Column(name="x2", type="integer", nullable=False, input="number", position=0, range=(0, 9)),
        Column(name="x3", type="float", nullable=False, input="number", position=2, range=(0.0, 1e39)),
    ),
    outputs=(),
)
CODES = Schema(
    columns=(
        Column(
            name="x0",
            type="integer",
            nullable=False,
            input="number",
            position=0,
            categories=Categories(values=(0, 3), open=False),
        ),
        Column(
            name="x1",
            type="float",
            nullable=True,
            input="number",
            position=1,
            categories=Categories(values=(1.5, 3.0), open=False),
        ),
        Column(name="x2", type="float", nullable=False, input="number", position=2, range=(0.0, 9.0)),
        Column(name="x3", type="integer", nullable=True, input="number", position=3, range=(0, 9)),
    ),
    outputs=(),
)
CELLS = st.sampled_from(
    [0.0, -0.0, 1.5, 3.0, np.nan, np.inf, -np.inf, 1e38, 3.5e38, 2.0**53, 2.0**53 + 2, -7.0]
)


@given(
    st.lists(st.lists(CELLS, min_size=4, max_size=4), min_size=1, max_size=5),
    st.sampled_from(["f8", "f4", "i8"]),
    st.sampled_from([NUMBERS, CODES]),
)
def test_an_array_packed_whole_is_packed_as_column_by_column(rows, dtype, schema):
    with np.errstate(all="ignore"):
        X = np.array(rows).astype(dtype)
    packer = TablePacker(schema)
    by_column = copy.copy(packer)
    by_column._array = None

    def packed(by):
        try:
            return {name: array.tolist() for name, array in by.pack(X).items()}
        except SchemaError as error:
            return [str(one) for one in error.errors]

    before = X.copy()
    assert repr(packed(packer)) == repr(packed(by_column))
    assert np.array_equal(X, before, equal_nan=dtype != "i8")


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i8"])
def test_an_array_packed_whole_is_a_copy(rows, dtype, build_schema):
    every = build_schema([{"name": name, "type": "float"} for name in "abcd"])
    for schema in (NUMBERS, every):
        X = np.ones((rows, 4), dtype)
        packed = TablePacker(schema).pack(X)["number"]
        X[:] = 5
        assert (packed == 1.0).all()
