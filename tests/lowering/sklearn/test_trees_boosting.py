"""GradientBoosting against scikit-learn: every loss, every kind of init estimator."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import spox
from scipy.special import expit
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from afterfit.errors import UnsupportedModelError
from afterfit.lowering._links import logistic

ROWS = 300


def draw(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(ROWS, 4))
    X[:, 1] = rng.integers(0, 5, ROWS)
    X[:, 2] = 1e8 + rng.integers(0, 90, ROWS) * 5.0
    return X, X[:, 0] + X[:, 1] + rng.normal(size=ROWS)


def labels(target, classes):
    cuts = np.quantile(target, np.linspace(0, 1, len(classes) + 1)[1:-1])
    return np.array(classes)[np.searchsorted(cuts, target)]


def either_side(context, X):
    rows = []
    for noted in context.thresholds:
        for values in (noted.values, np.nextafter(noted.values, np.inf), np.nextafter(noted.values, -np.inf)):
            drawn = X[np.arange(len(values)) % len(X)].copy()
            drawn[:, noted.column] = values
            rows.append(drawn)
    return np.concatenate(rows)


@pytest.mark.parametrize("loss", ["log_loss", "exponential"])
@pytest.mark.parametrize("classes", [["no", "yes"], [False, True], [4, 2]], ids=str)
def test_two_classes(agree, loss, classes):
    X, target = draw()
    model = GradientBoostingClassifier(loss=loss, n_estimators=20, random_state=0)
    graph = agree(model.fit(X[:200], labels(target, classes)[:200]), X)
    agree(model, X, either_side(graph.context, X))


@pytest.mark.parametrize("classes", [["a", "b", "c"], [5, 1, 3, 9]], ids=str)
def test_more_classes(agree, classes):
    X, target = draw()
    model = GradientBoostingClassifier(n_estimators=15, random_state=0, subsample=0.7)
    graph = agree(model.fit(X[:200], labels(target, classes)[:200]), X)
    agree(model, X, either_side(graph.context, X))


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile"])
@pytest.mark.parametrize("init", [None, "zero"])
def test_regression(agree, loss, init):
    X, target = draw()
    model = GradientBoostingRegressor(loss=loss, init=init, n_estimators=20, alpha=0.8, random_state=0)
    graph = agree(model.fit(X[:200], target[:200]), X)
    agree(model, X, either_side(graph.context, X))


def test_sums_begin_with_the_start_to_the_last_bit(lower):
    X, target = draw()
    model = GradientBoostingRegressor(n_estimators=100, learning_rate=0.07, random_state=0).fit(X, target)
    np.testing.assert_array_equal(lower(model, X).run(X)["values"], model.predict(X))


@pytest.mark.parametrize(
    "init",
    [
        DummyRegressor(strategy="median"),
        DummyRegressor(strategy="constant", constant=3.0),
        DummyRegressor(strategy="quantile", quantile=0.2),
        LinearRegression(),
        DecisionTreeRegressor(max_depth=2),
    ],
    ids=str,
)
def test_init_of_regression(lower, init):
    X, target = draw()
    model = GradientBoostingRegressor(init=init, n_estimators=10, random_state=0).fit(X, target)
    graph = lower(model, X)
    # A linear init estimator is given float32 columns, and adds them up in float32.
    assert bool(graph.context.float32_sums) == isinstance(init, LinearRegression)
    tolerance = 1e-6 * np.abs(X).max() if graph.context.float32_sums else 1e-12
    np.testing.assert_allclose(graph.run(X)["values"], model.predict(X), rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("loss", "classes"), [("log_loss", [0, 1]), ("log_loss", [0, 1, 2]), ("exponential", [0, 1])], ids=str
)
@pytest.mark.parametrize(
    "init",
    [
        "zero",
        DummyClassifier(strategy="most_frequent"),
        DecisionTreeClassifier(max_depth=2),
        DecisionTreeClassifier(),
    ],
    ids=str,
)
def test_init_of_classification(agree, init, loss, classes):
    X, target = draw()
    model = GradientBoostingClassifier(init=init, loss=loss, n_estimators=10, random_state=0)
    agree(model.fit(X, labels(target, classes)), X)


def test_a_linear_init_of_classification(agree):
    X, target = draw()
    X = X[:, :2].copy()
    model = GradientBoostingClassifier(init=LogisticRegression(), n_estimators=10, random_state=0)
    agree(model.fit(X, target > 2), X, tolerance=1e-6)


def test_a_random_init_is_refused(lower):
    X, target = draw()
    model = GradientBoostingClassifier(init=DummyClassifier(strategy="stratified"), n_estimators=3)
    with pytest.raises(UnsupportedModelError, match="at random"):
        lower(model.fit(X, target > 2), X)


def test_an_init_without_a_lowering_is_refused_by_name(lower):
    class Mean(LinearRegression):
        pass

    X, target = draw()
    model = GradientBoostingRegressor(init=Mean(), n_estimators=3).fit(X, target)
    with pytest.raises(UnsupportedModelError, match="Mean at init"):
        lower(model, X)


def test_small_probabilities_keep_their_digits():
    """The logarithm of a probability is what a loss is made of, so 1e-30 must not become 0."""
    raw = np.concatenate([np.linspace(-700, 700, 2801), [-1e4, 1e4, -np.inf, np.inf]])
    x = spox.argument(spox.Tensor(np.float64, ("N",)))
    model = spox.build({"x": x}, {"p": logistic(x)})
    got = ort.InferenceSession(model.SerializeToString()).run(None, {"x": raw})[0]
    np.testing.assert_allclose(got, expit(raw), rtol=1e-15 * 4, atol=0)


def test_a_score_of_zero_is_the_second_class(agree):
    X, y = np.zeros((ROWS, 1)), np.tile(["a", "b"], ROWS // 2)
    model = GradientBoostingClassifier(init="zero", n_estimators=3).fit(X, y)
    assert (model.decision_function(X) == 0).all()
    agree(model, X)


@pytest.mark.parametrize("size", [1, 3, 200])
def test_any_number_of_rows(agree, size):
    X, target = draw()
    model = GradientBoostingClassifier(n_estimators=120, max_depth=2, random_state=0)
    agree(model.fit(X, labels(target, [0, 1, 2])), X, X[:size])


def test_an_init_without_probabilities_cannot_even_be_fitted():
    X, target = draw()
    with pytest.raises(ValueError, match="init"):
        GradientBoostingClassifier(init=RidgeClassifier()).fit(X, target > 1)
