"""Weights of words are exact; splitting text into words is refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import afterfit

COUNTS = np.random.default_rng(0).poisson(0.7, (80, 6)).astype(np.float64)
NEW = np.vstack([np.random.default_rng(1).poisson(2, (40, 6)), np.zeros((1, 6))]).astype(np.float64)


@pytest.mark.parametrize("norm", ["l1", "l2", None])
@pytest.mark.parametrize("options", [{}, {"use_idf": False}, {"smooth_idf": False}])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_weights_of_words(norm, options, dtype, tmp_path):
    model = TfidfTransformer(norm=norm, **options).fit(COUNTS.astype(dtype))
    saved = afterfit.save(model, tmp_path / "model.afit", X=COUNTS.astype(dtype))
    tolerance = 1e-6 if dtype == np.float32 else 1e-12
    expected = model.transform(NEW.astype(dtype)).toarray()
    np.testing.assert_allclose(saved.transform(NEW.astype(dtype)), expected, rtol=tolerance, atol=0)


def test_logarithms_of_counts(tmp_path):
    model = TfidfTransformer(sublinear_tf=True, norm=None).fit(COUNTS)
    saved = afterfit.save(model, tmp_path / "model.afit", X=COUNTS)
    np.testing.assert_allclose(saved.transform(NEW), model.transform(NEW).toarray(), rtol=1e-12, atol=0)
    model = TfidfTransformer(sublinear_tf=True).fit(COUNTS)
    saved = afterfit.save(model, tmp_path / "model.afit", X=COUNTS)
    np.testing.assert_allclose(saved.transform(NEW), model.transform(NEW).toarray(), rtol=1e-12, atol=0)
    with pytest.raises(afterfit.SchemaError, match="a number of at least 0"):
        saved.transform(-NEW)


def test_weights_of_words_in_a_pipeline(check_saved):
    y = (COUNTS[:, 0] > 0).astype(int)
    check_saved(make_pipeline(TfidfTransformer(), LogisticRegression()).fit(COUNTS, y), COUNTS, NEW)


@pytest.mark.parametrize(
    "vectorizer", [CountVectorizer(), TfidfVectorizer(), HashingVectorizer(n_features=8)]
)
def test_text_is_refused_by_name(vectorizer, tmp_path):
    frame = pd.DataFrame({"review": ["a good film", "a bad film", "no film"] * 5})
    model = make_pipeline(ColumnTransformer([("words", vectorizer, "review")]), LogisticRegression())
    model.fit(frame, [1, 0, 0] * 5)
    with pytest.raises(
        afterfit.UnsupportedModelError, match=f"{type(vectorizer).__name__} at .*words"
    ) as raised:
        afterfit.save(model, tmp_path / "model.afit", X=frame)
    assert "Count the words" in str(raised.value)
