from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import linear_model as lm
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC, LinearSVR

from afterfit.errors import UnsupportedModelError

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::FutureWarning:sklearn",
    "ignore:invalid value encountered in divide",
)

REGRESSORS = [
    lm.LinearRegression(),
    lm.LinearRegression(fit_intercept=False),
    lm.LinearRegression(positive=True),
    lm.Ridge(alpha=0.3),
    lm.RidgeCV(),
    lm.Lasso(alpha=0.01),
    lm.LassoCV(cv=2, max_iter=100),
    lm.ElasticNet(alpha=0.01),
    lm.ElasticNetCV(cv=2, max_iter=100),
    lm.SGDRegressor(loss="huber", max_iter=5),
    lm.SGDRegressor(average=True, max_iter=5),
    LinearSVR(max_iter=50),
]
SEVERAL = [
    lm.LinearRegression(),
    lm.Ridge(alpha=np.array([0.1, 1.0])),
    lm.RidgeCV(),
    lm.Lasso(alpha=0.01),
    lm.ElasticNet(alpha=0.01),
    lm.MultiTaskLasso(alpha=0.01),
    lm.MultiTaskElasticNet(alpha=0.01),
    lm.MultiTaskLassoCV(cv=2, max_iter=50),
    lm.MultiTaskElasticNetCV(cv=2, max_iter=50),
]
LOSSES = [
    "hinge",
    "log_loss",
    "modified_huber",
    "squared_hinge",
    "perceptron",
    "huber",
    "epsilon_insensitive",
]
CLASSIFIERS = [
    lm.LogisticRegression(),
    lm.LogisticRegression(C=1e6, solver="newton-cg", fit_intercept=False),
    lm.RidgeClassifier(),
    lm.RidgeClassifierCV(),
    LinearSVC(max_iter=50),
    LinearSVC(multi_class="crammer_singer", max_iter=50),
    *[lm.SGDClassifier(loss=loss, max_iter=5, random_state=0) for loss in LOSSES],
]
LABELS = {
    "text": np.array(["no", "yes", "maybe"]),
    "integers": np.array([-3, 5, 70]),
    "booleans": np.array([False, True]),
    "objects": np.array(["é", "", "z"], dtype=object),
    "floats": np.array([0.0, 1.0, 2.0]),
    "many": np.array([f"class {i}" for i in range(7)]),
}


@pytest.fixture(scope="module", name="X")
def matrix():
    return np.random.default_rng(0).normal(size=(150, 4))


@pytest.mark.parametrize("model", REGRESSORS, ids=str)
@pytest.mark.parametrize("shape", ["vector", "column"])
def test_regressors(agree, X, model, shape):
    y = X @ [1.0, -2, 0, 3] + np.random.default_rng(1).normal(size=len(X)) + 1e4
    if shape == "column":
        if isinstance(model, LinearSVR | lm.SGDRegressor | lm.LassoCV | lm.ElasticNetCV):
            pytest.skip("scikit-learn takes a vector here")
        y = y[:, None]
    agree(model.fit(X, y), X, X * 1e3)
    assert agree(model, X[:1]).run(X[:1])["values"].shape[0] == 1


@pytest.mark.parametrize("model", SEVERAL, ids=str)
def test_several_targets(agree, X, model):
    y = np.c_[X[:, 0] * 3, X[:, 1] - 1e3]
    assert agree(model.fit(X, y), X).lowered.targets == 2


@pytest.mark.parametrize("model", CLASSIFIERS, ids=str)
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("count", [2, 7])
def test_classifiers(agree, X, model, labels, count):
    labels = LABELS[labels][:count]
    y = labels[np.random.default_rng(2).integers(0, len(labels), len(X))]
    graph = agree(model.fit(X, y), X, np.vstack([X * 1e3, -X * 1e3]))
    assert graph.lowered.classes.dtype == model.classes_.dtype


def test_logistic_regression_cv(agree, X):
    for y in (np.arange(len(X)) % 2, np.arange(len(X)) % 3):
        agree(lm.LogisticRegressionCV(Cs=2, cv=2, max_iter=20).fit(X, y), X)


