from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from afterfit.errors import UnsupportedModelError

STRATEGIES = ["mean", "median", "most_frequent", "constant", lambda values: float(np.max(values))]


def numbers(dtype=np.float64):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(-3, 4, (40, 4)) / 3, columns=list("abcd")).astype(dtype)
    frame.iloc[::3, 0] = np.nan
    frame.iloc[1::4, 1] = np.nan
    frame.iloc[:, 3] = np.nan
    return frame


@pytest.mark.filterwarnings("ignore:Skipping features", "ignore:Mean of empty slice")
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("indicator", [True, False])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_numbers(agree, strategy, indicator, keep, dtype):
    X = numbers(dtype)
    if callable(strategy):
        X = X[["a", "b", "c"]]
    imputer = SimpleImputer(strategy=strategy, add_indicator=indicator, keep_empty_features=keep).fit(X)
    more = X.copy()
    more.iloc[5] = np.nan
    graph = agree(imputer, X, more)
    assert set(graph.lowered.dtypes) == {np.dtype(dtype)}


@pytest.mark.parametrize("value", [-1, 0, 99.5])
@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.float32])
def test_other_missing_values(agree, value, dtype):
    X = pd.DataFrame(np.random.default_rng(0).choice([-1, 0, 1, 2, 99.5], (30, 2))).astype(dtype)
    X.columns = ["a", "b"]
    for strategy in ("mean", "most_frequent", "constant"):
        agree(SimpleImputer(missing_values=value, strategy=strategy, add_indicator=True).fit(X), X)


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "int64[pyarrow]"])
@pytest.mark.parametrize("strategy", ["mean", "median"])
def test_nullable_dtypes(agree, dtype, strategy):
    X = pd.DataFrame(
        {"a": pd.array([1, None, 0, 1], dtype=dtype), "b": pd.array([0, 1, None, 0], dtype=dtype)}
    )
    agree(SimpleImputer(strategy=strategy, missing_values=pd.NA).fit(X), X)


TEXT = ["x", "y", "", "None", "nan", "001", "\x1a", "\x1ax", "x", "é"]


@pytest.mark.parametrize("strategy", ["most_frequent", "constant"])
@pytest.mark.parametrize("fill", [None, "", "\x1a", "nan", "missing"])
@pytest.mark.parametrize("missing", [np.nan, None, pd.NA])
def test_text(agree, strategy, fill, missing):
    dtype = "string" if missing is pd.NA else object
    X = pd.DataFrame(
        {"a": pd.Series([*TEXT, missing], dtype=dtype), "b": pd.Series([missing, *TEXT], dtype=dtype)}
    )
    fill = fill if strategy == "constant" else None
    imputer = SimpleImputer(strategy=strategy, fill_value=fill, missing_values=missing, add_indicator=True)
    agree(imputer.fit(X), X)


def test_none_is_not_nan(agree):
    """SimpleImputer leaves None where it looks for NaN; a graph that filled it would differ in silence."""
    X = pd.DataFrame({"a": ["x", None, "y", "x"]}, dtype=object)
    graph = agree(SimpleImputer(strategy="most_frequent").fit(X), X)
    assert graph.run(X)["block0"][1, 0] == "\x1a"


@pytest.mark.parametrize("strategy", ["most_frequent", "constant"])
def test_text_that_means_missing(agree, strategy):
    X = pd.DataFrame({"a": ["?", "x", "y", "x"], "b": ["u", "?", "?", "v"]})
    imputer = SimpleImputer(missing_values="?", strategy=strategy, add_indicator=True)
    agree(imputer.fit(X), X)


def test_a_replaced_value_is_known_to_a_closed_encoder(agree):
    X = pd.DataFrame({"a": ["?", "x", "y", "x"], "n": [1, -1, 2, 1]})
    model = ColumnTransformer(
        [
            (
                "t",
                make_pipeline(SimpleImputer(missing_values="?", strategy="most_frequent"), OneHotEncoder()),
                ["a"],
            ),
            (
                "n",
                make_pipeline(SimpleImputer(missing_values=-1, strategy="most_frequent"), OneHotEncoder()),
                ["n"],
            ),
        ]
    ).fit(X)
    learned = agree(model, X).context.learned
    assert learned[0].values == ("x", "y", "?")
    assert learned[1].values == (1, 2, -1)
    assert not learned[0].open


def test_text_and_numbers_in_one_imputer(agree, lower):
    X = pd.DataFrame({"a": ["x", np.nan, "y", "x"], "n": [1.0, 2.0, np.nan, 2.0], "i": [1, 2, 3, 3]})
    agree(SimpleImputer(strategy="most_frequent", add_indicator=True).fit(X), X)
    with pytest.raises(UnsupportedModelError, match="fills missing numbers with the text 'gone'"):
        lower(SimpleImputer(strategy="constant", fill_value="gone").fit(X), X)
    with pytest.raises(UnsupportedModelError, match="which is not text"):
        lower(SimpleImputer(strategy="constant", fill_value=0).fit(X[["a"]]), X[["a"]])


@pytest.mark.parametrize("features", ["missing-only", "all"])
@pytest.mark.parametrize("sparse", [True, False])
def test_missing_indicator(agree, features, sparse):
    X = numbers()
    graph = agree(MissingIndicator(features=features, sparse=sparse).fit(X), X)
    assert set(graph.lowered.dtypes) == {np.dtype(np.bool_)}
    text = pd.DataFrame({"a": ["x", np.nan, ""], "b": ["u", "v", "w"]}, dtype=object)
    agree(MissingIndicator(features=features, sparse=sparse).fit(text), text)
    agree(
        MissingIndicator(features=features, missing_values="", sparse=sparse).fit(text.fillna("x")),
        text.fillna("x"),
    )


def test_fill_is_rounded_as_the_column(agree):
    X = numbers(np.float32)[["a", "b"]]
    agree(make_pipeline(SimpleImputer(), StandardScaler()).fit(X), X)
    filled = SimpleImputer(strategy="constant", fill_value=0.1).fit(X)
    assert agree(filled, X).run(X)["block0"][0, 0] == np.float32(0.1)
