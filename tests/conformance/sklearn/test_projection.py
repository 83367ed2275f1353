"""Projections: decomposition, random projection, cross decomposition."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import cross_decomposition, decomposition, random_projection
from sklearn.cluster import FeatureAgglomeration
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

PROJECTIONS = [
    decomposition.PCA(3),
    decomposition.PCA(whiten=True),
    decomposition.PCA(3, svd_solver="randomized", random_state=0),
    decomposition.IncrementalPCA(4, whiten=True),
    decomposition.TruncatedSVD(3, random_state=0),
    decomposition.FastICA(4, random_state=0, whiten="unit-variance"),
    decomposition.FastICA(4, random_state=0, whiten="arbitrary-variance"),
    decomposition.FastICA(random_state=0, whiten=False),
    decomposition.FactorAnalysis(3, random_state=0),
    decomposition.SparsePCA(3, random_state=0, max_iter=20),
    decomposition.MiniBatchSparsePCA(3, random_state=0, max_iter=20),
    decomposition.DictionaryLearning(5, random_state=0, max_iter=3, transform_algorithm="threshold"),
    decomposition.MiniBatchDictionaryLearning(
        5, random_state=0, max_iter=3, transform_algorithm="threshold", transform_alpha=0.3, split_sign=True
    ),
    decomposition.DictionaryLearning(
        4,
        random_state=0,
        max_iter=3,
        transform_algorithm="threshold",
        positive_code=True,
        positive_dict=True,
        fit_algorithm="cd",
    ),
    decomposition.SparseCoder(np.eye(13)[:4], transform_algorithm="threshold", transform_alpha=0.5),
    random_projection.GaussianRandomProjection(5, random_state=0),
    random_projection.SparseRandomProjection(5, random_state=0),
    random_projection.SparseRandomProjection(5, random_state=0, dense_output=True),
    NeighborhoodComponentsAnalysis(2, random_state=0, max_iter=10),
    BernoulliRBM(6, random_state=0, n_iter=3),
]


def named(estimator):
    return str(estimator).replace("\n", " ")[:80]


@pytest.fixture
def scaled(wine):
    scaler = StandardScaler().set_output(transform="pandas").fit(wine.X)
    return scaler.transform(wine.X), scaler.transform(wine.rows)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("transformer", PROJECTIONS, ids=named)
def test_transformers(agrees, wine, scaled, transformer):
    X, rows = scaled
    agrees(transformer.fit(X, wine.y), X, rows, outputs=["transformed"])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("transformer", PROJECTIONS[::3], ids=named)
def test_before_a_classifier(agrees, wine, transformer):
    pipeline = make_pipeline(StandardScaler(), transformer, LogisticRegression()).fit(wine.X, wine.y)
    agrees(pipeline, wine.X, wine.rows)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("transformer", PROJECTIONS[::2], ids=named)
def test_float32(agrees, wine, scaled, transformer):
    X, rows = (part.astype(np.float32) for part in scaled)
    agrees(transformer.fit(X, wine.y), X, rows, tolerance=2e-6)


@pytest.mark.parametrize(
    "transformer", [decomposition.TruncatedSVD(3, random_state=0), decomposition.PCA(3)], ids=str
)
def test_of_one_hot_columns(agrees, iris, transformer):
    X, rows = iris.X.round().astype(int), iris.rows.round().astype(int)
    pipeline = make_pipeline(OneHotEncoder(handle_unknown="ignore"), transformer, LogisticRegression())
    agrees(pipeline.fit(X, iris.y), X, rows)


CROSS = [
    cross_decomposition.PLSRegression(3),
    cross_decomposition.PLSRegression(3, scale=False),
    cross_decomposition.PLSCanonical(1),
    cross_decomposition.CCA(1),
]


@pytest.mark.parametrize("model", CROSS, ids=named)
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda dtype: dtype.__name__)
def test_cross_decomposition(agrees, diabetes, model, dtype):
    X, rows = diabetes.X.astype(dtype), diabetes.rows.astype(dtype)
    tolerance = 1e-9 if dtype == np.float64 else 2e-6
    agrees(model.fit(X, diabetes.y), X, rows, outputs=["prediction"], tolerance=tolerance)
    # Only steps that were fitted apart: its fit_transform returns two arrays, which no pipeline takes.
    pipeline = make_pipeline(model, Ridge().fit(model.transform(X), diabetes.y))
    agrees(pipeline, X, rows, outputs=["prediction"], tolerance=tolerance)


def test_cross_decomposition_of_several_targets(agrees, diabetes):
    X, y = diabetes.X.iloc[:, :6], diabetes.X.iloc[:, 6:]
    rows = diabetes.rows.iloc[:, :6]
    for model in (cross_decomposition.PLSRegression(2), cross_decomposition.CCA(2)):
        saved = agrees(model.fit(X, y), X, rows, outputs=["prediction"])
        assert saved.schema.outputs[0].shape == (-1, 4)
    agrees(cross_decomposition.PLSSVD(2).fit(X, y), X, rows, outputs=["transformed"])


ATOMS = np.random.default_rng(0).normal(size=(9, 13))
PURSUITS = [
    decomposition.SparseCoder(ATOMS),
    decomposition.SparseCoder(ATOMS, transform_n_nonzero_coefs=5),
    decomposition.SparseCoder(ATOMS[:1], transform_n_nonzero_coefs=1),
    decomposition.SparseCoder(np.vstack([ATOMS[:3], ATOMS[0]]), transform_n_nonzero_coefs=4),
    decomposition.SparseCoder(ATOMS, transform_n_nonzero_coefs=9, split_sign=True),
    decomposition.DictionaryLearning(4, max_iter=5, random_state=0, transform_n_nonzero_coefs=2),
    decomposition.MiniBatchDictionaryLearning(4, max_iter=5, random_state=0),
]


@pytest.mark.parametrize("coder", PURSUITS, ids=lambda coder: f"{type(coder).__name__}")
@pytest.mark.filterwarnings("ignore")
def test_matching_pursuit(agrees, refuses, wine, coder):
    """Rows of zeros, and rows that few atoms explain whole, end their pursuit early."""
    scaler = StandardScaler().fit(wine.X)
    X, rows = scaler.transform(wine.X), scaler.transform(wine.rows)
    rows = np.vstack([rows, np.zeros((1, 13)), 2 * ATOMS[:2], ATOMS[2] - 3 * ATOMS[4]])
    agrees(coder.fit(X), X, rows, outputs=["transformed"])
    refuses(coder.fit(X.astype(np.float32)).set_params(n_jobs=1), X.astype(np.float32), "float32|computes in")


def test_targets_of_another_number(agrees, diabetes):
    from sklearn.compose import TransformedTargetRegressor

    y = np.column_stack([diabetes.y, diabetes.y**2 / 100, np.sqrt(diabetes.y)])
    for transformer in (
        decomposition.PCA(2),
        make_pipeline(StandardScaler(), decomposition.PCA(1)),
        decomposition.TruncatedSVD(2),
        decomposition.FastICA(2),
        FeatureAgglomeration(2),
    ):
        model = TransformedTargetRegressor(Ridge(), transformer=transformer).fit(diabetes.X, y)
        saved = agrees(model, diabetes.X, diabetes.rows)
        assert saved.schema.outputs[0].shape == (-1, 3)


def test_scaled_targets(agrees, diabetes):
    from sklearn.compose import TransformedTargetRegressor

    targets = diabetes.X.iloc[:, 6:]
    for whiten in (False, True):
        inner = TransformedTargetRegressor(Ridge(), transformer=decomposition.PCA(whiten=whiten))
        agrees(inner.fit(diabetes.X, targets.to_numpy()), diabetes.X, diabetes.rows)


@pytest.mark.parametrize(
    "transformer",
    [
        decomposition.DictionaryLearning(3, max_iter=2, transform_algorithm="lasso_cd"),
        decomposition.NMF(2, init="random", max_iter=500, tol=1e-2),
        decomposition.LatentDirichletAllocation(2, max_iter=2),
    ],
    ids=lambda t: type(t).__name__,
)
def test_what_iterates_is_refused(refuses, iris, transformer):
    refuses(transformer.fit(iris.X), iris.X, type(transformer).__name__)
