"""CatBoost: every loss, kind of tree and kind of column, against CatBoost itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

catboost = pytest.importorskip("catboost", reason="CatBoost is an extra")

COMMON: dict[str, Any] = {
    "iterations": 12,
    "depth": 4,
    "verbose": 0,
    "allow_writing_files": False,
    "thread_count": 1,
    "random_seed": 0,
}


def prepared(data: Any, name: str, *, missing: bool, categorical: bool) -> tuple[Any, dict[str, Any]]:
    """Rows, and what a model of them is given. CatBoost's categories may not be missing."""
    rows = data(name, missing=False, categorical=categorical)
    if missing:
        for table in (rows.X, rows.rows):
            numbers = table.columns[:8]
            gaps = np.random.default_rng(3).random((len(table), 8)) < 0.15
            table[numbers] = table[numbers].mask(gaps)
    extra = {"cat_features": ["word", "number"], "one_hot_max_size": 10} if categorical else {}
    return rows, {**COMMON, **extra}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"grow_policy": "Lossguide"},
        {"grow_policy": "Depthwise"},
        {"nan_mode": "Max"},
        {"boosting_type": "Ordered"},
    ],
    ids=["oblivious", "lossguide", "depthwise", "max", "ordered"],
)
@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
def test_classifiers(name: str, options: Any, data: Any, agrees: Any):
    rows, given = prepared(data, name, missing=True, categorical="grow_policy" not in options)
    labels = np.array(["no", "yes", "perhaps"])[rows.y]
    model = catboost.CatBoostClassifier(**given, **options).fit(rows.X, labels)
    saved = agrees(model, rows.X, rows.rows)
    assert saved.classes.tolist() == model.classes_.tolist()


def test_kinds_of_columns(kind: Any, data: Any, agrees: Any):
    rows, given = prepared(data, "wine", **kind)
    agrees(catboost.CatBoostClassifier(**given).fit(rows.X, rows.y), rows.X, rows.rows)


@pytest.mark.parametrize(
    "loss",
    [
        "RMSE",
        "MAE",
        "Quantile:alpha=0.2",
        "MultiQuantile:alpha=0.1,0.5",
        "Poisson",
        "Tweedie:variance_power=1.5",
        "LogLinQuantile",
        "RMSEWithUncertainty",
        "MAPE",
        "Huber:delta=2",
        "Expectile:alpha=0.3",
        "LogCosh",
        "Cox",
    ],
)
def test_regressors(loss: str, data: Any, agrees: Any):
    rows, given = prepared(data, "diabetes", missing=True, categorical=True)
    model = catboost.CatBoostRegressor(**given, loss_function=loss).fit(rows.X, rows.y / 100)
    agrees(model, rows.X, rows.rows)


@pytest.mark.parametrize(
    "loss",
    [
        "MultiClassOneVsAll",
        "CrossEntropy",
        "Logloss",
        "Focal:focal_alpha=0.3;focal_gamma=2",
    ],
)
def test_losses_of_classifiers(loss: str, data: Any, agrees: Any):
    rows, given = prepared(data, "wine", missing=True, categorical=True)
    y = rows.y if loss.startswith("Multi") else rows.y > 0
    y = y / 2 if loss == "CrossEntropy" else y
    agrees(catboost.CatBoostClassifier(**given, loss_function=loss).fit(rows.X, y), rows.X, rows.rows)


@pytest.mark.parametrize("loss", ["MultiLogloss", "MultiCrossEntropy"])
def test_several_labels(loss: str, data: Any, agrees: Any):
    rows, given = prepared(data, "diabetes", missing=True, categorical=False)
    labels = np.column_stack([rows.y > 100, rows.y > 200]).astype(int)
    agrees(catboost.CatBoostClassifier(**given, loss_function=loss).fit(rows.X, labels), rows.X, rows.rows)


def test_several_targets(data: Any, agrees: Any):
    rows, given = prepared(data, "diabetes", missing=True, categorical=True)
    targets = np.column_stack([rows.y, -rows.y])
    model = catboost.CatBoostRegressor(**given, loss_function="MultiRMSE").fit(rows.X, targets)
    agrees(model, rows.X, rows.rows)


def test_a_ranker(data: Any, agrees: Any):
    rows, given = prepared(data, "wine", missing=True, categorical=True)
    model = catboost.CatBoostRanker(**given, loss_function="YetiRank")
    agrees(model.fit(rows.X, rows.y, group_id=np.repeat([0, 1], 60)), rows.X, rows.rows)


