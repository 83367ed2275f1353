"""Text is captured exactly, or refused by name."""

from __future__ import annotations

import inspect
import json
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import BernoulliNB, ComplementNB, MultinomialNB
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

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


TEXTS = [
    re.sub(r"\s+", " ", text)[:300] for text in (inspect.getdoc(value) for value in vars(np).values()) if text
][:120]
LABELS = ["array" in text for text in TEXTS]
HELD_OUT = ["", "...", "ARRAYS of Größe", "an array_like of arrays 😀 e\u0301", "nothing known", *TEXTS[::7]]


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(TfidfVectorizer(), LogisticRegression()),
        make_pipeline(CountVectorizer(stop_words="english", ngram_range=(1, 2)), MultinomialNB()),
        make_pipeline(CountVectorizer(binary=True, strip_accents="unicode"), BernoulliNB()),
        make_pipeline(CountVectorizer(), TfidfTransformer(sublinear_tf=True), ComplementNB()),
        make_pipeline(
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3)), TruncatedSVD(4), LogisticRegression()
        ),
        make_pipeline(HashingVectorizer(), SGDClassifier(loss="log_loss", random_state=0)),
        make_pipeline(HashingVectorizer(n_features=16, binary=True, norm="l1"), LogisticRegression()),
        make_pipeline(TfidfVectorizer(max_features=40), RandomForestClassifier(5, random_state=0)),
        make_pipeline(
            FeatureUnion(
                [("words", TfidfVectorizer()), ("characters", TfidfVectorizer(analyzer="char"))],
                transformer_weights={"characters": 0.5},
            ),
            LogisticRegression(),
        ),
    ],
    ids=["tfidf", "bigrams", "binary", "log", "svd", "hash", "hash-binary", "forest", "union"],
)
@pytest.mark.parametrize("kind", ["list", "series"])
def test_texts_are_captured(model, kind, tmp_path):
    X = TEXTS if kind == "list" else pd.Series(TEXTS, name="review", index=range(7, 7 + len(TEXTS)))
    model.fit(TEXTS, LABELS)
    saved = afterfit.save(model, tmp_path / "model.afit", X=X)
    assert saved.manifest.format == 2
    name = saved.schema.columns[0].name
    assert name == ("text" if kind == "list" else "review")
    expected = model.predict_proba(HELD_OUT)
    body = json.dumps({"rows": [{name: text} for text in HELD_OUT]}).encode()
    answers = [
        saved.predict_proba(HELD_OUT),
        saved.predict_proba(pd.Series(HELD_OUT)),
        saved.predict_proba(np.array(HELD_OUT, dtype=object)),
        saved.predict_proba(pd.DataFrame({name: HELD_OUT})),
        saved.run(saved.decoder.decode_json(body))["probabilities"],
    ]
    for answer in answers:
        np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-12)
    for text, row in zip(HELD_OUT, expected, strict=True):
        np.testing.assert_allclose(saved.predict_proba([text])[0], row, rtol=0, atol=1e-12)


def test_rows_of_every_length_share_a_batch(tmp_path):
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, LABELS)
    saved = afterfit.save(model, tmp_path / "model.afit", X=TEXTS)
    rng = np.random.default_rng(0)
    words = " ".join(TEXTS).split()
    texts = [" ".join(rng.choice(words, size=size)) for size in [*rng.integers(0, 40, 3000), 30_000]]
    np.testing.assert_allclose(saved.predict_proba(texts), model.predict_proba(texts), rtol=0, atol=1e-12)


def test_a_column_is_text_and_category_at_once(tmp_path):
    frame = pd.DataFrame(
        {"title": [text[:20] for text in TEXTS], "size": [float(len(text)) for text in TEXTS]}
    )
    columns = ColumnTransformer(
        [
            ("words", TfidfVectorizer(), "title"),
            ("characters", CountVectorizer(analyzer="char"), "title"),
            ("category", OneHotEncoder(handle_unknown="ignore"), ["title"]),
            ("size", StandardScaler(), ["size"]),
        ]
    )
    model = make_pipeline(columns, LogisticRegression()).fit(frame, LABELS)
    saved = afterfit.save(model, tmp_path / "model.afit", X=frame)
    title = saved.schema.column("title")
    assert [analyzer.kind for analyzer in title.analyzers] == ["word", "char"]
    assert not title.nullable
    np.testing.assert_allclose(saved.predict_proba(frame), model.predict_proba(frame), rtol=0, atol=1e-12)
    with pytest.raises(afterfit.SchemaError, match="no answer where this column is missing"):
        saved.predict([{"title": None, "size": 1.0}])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"tokenizer": str.split, "token_pattern": None}, "its tokenizer is a function"),
        ({"preprocessor": str.upper}, "its preprocessor is a function"),
        ({"analyzer": str.split}, "its analyzer is a function"),
        ({"token_pattern": "[a-z]+"}, "its token_pattern is"),
        ({"ngram_range": (1, 33)}, "its ngram_range is"),
        ({"dtype": np.uint8}, "it counts in uint8"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.filterwarnings("ignore:The parameter")
def test_what_is_not_declared_is_refused_by_name(settings, reason, tmp_path):
    model = make_pipeline(CountVectorizer(**settings), LogisticRegression()).fit(TEXTS, LABELS)
    with pytest.raises(afterfit.UnsupportedModelError, match=reason):
        afterfit.save(model, tmp_path / "model.afit", X=TEXTS)


def test_an_answer_too_wide_to_write_is_refused(tmp_path):
    with pytest.raises(afterfit.UnsupportedModelError, match="1,048,576 numbers"):
        afterfit.save(HashingVectorizer(), tmp_path / "model.afit", X=TEXTS)
