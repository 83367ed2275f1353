"""Words and their counts.

ONNX has no operator that splits text into words as Python does: its regular expressions know ASCII words only,
its splits take one literal delimiter at a time, and its change to lower case needs a locale of the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers, refuse
from afterfit.lowering._table import Table, constant, round_to_float32
from afterfit.schema import Bounds

if TYPE_CHECKING:
    from afterfit.lowering._context import Context

refuse(
    "ONNX has no operator that splits text into words, or changes it to lower case, as Python does for every text",
    "Count the words before X is given, and save the model that reads the counts",
    "sklearn.feature_extraction.text.CountVectorizer",
    "sklearn.feature_extraction.text.HashingVectorizer",
    "sklearn.feature_extraction.text.TfidfVectorizer",
)
refuse(
    "it reads dicts of any keys, and a graph has a fixed set of columns",
    "Make a table of the dicts (pandas.DataFrame) and encode its columns with OneHotEncoder",
    "sklearn.feature_extraction.DictVectorizer",
    "sklearn.feature_extraction.FeatureHasher",
)


@lowers("sklearn.feature_extraction.text.TfidfTransformer")
def lower_tfidf_transformer(estimator: Any, X: Table, context: Context) -> Table:
    """Counts times the weights of their words, each row of length 1."""
    values = context.numbers(estimator, X)
    single = X.number_dtype == np.float32
    if single:
        context.note_float32_sum(estimator)
    if estimator.sublinear_tf:
        context.note_domain(X, Bounds(minimum=0.0))
        nothing = op.equal(values, constant(0.0))
        values = op.where(nothing, values, op.add(op.log(values), constant(1.0)))
    if estimator.use_idf:
        values = op.mul(values, constant(estimator.idf_))
    if estimator.norm is not None:
        squares = op.abs(values) if estimator.norm == "l1" else op.mul(values, values)
        norms = op.reduce_sum(squares, constant([1], np.int64))
        norms = norms if estimator.norm == "l1" else op.sqrt(norms)
        values = op.div(values, op.where(op.equal(norms, constant(0.0)), constant(1.0), norms))
    dtype = np.float32 if single else np.float64
    table = Table.of(round_to_float32(values) if single else values, X.width, dtype)
    return Table(table.blocks, sparse=True)
