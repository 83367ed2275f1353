from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.compose import make_column_transformer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("classes", [2, 3])
def test_classifier(agrees, wine, activation, classes):
    y = np.array(["a", "b", "c"])[np.minimum(wine.y, classes - 1)]
    model = MLPClassifier((10, 5), activation=activation, max_iter=30, random_state=0)
    agrees(
        make_pipeline(StandardScaler(), model).fit(wine.X, y),
        wine.X,
        wine.rows,
        outputs=["prediction", "probabilities"],
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("targets", [1, 2])
def test_regressor(agrees, diabetes, activation, targets):
    y = diabetes.y if targets == 1 else np.column_stack([diabetes.y, -diabetes.y])
    model = MLPRegressor(hidden_layer_sizes=(8,), activation=activation, max_iter=30, random_state=0)
    agrees(make_pipeline(StandardScaler(), model).fit(diabetes.X, y), diabetes.X, diabetes.rows)


def test_poisson_loss(agrees, diabetes):
    model = MLPRegressor(hidden_layer_sizes=(8,), loss="poisson", max_iter=30, random_state=0)
    agrees(make_pipeline(StandardScaler(), model).fit(diabetes.X, diabetes.y), diabetes.X, diabetes.rows)


def test_float32_is_stated(agrees, wine):
    X, rows = (
        StandardScaler().fit(wine.X).transform(each).astype(np.float32) for each in (wine.X, wine.rows)
    )
    saved = agrees(MLPClassifier((5,), max_iter=30, random_state=0).fit(X, wine.y), X, rows, tolerance=1e-5)
    assert saved.report.precision == "float32"


def test_one_hot_columns(agrees, iris):
    X, rows = iris.X.round().astype(str), iris.rows.round().astype(str)
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), list(X)))
    agrees(make_pipeline(encoder, MLPClassifier((5,), max_iter=30, random_state=0)).fit(X, iris.y), X, rows)


@pytest.mark.filterwarnings("ignore")
def test_several_labels_a_row(agrees, refuses, iris):
    y = np.column_stack([iris.y > 0, iris.y > 1]).astype(int)
    model = MLPClassifier((5,), max_iter=30, random_state=0).fit(iris.X, y)
    agrees(model, iris.X, iris.rows, outputs=["prediction", "probabilities"])
    sparse = MLPClassifier((5,), max_iter=30, random_state=0).fit(iris.X, csr_array(y))
    refuses(sparse, iris.X, "a sparse matrix")
