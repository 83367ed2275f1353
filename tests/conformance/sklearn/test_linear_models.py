from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import linear_model as lm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVR

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::FutureWarning:sklearn", "ignore::RuntimeWarning"
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)
    PASSIVE_AGGRESSIVE = (
        lm.PassiveAggressiveRegressor(random_state=0),
        lm.PassiveAggressiveClassifier(random_state=0),
    )
REGRESSORS = [
    lm.HuberRegressor(),
    lm.TheilSenRegressor(random_state=0, max_subpopulation=200),
    lm.QuantileRegressor(quantile=0.3, alpha=0.01),
    lm.ARDRegression(),
    lm.BayesianRidge(),
    lm.Lars(n_nonzero_coefs=5),
    lm.LarsCV(cv=2),
    lm.LassoLars(alpha=0.1),
    lm.LassoLarsCV(cv=2),
    lm.LassoLarsIC(),
    lm.OrthogonalMatchingPursuit(),
    lm.OrthogonalMatchingPursuitCV(cv=2),
    PASSIVE_AGGRESSIVE[0],
    lm.PoissonRegressor(),
    lm.GammaRegressor(alpha=0.1),
    lm.TweedieRegressor(power=0),
    lm.TweedieRegressor(power=1.5),
    lm.TweedieRegressor(power=1, link="identity", alpha=10),
    lm.TweedieRegressor(power=0, link="log"),
    lm.RANSACRegressor(random_state=0),
    lm.RANSACRegressor(LinearSVR(max_iter=50), min_samples=20, random_state=0),
]
CLASSIFIERS = [
    lm.Perceptron(random_state=0),
    PASSIVE_AGGRESSIVE[1],
    LinearDiscriminantAnalysis(),
    LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    LinearDiscriminantAnalysis(solver="eigen", priors=[0.1, 0.3, 0.6]),
    QuadraticDiscriminantAnalysis(),
    QuadraticDiscriminantAnalysis(reg_param=0.3, priors=[0.1, 0.3, 0.6]),
]


@pytest.mark.parametrize("model", REGRESSORS, ids=str)
def test_regressors(agrees, diabetes, model):
    pipeline = make_pipeline(StandardScaler(), model).fit(diabetes.X, diabetes.y)
    agrees(pipeline, diabetes.X, diabetes.rows, outputs=["prediction"])


@pytest.mark.parametrize(
    "model", [lm.Lars(), lm.OrthogonalMatchingPursuit(), lm.RANSACRegressor(random_state=0)], ids=str
)
def test_several_targets(agrees, diabetes, model):
    y = np.column_stack([diabetes.y, diabetes.y**2])
    agrees(model.fit(diabetes.X, y), diabetes.X, diabetes.rows)


@pytest.mark.parametrize("model", CLASSIFIERS, ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_classifiers(agrees, wine, model, classes):
    if classes == 2 and getattr(model, "priors", None):
        model = type(model)(priors=[0.2, 0.8])
    y = np.array(["a", "b", "c"])[np.minimum(wine.y, classes - 1)]
    agrees(make_pipeline(StandardScaler(), model).fit(wine.X, y), wine.X, wine.rows)


@pytest.mark.parametrize(
    "model", [lm.GammaRegressor(), lm.TweedieRegressor(power=1.5), lm.BayesianRidge()], ids=str
)
def test_float32(agrees, diabetes, model):
    X, rows = diabetes.X.astype(np.float32), diabetes.rows.astype(np.float32)
    agrees(model.fit(X, diabetes.y), X, rows, tolerance=1e-6)


def test_the_link_of_far_rows_overflows_alike(agrees, diabetes):
    model = lm.PoissonRegressor(alpha=1e-6, max_iter=1000).fit(diabetes.X, diabetes.y)
    assert np.isinf(agrees(model, diabetes.X, diabetes.rows * 1e4).predict(diabetes.rows * 1e5)).any()


def test_novelty_by_stochastic_gradient_descent(agrees, wine):
    model = make_pipeline(StandardScaler(), lm.SGDOneClassSVM(random_state=0)).fit(wine.X)
    agrees(model, wine.X, wine.rows, outputs=["prediction", "scores"])
