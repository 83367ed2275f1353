"""Transformers and estimators of people's own, traced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

import afterfit

if TYPE_CHECKING:
    from pathlib import Path

X, y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])
FRAME = pd.DataFrame(X, columns=["sepal length", "sepal width", "petal length", "petal width"])


class Clipper(TransformerMixin, BaseEstimator):
    def __init__(self, low: float = 0.05, high: float = 0.95) -> None:
        self.low, self.high = low, high

    def fit(self, X: Any, y: Any = None) -> Any:
        X = validate_data(self, X)
        self.low_, self.high_ = np.quantile(X, [self.low, self.high], axis=0)
        return self

    def transform(self, X: Any) -> Any:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return np.clip(X, self.low_, self.high_)


class Checked(TransformerMixin, BaseEstimator):
    def fit(self, X: Any, y: Any = None) -> Any:
        self.mean_ = np.mean(check_array(X), axis=0)
        return self

    def transform(self, X: Any) -> Any:
        X = check_array(X, copy=True, ensure_all_finite="allow-nan")
        X -= self.mean_
        X[:, 0] /= 2
        return X


class Wrapping(TransformerMixin, BaseEstimator):
    def fit(self, X: Any, y: Any = None) -> Any:
        self.scaler_ = StandardScaler().fit(X)
        self.tree_ = DecisionTreeRegressor(max_depth=3).fit(X, np.asarray(X)[:, 0] * 2)
        return self

    def transform(self, X: Any) -> Any:
        scaled = self.scaler_.transform(X)
        return np.column_stack([scaled, self.tree_.predict(X)])


class Centroids(ClassifierMixin, BaseEstimator):
    def fit(self, X: Any, y: Any) -> Any:
        X, y = validate_data(self, X, y)
        self.classes_ = np.unique(y)
        self.centres_ = np.stack([X[y == label].mean(axis=0) for label in self.classes_])
        return self

    def decision_function(self, X: Any) -> Any:
        X = validate_data(self, X, reset=False)
        return -((X[:, None, :] - self.centres_[None, :, :]) ** 2).sum(axis=2)

    def predict(self, X: Any) -> Any:
        return self.classes_[np.argmax(self.decision_function(X), axis=1)]

    def predict_proba(self, X: Any) -> Any:
        scores = self.decision_function(X)
        exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
        return exponents / exponents.sum(axis=1, keepdims=True)


class Rule(ClassifierMixin, BaseEstimator):
    def fit(self, X: Any, y: Any) -> Any:
        self.classes_ = np.array([0, 1])
        return self

    def predict(self, X: Any) -> Any:
        return np.where((X[:, 2] > 2.5) & (X[:, 3] > 0.8), 1, 0)


class Line(RegressorMixin, BaseEstimator):
    def fit(self, X: Any, y: Any) -> Any:
        self.coef_, *_ = np.linalg.lstsq(np.c_[np.ones(len(X)), X], y, rcond=None)
        return self

    def predict(self, X: Any) -> Any:
        return np.c_[np.ones(len(X)), X] @ self.coef_


class Blend(RegressorMixin, BaseEstimator):
    def fit(self, X: Any, y: Any) -> Any:
        self.parts_ = [LinearRegression().fit(X, y), DecisionTreeRegressor(max_depth=4).fit(X, y)]
        return self

    def predict(self, X: Any) -> Any:
        return np.mean([part.predict(X) for part in self.parts_], axis=0)


class Unfinished(ClassifierMixin, BaseEstimator):
    def fit(self, X: Any, y: Any) -> Any:
        return self

    def predict(self, X: Any) -> Any:
        return np.where(X[:, 0] > 5, "long", "short")


@pytest.mark.parametrize("rows", [X, FRAME], ids=["array", "frame"])
@pytest.mark.parametrize("kind", [Clipper, Checked, Wrapping])
def test_transformers(kind: Any, rows: Any, tmp_path: Path):
    transformer = kind().fit(rows)
    model = afterfit.save(transformer, tmp_path / "model.afit", X=rows)
    np.testing.assert_allclose(
        model.transform(rows), np.asarray(transformer.transform(rows)), rtol=1e-13, atol=1e-13
    )


@pytest.mark.parametrize("labels", [y, NAMES[y], y == 1], ids=["integers", "text", "booleans"])
def test_a_classifier(labels: Any, tmp_path: Path):
    classifier = Centroids().fit(X, labels)
    model = afterfit.save(
        make_pipeline(StandardScaler(), classifier).fit(X, labels), tmp_path / "a.afit", X=X
    )
    assert model.manifest.task == "classification"
    scaled = StandardScaler().fit_transform(X)
    classifier = Centroids().fit(scaled, labels)
    np.testing.assert_array_equal(model.predict(X), classifier.predict(scaled))
    np.testing.assert_allclose(
        model.predict_proba(X), classifier.predict_proba(scaled), rtol=1e-12, atol=1e-15
    )


def test_a_classifier_that_writes_its_labels_itself(tmp_path: Path):
    model = afterfit.save(Rule().fit(X, y > 0), tmp_path / "a.afit", X=X)
    np.testing.assert_array_equal(model.predict(X), Rule().fit(X, y).predict(X))


@pytest.mark.parametrize("kind", [Line, Blend])
def test_regressors(kind: Any, tmp_path: Path):
    regressor = kind().fit(X[:, :3], X[:, 3])
    model = afterfit.save(regressor, tmp_path / "a.afit", X=X[:, :3])
    np.testing.assert_allclose(model.predict(X[:, :3]), regressor.predict(X[:, :3]), rtol=1e-12)


def test_in_front_of_a_model_of_scikit_learn(tmp_path: Path):
    pipeline = make_pipeline(Clipper(), LogisticRegression(max_iter=500)).fit(X, y)
    model = afterfit.save(pipeline, tmp_path / "a.afit", X=X)
    np.testing.assert_array_equal(model.predict(X), pipeline.predict(X))


def test_labels_without_classes_are_refused(tmp_path: Path):
    with pytest.raises(afterfit.UnsupportedModelError, match="classes_"):
        afterfit.save(Unfinished(), tmp_path / "a.afit", X=X)


@pytest.mark.parametrize(
    ("forth", "back"),
    [
        (np.log1p, np.expm1),
        (lambda v: np.log(v + 1) / 2, lambda v: np.exp(2 * v) - 1),
        (lambda v: v**0.5, lambda v: np.maximum(v, 0) ** 2),
    ],
    ids=["ufuncs", "functions", "power"],
)
def test_targets(forth: Any, back: Any, tmp_path: Path):
    model = TransformedTargetRegressor(LinearRegression(), func=forth, inverse_func=back, check_inverse=False)
    model.fit(X[:, :3], X[:, 3])
    saved = afterfit.save(model, tmp_path / "a.afit", X=X[:, :3])
    np.testing.assert_allclose(saved.predict(X[:, :3]), model.predict(X[:, :3]), rtol=1e-12)


def test_postprocess(tmp_path: Path):
    target = FunctionTransformer(np.log, inverse_func=lambda v: np.exp(v) + 0.0, check_inverse=False)
    target.fit(X[:, [3]])
    model = LinearRegression().fit(X[:, :3], np.log(X[:, 3]))
    saved = afterfit.save(model, tmp_path / "a.afit", X=X[:, :3], postprocess=target)
    np.testing.assert_allclose(saved.predict(X[:, :3]), np.exp(model.predict(X[:, :3])), rtol=1e-12)
