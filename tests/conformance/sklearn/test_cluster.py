from __future__ import annotations

import numpy as np
import pytest
from sklearn import cluster
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MODELS = [
    cluster.KMeans(4, n_init=1, random_state=0),
    cluster.KMeans(3, n_init=1, algorithm="elkan", random_state=0),
    cluster.KMeans(1, n_init=1),
    cluster.MiniBatchKMeans(5, n_init=1, random_state=0),
    cluster.BisectingKMeans(5, random_state=0),
    cluster.BisectingKMeans(1, random_state=0),
    cluster.MeanShift(bandwidth=2.5),
    cluster.AffinityPropagation(random_state=0),
    cluster.Birch(n_clusters=4),
    cluster.Birch(n_clusters=None, threshold=1.5),
    cluster.Birch(n_clusters=cluster.AgglomerativeClustering(3)),
]
MIDDLE = [
    cluster.KMeans(4, n_init=1, random_state=0),
    cluster.MiniBatchKMeans(5, n_init=1, random_state=0),
    cluster.BisectingKMeans(5, random_state=0),
    cluster.Birch(n_clusters=3, threshold=3.0),
    LinearDiscriminantAnalysis(),
]


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("scaled", [True, False])
def test_clusters(agrees, wine, model, scaled):
    model = make_pipeline(StandardScaler(), model) if scaled else model
    agrees(model.fit(wine.X), wine.X, wine.rows, outputs=["prediction"])


@pytest.mark.parametrize("pool", [np.mean, np.min, np.max], ids=lambda pool: pool.__name__)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_agglomerated_features(agrees, wine, pool, dtype):
    X, rows = wine.X.astype(dtype), wine.rows.astype(dtype)
    model = cluster.FeatureAgglomeration(4, pooling_func=pool)
    agrees(model.fit(X), X, rows, outputs=["transformed"])
    agrees(make_pipeline(StandardScaler(), model, LogisticRegression()).fit(X, wine.y), X, rows)


def test_other_pools_are_refused(refuses, wine):
    model = cluster.FeatureAgglomeration(4, pooling_func=np.median).fit(wine.X)
    refuses(model, wine.X, "its pooling_func is 'median'")


@pytest.mark.parametrize("model", MIDDLE, ids=str)
def test_in_the_middle_of_a_pipeline(agrees, wine, model):
    pipeline = make_pipeline(StandardScaler(), model, LogisticRegression(max_iter=2000))
    agrees(pipeline.fit(wine.X, wine.y), wine.X, wine.rows)


def test_projection_by_eigenvectors(agrees, wine):
    model = make_pipeline(
        LinearDiscriminantAnalysis(solver="eigen", n_components=1), LogisticRegression(max_iter=2000)
    )
    agrees(model.fit(wine.X, wine.y), wine.X, wine.rows)


@pytest.mark.parametrize(
    "model", [cluster.KMeans(100, n_init=1, random_state=0), cluster.Birch(threshold=0.5)], ids=str
)
def test_distances_that_are_rounding_alone_are_refused(refuses, wine, model):
    pipeline = make_pipeline(StandardScaler(), model, LogisticRegression(max_iter=2000)).fit(wine.X, wine.y)
    refuses(pipeline, wine.X, "nothing but rounding")


def test_float32_is_stated(agrees, wine):
    X = wine.X.astype(np.float32)
    saved = agrees(cluster.KMeans(3, n_init=1, random_state=0).fit(X), X, X)
    assert saved.report.precision == "float32"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_no_centres_are_refused(refuses, wine):
    model = cluster.AffinityPropagation(max_iter=1, random_state=0).fit(wine.X)
    model.cluster_centers_ = np.empty((0, wine.X.shape[1]))
    refuses(model, wine.X, "no cluster centres")
