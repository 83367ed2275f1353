"""HistGradientBoosting against scikit-learn: missing values, categories, every loss."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from afterfit.errors import UnsupportedModelError

ROWS = 600


@pytest.fixture(autouse=True)
def one_thread():
    """Fitting on all cores makes small models slower, and much slower where tests run side by side."""
    with threadpool_limits(1):
        yield


def draw(seed=0, *, missing=True):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(ROWS, 4))
    X[:, 1] = rng.integers(0, 6, ROWS)
    X[:, 2] = 1e16 + rng.integers(0, 90, ROWS) * 2.0
    target = X[:, 0] + X[:, 1] + rng.normal(size=ROWS)
    if missing:
        X[rng.random(X.shape) < 0.1] = np.nan
    return X, target


def labels(target, classes):
    cuts = np.quantile(target, np.linspace(0, 1, len(classes) + 1)[1:-1])
    return np.array(classes)[np.searchsorted(cuts, target)]


def either_side(context, X):
    """Rows with thresholds, their neighbours in float64, NaN and infinities."""
    rows = []
    for noted in context.thresholds:
        values = noted.values
        ends = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0])
        for near in (values, np.nextafter(values, np.inf), np.nextafter(values, -np.inf), ends):
            drawn = X[np.arange(len(near)) % len(X)].copy()
            drawn[:, noted.position] = near
            rows.append(drawn)
    return np.concatenate(rows)


@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
@pytest.mark.parametrize(
    "classes", [["no", "yes"], [False, True], [4, 2], ["a", "b", "c"], [5, 1, 3, 9]], ids=str
)
def test_classifiers(agree, classes, missing):
    X, target = draw(missing=missing)
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0)
    graph = agree(model.fit(X[:400], labels(target, classes)[:400]), X)
    agree(model, X, either_side(graph.context, X))


@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "gamma", "poisson", "quantile"])
def test_regressors(agree, loss, missing):
    X, target = draw(missing=missing)
    y = np.abs(target) + 0.1
    model = HistGradientBoostingRegressor(loss=loss, quantile=0.3, max_iter=20, random_state=0)
    graph = agree(model.fit(X[:400], y[:400]), X)
    agree(model, X, either_side(graph.context, X))


def test_a_split_of_missing_values_from_all_others(agree):
    """Its threshold is +inf, and an infinite value is not missing."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, 1))
    X[::3] = np.nan
    model = HistGradientBoostingRegressor(max_iter=3, max_leaf_nodes=2).fit(X, np.isnan(X[:, 0]) * 1.0)
    assert np.isinf(model._predictors[0][0].nodes["num_threshold"]).any()
    agree(model, X, np.array([[np.inf], [-np.inf], [np.nan], [1e308], [0.0]]))
    many = HistGradientBoostingRegressor(max_iter=3, max_leaf_nodes=2).fit(X, ~np.isnan(X[:, 0]) * 5.0)
    agree(many, X, np.array([[np.inf], [-np.inf], [np.nan], [1e308], [0.0]]))


def test_raw_float32(agree):
    X, target = draw()
    X = X[:, :2].astype(np.float32)
    agree(HistGradientBoostingRegressor(max_iter=10).fit(X, target), X)


def test_sums_begin_with_the_baseline_to_the_last_bit(lower):
    X, target = draw()
    model = HistGradientBoostingRegressor(random_state=0).fit(X, target)
    np.testing.assert_array_equal(lower(model, X).run(X)["values"], model.predict(X))


