from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:sklearn")

KERNELS = [
    {"kernel": "linear"},
    {"kernel": "rbf"},
    {"kernel": "rbf", "gamma": 40.0},
    {"kernel": "poly", "degree": 2, "coef0": 1.5},
    {"kernel": "poly", "degree": 5},
    {"kernel": "sigmoid", "gamma": 0.05, "coef0": 0.1},
]
SETTINGS = [
    {},
    {"C": 100.0, "break_ties": True},
    {"decision_function_shape": "ovo"},
    {"class_weight": "balanced", "C": 0.01},
]


def some_classes(data, count):
    return np.array(["no", "yes", "maybe"])[np.minimum(data.y, count - 1)]


@pytest.mark.parametrize("settings", KERNELS, ids=str)
@pytest.mark.parametrize("model", [SVR(C=50), NuSVR(C=50), OneClassSVM(nu=0.2)], ids=str)
def test_numbers_and_outliers(agrees, diabetes, model, settings):
    pipeline = make_pipeline(StandardScaler(), model.set_params(gamma="scale").set_params(**settings))
    agrees(pipeline.fit(diabetes.X, diabetes.y), diabetes.X, diabetes.rows)


@pytest.mark.parametrize("settings", KERNELS, ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_kernels_of_classifiers(agrees, wine, settings, classes):
    model = make_pipeline(StandardScaler(), SVC(**settings)).fit(wine.X, some_classes(wine, classes))
    agrees(model, wine.X, wine.rows, outputs=["prediction", "scores"])


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_settings_of_classifiers(agrees, wine, settings, classes):
    model = make_pipeline(StandardScaler(), SVC(**settings)).fit(wine.X, some_classes(wine, classes))
    agrees(model, wine.X, wine.rows)


@pytest.mark.parametrize("shape", ["ovr", "ovo"])
def test_ten_classes(agrees, digits, shape):
    model = SVC(decision_function_shape=shape).fit(digits.X, digits.y)
    saved = agrees(model, digits.X, digits.rows)
    assert saved.schema.outputs[1].shape == (-1, 10 if shape == "ovr" else 45)


@pytest.mark.parametrize("classes", [2, 3])
def test_nu(agrees, wine, classes):
    model = make_pipeline(StandardScaler(), NuSVC(nu=0.3)).fit(wine.X, some_classes(wine, classes))
    agrees(model, wine.X, wine.rows)


def test_raw_columns(agrees, wine):
    agrees(SVC().fit(wine.X, wine.y), wine.X, wine.rows)


@pytest.mark.parametrize("model", [SVC(probability=True), NuSVC(nu=0.3, probability=True)], ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities(agrees, wine, model, classes):
    pipeline = make_pipeline(StandardScaler(), model.set_params(random_state=0))
    pipeline.fit(wine.X, some_classes(wine, classes))
    agrees(pipeline, wine.X, wine.rows, outputs=["prediction", "probabilities"])


def test_probabilities_of_ten_classes(agrees, digits):
    model = SVC(probability=True, random_state=0).fit(digits.X, digits.y)
    agrees(model, digits.X, digits.rows)


def test_other_kernels_are_refused(refuses, wine):
    gram = (wine.X @ wine.X.T).to_numpy()
    refuses(SVC(kernel="precomputed").fit(gram, wine.y), gram, "'precomputed'")
    refuses(
        SVC(kernel=lambda a, b: a @ b.T).fit(wine.X.to_numpy(), wine.y), wine.X.to_numpy(), "Python function"
    )


def test_sums_that_rounding_spoils_are_refused(refuses, diabetes):
    X = diabetes.X + 1e4
    model = SVR(kernel="poly", degree=3, gamma=1e-3, C=1e6, max_iter=100)
    refuses(model.fit(X, diabetes.y), X, "rounding alone")
