"""Selectors, alone, before a model, and those that predict themselves."""

from __future__ import annotations

import pytest
from sklearn.compose import make_column_transformer
from sklearn.feature_selection import (
    RFE,
    RFECV,
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

TREE = DecisionTreeClassifier(max_depth=3, random_state=0)
SELECTORS = [
    VarianceThreshold(0.5),
    SelectKBest(k=3),
    SelectPercentile(percentile=20),
    SelectFpr(),
    SelectFdr(),
    SelectFwe(),
    GenericUnivariateSelect(mode="k_best", param=4),
    SelectFromModel(TREE),
    SequentialFeatureSelector(TREE, n_features_to_select=2, cv=2),
    RFE(TREE, n_features_to_select=3),
]


@pytest.mark.parametrize("selector", SELECTORS, ids=lambda s: type(s).__name__)
def test_selectors(agrees, wine, selector):
    fitted = selector.fit(wine.X, wine.y)
    agrees(
        fitted,
        wine.X,
        wine.rows,
        outputs=["prediction", "probabilities"] if isinstance(selector, RFE) else None,
    )
    agrees(
        make_pipeline(selector, StandardScaler(), LogisticRegression()).fit(wine.X, wine.y), wine.X, wine.rows
    )


@pytest.mark.parametrize("estimator", [LogisticRegression(), TREE])
def test_recursive_elimination_predicts(agrees, cancer, estimator):
    X, rows = cancer.X.iloc[:, :8], cancer.rows.iloc[:, :8]
    model = RFECV(estimator, cv=2, min_features_to_select=2)
    pipeline = make_pipeline(StandardScaler(), model)
    agrees(pipeline.fit(X, cancer.y), X, rows, outputs=["prediction", "probabilities"])
    saved = agrees(model.fit(X / 100, cancer.y), X / 100, rows / 100, outputs=["prediction", "probabilities"])
    assert sum(column.input is not None for column in saved.schema.columns) == model.n_features_


def test_selected_one_hot_columns_and_containers(agrees, iris):
    X, rows = iris.X.round().astype(int), iris.rows.round().astype(int)
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), list(X.columns[:2])), remainder="passthrough"
    )
    pipeline = make_pipeline(encoder, SelectKBest(k=6), LogisticRegression()).fit(X, iris.y)
    agrees(pipeline, X, rows)
    pipeline = make_pipeline(SelectKBest(k=3).set_output(transform="pandas"), LogisticRegression())
    agrees(pipeline.fit(X, iris.y), X, rows)


def test_nothing_selected_is_refused(refuses, iris):
    selector = SelectKBest(k=1).fit(iris.X, iris.y)
    selector.k = 0
    refuses(selector, iris.X, "selects no column")
