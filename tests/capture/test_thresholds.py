"""Golden rows lie on both sides of the thresholds of tree models, one step of the column's dtype apart."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import afterfit

ROWS = 120


def golden_values(model: afterfit.Model, column: str) -> set[float]:
    return {row.input[column] for row in model.bundle.golden if row.input[column] is not None}


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(100, 30, ROWS)
    return pd.DataFrame({"x": np.where(rng.random(ROWS) < 0.1, np.nan, x), "n": rng.integers(0, 1000, ROWS)})


def test_a_bare_tree_has_golden_rows_on_both_sides(frame: pd.DataFrame, tmp_path: Path):
    x = frame[["x"]].dropna()
    tree = DecisionTreeClassifier(max_depth=2).fit(x, x["x"] > 110)
    threshold = tree.tree_.threshold[0]
    values = golden_values(afterfit.save(tree, tmp_path / "m.afit", X=x), "x")
    below = max(value for value in values if np.float32(value) <= threshold)
    above = min(value for value in values if np.float32(value) > threshold)
    assert np.nextafter(below, np.inf) == above, (
        "the tree compares float32: one float64 step decides its rounding"
    )


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler((-3, 5))], ids=repr)
def test_thresholds_are_found_through_imputing_and_scaling(scaler: Any, frame: pd.DataFrame, tmp_path: Path):
    y = (frame["x"].fillna(0) > 100) ^ (frame["n"] > 500)
    pipeline = make_pipeline(SimpleImputer(), scaler, RandomForestClassifier(5, max_depth=3, random_state=0))
    pipeline.fit(frame, y)
    model = afterfit.save(pipeline, tmp_path / "m.afit", X=frame)
    values = sorted(golden_values(model, "x"))
    assert any(np.nextafter(a, np.inf) == b for a, b in itertools.pairwise(values))
    integers = sorted(golden_values(model, "n"))
    assert any(a + 1 == b for a, b in itertools.pairwise(integers))
    assert all(float(value).is_integer() for value in integers)


def test_a_float32_column_is_probed_in_steps_of_float32(frame: pd.DataFrame, tmp_path: Path):
    x = frame[["x"]].astype(np.float32)
    model = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=5).fit(x, frame["n"])
    values = golden_values(afterfit.save(model, tmp_path / "m.afit", X=x), "x")
    assert all(np.float32(value) == value for value in values)
    ordered = np.array(sorted(values), dtype=np.float32)
    assert any(np.nextafter(a, np.float32(np.inf)) == b for a, b in itertools.pairwise(ordered))
