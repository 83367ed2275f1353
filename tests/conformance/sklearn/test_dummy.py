from __future__ import annotations

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


@pytest.mark.parametrize(
    "model",
    [
        DummyClassifier(),
        DummyClassifier(strategy="most_frequent"),
        DummyClassifier(strategy="constant", constant="b"),
        DummyRegressor(),
        DummyRegressor(strategy="median"),
        DummyRegressor(strategy="quantile", quantile=0.2),
        DummyRegressor(strategy="constant", constant=3),
    ],
    ids=str,
)
@pytest.mark.parametrize("columns", ["numbers", "text", "one-hot"])
def test_constant_answers(agrees, iris, model, columns):
    y = np.array(["a", "b", "c"])[iris.y] if isinstance(model, DummyClassifier) else iris.y
    X, rows = iris.X, iris.rows
    if columns != "numbers":
        X, rows = X.round().astype(str), rows.round().astype(str)
    if columns == "one-hot":
        encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), list(X)))
        model = make_pipeline(encoder, model)
    agrees(model.fit(X, y), X, rows)


def test_several_targets(agrees, iris):
    agrees(DummyRegressor().fit(iris.X, np.column_stack([iris.y, -iris.y])), iris.X, iris.rows)


@pytest.mark.parametrize("strategy", ["uniform", "stratified"])
def test_random_answers_are_refused(refuses, iris, strategy):
    refuses(DummyClassifier(strategy=strategy).fit(iris.X, iris.y), iris.X, "answers at random")


@pytest.mark.parametrize("labels", [lambda y: y, lambda y: np.char.add("kind ", y.astype(str))])
def test_several_labels_a_row(agrees, iris, labels):
    y = labels(np.column_stack([iris.y, iris.y % 2]))
    agrees(DummyClassifier().fit(iris.X, y), iris.X, iris.rows, outputs=["prediction"])
    constant = DummyClassifier(strategy="constant", constant=y[70]).fit(iris.X, y)
    agrees(constant, iris.X, iris.rows)
