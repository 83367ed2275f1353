"""Words and their counts.

ONNX has no operator that splits text into words as Python does, so the schema declares the analyzer and terms reach
the graph counted. What is left, from the vocabulary to the weights, is in the graph; a row is the terms it has,
and a matrix of the whole vocabulary is made only for a model that needs one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import spox.opset.ai.onnx.ml.v5 as ml
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers, refuse
from afterfit.lowering._table import Block, Table, Terms, constant, round_to_float32
from afterfit.schema import MAX_NGRAM, UNICODE_VERSION, Analyzer, Bounds, Hashing, TokenPattern

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context

refuse(
    "it reads dicts of any keys, and a graph has a fixed set of columns",
    "Make a table of the dicts (pandas.DataFrame) and encode its columns with OneHotEncoder",
    "sklearn.feature_extraction.DictVectorizer",
    "sklearn.feature_extraction.FeatureHasher",
)

_PATTERNS: tuple[TokenPattern, ...] = get_args(TokenPattern)
_SPELLINGS: dict[str, TokenPattern] = {
    **{prefix + pattern: pattern for pattern in _PATTERNS for prefix in ("", "(?u)")},
    **{prefix + r"\w+": _PATTERNS[1] for prefix in ("", "(?u)")},
    **{prefix + r"\w\w+": _PATTERNS[0] for prefix in ("", "(?u)")},
    **{prefix + r"\b\w{2,}\b": _PATTERNS[0] for prefix in ("", "(?u)")},
}
"""Spellings of a token_pattern that find the same words."""

_BEFORE = "Do that step before X is given, so that X holds its result, and fit again without it"


@lowers("sklearn.feature_extraction.text.CountVectorizer")
def lower_count_vectorizer(estimator: Any, X: Table, context: Context) -> Table:
    """How often each term of the vocabulary comes."""
    number, terms, counts = _analyzed(estimator, X, context, None)
    vocabulary = getattr(estimator, "vocabulary_", None)
    if not vocabulary:
        raise context.refuse(estimator, "it has no vocabulary", "Fit it")
    known = {term: int(index) for term, index in vocabulary.items() if isinstance(term, str)}
    width = len(vocabulary)
    index = ml.label_encoder(
        terms,
        keys_tensor=np.array(list(known), dtype=object),
        values_tensor=np.array(list(known.values()), dtype=np.int64),
        default_tensor=np.array([width], dtype=np.int64),
    )
    inside = op.less(index, constant(width, np.int64))
    values = op.where(inside, counts, constant(0.0))
    if estimator.binary:
        values = _present(values)
    return _table(estimator, Terms(index, values, width, number), context)


@lowers("sklearn.feature_extraction.text.TfidfVectorizer")
def lower_tfidf_vectorizer(estimator: Any, X: Table, context: Context) -> Table:
    counted = lower_count_vectorizer(estimator, X, context)
    return lower_tfidf_transformer(estimator._tfidf, counted, context)  # noqa: SLF001 - no public equivalent


@lowers("sklearn.feature_extraction.text.HashingVectorizer")
def lower_hashing_vectorizer(estimator: Any, X: Table, context: Context) -> Table:
    """How often the terms of each hashed column come, by their signs unless it only asks whether they do."""
    width = int(estimator.n_features)
    # Signs may cancel in a column that scikit-learn still counts as present.
    signed = bool(estimator.alternate_sign) and not estimator.binary
    number, index, values = _analyzed(estimator, X, context, Hashing(features=width, signed=signed))
    if estimator.binary:
        values = _present(values)
    table = _table(estimator, Terms(index, values, width, number), context)
    return table if estimator.norm is None else _normalized(table, estimator.norm, context)


@lowers("sklearn.feature_extraction.text.TfidfTransformer")
def lower_tfidf_transformer(estimator: Any, X: Table, context: Context) -> Table:
    """Counts times the weights of their words, each row of length 1."""
    single = X.number_dtype == np.float32
    if single:
        context.note_float32_sum(estimator)
    terms = X.terms
    index = None if terms is None else context.read_terms(estimator, X.blocks[0], terms).index
    values = context.numbers(estimator, X) if terms is None else terms.values
    if estimator.sublinear_tf:
        context.note_domain(X, Bounds(minimum=0.0))
        nothing = op.equal(values, constant(0.0))
        values = op.where(nothing, values, op.add(op.log(values), constant(1.0)))
    # An idf_ given without use_idf is used all the same.
    idf = getattr(estimator, "idf_", None)
    if idf is not None:
        values = op.mul(values, _weights(idf, index))
    values = round_to_float32(values) if single else values
    dtype = np.float32 if single else np.float64
    table = X.with_terms(values, dtype) if terms is not None else _sparse(values, X.width, dtype)
    return table if estimator.norm is None else _normalized(table, estimator.norm, context)


def _weights(idf: NDArray[Any], index: Var | None) -> Var:
    if index is None:
        return constant(idf)
    return op.gather(constant(np.append(idf, 0.0)), index)


def _normalized(table: Table, norm: str, context: Context) -> Table:
    """Each row divided by its length, unless that is 0.

    Squares are added one after another, as scikit-learn does: a tree behind them compares exact values.
    """
    terms = table.terms
    single = table.blocks[0].dtype == np.float32
    values = context.numbers(None, table) if terms is None else terms.values
    parts = op.abs(values) if norm == "l1" else op.mul(values, values)
    last = constant([-1], np.int64)
    norms = op.gather(op.cumsum(parts, constant(1, np.int64)), last, axis=1)
    norms = norms if norm == "l1" else op.sqrt(norms)
    values = op.div(values, op.where(op.equal(norms, constant(0.0)), constant(1.0), norms))
    values = round_to_float32(values) if single else values
    if terms is None:
        return _sparse(values, table.width, table.blocks[0].dtype)
    return table.with_terms(values, table.blocks[0].dtype)


def _sparse(values: Var, width: int, dtype: Any) -> Table:
    return replace(Table.of(values, width, dtype), sparse=True)


def _present(values: Var) -> Var:
    return op.cast(op.greater(values, constant(0.0)), to=np.float64)


def _table(estimator: Any, terms: Terms, context: Context) -> Table:
    dtype = np.dtype(estimator.dtype)
    if dtype.kind not in "iuf" or dtype.itemsize < 4:
        raise context.refuse(
            estimator, f"it counts in {dtype}", "Choose dtype=numpy.int64 or numpy.float64 and fit again"
        )
    return Table((Block.of(terms, terms.width, dtype),), sparse=True)


def _analyzed(estimator: Any, X: Table, context: Context, hashing: Hashing | None) -> tuple[int, Var, Var]:
    """The number of the analysis, and the terms (or their columns) and counts `[N, T]` of the texts."""
    analyzer = _analyzer(estimator, context, hashing)
    if not X.flat or X.width != 1:
        raise context.refuse(
            estimator,
            "it reads a sequence of texts, and it receives a table",
            "Give X as a list of str or a Series, or name the column in a ColumnTransformer as a string, not in a list",
        )
    block = X.blocks[0]
    origin = block.origins[0]
    raw = None if origin is None else context.raw.column(origin.column)
    if raw is None or not block.is_text or block.source is not raw.source or block.picks != raw.picks:
        held = "text that an earlier step computed" if block.is_text else "numbers"
        raise context.refuse(estimator, f"it receives {held}, and it reads raw text alone", _BEFORE)
    number, analysis = context.analyze(block, analyzer)
    return number, analysis.terms, analysis.counts


def _analyzer(estimator: Any, context: Context, hashing: Hashing | None) -> Analyzer:
    """The analyzer as the schema declares it; refuses functions and patterns that it cannot."""
    if estimator.input != "content":
        raise context.refuse(
            estimator, f"it reads input={estimator.input!r}", "Give the texts themselves (input='content')"
        )
    for name in ("analyzer", "tokenizer", "preprocessor", "strip_accents"):
        if callable(getattr(estimator, name)):
            raise context.refuse(estimator, f"its {name} is a function, which a bundle cannot hold", _BEFORE)
    shortest, longest = (int(length) for length in estimator.ngram_range)
    if not 1 <= shortest <= longest <= MAX_NGRAM:
        raise context.refuse(
            estimator,
            f"its ngram_range is {estimator.ngram_range}",
            f"Choose n-grams of 1 to {MAX_NGRAM} and fit again",
        )
    of_words = estimator.analyzer == "word"
    stop_words = estimator.get_stop_words() if of_words else None
    return Analyzer(
        kind=estimator.analyzer,
        lowercase=bool(estimator.lowercase),
        strip_accents=estimator.strip_accents or None,
        token_pattern=_token_pattern(estimator, context) if of_words else None,
        stop_words=None if stop_words is None else tuple(sorted(stop_words)),
        ngram_range=(shortest, longest),
        hashing=hashing,
        unicode=UNICODE_VERSION,
        input=0,
        matrix_width=0,
    )


def _token_pattern(estimator: Any, context: Context) -> TokenPattern:
    found = _SPELLINGS.get(estimator.token_pattern) if isinstance(estimator.token_pattern, str) else None
    if found is None:
        raise context.refuse(
            estimator,
            f"its token_pattern is {estimator.token_pattern!r}, and regular expressions differ between languages",
            "Choose one of " + ", ".join(repr(f"(?u){pattern}") for pattern in _PATTERNS) + " and fit again",
        )
    return found
