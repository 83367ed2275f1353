from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from afterfit.errors import UnsupportedModelError
from afterfit.lowering import OneHot

pytestmark = pytest.mark.filterwarnings("ignore:Found unknown categories")

WORDS = ["x", "y", "z", "", "None", "nan", "001", "1", "\x1a", "\x1a\x1a", "\x1ax", "é", "x "]


def frame(missing=np.nan):
    rng = np.random.default_rng(0)
    text = pd.Series([*WORDS, *rng.choice(WORDS[:4], 40), missing, missing], dtype=object)
    n = len(text)
    return pd.DataFrame(
        {
            "text": text,
            "binary": pd.Series(rng.choice(["u", "v"], n), dtype=object),
            "one": pd.Series(["only"] * n, dtype=object),
            "float": np.where(np.arange(n) % 9 == 0, np.nan, rng.choice([0.5, -1.0, 0.0, 2.0], n)),
            "single": rng.choice([0.1, 0.2, 3], n).astype(np.float32),
            "int": rng.choice([0, 1, 7, 7, 7], n),
            "bool": rng.choice([True, False], n),
        }
    )


def unknown(X):
    return pd.DataFrame(
        {
            "text": pd.Series(["never", "X", " x", "\x1ay", "01", "NaN"], dtype=object),
            "binary": pd.Series(["u", "w", "", "v", "None", "nan"], dtype=object),
            "one": pd.Series(["only", "two", "only", "", "x", "y"], dtype=object),
            "float": [0.5, 1e300, -0.0, np.nextafter(0.5, 1), -1.0, 7.0],
            "single": np.array([0.1, 0.3, np.nan, 3, 0.2, 1e30], dtype=np.float32),
            "int": [0, -1, 8, 1, 7, 2**40],
            "bool": [True, False, True, False, True, False],
        }
    )[X.columns]


@pytest.mark.parametrize("handle", ["error", "ignore", "infrequent_if_exist", "warn"])
@pytest.mark.parametrize("drop", [None, "first", "if_binary", "array"])
@pytest.mark.parametrize(
    ("frequency", "most"), [(None, None), (3, None), (0.2, None), (None, 2), (4, 3), (None, 1)]
)
def test_one_hot(agree, handle, drop, frequency, most):
    X = frame()
    if drop == "array":
        drop = ["x", "v", "only", np.nan, 0.1, 7, True] if frequency is None and most is None else None
    encoder = OneHotEncoder(handle_unknown=handle, drop=drop, min_frequency=frequency, max_categories=most)
    if drop is not None and most == 1:
        encoder.set_params(drop=None)
    encoder.fit(X)
    graph = agree(encoder, X, None if handle == "error" else unknown(X))
    assert all(learned.open == (handle != "error") for learned in graph.context.learned.values())
    assert all(isinstance(block.source, OneHot) for block in graph.lowered.blocks)


@pytest.mark.parametrize("missing", [np.nan, None])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8, bool])
def test_one_hot_dtypes_and_missing(agree, missing, dtype):
    X = frame(missing)
    encoder = OneHotEncoder(handle_unknown="ignore", dtype=dtype, sparse_output=False).fit(X)
    graph = agree(encoder, X, unknown(X))
    assert set(graph.lowered.dtypes) == {np.dtype(dtype)}
    learned = graph.context.learned
    assert learned[0].values == tuple(sorted(WORDS))
    assert learned[3].values == (-1.0, 0.0, 0.5, 2.0)
    assert learned[6].values == (False, True)


def test_given_categories(agree):
    X = pd.DataFrame({"text": ["x", "y", "x"], "int": [3, 1, 3]})
    given = [["z", "x", "y"], [1, 2, 3]]
    agree(OneHotEncoder(categories=given, drop="first").fit(X), X)
    agree(OrdinalEncoder(categories=given).fit(X), X)


@pytest.mark.parametrize("dtype", ["str", "string", "category", "Int64", "boolean", "object"])
def test_pandas_dtypes(agree, dtype):
    values = {"Int64": [1, 5, None, 1], "boolean": [True, None, False, True]}.get(dtype, ["x", "", None, "é"])
    X = pd.DataFrame({"a": pd.Series(values, dtype=dtype)})
    if dtype == "string":
        X = X.fillna("none")
    for encoder in (OneHotEncoder(), OrdinalEncoder(encoded_missing_value=-1)):
        agree(encoder.fit(X), X)


def test_unknown_pandas_na_is_unknown(agree):
    X = pd.DataFrame({"a": pd.array(["x", "y"], dtype="string")})
    rows = pd.DataFrame({"a": pd.array(["x", None], dtype="string")})
    agree(OneHotEncoder(handle_unknown="ignore").fit(X), X, rows)
    agree(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(X), X, rows)


def test_objects_that_are_numbers(agree):
    X = pd.DataFrame({"a": [1, 2.5, 1, 3], "b": [True, False, True, True]}, dtype=object)
    for encoder in (OneHotEncoder(), OrdinalEncoder()):
        agree(encoder.fit(X), X)


