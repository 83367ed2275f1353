"""Single trees and forests against scikit-learn, on held-out rows and on rows either side of thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from afterfit.errors import UnsupportedModelError
from afterfit.lowering import _tree_ensemble

ROWS, WIDTH = 400, 5
CLASSIFIERS = [
    DecisionTreeClassifier(random_state=0),
    DecisionTreeClassifier(random_state=0, min_samples_leaf=7, criterion="entropy"),
    ExtraTreeClassifier(random_state=0, max_depth=4),
    RandomForestClassifier(15, random_state=0),
    RandomForestClassifier(15, random_state=0, min_samples_leaf=9, class_weight="balanced"),
    ExtraTreesClassifier(15, random_state=0, min_samples_leaf=4),
]
REGRESSORS = [
    DecisionTreeRegressor(random_state=0),
    DecisionTreeRegressor(random_state=0, criterion="absolute_error", max_leaf_nodes=9),
    ExtraTreeRegressor(random_state=0, max_depth=4),
    RandomForestRegressor(15, random_state=0, max_samples=0.5),
    ExtraTreesRegressor(15, random_state=0, min_samples_leaf=4),
]
LABELS = {
    "binary int": [3, -7],
    "binary str": ["late", "on time"],
    "binary bool": [False, True],
    "three str": ["a", "", "ü"],
    "four int": [10, 20, 30, 40],
}


def named(estimators):
    return [pytest.param(item, id=str(item).split("(")[0] + str(i)) for i, item in enumerate(estimators)]


def draw(seed=0, *, missing=False, dtype=np.float64):
    """`X`, a target that depends on it, with many repeated values and steps smaller than float32 sees."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(ROWS, WIDTH))
    X[:, 1] = rng.integers(0, 4, ROWS)
    X[:, 2] = 1e9 + rng.integers(0, 50, ROWS) * 13.0
    X[:, 3] = rng.choice([0.1, 0.2, 0.3, -0.0, 0.0], ROWS)
    target = X[:, 0] + X[:, 1] + rng.normal(size=ROWS) * 0.5
    if missing:
        X[rng.random(X.shape) < 0.15] = np.nan
    return X.astype(dtype), target


def labels(target, classes):
    cuts = np.quantile(target, np.linspace(0, 1, len(classes) + 1)[1:-1])
    return np.array(classes)[np.searchsorted(cuts, target)]


def either_side(context, X):
    """Rows whose compared value is a threshold, or the next number on either side, in both precisions."""
    rng = np.random.default_rng(1)
    rows = []
    for noted in context.thresholds:
        moved = noted.values
        near = [moved, np.nextafter(moved, np.inf), np.nextafter(moved, -np.inf)]
        single = moved.astype(np.float32)
        near += [single, np.nextafter(single, np.float32(np.inf)), np.nextafter(single, np.float32(-np.inf))]
        for values in near:
            drawn = X[rng.integers(0, len(X), len(moved))].astype(np.float64)
            drawn[:, noted.column] = values
            rows.append(drawn)
    return np.concatenate(rows)


@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
@pytest.mark.parametrize("classes", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("estimator", named(CLASSIFIERS))
def test_classifiers(agree, estimator, classes, missing):
    X, target = draw(missing=missing)
    estimator.fit(X[:250], labels(target, classes)[:250])
    graph = agree(estimator, X)
    agree(estimator, X, either_side(graph.context, X))
    with_missing = draw(2, missing=True)[0]
    agree(estimator, X, with_missing)


@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("estimator", named(REGRESSORS))
def test_regressors(agree, estimator, targets, missing):
    X, target = draw(missing=missing)
    y = target if targets == 1 else np.column_stack([target, -(target**2), np.exp(target)])
    estimator.fit(X[:250], y[:250])
    graph = agree(estimator, X)
    agree(estimator, X, either_side(graph.context, X))


@pytest.mark.parametrize("seed", range(6))
def test_forests_agree_to_the_last_bit_on_the_side_that_is_added_up(lower, seed):
    X, target = draw(seed)
    forest = RandomForestClassifier(40, random_state=seed, min_samples_leaf=3).fit(X, target > target.mean())
    got = lower(forest, X).run(X)["probabilities"]
    np.testing.assert_array_equal(got[:, 1], forest.predict_proba(X)[:, 1])
    several = RandomForestClassifier(40, random_state=seed).fit(X, labels(target, [0, 1, 2]))
    np.testing.assert_array_equal(lower(several, X).run(X)["probabilities"], several.predict_proba(X))


def test_raw_float32(agree):
    X, target = draw(dtype=np.float32)
    agree(RandomForestRegressor(10, random_state=0).fit(X, target), X)


def test_float64_is_rounded_to_float32_before_it_is_compared(agree, lower):
    """Between two neighbours of float32 lie half a billion float64; a naive graph errs on half of them."""
    X = np.array([[16777216.0], [16777218.0]] * 10)
    tree = DecisionTreeClassifier().fit(X, np.array([0, 1] * 10))
    rows = np.array([[16777217.0], [16777216.9999], [16777217.0000001], [16777218.0]])
    graph = agree(tree, X, rows)
    assert graph.run(rows)["index"].tolist() == tree.predict(rows).tolist() == [0, 0, 1, 1]


def test_behind_other_steps(agree):
    X, target = draw(missing=True)
    steps = make_pipeline(SimpleImputer(), StandardScaler(), RandomForestClassifier(10, random_state=0))
    agree(steps.fit(X, target > 1), X)


@pytest.mark.parametrize(
    "estimator",
    [DecisionTreeRegressor(), RandomForestRegressor(5), DecisionTreeClassifier(), RandomForestClassifier(5)],
)
def test_one_leaf(agree, estimator):
    X, _ = draw()
    estimator.fit(X, np.full(ROWS, 7))
    agree(estimator, X)


def test_one_leaf_of_two_classes(agree):
    X, target = draw()
    agree(RandomForestClassifier(5, min_samples_leaf=ROWS, random_state=0).fit(X, target > 1), X)


def test_trees_that_use_a_few_of_many_columns(agree):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, 60))
    agree(RandomForestRegressor(3, max_depth=2, random_state=0).fit(X, X[:, 41] + X[:, 7]), X)


def test_many_classes_are_gathered_in_parts(agree):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 4))
    y = np.floor(X[:, 0] * 40).astype(int)
    assert len(np.unique(y)) > 100
    agree(RandomForestClassifier(30, max_depth=6, random_state=0).fit(X, y), X)


@pytest.mark.parametrize("rows", [1, 2, 31, 129, 400])
def test_any_number_of_rows(agree, rows):
    X, target = draw()
    agree(RandomForestClassifier(100, max_depth=4, random_state=0).fit(X, target > 1), X, X[:rows])


def test_too_many_nodes_are_refused(lower, monkeypatch):
    monkeypatch.setattr(_tree_ensemble, "MOST_NODES", 50)
    X, target = draw()
    with pytest.raises(UnsupportedModelError, match="min_samples_leaf"):
        lower(RandomForestRegressor(3).fit(X, target), X)
