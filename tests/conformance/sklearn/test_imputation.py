"""Imputers that read the whole row."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes IterativeImputer importable
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator
from sklearn.linear_model import BayesianRidge, LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

NEAREST = [
    KNNImputer(),
    KNNImputer(n_neighbors=1),
    KNNImputer(n_neighbors=400),
    KNNImputer(weights="distance", add_indicator=True),
    KNNImputer(missing_values=-1, add_indicator=True),
]

ITERATIVE = [
    IterativeImputer(max_iter=3),
    IterativeImputer(max_iter=2, imputation_order="roman", initial_strategy="median", add_indicator=True),
    IterativeImputer(BayesianRidge(), max_iter=2, n_nearest_features=3, random_state=0),
    IterativeImputer(LinearRegression(), max_iter=2, min_value=-0.05, max_value=0.05),
    IterativeImputer(ExtraTreesRegressor(3, max_depth=3, random_state=0), max_iter=2),
    IterativeImputer(KNeighborsRegressor(3), max_iter=1, skip_complete=True),
    IterativeImputer(Ridge(), max_iter=2, missing_values=-1),
    IterativeImputer(max_iter=0, initial_strategy="most_frequent"),
]


def with_gaps(X, seed, value=np.nan):
    """The rows, moved a little so that no two are equally near a third, with gaps; the first has nothing else."""
    rng = np.random.default_rng(seed)
    gaps = rng.random(X.shape) < 0.15
    gaps[0] = True
    return (X + rng.normal(size=X.shape) / 1000).mask(gaps, value)


@pytest.fixture
def gappy(diabetes):
    X, rows = diabetes.X.drop(columns="sex").iloc[:, :6], diabetes.rows.drop(columns="sex").iloc[:, :6]

    def make(imputer):
        value = imputer.missing_values
        return with_gaps(X, 0, value), with_gaps(rows, 1, value), diabetes.y

    return make


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("imputer", NEAREST + ITERATIVE, ids=str)
def test_imputers(agrees, gappy, imputer):
    X, rows, y = gappy(imputer)
    agrees(imputer.fit(X), X, rows, outputs=["transformed"])
    agrees(make_pipeline(imputer, StandardScaler(), Ridge()).fit(X, y), X, rows, outputs=["prediction"])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Skipping features")
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    "imputer", [KNNImputer(), IterativeImputer(max_iter=2)], ids=["nearest", "iterative"]
)
def test_columns_without_any_value(agrees, gappy, imputer, keep):
    X, rows, _ = gappy(imputer)
    empty = X.columns[2]
    X, rows = X.assign(**{empty: np.nan}), rows.assign(**{empty: rows[empty].where(rows.index % 2 == 0)})
    agrees(imputer.set_params(keep_empty_features=keep).fit(X), X, rows)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "imputer", [KNNImputer(), IterativeImputer(max_iter=2)], ids=["nearest", "iterative"]
)
def test_float32(agrees, gappy, imputer):
    X, rows, _ = gappy(imputer)
    agrees(imputer.fit(X.astype(np.float32)), X.astype(np.float32), rows.astype(np.float32), tolerance=2e-6)


def test_equally_near_rows_are_ties(agrees, iris):
    X = iris.X.mask(np.random.default_rng(0).random(iris.X.shape) < 0.15)
    saved = agrees(KNNImputer(n_neighbors=3).fit(X), X, X, tolerance=np.inf)
    assert saved.report.ties > 0


@pytest.mark.parametrize(
    ("imputer", "words"),
    [
        (IterativeImputer(sample_posterior=True, max_iter=2, random_state=0), "draws random numbers"),
        (KNNImputer(weights=lambda d: d), "Python function"),
    ],
    ids=["random", "callable"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_cannot_be_exact_is_refused(refuses, gappy, imputer, words):
    X, _, _ = gappy(imputer)
    refuses(imputer.fit(X), X, words)


def test_indicators_alone(agrees, gappy):
    X, rows, _ = gappy(KNNImputer())
    agrees(MissingIndicator(features="all").fit(X), X, rows, outputs=["transformed"])