@pytest.mark.parametrize("loss", ["Logloss", "MultiClass", "RMSE"])
def test_native_models_answer_with_raw_values(loss: str, data: Any, agrees: Any):
    rows, given = prepared(data, "wine", missing=True, categorical=True)
    y = rows.y > 0 if loss == "Logloss" else rows.y
    model = catboost.CatBoost({**given, "loss_function": loss}).fit(rows.X, y)
    saved = agrees(model, rows.X, rows.rows)
    assert saved.task == "regression"
    assert saved.manifest.framework.name == "catboost"
    assert saved.manifest.framework.version == catboost.__version__


def test_early_stopping_answers_with_the_best_iteration(data: Any, agrees: Any):
    rows, given = prepared(data, "diabetes", missing=True, categorical=True)
    model = catboost.CatBoostRegressor(**{**given, "iterations": 500, "learning_rate": 0.3})
    model.fit(rows.X[:80], rows.y[:80], eval_set=(rows.X[80:], rows.y[80:]), early_stopping_rounds=5)
    assert model.tree_count_ == model.best_iteration_ + 1
    agrees(model, rows.X, rows.rows)


def test_the_threshold_of_a_probability(data: Any, agrees: Any):
    rows, given = prepared(data, "breast_cancer", missing=True, categorical=True)
    model = catboost.CatBoostClassifier(**given).fit(rows.X, rows.y)
    model.set_probability_threshold(0.8)
    agrees(model, rows.X, rows.rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_arrays(dtype: Any, data: Any, agrees: Any):
    rows, given = prepared(data, "diabetes", missing=False, categorical=False)
    X, more = ((table.to_numpy() * 1000).astype(dtype) for table in (rows.X, rows.rows))
    agrees(catboost.CatBoostRegressor(**given).fit(X, rows.y), X, more)


def test_kinds_of_categories(data: Any, agrees: Any):
    rows, given = prepared(data, "breast_cancer", missing=False, categorical=False)
    draw = np.random.default_rng(0)
    X, more = (
        table.assign(
            text=draw.choice(["", "ä", "nan", "None", "a very long name of a category " * 3], len(table)),
            integer=draw.choice([-1, 0, 12345678901], len(table)),
            truth=draw.choice([True, False], len(table)),
        )
        for table in (rows.X, rows.rows)
    )
    y = rows.y ^ (X.text == "ä") ^ (X.integer == 0)
    names = ["text", "integer", "truth"]
    model = catboost.CatBoostClassifier(**given, cat_features=names, one_hot_max_size=10).fit(X, y)
    saved = agrees(model, X, more, more.assign(text="never seen", integer=7))
    assert next(column for column in saved.schema.columns if column.name == "text").categories.open


def test_inside_a_pipeline(data: Any, agrees: Any):
    rows = data("wine", missing=True, categorical=True)
    columns = make_column_transformer(
        (StandardScaler(), list(rows.X.columns[:8])),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["word", "number"]),
    )
    model = make_pipeline(columns, catboost.CatBoostClassifier(**COMMON)).fit(rows.X, rows.y)
    agrees(model, rows.X, rows.rows)


def test_the_model_is_kept_as_json(data: Any, agrees: Any, tmp_path: Path):
    rows, given = prepared(data, "breast_cancer", missing=True, categorical=True)
    model = catboost.CatBoostClassifier(**given).fit(rows.X, rows.y)
    saved = agrees(model, rows.X, rows.rows)
    path = tmp_path / "model.json"
    path.write_bytes(saved.bundle.entries["native/model.json"])
    again = catboost.CatBoostClassifier().load_model(str(path), format="json")
    # CatBoost itself loses the last bit of some numbers when it reads JSON.
    np.testing.assert_allclose(again.predict_proba(rows.X), model.predict_proba(rows.X), rtol=1e-13)


def test_categories_that_x_does_not_hold_are_refused(data: Any, refuses: Any):
    rows, given = prepared(data, "breast_cancer", missing=False, categorical=True)
    y = rows.y ^ (rows.X.word == "group 0")
    model = catboost.CatBoostClassifier(**given).fit(rows.X, y)
    refuses(model, rows.X[rows.X.word != "group 0"].reset_index(drop=True), "Give the training rows")


def test_text_features_are_refused(data: Any, refuses: Any):
    X = pd.DataFrame({"x": np.arange(40.0), "said": ["so it goes", "and so on"] * 20})
    model = catboost.CatBoostClassifier(**COMMON, text_features=["said"]).fit(X, [0, 1] * 20)
    refuses(model, X, "text features")
