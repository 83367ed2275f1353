"""XGBoost: every objective, booster and kind of column, against XGBoost itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

xgboost = pytest.importorskip("xgboost", reason="XGBoost is an extra")

SINGLE = {"tolerance": 1e-6}
COMMON: dict[str, Any] = {"n_estimators": 12, "max_depth": 4, "enable_categorical": True, "n_jobs": 1}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_cat_to_onehot": 1},
        {"booster": "dart", "rate_drop": 0.5, "random_state": 0},
        {"num_parallel_tree": 3, "subsample": 0.6, "random_state": 0},
        {"base_score": 0.3},
    ],
    ids=["trees", "sets", "dart", "parallel", "base_score"],
)
@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
def test_classifiers(name: str, options: Any, data: Any, agrees: Any):
    rows = data(name, missing=True, categorical=True, size=80)
    model = xgboost.XGBClassifier(**{**COMMON, **options}).fit(rows.X, rows.y)
    agrees(model, rows.X, rows.rows, **SINGLE)


def test_kinds_of_columns(kind: Any, data: Any, agrees: Any):
    rows = data("wine", **kind, size=80)
    agrees(xgboost.XGBClassifier(**COMMON).fit(rows.X, rows.y), rows.X, rows.rows, **SINGLE)


OBJECTIVES = [
    "reg:squarederror",
    "reg:squaredlogerror",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "count:poisson",
    "reg:gamma",
    "reg:tweedie",
    "reg:logistic",
    "survival:cox",
    "reg:quantileerror",
]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_regressors(objective: str, data: Any, agrees: Any):
    rows = data("diabetes", missing=True, categorical=True)
    y = rows.y / 400 if objective == "reg:logistic" else rows.y
    options = {"quantile_alpha": [0.1, 0.5]} if objective == "reg:quantileerror" else {}
    model = xgboost.XGBRegressor(**COMMON, objective=objective, **options).fit(rows.X, y)
    agrees(model, rows.X, rows.rows, **SINGLE)


def test_survival_with_bounds(data: Any, agrees: Any):
    rows = data("diabetes", missing=True, categorical=True)
    matrix = xgboost.DMatrix(
        rows.X, label_lower_bound=rows.y, label_upper_bound=rows.y + 10, enable_categorical=True
    )
    booster = xgboost.train({"objective": "survival:aft", "max_depth": 3, "nthread": 1}, matrix, 10)
    agrees(booster, rows.X, rows.rows, **SINGLE, ask=Native(booster))


class Native:
    """A native booster, asked as its users ask it."""

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    def predict(self, rows: Any) -> Any:
        return self.booster.predict(xgboost.DMatrix(rows, enable_categorical=True))


@pytest.mark.parametrize(
    "objective",
    [
        "binary:logistic",
        "binary:logitraw",
        "binary:hinge",
        "multi:softprob",
        "multi:softmax",
        "rank:pairwise",
        "rank:ndcg",
    ],
)
def test_native_boosters(objective: str, data: Any, agrees: Any):
    rows = data("wine", missing=True, categorical=True)
    y = rows.y if objective.startswith("multi") else (rows.y > 0).astype(int)
    matrix = xgboost.DMatrix(rows.X, y, enable_categorical=True)
    if objective.startswith("rank"):
        matrix.set_group([60, 60])
    parameters = {"objective": objective, "max_depth": 3, "nthread": 1}
    if objective.startswith("multi"):
        parameters["num_class"] = 3
    booster = xgboost.train(parameters, matrix, 10)
    saved = agrees(booster, rows.X, rows.rows, **SINGLE, ask=Native(booster))
    assert saved.manifest.framework.name == "xgboost"
    assert saved.manifest.framework.version == xgboost.__version__


def test_a_ranker(data: Any, agrees: Any):
    rows = data("wine", missing=True, categorical=True)
    model = xgboost.XGBRanker(**COMMON).fit(rows.X, rows.y, group=[60, 60])
    agrees(model, rows.X, rows.rows, **SINGLE)


@pytest.mark.parametrize("missing", [True, False], ids=["missing", "whole"])
@pytest.mark.parametrize("family", ["XGBRFClassifier", "XGBRFRegressor"])
def test_forests(family: str, missing: bool, data: Any, agrees: Any):
    rows = data("wine", missing=missing, categorical=True)
    model = getattr(xgboost, family)(**COMMON, random_state=0).fit(rows.X, rows.y)
    agrees(model, rows.X, rows.rows, **SINGLE)


@pytest.mark.parametrize("strategy", ["one_output_per_tree", "multi_output_tree"])
def test_several_targets(strategy: str, data: Any, agrees: Any):
    rows = data("diabetes", missing=True, categorical=False)
    targets = np.column_stack([rows.y, -rows.y, rows.y**0.5])
    model = xgboost.XGBRegressor(**COMMON, multi_strategy=strategy).fit(rows.X, targets)
    agrees(model, rows.X, rows.rows, **SINGLE)


def test_several_labels(data: Any, agrees: Any):
    rows = data("diabetes", missing=True, categorical=False)
    labels = np.column_stack([rows.y > 100, rows.y > 200]).astype(int)
    model = xgboost.XGBClassifier(**COMMON).fit(rows.X, labels)
    saved = agrees(model, rows.X, rows.rows, **SINGLE)
    assert saved.predict(rows.rows).shape == (len(rows.rows), 2)


def test_multi_softmax(data: Any, agrees: Any):
    rows = data("wine", missing=True, categorical=True)
    model = xgboost.XGBClassifier(**COMMON, objective="multi:softmax", num_class=3).fit(rows.X, rows.y)
    agrees(model, rows.X, rows.rows, **SINGLE)


@pytest.mark.parametrize("targets", [1, 2])
def test_a_linear_booster(targets: int, data: Any, agrees: Any):
    rows = data("diabetes", missing=True, categorical=False)
    y = rows.y if targets == 1 else np.column_stack([rows.y, -rows.y])
    model = xgboost.XGBRegressor(booster="gblinear", n_jobs=1, n_estimators=5).fit(rows.X, y)
    agrees(model, rows.X, rows.rows, **SINGLE)


def test_early_stopping_answers_with_the_best_iteration(data: Any, agrees: Any):
    rows = data("diabetes", missing=True, categorical=True)
    model = xgboost.XGBRegressor(
        n_estimators=200, n_jobs=1, max_depth=4, early_stopping_rounds=5, enable_categorical=True
    )
    model.fit(rows.X[:80], rows.y[:80], eval_set=[(rows.X[80:], rows.y[80:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    agrees(model, rows.X, rows.rows, **SINGLE)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_arrays_with_a_number_for_missing_values(dtype: Any, data: Any, agrees: Any):
    rows = data("diabetes", missing=True, categorical=False)
    X, more = (
        ((table * 1000).fillna(-700).round().to_numpy() / (1 if dtype == np.int32 else 8)).astype(dtype)
        for table in (rows.X, rows.rows)
    )
    missing = X[np.isnan(rows.X.to_numpy())][0]
    model = xgboost.XGBRegressor(n_estimators=10, n_jobs=1, missing=missing).fit(X, rows.y)
    agrees(model, X, more, **SINGLE)


def test_codes_given_as_numbers(data: Any, agrees: Any):
    rows = data("diabetes", missing=False, categorical=False)
    codes = lambda table: (table.to_numpy() * 40 + 8).clip(0).round()  # noqa: E731
    X, more = codes(rows.X), codes(rows.rows).clip(0, 30) + 0.25
    model = xgboost.XGBRegressor(
        n_estimators=10, n_jobs=1, feature_types=["c", "c", *["q"] * 6], enable_categorical=True
    ).fit(X, rows.y)
    agrees(model, X, more, **SINGLE)


def test_margins_are_equal_to_the_last_bit(data: Any, agrees: Any):
    rows = data("diabetes", missing=True, categorical=True)
    model = xgboost.XGBRegressor(
        n_estimators=80, n_jobs=1, base_score=1e5, learning_rate=0.05, enable_categorical=True
    ).fit(rows.X, rows.y)
    saved = agrees(model, rows.X, rows.rows, **SINGLE)
    np.testing.assert_array_equal(saved.predict(rows.rows), model.predict(rows.rows).astype(np.float64))
    assert saved.manifest.parity.max_error == 0.0
    assert saved.manifest.parity.precision == "float32"


def test_a_value_that_is_a_threshold_goes_right(data: Any, agrees: Any):
    X = pd.DataFrame({"x": np.repeat([1.0, 2.0, 3.0, 4.0], 10)})
    model = xgboost.XGBRegressor(n_estimators=1, n_jobs=1, max_depth=2).fit(X, (X.x > 2).to_numpy() * 1.0)
    thresholds = model.get_booster().trees_to_dataframe()["Split"].dropna().unique()
    sides = np.nextafter(np.float32(thresholds), np.float32(-np.inf)).astype(np.float64)
    values = np.concatenate(
        [
            thresholds,
            sides,
            (thresholds + sides) / 2,
            np.nextafter(thresholds, 9),
            np.nextafter(thresholds, 0),
        ]
    )
    agrees(model, X, pd.DataFrame({"x": values}), **SINGLE)


def test_inside_a_pipeline(data: Any, agrees: Any):
    rows = data("breast_cancer", missing=True, categorical=True)
    columns = make_column_transformer(
        (StandardScaler(), list(rows.X.columns[:8])),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["word", "number"]),
    )
    model = make_pipeline(columns, xgboost.XGBClassifier(n_estimators=15, n_jobs=1)).fit(rows.X, rows.y)
    agrees(model, rows.X, rows.rows, **SINGLE)


def test_training_goes_on_from_the_bundle(data: Any, agrees: Any):
    rows = data("breast_cancer", missing=True, categorical=True)
    model = xgboost.XGBClassifier(**COMMON).fit(rows.X, rows.y)
    saved = agrees(model, rows.X, rows.rows, **SINGLE)
    kept = bytearray(saved.bundle.entries["native/model.ubj"])
    again = xgboost.Booster(model_file=kept)
    matrix = xgboost.DMatrix(rows.X, rows.y, enable_categorical=True)
    np.testing.assert_array_equal(again.predict(matrix), model.get_booster().predict(matrix))
    assert xgboost.train({}, matrix, 3, xgb_model=again).num_boosted_rounds() == 15


def test_an_unknown_category_is_an_error_as_in_xgboost(data: Any, agrees: Any):
    rows = data("breast_cancer", missing=False, categorical=True)
    model = xgboost.XGBClassifier(**COMMON).fit(rows.X, rows.y)
    saved = agrees(model, rows.X, **SINGLE)
    word = next(column for column in saved.schema.columns if column.name == "word")
    assert word.categories is not None
    assert not word.categories.open


def test_categories_that_are_not_ascii_are_refused(data: Any, refuses: Any):
    rows = data("breast_cancer", missing=False, categorical=True)
    X = rows.X.assign(word=rows.X.word.cat.rename_categories(lambda word: word.replace("group", "grüße")))
    refuses(xgboost.XGBClassifier(**COMMON).fit(X, rows.y), X, "not ASCII")
