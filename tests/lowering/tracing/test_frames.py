"""Functions of pandas DataFrames, traced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import afterfit

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(1)
FRAME = pd.DataFrame(
    {
        "a": RNG.normal(size=80),
        "b": RNG.uniform(1, 3, size=80),
        "count": RNG.integers(-5, 6, size=80),
        "flag": RNG.integers(0, 2, size=80).astype(bool),
        "gap": np.where(RNG.uniform(size=80) < 0.3, np.nan, RNG.normal(size=80)),
        "city": RNG.choice(["Paris", "Rome", "Łódź"], size=80),
    }
)


def assigned(df: Any) -> Any:
    df = df.copy()
    df["ratio"] = df["a"] / df["b"]
    df["big"] = (df.b > 2) & ~df.flag
    df.loc[:, "rome"] = (df["city"] == "Rome").astype(float)
    return df.drop(columns=["city"])


FUNCTIONS = {
    "ratio": lambda df: (df["a"] / df["b"]).to_frame("ratio"),
    "assign": lambda df: df[["a", "b"]].assign(c=lambda d: np.log1p(d["b"]), d=1.0),
    "assigned": assigned,
    "fillna": lambda df: df[["gap", "a"]].fillna(0).clip(-1, 1),
    "missing": lambda df: df[["gap"]].isna(),
    "array": lambda df: df[["a", "b", "count"]].to_numpy() ** 2,
    "mean": lambda df: df[["a", "gap", "b"]].mean(axis=1).to_frame(),
    "map": lambda df: df["city"].map({"Paris": 1.5, "Rome": 2.5, "Łódź": 0.0}).to_frame(),
    "isin": lambda df: df["city"].isin(["Paris", "Rome"]).to_frame(),
    "where": lambda df: np.where(df[["a"]] > 0, df[["b"]], -1.0),
    "arithmetic": lambda df: df[["a", "b"]] * 2 + 1,
    "integers": lambda df: df[["count"]] // 2 + df[["count"]] % 3,
    "integer division": lambda df: df[["count"]] / 4,
    "built": lambda df: pd.DataFrame({"x": df["a"] - df["b"], "y": df["count"].clip(lower=0)}),
    "concat": lambda df: pd.concat([df[["a"]], np.exp(df["b"])], axis=1),
    "between": lambda df: np.column_stack([df.a.between(-1, 1), df["b"].ge(2), df["flag"]]),
    "if DataFrame": lambda df: df[["a"]].values if isinstance(df, pd.DataFrame) else df,
    "loop": lambda df: np.hstack([df[[c]].to_numpy() - i for i, c in enumerate(df.columns[:3])]),
    "rename": lambda df: df[["a"]].rename(columns={"a": "z"}),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_answers_as_the_function_does(name: str, tmp_path: Path):
    transformer = FunctionTransformer(FUNCTIONS[name]).fit(FRAME)
    model = afterfit.save(transformer, tmp_path / "model.afit", X=FRAME)
    expected = np.asarray(transformer.transform(FRAME), dtype=np.float64)
    np.testing.assert_allclose(model.transform(FRAME), expected, rtol=1e-13, atol=1e-13)


def test_only_the_columns_that_are_used_are_asked_for(tmp_path: Path):
    transformer = FunctionTransformer(lambda df: df[["a", "b"]] * 2).fit(FRAME)
    model = afterfit.save(transformer, tmp_path / "model.afit", X=FRAME)
    assert [column.name for column in model.schema.columns if column.input is not None] == ["a", "b"]


def test_a_missing_integer_is_answered_as_numpy_answers_the_float_it_becomes(tmp_path: Path):
    transformer = FunctionTransformer(lambda df: np.where(df[["count"]] > 0, 1.0, -1.0)).fit(FRAME[["count"]])
    model = afterfit.save(transformer, tmp_path / "model.afit", X=FRAME[["count"]])
    assert model.transform([{"count": None}, {"count": 3}]).ravel().tolist() == [-1.0, 1.0]


def test_columns_that_pass_through_keep_their_categories(tmp_path: Path):
    from sklearn.preprocessing import OneHotEncoder

    pipeline = make_pipeline(
        FunctionTransformer(lambda df: df[["city"]]),
        OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
    ).fit(FRAME)
    model = afterfit.save(pipeline, tmp_path / "model.afit", X=FRAME)
    column = next(column for column in model.schema.columns if column.name == "city")
    assert column.categories is not None
    assert set(column.categories.values) == {"Paris", "Rome", "Łódź"}


def test_within_a_pipeline(tmp_path: Path):
    pipeline = make_pipeline(
        ColumnTransformer(
            [
                ("ratio", FunctionTransformer(lambda df: (df["a"] / df["b"]).to_frame()), ["a", "b"]),
                ("one", FunctionTransformer(lambda s: np.asarray(s)[:, None] ** 2), "a"),
                (
                    "scaled",
                    make_pipeline(StandardScaler(), FunctionTransformer(lambda X: np.c_[X, X[:, 0] ** 3])),
                    ["b"],
                ),
            ]
        ),
        LinearRegression(),
    ).fit(FRAME, FRAME["a"] * 2)
    model = afterfit.save(pipeline, tmp_path / "model.afit", X=FRAME)
    np.testing.assert_allclose(model.predict(FRAME), pipeline.predict(FRAME), rtol=1e-12, atol=1e-12)
