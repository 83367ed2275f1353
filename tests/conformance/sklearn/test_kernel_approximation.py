"""Kernels as features."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import decomposition, kernel_approximation
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KernelCenterer, MinMaxScaler, StandardScaler

KERNELS = [
    *[
        decomposition.KernelPCA(4, kernel=kernel, gamma=0.05, degree=2)
        for kernel in ("linear", "poly", "rbf", "sigmoid", "cosine")
    ],
    decomposition.KernelPCA(3, kernel="rbf", fit_inverse_transform=True),
    *[
        kernel_approximation.Nystroem(kernel=kernel, n_components=12, random_state=0)
        for kernel in ("linear", "rbf", "laplacian", "cosine", "sigmoid")
    ],
    kernel_approximation.Nystroem(
        kernel="polynomial", n_components=12, random_state=0, degree=2, coef0=1, gamma=0.1
    ),
    kernel_approximation.RBFSampler(n_components=20, random_state=0),
    kernel_approximation.PolynomialCountSketch(n_components=20, random_state=0),
    kernel_approximation.PolynomialCountSketch(n_components=33, random_state=0, degree=3, gamma=0.2, coef0=1),
]

POSITIVE = [
    kernel_approximation.Nystroem(kernel="chi2", n_components=12, random_state=0),
    kernel_approximation.Nystroem(kernel="additive_chi2", n_components=12, random_state=0),
    kernel_approximation.AdditiveChi2Sampler(),
    kernel_approximation.AdditiveChi2Sampler(sample_steps=1),
    kernel_approximation.AdditiveChi2Sampler(sample_steps=4, sample_interval=0.3),
    kernel_approximation.SkewedChi2Sampler(n_components=20, random_state=0),
]


def named(estimator):
    return str(estimator).replace("\n", " ")[:80]


@pytest.fixture
def scaled(wine):
    scaler = StandardScaler().set_output(transform="pandas").fit(wine.X)
    return scaler.transform(wine.X), scaler.transform(wine.rows)


@pytest.mark.parametrize("transformer", KERNELS, ids=named)
def test_transformers(agrees, scaled, transformer):
    X, rows = scaled
    agrees(transformer.fit(X), X, rows, outputs=["transformed"])


@pytest.mark.parametrize("transformer", KERNELS[::3], ids=named)
def test_before_a_classifier(agrees, wine, transformer):
    pipeline = make_pipeline(StandardScaler(), transformer, LogisticRegression()).fit(wine.X, wine.y)
    agrees(pipeline, wine.X, wine.rows)


@pytest.mark.parametrize("transformer", POSITIVE, ids=named)
def test_of_positive_values(agrees, wine, transformer):
    scaler = MinMaxScaler((2, 3)).fit(wine.X)
    X, rows = scaler.transform(wine.X), np.abs(scaler.transform(wine.rows))
    agrees(transformer.fit(X), X, rows)
    agrees(transformer.fit(X - 2), X - 2, rows)


@pytest.mark.parametrize("transformer", KERNELS[::2], ids=named)
def test_float32(agrees, refuses, scaled, transformer):
    X, rows = (part.astype(np.float32) for part in scaled)
    if isinstance(transformer, kernel_approximation.RBFSampler):
        refuses(transformer.fit(X), X, "cosine of float32 sums")
    else:
        agrees(transformer.fit(X), X, rows, tolerance=2e-6)


def test_kernel_centerer(agrees, iris):
    kernel = iris.X.to_numpy() @ iris.X.to_numpy()[:20].T
    agrees(KernelCenterer().fit(kernel[:20]), kernel, kernel * 1.5 + 1)


def test_a_kernel_of_ones_own_is_given_as_columns(agrees, iris):
    kernel = np.sqrt(iris.X.to_numpy() @ iris.X.to_numpy()[:20].T)
    agrees(decomposition.KernelPCA(3, kernel="precomputed").fit(kernel[:20]), kernel, kernel + 0.1)


@pytest.mark.parametrize(
    "transformer",
    [
        decomposition.KernelPCA(2, kernel=lambda a, b: float(a @ b)),
        kernel_approximation.Nystroem(kernel=lambda a, b: float(a @ b), n_components=5),
    ],
    ids=lambda t: type(t).__name__,
)
def test_kernels_in_python_are_refused(refuses, iris, transformer):
    refuses(transformer.fit(iris.X), iris.X, "its kernel '<lambda>' is not one of")


@pytest.mark.parametrize("kernel", ["poly"])
def test_components_of_rounding_alone_are_refused(refuses, iris, kernel):
    refuses(decomposition.KernelPCA(kernel=kernel).fit(iris.X), iris.X, "small sums of large terms")
