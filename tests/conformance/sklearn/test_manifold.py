"""Manifolds, and leaves as features."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomTreesEmbedding
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import Isomap, LocallyLinearEmbedding
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MANIFOLDS = [
    Isomap(),
    Isomap(n_neighbors=8, n_components=3, metric="manhattan"),
    LocallyLinearEmbedding(eigen_solver="dense"),
    LocallyLinearEmbedding(n_neighbors=12, n_components=3, eigen_solver="dense", reg=1e-2),
    LocallyLinearEmbedding(n_neighbors=12, method="modified", eigen_solver="dense"),
]


@pytest.fixture
def scaled(wine):
    scaler = StandardScaler().set_output(transform="pandas").fit(wine.X)
    return scaler.transform(wine.X), scaler.transform(wine.rows)


@pytest.mark.parametrize("manifold", MANIFOLDS, ids=str)
def test_manifolds(agrees, scaled, wine, manifold):
    X, rows = scaled
    agrees(manifold.fit(X), X, rows, outputs=["transformed"])
    agrees(
        make_pipeline(StandardScaler(), manifold, LogisticRegression()).fit(wine.X, wine.y), wine.X, wine.rows
    )


@pytest.mark.parametrize(
    ("manifold", "words"),
    [
        (Isomap(n_neighbors=None, radius=8.0), "within a radius"),
        (LocallyLinearEmbedding(n_neighbors=20, eigen_solver="dense"), "20 equations"),
    ],
    ids=["radius", "many"],
)
def test_manifolds_that_are_refused(refuses, scaled, manifold, words):
    refuses(manifold.fit(scaled[0]), scaled[0], words)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("sparse", [True, False])
def test_leaves_as_features(agrees, wine, dtype, sparse):
    X, rows = wine.X.astype(dtype), wine.rows.astype(dtype)
    embedding = RandomTreesEmbedding(7, max_depth=4, random_state=0, sparse_output=sparse)
    agrees(embedding.fit(X), X, rows, tolerance=0, outputs=["transformed"])
    agrees(make_pipeline(embedding, LogisticRegression()).fit(X, wine.y), X, rows)