def frame(seed=0, *, many=180):
    """A frame with categories of text and of numbers, each with missing values."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"number": rng.normal(size=ROWS)})
    code = rng.integers(0, many, ROWS)
    X["many"] = pd.Series([f"c{i:03}" for i in code], dtype=object).where(rng.random(ROWS) > 0.05)
    X["few"] = pd.Series(rng.choice(["", "x", "ü", "None"], ROWS), dtype=object)
    X["count"] = rng.integers(-3, 30, ROWS)
    X["half"] = pd.Series(rng.choice([0.5, -2.0, 0.0, 7.25], ROWS)).where(rng.random(ROWS) > 0.1)
    effect = rng.normal(size=many) * 3
    target = X["number"] + effect[code] + (X["few"] == "ü") * 2 + X["count"] % 3 + X["half"].isna() * 3
    return X, target.to_numpy() + rng.normal(size=ROWS) * 0.1


def unknown(X):
    """The rows of `X`, with values that no training saw."""
    rows = X.copy()
    rows["many"] = rows["many"].astype(object)
    rows.loc[::3, "many"] = "never seen"
    rows["half"] = rows["half"].astype(float)
    rows.loc[1::3, "half"] = 99.0
    rows["number"] = -rows["number"]
    return rows


CHOICES = {
    "names": ["many", "few", "half"],
    "mask": [False, True, True, True, False],
    "indices": [1, 2, 3, 4],
}


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize("classes", [["no", "yes"], [1, 2, 3]], ids=str)
def test_categories(agree, choice, classes):
    X, target = frame()
    model = HistGradientBoostingClassifier(
        categorical_features=choice, max_iter=15, min_samples_leaf=2, random_state=0
    )
    X["few"] = X["few"].astype("category")
    model.fit(X, labels(target, classes))
    agree(model, X, unknown(X))


def test_categories_from_the_dtype(agree):
    X, target = frame()
    for name in ("many", "few", "half"):
        X[name] = X[name].astype("category")
    X["few"] = X["few"].cat.reorder_categories(["ü", "x", "None", ""])
    model = HistGradientBoostingRegressor(max_iter=15, min_samples_leaf=2, random_state=0).fit(X, target)
    assert model.is_categorical_.tolist() == [False, True, True, False, True]
    rows = X.iloc[::-1].copy()
    rows["many"] = rows["many"].cat.rename_categories({"c001": "never seen"})
    agree(model, X, rows)


@pytest.mark.parametrize("many", [2, 31, 32, 33, 64, 65, 255])
def test_numbers_of_categories(agree, many):
    rng = np.random.default_rng(many)
    code = np.concatenate([np.arange(many)] * 2 + [rng.integers(0, many, 400)])
    X = np.column_stack([code, rng.normal(size=len(code))])
    target = rng.normal(size=many)[code] + X[:, 1] * 0.1
    model = HistGradientBoostingRegressor(
        categorical_features=[0], max_iter=15, min_samples_leaf=1, random_state=0
    ).fit(X, target)
    rows = np.column_stack([np.arange(-2, many + 2), np.zeros(many + 4)])
    agree(model, X, np.concatenate([rows, [[np.nan, 0.0], [0.5, 0.0], [1e18, 0.0]]]))


def test_a_set_without_categories(agree):
    """Where missing values alone go left, no category does."""
    code = np.tile([0.0, 1.0, 2.0, np.nan], 60)
    X = code[:, None]
    for sign in (1.0, -1.0):
        model = HistGradientBoostingRegressor(categorical_features=[0], max_iter=4, min_samples_leaf=2)
        model.fit(X, np.isnan(code) * sign)
        agree(model, X, np.array([[0.0], [1.0], [2.0], [3.0], [np.nan]]))


def test_unknown_categories_are_learned_as_open(lower):
    X, target = frame()
    X["few"] = X["few"].astype("category")
    model = HistGradientBoostingRegressor(categorical_features="from_dtype", max_iter=3)
    graph = lower(model.fit(X[["number", "few"]], target), X[["number", "few"]])
    assert {column: learned.open for column, learned in graph.context.learned.items()} == {1: True}
    assert set(graph.context.learned[1].values) == {"", "x", "ü", "None"}
    assert graph.context.read == {0, 1}


def test_drawn_models(agree):
    @given(seed=st.integers(0, 2**32 - 1), depth=st.integers(1, 6), smallest=st.integers(1, 30))
    @settings(max_examples=12, deadline=None)
    def check(seed, depth, smallest):
        X, target = frame(seed, many=60)
        model = HistGradientBoostingRegressor(
            categorical_features=["many", "few", "half"],
            max_iter=6,
            max_depth=depth,
            min_samples_leaf=smallest,
        ).fit(X, target)
        agree(model, X, unknown(X))

    check()


def test_one_leaf(agree):
    X, _ = draw()
    agree(HistGradientBoostingRegressor(max_iter=2).fit(X, np.full(ROWS, 2.5)), X)


def test_a_score_of_zero_is_the_first_class(agree):
    X, y = np.zeros((ROWS, 1)), np.tile(["a", "b"], ROWS // 2)
    model = HistGradientBoostingClassifier(max_iter=3, early_stopping=False).fit(X, y)
    assert (model.decision_function(X) == 0).all()
    agree(model, X)


def test_one_class_is_refused(lower):
    X, _ = draw()
    model = HistGradientBoostingClassifier(max_iter=2, early_stopping=False).fit(X, np.zeros(ROWS))
    with pytest.raises(UnsupportedModelError, match="one class only"):
        lower(model, X)


def test_text_left_among_numbers_is_refused_by_name(lower):
    X, target = frame()
    model = HistGradientBoostingRegressor(max_iter=2).fit(X[["number", "half"]], target)
    X["half"] = X["half"].astype(str)
    with pytest.raises(UnsupportedModelError, match="'half'"):
        lower(model, X[["number", "half"]])
