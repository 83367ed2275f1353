"""Predictors behind an encoder whose answer scikit-learn holds as a sparse matrix."""

from __future__ import annotations

import pytest
from sklearn import cluster, dummy, kernel_ridge, linear_model, naive_bayes, neighbors, neural_network, svm
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.semi_supervised import LabelPropagation

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

MODELS = [
    svm.SVC(),
    svm.SVC(kernel="poly"),
    svm.SVR(),
    svm.OneClassSVM(),
    kernel_ridge.KernelRidge(kernel="rbf"),
    naive_bayes.ComplementNB(),
    neural_network.MLPRegressor(hidden_layer_sizes=(4,), max_iter=20, random_state=0),
    neighbors.NearestCentroid(),
    cluster.KMeans(3, n_init=1, random_state=0),
    cluster.Birch(n_clusters=2),
    IsolationForest(n_estimators=5, random_state=0),
    LabelPropagation(),
    linear_model.PoissonRegressor(),
    linear_model.Perceptron(),
    linear_model.SGDOneClassSVM(random_state=0),
    dummy.DummyClassifier(),
]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_one_hot_columns(agrees, iris, model):
    X, rows = iris.X.round().astype(str), iris.rows.round().astype(str)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=True)
    columns = make_column_transformer((encoder, list(X)), sparse_threshold=1.0)
    agrees(make_pipeline(columns, model).fit(X, iris.y), X, rows)
