"""Predictors given float32: exact where scikit-learn goes on in float64, otherwise the tolerance says so."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import (
    cluster,
    covariance,
    ensemble,
    isotonic,
    kernel_ridge,
    linear_model,
    mixture,
    naive_bayes,
    neighbors,
    neural_network,
    svm,
)
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.preprocessing import StandardScaler

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

MODELS = [
    linear_model.HuberRegressor(max_iter=1000),
    linear_model.BayesianRidge(),
    linear_model.LassoLars(alpha=0.01),
    linear_model.Perceptron(),
    linear_model.SGDOneClassSVM(random_state=0),
    LinearDiscriminantAnalysis(),
    svm.SVC(),
    svm.SVR(),
    neural_network.MLPClassifier((4,), max_iter=20, random_state=0),
    kernel_ridge.KernelRidge(kernel="rbf"),
    GaussianProcessRegressor(alpha=0.1),
    neighbors.KNeighborsRegressor(weights="distance"),
    neighbors.KNeighborsClassifier(algorithm="brute", weights="distance"),
    neighbors.NearestCentroid(),
    neighbors.LocalOutlierFactor(novelty=True),
    cluster.KMeans(3, n_init=1, random_state=0),
    cluster.Birch(threshold=2.0),
    covariance.EllipticEnvelope(random_state=0),
    ensemble.IsolationForest(n_estimators=10, random_state=0),
]


LOGARITHMS = [
    naive_bayes.GaussianNB(),
    QuadraticDiscriminantAnalysis(),
    mixture.GaussianMixture(2, random_state=0),
]


@pytest.mark.parametrize("model", LOGARITHMS, ids=str)
def test_logarithms_in_float32_are_refused(refuses, wine, model):
    X = StandardScaler().fit_transform(wine.X).astype(np.float32)
    refuses(model.fit(X, wine.y), X, "log-probabilities in float32")


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_float32(agrees, wine, model):
    scaler = StandardScaler().fit(wine.X)
    X, rows = (scaler.transform(each).astype(np.float32) for each in (wine.X, wine.rows[:100]))
    model.fit(X, wine.y)
    saved = agrees(model, X, rows, tolerance=1e-5)
    if saved.report.precision == "float64":
        agrees(model, X, rows)


def test_isotonic_regression(agrees, wine):
    X = wine.X[["alcohol"]].astype(np.float32)
    agrees(isotonic.IsotonicRegression(out_of_bounds="clip").fit(X, wine.y), X, X)
