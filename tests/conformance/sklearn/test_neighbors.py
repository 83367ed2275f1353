from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import neighbors as nn
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelPropagation, LabelSpreading

import afterfit

SETTINGS = [
    {},
    {"n_neighbors": 1},
    {"weights": "distance"},
    {"algorithm": "brute", "weights": "distance"},
    {"algorithm": "brute", "n_neighbors": 8},
    {"algorithm": "ball_tree", "p": 1},
    {"p": 3, "weights": "distance"},
    {"metric": "chebyshev"},
    {"metric": "cosine", "weights": "distance"},
    {"metric": "canberra"},
]
RADII = [{}, {"weights": "distance"}, {"algorithm": "brute"}, {"p": 1}]


@pytest.fixture(scope="module", name="wine")
def wine_without_equal_values(wine):
    """No two rows share a value, as many do in `wine`: the largest difference of two would tie."""
    noise = np.random.default_rng(2).normal(scale=1e-4, size=wine.X.shape)
    return replace(wine, X=wine.X * (1 + noise))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_nearest(agrees, wine, settings):
    for model in (nn.KNeighborsClassifier(**settings), nn.KNeighborsRegressor(**settings)):
        agrees(make_pipeline(StandardScaler(), model).fit(wine.X, wine.y), wine.X, wine.rows)


@pytest.mark.parametrize("settings", RADII, ids=str)
def test_within_a_radius(agrees, wine, settings):
    models = (
        (nn.RadiusNeighborsClassifier(3.0, outlier_label="most_frequent", **settings), wine.y),
        (nn.RadiusNeighborsRegressor(3.0, **settings), wine.y * 0.3),
        (nn.RadiusNeighborsRegressor(3.0, **settings), wine.y),
    )
    for model, y in models:
        agrees(make_pipeline(StandardScaler(), model).fit(wine.X, y), wine.X, wine.rows)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_several_targets(agrees, diabetes, weights):
    y = np.column_stack([diabetes.y, -diabetes.y])
    for model in (
        nn.KNeighborsRegressor(3, weights=weights),
        nn.RadiusNeighborsRegressor(0.2, weights=weights),
    ):
        agrees(model.fit(diabetes.X, y), diabetes.X, diabetes.rows)


LABELLING = [
    nn.KNeighborsClassifier(4),
    nn.KNeighborsClassifier(weights="distance"),
    nn.KNeighborsClassifier(algorithm="brute"),
    nn.RadiusNeighborsClassifier(2.5, outlier_label="most_frequent"),
    nn.RadiusNeighborsClassifier(3.0, weights="distance", outlier_label="most_frequent"),
]


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("model", LABELLING, ids=str)
def test_several_labels_a_row(agrees, agrees_on_text, wine, model, text):
    X, rows = (StandardScaler().fit(wine.X).transform(part) for part in (wine.X, wine.rows))
    y = np.column_stack([wine.y, wine.X["alcohol"] > 13, wine.y == 1]).astype(int)
    y = np.char.add("kind ", y.astype(str)) if text else y
    if text:
        saved = agrees_on_text(model.fit(X, y), X, rows)
    else:
        saved = agrees(model.fit(X, y), X, rows, outputs=["prediction"])
    assert saved.schema.outputs[0].shape == (-1, 3)


@pytest.fixture(name="agrees_on_text")
def _agrees_on_text(tmp_path):
    def check(model, X, rows):
        saved = afterfit.save(model, tmp_path / "m.afit", X=X, raw_inputs=True)
        np.testing.assert_array_equal(saved.predict(rows), model.predict(rows))
        return saved

    return check


GRAPHS = [
    nn.KNeighborsTransformer(n_neighbors=4),
    nn.KNeighborsTransformer(mode="connectivity", algorithm="brute"),
    nn.KNeighborsTransformer(metric="manhattan"),
    nn.RadiusNeighborsTransformer(radius=3.0),
    nn.RadiusNeighborsTransformer(mode="connectivity", radius=3.0),
]


@pytest.mark.parametrize("model", GRAPHS, ids=str)
def test_graphs_of_neighbours(agrees, wine, model):
    agrees(make_pipeline(StandardScaler(), model).fit(wine.X), wine.X, wine.rows)


@pytest.mark.parametrize("algorithm", ["brute", "kd_tree", "ball_tree"])
def test_ties_are_counted_as_such(tmp_path, iris, algorithm, monkeypatch):
    monkeypatch.setattr("afterfit.capture._save.LARGEST_TIED_SHARE", 1.0)
    X = iris.X.round()
    model = nn.KNeighborsClassifier(4, algorithm=algorithm).fit(X, iris.y)
    saved = afterfit.save(model, tmp_path / "m.afit", X=X)
    squares = ((X.to_numpy()[:, None] - X.to_numpy()) ** 2).sum(axis=2)
    ranked = np.sort(squares, axis=1)
    settled = ranked[:, 3] < ranked[:, 4]
    assert 0 < settled.sum() < len(X)
    np.testing.assert_array_equal(saved.predict(X)[settled], model.predict(X)[settled])
    np.testing.assert_array_equal(saved.predict_proba(X)[settled], model.predict_proba(X)[settled])
    differing = np.any(saved.predict_proba(X) != model.predict_proba(X), axis=1).sum()
    assert saved.report.ties >= differing


@pytest.mark.parametrize("algorithm", ["brute", "kd_tree"])
def test_rows_that_it_knows(agrees, iris, algorithm):
    model = nn.KNeighborsRegressor(3, weights="distance", algorithm=algorithm)
    X = iris.X.drop_duplicates()
    agrees(model.fit(X, X.index.to_numpy() * 1.5), X, X)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
@pytest.mark.parametrize("priors", ["uniform", "empirical"])
@pytest.mark.parametrize("shrinkage", [None, 0.3])
def test_centroids(agrees, wine, metric, priors, shrinkage):
    model = nn.NearestCentroid(metric=metric, priors=priors, shrink_threshold=shrinkage)
    agrees(make_pipeline(StandardScaler(), model).fit(wine.X, wine.y), wine.X, wine.rows)


@pytest.mark.parametrize(
    "kernel", [{"kernel": "rbf", "gamma": 0.1}, {"kernel": "knn", "n_neighbors": 5}], ids=str
)
@pytest.mark.parametrize("model", [LabelPropagation(max_iter=3000), LabelSpreading()], ids=str)
def test_labels_that_spread(agrees, wine, model, kernel):
    y = np.where(np.arange(len(wine.y)) % 3, -1, wine.y)
    agrees(make_pipeline(StandardScaler(), model.set_params(**kernel)).fit(wine.X, y), wine.X, wine.rows)


def test_what_is_refused(refuses, iris):
    X, y = iris.X, iris.y
    refuses(nn.KNeighborsClassifier(weights=lambda d: d).fit(X, y), X, "Python function")
    refuses(nn.KNeighborsClassifier(metric=lambda a, b: abs(a - b).sum()).fit(X, y), X, "its metric is")
    lone = nn.RadiusNeighborsClassifier(1.0, outlier_label=9).fit(X, y)
    refuses(lone, X, "it answers 9, which is none of its classes")
    refuses(nn.RadiusNeighborsClassifier(1.0).fit(X, y), X, "without a neighbour")
    refuses(
        LabelSpreading(lambda a, b: np.exp(-((a[:, None] - b) ** 2).sum(axis=2))).fit(X, y),
        X,
        "Python function",
    )
