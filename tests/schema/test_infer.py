"""What is inferred from every kind of table."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from afterfit.errors import ArgumentError
from afterfit.schema import infer_table

NA = pd.NA
NAN = float("nan")


def infer(values):
    """The one column of a table of that column."""
    [column] = infer_table(values).columns
    return column


def series(values, dtype=None):
    return pd.DataFrame({"x": pd.Series(values, dtype=dtype)})


@pytest.mark.parametrize(
    ("values", "dtype", "kind", "held", "missing"),
    [
        ([1.5, 2.0], "float64", "float", "float64", False),
        ([1.5, NAN], "float32", "float", "float32", True),
        ([1, 2], "int64", "integer", "int64", False),
        ([1, 2], "int8", "integer", "int8", False),
        ([1, 2], "uint64", "integer", "uint64", False),
        ([True, False], "bool", "boolean", "bool", False),
        (["001", "b"], None, "string", "object", False),
        (["001", None], "str", "string", "object", True),
        (["001", None], "string[python]", "string", "object", True),
        (["001", None], "string[pyarrow]", "string", "object", True),
        ([1, NA], "Int64", "integer", "float64", True),
        ([1, 2], "Int8", "integer", "float64", False),
        ([1.5, NA], "Float64", "float", "float64", True),
        ([1.5, 2.5], "Float32", "float", "float64", False),
        ([True, NA], "boolean", "boolean", "float64", True),
        ([1, None], "int64[pyarrow]", "integer", "float64", True),
        ([1, 2], "int32[pyarrow]", "integer", "float64", False),
        ([1.5, None], "double[pyarrow]", "float", "float64", True),
        ([True, None], "bool[pyarrow]", "boolean", "float64", True),
        (["a", None], "string[pyarrow]", "string", "object", True),
        (["a", "b"], object, "string", "object", False),
        (["a", None, NAN, NA], object, "string", "object", True),
        ([True, None], object, "boolean", "float64", True),
        ([1, NAN], object, "integer", "float64", True),
        ([1, 2], object, "integer", "float64", False),
        ([1, 2.5, None], object, "float", "float64", True),
        ([1.5, NA], object, "float", "float64", True),
        ([0, 0, 1], pd.SparseDtype("int64", 0), "integer", "int64", False),
    ],
)
def test_pandas_dtypes(values, dtype, kind, held, missing):
    column = infer(series(values, dtype))
    assert (column.type, column.dtype, column.has_missing) == (kind, np.dtype(held), missing)
    assert column.refusal is None
    assert column.input == ("text" if kind == "string" else "number")
    assert not column.categorical


@pytest.mark.parametrize(
    ("values", "dtype", "kind", "held", "missing"),
    [
        ([1, 2], pl.Int8, "integer", "int8", False),
        ([1, None], pl.Int8, "integer", "float32", True),
        ([1, None], pl.Int64, "integer", "float64", True),
        ([1, 2], pl.UInt64, "integer", "uint64", False),
        ([1.5, None], pl.Float32, "float", "float32", True),
        ([1.5, NAN], pl.Float64, "float", "float64", True),
        ([True, None], pl.Boolean, "boolean", "bool", True),
        (["001", None], pl.String, "string", "object", True),
        (["a", "b", "a", "b", "a", "b", "a", "b", None], pl.String, "string", "object", True),
    ],
)
def test_polars_dtypes(values, dtype, kind, held, missing):
    column = infer(pl.DataFrame({"x": pl.Series(values, dtype=dtype)}))
    assert (column.type, column.dtype, column.has_missing) == (kind, np.dtype(held), missing)


@pytest.mark.parametrize(
    ("values", "dtype", "kind", "held", "missing"),
    [
        ([1, 2], pa.int8(), "integer", "int8", False),
        ([1, None], pa.int8(), "integer", "float64", True),
        ([1.5, None], pa.float32(), "float", "float32", True),
        ([True, None], pa.bool_(), "boolean", "bool", True),
        (["001", None], pa.string(), "string", "object", True),
        (["001", None], pa.large_string(), "string", "object", True),
        (["001", None], pa.string_view(), "string", "object", True),
    ],
)
def test_pyarrow_types(values, dtype, kind, held, missing):
    column = infer(pa.table({"x": pa.chunked_array([pa.array(values, dtype), pa.array(values, dtype)])}))
    assert (column.type, column.dtype, column.has_missing) == (kind, np.dtype(held), missing)


def test_numpy_arrays():
    table = infer_table(np.array([[1.0, np.nan], [2.0, np.inf]], dtype=np.float32))
    assert not table.named
    assert table.rows == 2
    assert [column.name for column in table.columns] == ["x0", "x1"]
    assert {column.dtype for column in table.columns} == {np.dtype(np.float32)}
    assert [column.has_missing for column in table.columns] == [False, True]
    assert table.columns[1].range == (np.inf, np.inf)
    assert table.columns[1].example is None
    kinds = [c.type for c in infer_table(np.array([["a", 1, True, 1.5]], dtype=object)).columns]
    assert kinds == ["string", "integer", "boolean", "float"]
    assert infer(np.array([["001"], ["b"]])).type == "string"
    assert infer(np.array([[True]])).dtype == np.bool_


def test_lists_of_dicts():
    table = infer_table([{"a": 1, "b": None, "c": 1}, {"a": 2, "b": "x", "c": 1.5}])
    assert table.named
    assert table.source == "rows"
    assert [(c.name, c.type, c.dtype.name) for c in table.columns] == [
        ("a", "integer", "int64"),
        ("b", "string", "object"),
        ("c", "float", "float64"),
    ]


@pytest.mark.parametrize(
    ("categories", "kind", "held"),
    [
        (["b", "a"], "string", "object"),
        ([3, 1], "integer", "int64"),
        ([2.5, 1.5], "float", "float64"),
        ([True, False], "boolean", "float64"),
    ],
)
@pytest.mark.parametrize("missing", [False, True])
def test_pandas_categoricals(categories, kind, held, missing):
    values = [categories[1], categories[0], None if missing else categories[0]]
    column = infer(pd.DataFrame({"x": pd.Categorical(values, categories=categories)}))
    assert column.categorical
    assert column.categories == tuple(categories)
    assert [type(value) for value in column.categories] == [type(value) for value in categories]
    assert column.type == kind
    assert column.has_missing is missing
    assert column.dtype == ("float64" if missing and kind == "integer" else held)
    assert column.example == categories[1]


def test_other_categoricals():
    enum = pl.DataFrame({"x": pl.Series(["a", None], dtype=pl.Enum(["b", "a"]))})
    assert infer(enum).categories == ("b", "a")
    pl.Series(["of another column"], dtype=pl.Categorical)
    column = infer(pl.DataFrame({"x": pl.Series(["c", "a", None], dtype=pl.Categorical)}))
    assert column.categorical
    assert sorted(column.categories) == ["a", "c"]
    chunks = [pa.array(["b", "a"]).dictionary_encode(), pa.array([None, "c"]).dictionary_encode()]
    column = infer(pa.table({"x": pa.chunked_array(chunks)}))
    assert column.categories == ("b", "a", "c")
    assert column.has_missing


@pytest.mark.parametrize(
    ("table", "phrase"),
    [
        (series(pd.to_datetime(["2020-01-01"])), "which holds datetimes"),
        (series(pd.to_datetime(["2020-01-01"], utc=True)), "which holds datetimes"),
        (series(pd.to_timedelta(["1h"])), "which holds durations"),
        (series(pd.period_range("2020", periods=1)), "which holds periods"),
        (series([1], "float16"), "which holds 16-bit floats"),
        (series([1 + 2j]), "which holds complex numbers"),
        (series([b"a"]), "which holds bytes"),
        (series([[]]), "which holds empty lists"),
        (series([[1], ["a"]]), "which holds lists of different types"),
        (series([[1], [[1]]]), "which holds lists that nest to different depths"),
        (series([[[1], [1, 2]]]), "which holds lists in which the inner ones differ in length"),
        (series([[1], None]), "which holds lists"),
        (series([{"a": 1}]), "which holds objects"),
        (series([Decimal(1)]), "which holds decimals"),
        (series([dt.date(2020, 1, 1)]), "which holds dates"),
        (series(["a", 1], object), "which holds integers and strings"),
        (series(["a", 1.5, True], object), "which holds booleans, floats and strings"),
        (series([True, 1], object), "which holds booleans and integers"),
        (series([2**53 + 1, 0.5], object), "which holds integers beyond 2**53 beside floats"),
        (series([2**63], "uint64"), "which holds integers beyond 64 signed bits"),
        (series([2**63], object), "which holds integers beyond 64 signed bits"),
        (series([2**53 + 1, NA], "Int64"), "which holds integers beyond 2**53 beside missing values"),
        (series(["\ud800"], object), "which holds text that is not valid Unicode"),
        (series([None, None], object), "which holds no value at all"),
        (pd.DataFrame({"x": pd.Categorical(pd.to_datetime(["2020"]))}), "whose categories are datetimes"),
        (np.array([[1]], dtype=np.longdouble), "which holds long doubles"),
        (np.array([["2020"]], dtype="datetime64[D]"), "which holds datetimes"),
        (pl.DataFrame({"x": [dt.datetime(2020, 1, 1)]}), "which holds datetimes"),
        (pl.DataFrame({"x": [[None]]}), "which holds missing values inside its arrays"),
        (pl.DataFrame({"x": [{"a": 1}]}), "which holds records"),
        (pl.DataFrame({"x": [Decimal(1)]}), "which holds decimals"),
        (pl.DataFrame({"x": [None]}), "which holds no value at all"),
        (pa.table({"x": pa.array([1], pa.timestamp("us", "UTC"))}), "which holds datetimes"),
        (pa.table({"x": pa.array([1], pa.date32())}), "which holds dates"),
        (pa.table({"x": pa.array([b"a"])}), "which holds bytes"),
        (pa.table({"x": pa.array([[1], None])}), "which holds lists"),
        (pa.table({"x": pa.array([1.5], pa.float16())}), "which holds 16-bit floats"),
        (pa.table({"x": pa.nulls(2)}), "which holds no value at all"),
    ],
)
def test_columns_no_graph_can_hold(table, phrase):
    column = infer(table)
    assert column.refusal is not None
    assert column.refusal.startswith(phrase)
    assert column.type is None
    assert column.input is None


def test_range_and_example():
    column = infer(series([NAN, -np.inf, 2.5]))
    assert column.range == (-np.inf, 2.5)
    assert column.example == 2.5
    column = infer(series([3, 1]))
    assert (column.range, column.example) == ((1.0, 3.0), 3)
    assert infer(series(["a"])).range is None
    assert infer(series([True])).range is None
    empty = infer(series([NAN, NAN]))
    assert (empty.type, empty.range, empty.example, empty.has_missing) == ("float", None, None, True)


def test_integers_beyond_float64_travel_as_integers():
    assert infer(series([2**53])).input == "number"
    assert infer(series([2**53 + 1])).input == "integer"
    assert infer(series([-(2**53) - 1])).input == "integer"
    assert infer(series([2**53 + 1])).example == 2**53 + 1


NAMES = ["a b", "Age (years)", "Größe", "数", "\U0001f600", "", "x:y", '"q"', "tab\t", "e\u0301"]


@pytest.mark.parametrize(
    "kind", [pd.DataFrame, pl.DataFrame, pa.table, lambda d: [{k: v[0] for k, v in d.items()}]]
)
def test_column_names_survive_unchanged(kind):
    assert [c.name for c in infer_table(kind({name: [1] for name in NAMES})).columns] == NAMES


def test_column_names_that_cannot_be_used():
    assert [c.name for c in infer_table(pd.DataFrame([[1, 2]], columns=[0, np.int64(1)])).columns] == [
        "0",
        "1",
    ]
    with pytest.raises(ArgumentError, match="repeat: 'a', 'b'"):
        infer_table(pd.DataFrame([[1, 2, 3, 4, 5]], columns=["a", "a", "b", "b", "c"]))
    with pytest.raises(ArgumentError, match="repeat: '1'"):
        infer_table(pd.DataFrame([[1, 2]], columns=[1, "1"]))
    for columns in ([("a", "b")], [1.5], [None], [True], [pd.Timestamp("2020")]):
        with pytest.raises(ArgumentError, match="must be strings"):
            infer_table(pd.DataFrame([[1]], columns=pd.Index(columns, dtype=object, tupleize_cols=False)))
    with pytest.raises(ArgumentError, match="not valid Unicode"):
        infer_table([{"\ud800": 1}])


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (np.zeros(3), "2 dimensions"),
        (np.ma.masked_array([[1.0]], mask=[[True]]), "masked"),
        (np.zeros((2, 2), dtype=[("a", "f8")]), "structured"),
        ({"a": [1]}, "for one row pass"),
        ([[1, 2]], "numpy.array"),
        (pl.LazyFrame({"a": [1]}), "collect"),
        (pd.Series([1]), "to_frame"),
        (pl.Series([1]), "to_frame"),
        ("text", "not builtins.str"),
        (None, "NoneType"),
        ([{"a": 1}, {"b": 1}], "row 0 has no value for 'b'"),
    ],
)
def test_what_is_not_a_table(X, match):
    with pytest.raises(ArgumentError, match=match):
        infer_table(X)


def test_tables_without_rows():
    for table in (
        pd.DataFrame({"a": pd.Series([], dtype="float64")}),
        pl.DataFrame({"a": pl.Series([], dtype=pl.Float64)}),
        np.empty((0, 1)),
    ):
        found = infer_table(table)
        assert found.rows == 0
        assert found.columns[0].type == "float"
        assert found.columns[0].range is None
    strings = infer_table(pa.table({"a": pa.array([], pa.string())}))
    assert strings.columns[0].type == "string"
    assert infer(pl.DataFrame({"a": pl.Series([], dtype=pl.Int64)})).type == "integer"


@pytest.mark.parametrize(
    "table",
    [
        series([None], "string[python]"),
        series([None], "string[pyarrow]"),
        pl.DataFrame({"x": pl.Series([None], dtype=pl.String)}),
        pl.DataFrame({"x": pl.Series([None], dtype=pl.Categorical)}),
        pa.table({"x": pa.array([None], pa.string())}),
    ],
)
def test_a_typed_column_of_missing_strings_is_of_strings(table):
    assert (infer(table).type, infer(table).has_missing) == ("string", True)


def test_inference_does_not_change_the_table():
    frame = pd.DataFrame({"a": [1.0, NAN], "b": ["x", None]})
    before = frame.copy(deep=True)
    infer_table(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_no_dataframe_library_is_needed_for_arrays_and_rows():
    code = (
        "import sys\n"
        "for name in ('pandas', 'polars', 'pyarrow', 'narwhals'): sys.modules[name] = None\n"
        "import numpy as np\n"
        "from afterfit.schema import infer_table\n"
        "print(infer_table(np.array([['a', None]], dtype=object)).rows, infer_table([{'a': 1}]).rows)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["1", "1"]