def test_arrays(agree):
    numbers = np.random.default_rng(0).integers(0, 3, (20, 3)).astype(float)
    numbers[2, 0] = np.nan
    agree(OneHotEncoder(drop="if_binary").fit(numbers), numbers)
    objects = np.array([["x", 1], ["y", 2], ["", 1]], dtype=object)
    agree(OneHotEncoder().fit(objects), objects)
    agree(OrdinalEncoder().fit(objects), objects)


@pytest.mark.parametrize(
    ("unknown_value", "missing_code", "dtype"),
    [
        (-1, -2, np.float64),
        (np.nan, np.nan, np.float64),
        (-1, np.nan, np.float32),
        (100, 200, np.int64),
        (-1, -1, int),
    ],
)
@pytest.mark.parametrize(("frequency", "most"), [(None, None), (3, None), (0.2, None), (None, 2), (4, 3)])
def test_ordinal(agree, unknown_value, missing_code, dtype, frequency, most):
    X = frame()
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=unknown_value,
        encoded_missing_value=missing_code,
        dtype=dtype,
        min_frequency=frequency,
        max_categories=most,
    ).fit(X)
    graph = agree(encoder, X, unknown(X))
    assert set(graph.lowered.dtypes) == {np.dtype(dtype)}
    assert [origin.column for origin in graph.lowered.origins] == list(range(7))


@pytest.mark.parametrize("missing", [np.nan, None])
@pytest.mark.parametrize("frequency", [None, 3])
def test_ordinal_closed(agree, missing, frequency):
    X = frame(missing)
    graph = agree(OrdinalEncoder(encoded_missing_value=-1, min_frequency=frequency).fit(X), X)
    assert not any(learned.open for learned in graph.context.learned.values())


def test_many_categories(agree):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": [f"category {i}" for i in rng.permutation(1500)], "b": rng.permutation(1500)})
    encoder = OneHotEncoder(handle_unknown="ignore").fit(X)
    more = pd.DataFrame({"a": ["category 1499", "none"], "b": [-1, 1499]})
    graph = agree(encoder, X.iloc[:50], more)
    assert graph.model.ByteSize() < 300_000
    y = rng.normal(size=1500)
    agree(make_pipeline(encoder, LinearRegression()).fit(X, y), X.iloc[:50], more)


def test_part_of_a_one_hot_matrix(agree):
    X = frame()[["text", "int"]]
    some = ColumnTransformer([("s", "passthrough", [14, 2, 0, 2, 15])])
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    y = np.arange(len(X)) % 5
    agree(make_pipeline(encoder, some).fit(X), X, unknown(X))
    agree(make_pipeline(encoder, some, LinearRegression()).fit(X, y), X, unknown(X))


def test_none_and_nan_are_refused(lower):
    X = pd.DataFrame({"a": ["x", None, np.nan]}, dtype=object)
    for encoder in (OneHotEncoder(), OrdinalEncoder()):
        with pytest.raises(UnsupportedModelError, match="None from NaN"):
            lower(encoder.fit(X), X)


def test_closed_columns_that_are_computed_are_refused(lower, agree):
    X = pd.DataFrame({"a": [1.0, 2.0, 3.0, 1.0]})
    for encoder in (OneHotEncoder(), OrdinalEncoder()):
        with pytest.raises(UnsupportedModelError, match=r"at onehotencoder|at ordinalencoder") as raised:
            lower(make_pipeline(StandardScaler(), encoder).fit(X), X)
        assert "handle_unknown='ignore'" in raised.value.way_out
    agree(make_pipeline(StandardScaler(), OneHotEncoder(handle_unknown="ignore")).fit(X), X)
    agree(make_pipeline(FunctionTransformer(), SimpleImputer(), OneHotEncoder()).fit(X), X)


def test_integers_beyond_float64_are_refused(lower):
    X = pd.DataFrame({"a": [2**53 + 1, 1, 2]})
    with pytest.raises(UnsupportedModelError, match=r"beyond 2\*\*53"):
        lower(OneHotEncoder().fit(X), X)


def test_two_encoders_of_one_column(lower):
    X = pd.DataFrame({"a": ["x", "y", "z"]})
    model = ColumnTransformer(
        [
            ("open", OneHotEncoder(categories=[["x", "y", "z", "w"]], handle_unknown="ignore"), ["a"]),
            ("closed", OrdinalEncoder(), ["a"]),
        ]
    ).fit(X)
    learned = lower(model, X).context.learned[0]
    assert (learned.values, learned.open) == (("x", "y", "z"), False)


def test_the_graph_is_the_same_every_time(lower):
    X = frame()
    models = [lower(OneHotEncoder().fit(X), X).model.SerializeToString() for _ in range(2)]
    assert models[0] == models[1]


def test_every_pair_of_values_stays_apart(agree):
    for pair in itertools.combinations(WORDS, 2):
        X = pd.DataFrame({"a": pd.Series(list(pair), dtype=object)})
        rows = pd.DataFrame({"a": pd.Series([*WORDS, None], dtype=object)})
        agree(OneHotEncoder(handle_unknown="ignore").fit(X), X, rows)