@pytest.mark.parametrize("choice", ["auto", "deprecated", "ovr", "multinomial"])
@pytest.mark.parametrize("solver", ["lbfgs", "liblinear"])
@pytest.mark.parametrize("classes", [2, 3])
def test_multi_class_of_older_releases(lower, X, choice, solver, classes):
    """Releases 1.5 to 1.7 keep `multi_class`; what it decides is written out here.

    Where the release decides, the estimator in memory says so: of liblinear since 1.8 too, which has no classes
    against the rest any more.
    """
    y = np.arange(len(X)) % classes
    model = lm.LogisticRegression().fit(X, y)
    model.multi_class, model.solver = choice, solver
    scores = model.decision_function(X)
    if choice in ("auto", "deprecated"):
        expected = model.predict_proba(X)
    elif choice == "ovr":
        expected = 1 / (1 + np.exp(-scores))
        expected = np.c_[1 - expected, expected] if classes == 2 else expected / expected.sum(axis=1)[:, None]
    else:
        both = np.c_[-scores, scores] if classes == 2 else scores
        expected = np.exp(both - both.max(axis=1)[:, None])
        expected /= expected.sum(axis=1)[:, None]
    got = lower(model, X).run(X)["probabilities"]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", ["log_loss", "modified_huber"])
def test_rows_where_every_class_has_probability_zero(agree, X, loss):
    model = lm.SGDClassifier(loss=loss, max_iter=5, random_state=0).fit(X, np.arange(len(X)) % 3)
    model.intercept_ = np.full(3, -1e4)
    assert not np.any(agree(model, X).run(X)["probabilities"] == 0)


@pytest.mark.parametrize("loss", ["log_loss", "modified_huber"])
def test_tiny_probabilities_are_relative(agree, X, loss):
    model = lm.SGDClassifier(loss=loss, max_iter=5, random_state=0).fit(X, np.arange(len(X)) % 3)
    model.intercept_ = np.array([-200.0, -201.0, -199.5])
    agree(model, X)


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.bool_])
def test_dtypes(agree, X, dtype):
    X = (X * 3).astype(dtype)
    y = X[:, 0] * 2.0
    for model in (lm.LinearRegression(), lm.Ridge(), lm.Lasso(), lm.SGDRegressor(max_iter=5)):
        graph = agree(model.fit(X, y), X, tolerance=1e-5 if dtype == np.float32 else 1e-12)
        sums = [type(model).__name__] if model.coef_.dtype == np.float32 == X.dtype else []
        assert graph.context.float32_sums == sums
    model = lm.LogisticRegression().fit(X, np.arange(len(X)) % 3)
    graph = agree(model, X, tolerance=1e-6 if dtype == np.float32 else 1e-12)
    assert bool(graph.context.float32_sums) == (model.predict_proba(X).dtype == np.float32)


def test_sparsified_coefficients(agree, X):
    agree(lm.SGDClassifier(penalty="l1", max_iter=5).fit(X, np.arange(len(X)) % 3).sparsify(), X)


def test_one_hot_columns_are_gathered(lower, agree):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.choice(list("uvwxyz"), 80), "b": rng.choice(list("pq"), 80)})
    y = rng.integers(0, 3, 80)
    rows = pd.DataFrame({"a": ["u", "never"], "b": ["nor", "q"]})
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore", drop="if_binary"), lm.LogisticRegression())
    with pytest.warns(UserWarning, match="unknown categories"):
        agree(model.fit(X, y), X, rows)
    operators = [node.op_type for node in lower(model, X).model.graph.node]
    assert "MatMul" not in operators
    scaled = make_pipeline(OneHotEncoder(), StandardScaler(with_mean=False), lm.LogisticRegression()).fit(
        X, y
    )
    agree(scaled, X)


def test_subclasses_have_no_lowering(lower, X):
    class Mine(lm.LinearRegression):
        pass

    with pytest.raises(UnsupportedModelError, match="Mine cannot be captured"):
        lower(Mine().fit(X, X[:, 0]), X)
