from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import spox
from scipy import special
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process import kernels as k
from sklearn.kernel_ridge import KernelRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from afterfit.lowering.sklearn._special import erf

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

KERNELS = [
    k.RBF(1.5),
    2.0 * k.RBF(np.linspace(1, 3, 10)) + k.WhiteKernel(0.5),
    k.Matern(2.0, nu=0.5) * 1.5,
    k.Matern(3.0, nu=1.5),
    k.Matern(3.0, nu=2.5) + k.ConstantKernel(0.3),
    k.Matern(3.0, nu=np.inf),
    k.RationalQuadratic(2.0, alpha=0.7) ** 2,
    k.ExpSineSquared(3.0, periodicity=20.0) * k.RBF(4.0),
    k.DotProduct(1.0),
    k.DotProduct(1.0) ** 2,
    k.PairwiseKernel(metric="laplacian", gamma=0.1),
    k.PairwiseKernel(metric="linear", gamma=0.1) + k.RBF(2.0),
    k.ConstantKernel(2.0) + k.WhiteKernel(1.0),
]
RIDGES = [
    {"kernel": "linear"},
    {"kernel": "rbf", "gamma": 0.1},
    {"kernel": "laplacian"},
    {"kernel": "poly", "degree": 2, "coef0": 0.5},
    {"kernel": "sigmoid", "gamma": 0.01},
    {"kernel": "cosine"},
]


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_regression(agrees, diabetes, kernel):
    model = GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None, normalize_y=True)
    agrees(make_pipeline(StandardScaler(), model).fit(diabetes.X, diabetes.y), diabetes.X, diabetes.rows)


def test_regression_with_learned_scales(agrees, diabetes):
    kernel = k.ConstantKernel() * k.RBF() + k.WhiteKernel()
    model = GaussianProcessRegressor(kernel, random_state=0)
    y = np.column_stack([diabetes.y, -diabetes.y]) / 100
    agrees(make_pipeline(StandardScaler(), model).fit(diabetes.X, y), diabetes.X, diabetes.rows)


def test_regression_without_noise_is_refused(refuses, diabetes):
    X = diabetes.X[["bmi", "bp"]]
    model = GaussianProcessRegressor(k.RBF(10.0), alpha=1e-10, optimizer=None).fit(X, diabetes.y)
    refuses(model, X, "rounding alone")


def test_other_kernels_are_refused(refuses, diabetes):
    model = GaussianProcessRegressor(k.Matern(nu=0.7), optimizer=None).fit(diabetes.X, diabetes.y)
    refuses(model, diabetes.X, "nu=0.7")


@pytest.mark.parametrize("kernel", [None, *KERNELS[2:6], KERNELS[7] + KERNELS[9], KERNELS[10]], ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_classification(agrees, iris, kernel, classes):
    model = GaussianProcessClassifier(kernel, optimizer=None)
    labels = np.array(["a", "b", "c"])[np.minimum(iris.y, classes - 1)]
    pipeline = make_pipeline(StandardScaler(), model).fit(iris.X, labels)
    agrees(pipeline, iris.X, iris.rows, outputs=["prediction", "probabilities"])


@pytest.mark.parametrize("targets", [1, 2])
def test_normalized_targets(agrees, diabetes, targets):
    """Fitting the default kernel leaves a constant factor within 1e-10 of 1."""
    y = diabetes.y if targets == 1 else np.column_stack([diabetes.y, diabetes.y**2])
    agrees(GaussianProcessRegressor(normalize_y=True).fit(diabetes.X, y), diabetes.X, diabetes.rows)


def test_classification_one_against_one(agrees, iris):
    model = GaussianProcessClassifier(multi_class="one_vs_one", optimizer=None)
    agrees(model.fit(iris.X, iris.y), iris.X, iris.rows, outputs=["prediction"])


@pytest.mark.parametrize("settings", RIDGES, ids=str)
@pytest.mark.parametrize("targets", [1, 2])
def test_kernel_ridge(agrees, diabetes, settings, targets):
    y = diabetes.y if targets == 1 else np.column_stack([diabetes.y, -diabetes.y])
    model = make_pipeline(StandardScaler(), KernelRidge(**settings)).fit(diabetes.X, y)
    agrees(model, diabetes.X, diabetes.rows)


def test_kernel_ridge_with_its_own_kernel_is_refused(refuses, diabetes):
    refuses(KernelRidge(kernel=lambda a, b: a @ b).fit(diabetes.X, diabetes.y), diabetes.X, "its kernel is")


def test_the_error_function():
    x = np.concatenate([np.linspace(-9, 9, 20001), [0.0, -0.0, 1.0, -1.0, 1e-300, np.inf, -np.inf, np.nan]])
    argument = spox.argument(spox.Tensor(np.float64, ("N",)))
    model = spox.build({"x": argument}, {"y": erf(argument)})
    got = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_allclose(got, special.erf(x), rtol=4e-16, atol=0)
