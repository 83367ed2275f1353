from __future__ import annotations

import numpy as np
import pytest
from sklearn import naive_bayes as nb
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

COUNTS = [
    nb.MultinomialNB(),
    nb.MultinomialNB(alpha=0.01, fit_prior=False),
    nb.ComplementNB(),
    nb.ComplementNB(norm=True),
    nb.BernoulliNB(),
    nb.BernoulliNB(binarize=8.0, class_prior=[0.1] * 10),
]


@pytest.mark.parametrize(
    "model", [nb.GaussianNB(), nb.GaussianNB(priors=[0.6, 0.4], var_smoothing=1e-3)], ids=str
)
@pytest.mark.parametrize("scaled", [True, False])
def test_gaussian(agrees, cancer, model, scaled):
    pipeline = make_pipeline(StandardScaler(), model) if scaled else model
    agrees(pipeline.fit(cancer.X, cancer.y), cancer.X, cancer.rows, outputs=["prediction", "probabilities"])


@pytest.mark.parametrize("model", COUNTS, ids=str)
def test_counts(agrees, digits, model):
    agrees(model.fit(digits.X, digits.y), digits.X, digits.rows)


@pytest.mark.parametrize(
    "model", [nb.MultinomialNB(), nb.ComplementNB(), nb.BernoulliNB(binarize=None)], ids=str
)
def test_one_hot_columns(agrees, iris, model):
    X, rows = iris.X.round().astype(int).astype(str), iris.rows.round().astype(int).astype(str)
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), list(X)))
    agrees(make_pipeline(encoder, model).fit(X, iris.y), X, rows)


def test_float32_thresholds(agrees, digits):
    X, rows = (digits.X / 10).astype(np.float32), (digits.rows / 10).astype(np.float32)
    agrees(nb.BernoulliNB(binarize=0.1).fit(X, digits.y), X, rows)


def test_categories(agrees, iris):
    X = iris.X.round().astype(int)
    rows = iris.rows.round().astype(int).clip(0, X.max(), axis=1)
    saved = agrees(nb.CategoricalNB().fit(X, iris.y), X, rows)
    assert saved.schema.columns[0].categories.values == tuple(range(X.max().iloc[0] + 1))
    assert not saved.schema.columns[0].categories.open


def test_categories_behind_an_encoder(agrees, iris):
    X = iris.X.round().astype(int).astype(str)
    agrees(make_pipeline(OrdinalEncoder(), nb.CategoricalNB(min_categories=20)).fit(X, iris.y), X, X)
