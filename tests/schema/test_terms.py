"""The terms of any text are scikit-learn's."""

from __future__ import annotations

import itertools
import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.utils.murmurhash import murmurhash3_bytes_s32

from afterfit.schema import MAX_TERMS, UNICODE_VERSION, Analyzer, Hashing, TermReader
from afterfit.schema import _unicode as unicode_tables
from afterfit.schema._mistakes import MisfitError
from afterfit.schema._murmurhash import murmurhash3

STRANGE = "ab AB \t\n\x1c\x85.,'_0²ǅİıßΣσςé\u0301ﬁﷺ日本アイ각 हिन्दी ไทย😀\u200d\x00\x1a\u200b\u2028Ⅷ①𝔘ŉ"
TEXTS = st.lists(st.one_of(st.sampled_from(STRANGE), st.characters(codec="utf-8")), max_size=60).map("".join)
PATTERNS = (r"\b\w\w+\b", r"\b\w+\b", r"\S+")


def analyzer(**settings: Any) -> Analyzer:
    plain: dict[str, Any] = {
        "kind": "word",
        "lowercase": True,
        "strip_accents": None,
        "token_pattern": PATTERNS[0],
        "stop_words": None,
        "ngram_range": (1, 1),
        "hashing": None,
        "unicode": UNICODE_VERSION,
        "input": 0,
        "matrix_width": 0,
    }
    return Analyzer(**{**plain, **settings})


def variants() -> list[tuple[CountVectorizer, TermReader]]:
    found = []
    for kind, lower, accents, pattern, stop, ngrams in itertools.product(
        ("word", "char", "char_wb"),
        (True, False),
        (None, "ascii", "unicode"),
        PATTERNS,
        (None, ("ab", "é")),
        ((1, 1), (1, 2), (2, 3), (1, 6)),
    ):
        of_words = kind == "word"
        if not of_words and (pattern != PATTERNS[0] or stop):
            continue
        vectorizer = CountVectorizer(
            analyzer=kind,
            lowercase=lower,
            strip_accents=accents,
            token_pattern="(?u)" + pattern,
            stop_words=None if stop is None else list(stop),
            ngram_range=ngrams,
        )
        declared = analyzer(
            kind=kind,
            lowercase=lower,
            strip_accents=accents,
            token_pattern=pattern if of_words else None,
            stop_words=stop,
            ngram_range=ngrams,
        )
        found.append((vectorizer, TermReader(declared)))
    return found


@pytest.mark.filterwarnings("ignore:Your stop_words may be inconsistent")
@settings(max_examples=20, deadline=None)
@given(TEXTS)
def test_the_terms_are_those_of_scikit_learn(text: str):
    for vectorizer, reader in VARIANTS:
        assert reader.terms(text) == vectorizer.build_analyzer()(text)


VARIANTS = variants()


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_hashed_terms_fall_into_the_columns_of_scikit_learn(texts: list[str]):
    reader = TermReader(analyzer(hashing=Hashing(features=7, signed=True)))
    columns, counts = reader.pack(reader.count(texts))
    got = np.zeros((len(texts), 8))
    np.add.at(got, (np.arange(len(texts))[:, None], columns), counts)
    expected = HashingVectorizer(n_features=7, norm=None).transform(texts).toarray()
    assert np.array_equal(got[:, :7], expected)
    assert not got[:, 7].any()


@pytest.mark.parametrize("count", [1, 500])
def test_murmurhash3_is_that_of_scikit_learn(count: int):
    texts = [os.urandom(length % 23) for length in range(500)]
    expected = [murmurhash3_bytes_s32(text, 0) for text in texts]
    assert [h for i in range(0, 500, count) for h in murmurhash3(texts[i : i + count])] == expected


def test_terms_are_packed_sorted_with_their_counts():
    reader = TermReader(analyzer())
    terms, counts = reader.pack(reader.count(["to be or not to be", "", "zz aa"]))
    assert terms.tolist() == [["be", "not", "or", "to"], ["", "", "", ""], ["aa", "zz", "", ""]]
    assert counts.tolist() == [[2, 1, 1, 2], [0, 0, 0, 0], [1, 1, 0, 0]]


def test_the_length_of_a_text_is_bounded():
    reader = TermReader(analyzer(kind="char", token_pattern=None, ngram_range=(1, 2)))
    reader.check("a" * (MAX_TERMS // 2 - 1))
    with pytest.raises(MisfitError):
        reader.check("a" * MAX_TERMS)
    with pytest.raises(MisfitError):
        TermReader(analyzer(strip_accents="unicode")).check("\ufdfa" * (MAX_TERMS // 4))


@pytest.mark.parametrize("declared", ["14.0.0", "99.0.0"])
def test_a_character_that_versions_of_unicode_treat_otherwise_is_refused(
    declared: str, monkeypatch: pytest.MonkeyPatch
):
    """U+31350 is an ideograph since 15.0; U+E0FFF is assigned by none; U+1FAE8 is an emoji since 15.0."""
    running = unicode_tables.VERSION
    monkeypatch.setattr(unicode_tables, "VERSION", running)
    reader = TermReader(analyzer(unicode=declared))
    reader.check("Größe 😀 日本")
    if declared == running:
        reader.check("\U00031350")
        return
    doubtful = "\U00031350" if running > "14.0.0" else "\U000e0fff"
    if declared == "99.0.0":
        doubtful = "\U000e0fff"
    with pytest.raises(MisfitError, match="Unicode"):
        reader.check(f"word {doubtful}")
