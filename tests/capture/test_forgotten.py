"""A model whose preprocessing was left out is refused, with evidence; honest models are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

import afterfit

ROWS = 200


@pytest.fixture
def raw() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"income": rng.normal(50_000, 9_000, ROWS), "age": rng.integers(18, 90, ROWS)})


@pytest.fixture
def y(raw: pd.DataFrame) -> np.ndarray:
    return (raw["income"] + raw["age"] * 300 > 66_000).to_numpy().astype(int)


def refused(
    model: Any, X: pd.DataFrame, tmp_path: Path, **arguments: Any
) -> afterfit.ForgottenPreprocessingError:
    with pytest.raises(afterfit.ForgottenPreprocessingError) as caught:
        afterfit.save(model, tmp_path / "m.afit", X=X, **arguments)
    assert list(tmp_path.iterdir()) == []
    assert "preprocess=" in caught.value.call
    return caught.value


def test_a_logistic_regression_fitted_on_scaled_numbers(raw: pd.DataFrame, y: np.ndarray, tmp_path: Path):
    scaler = StandardScaler().fit(raw)
    model = LogisticRegression().fit(scaler.transform(raw), y)
    evidence = refused(model, raw, tmp_path).evidence[0]
    assert "'income'" in evidence
    assert "log-odds" in evidence
    assert "give y as well" in evidence
    assert "of the rows of X the probability 0" in refused(model, raw, tmp_path, y=y).evidence[0]
    assert afterfit.save(model, tmp_path / "m.afit", X=raw, preprocess=scaler).verify().ok


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(10, random_state=0),
        HistGradientBoostingClassifier(max_iter=10),
        DecisionTreeRegressor(max_depth=4),
        GradientBoostingRegressor(n_estimators=10),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_trees_fitted_on_scaled_numbers(estimator: Any, raw: pd.DataFrame, y: np.ndarray, tmp_path: Path):
    scaler = MinMaxScaler().fit(raw)
    model = estimator.fit(scaler.transform(raw), y)
    assert "its trees split" in refused(model, raw, tmp_path).evidence[0]
    assert afterfit.save(model, tmp_path / "m.afit", X=raw, preprocess=[scaler]).verify().ok


def test_another_number_of_columns(raw: pd.DataFrame, y: np.ndarray, tmp_path: Path):
    frame = raw.assign(plan=np.where(y, "a", "b"))
    encoder = OneHotEncoder(sparse_output=False).fit(frame[["plan"]])
    columns = np.hstack([raw.to_numpy(), encoder.transform(frame[["plan"]])])
    model = RandomForestClassifier(5, random_state=0).fit(columns, y)
    assert "was fitted on 4 columns and X has 3" in refused(model, frame, tmp_path).evidence[0]


def test_columns_of_other_names(raw: pd.DataFrame, y: np.ndarray, tmp_path: Path):
    model = RandomForestClassifier(5, random_state=0).fit(raw.rename(columns={"income": "log_income"}), y)
    assert "'log_income'" in refused(model, raw, tmp_path).evidence[0]


def test_text_where_the_model_learned_numbers(raw: pd.DataFrame, y: np.ndarray, tmp_path: Path):
    frame = pd.DataFrame({"plan": np.where(y, "a", "b"), "age": raw["age"]})
    codes = frame.assign(plan=(frame["plan"] == "a").astype(int))
    model = RandomForestClassifier(5, random_state=0).fit(codes, y)
    assert "X has text in 'plan'" in refused(model, frame, tmp_path).evidence[0]


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=5000),
        LogisticRegression(C=1e6, max_iter=5000),
        RandomForestClassifier(10, random_state=0),
        HistGradientBoostingClassifier(max_iter=10),
    ],
    ids=repr,
)
def test_an_honest_model_is_saved(estimator: Any, raw: pd.DataFrame, y: np.ndarray, tmp_path: Path):
    assert afterfit.save(estimator.fit(raw, y), tmp_path / "m.afit", X=raw).verify().ok


def test_an_honest_model_without_names_that_is_sure_of_itself_is_saved_with_y(
    raw: pd.DataFrame, y: np.ndarray, tmp_path: Path
):
    model = LogisticRegression(C=1e6, max_iter=5000).fit(raw.to_numpy(), y)
    refused(model, raw, tmp_path)
    assert afterfit.save(model, tmp_path / "m.afit", X=raw, y=y).verify().ok


def test_a_sample_of_the_training_rows_is_enough(raw: pd.DataFrame, y: np.ndarray, tmp_path: Path):
    model = RandomForestClassifier(20, random_state=0).fit(raw, y)
    assert afterfit.save(model, tmp_path / "m.afit", X=raw.head(10)).verify().ok


def test_a_model_that_takes_no_table_is_refused_by_its_own_error(tmp_path: Path):
    model = DictVectorizer().fit([{"a": 1.0}])
    with pytest.raises(afterfit.AfterfitError):
        afterfit.save(model, tmp_path / "m.afit", X=pd.DataFrame({"a": [1.0]}))
