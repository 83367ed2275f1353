"""Manifolds, and leaves as features."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomTreesEmbedding
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import Isomap, LocallyLinearEmbedding
from sklearn.pipeline import make_pipeline


@pytest.mark.parametrize(
    "manifold", [Isomap(n_neighbors=40), LocallyLinearEmbedding(eigen_solver="dense")], ids=str
)
def test_manifolds_that_are_refused(refuses, wine, manifold):
    refuses(manifold.fit(wine.X), wine.X, "equally near training rows")


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("sparse", [True, False])
def test_leaves_as_features(agrees, wine, dtype, sparse):
    X, rows = wine.X.astype(dtype), wine.rows.astype(dtype)
    embedding = RandomTreesEmbedding(7, max_depth=4, random_state=0, sparse_output=sparse)
    agrees(embedding.fit(X), X, rows, tolerance=0, outputs=["transformed"])
    agrees(make_pipeline(embedding, LogisticRegression()).fit(X, wine.y), X, rows)
