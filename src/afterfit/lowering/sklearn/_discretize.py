"""KBinsDiscretizer and Binarizer: numbers into few values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import inverts, lowers
from afterfit.lowering._table import Block, OneHot, Table, constant, round_to_float32
from afterfit.lowering.sklearn._array import FloatArray, transformed
from afterfit.lowering.sklearn._search import search_sorted

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context


@lowers("sklearn.preprocessing.KBinsDiscretizer")
def lower_k_bins_discretizer(estimator: Any, X: Table, context: Context) -> Table:
    array = FloatArray(estimator, X, context)
    dtype = np.dtype(estimator.dtype or array.dtype)
    x = round_to_float32(array.var) if dtype == np.float32 and not array.single else array.var
    edges = [np.asarray(found, dtype=np.float64)[1:-1] for found in estimator.bin_edges_]
    for position, inner in enumerate(edges):
        context.note_thresholds(x, X, position, inner)
    bins = search_sorted(x, edges, right=True)
    origins = transformed(X.origins)
    if estimator.encode == "ordinal":
        return Table.of(bins, X.width, dtype, origins).within(0.0, float(max(estimator.n_bins_) - 1))
    indices = op.cast(bins, to=np.int64)
    blocks = [
        Block.of(
            OneHot(op.gather(indices, constant(j, np.int64), axis=1)),
            int(width),
            dtype,
            [origins[j]] * int(width),
        )
        for j, width in enumerate(estimator.n_bins_)
    ]
    return Table(tuple(blocks), sparse=estimator.encode == "onehot")


@inverts("sklearn.preprocessing.KBinsDiscretizer")
def invert_k_bins_discretizer(estimator: Any, values: Var, context: Context) -> Var:
    """The middle of each bin; only bins given by their number can be told from values."""
    if estimator.encode != "ordinal":
        raise context.refuse(estimator, "its inverse_transform reads one-hot columns", "Set encode='ordinal'")
    most = max(len(edges) for edges in estimator.bin_edges_)
    middles = np.full((most, len(estimator.bin_edges_)), np.nan)
    for j, edges in enumerate(estimator.bin_edges_):
        middles[: len(edges) - 1, j] = (edges[1:] + edges[:-1]) * 0.5
    return op.gather_elements(constant(middles), op.cast(values, to=np.int64), axis=0)


@lowers("sklearn.preprocessing.Binarizer")
def lower_binarizer(estimator: Any, X: Table, context: Context) -> Table:
    """1 above the threshold, which is rounded to the dtype of the array it is compared with."""
    array = FloatArray(estimator, X, context)
    joined = X.joined()
    threshold = float(np.float32(estimator.threshold)) if array.single else float(estimator.threshold)
    for position in range(X.width):
        context.note_thresholds(array.var, X, position, np.array([threshold]), learned=False)
    above = op.cast(op.greater(array.var, constant(threshold)), to=np.float64)
    table = Table.of(above, X.width, joined.blocks[0].dtype, transformed(X.origins))
    return replace(table.within(0.0, 1.0), sparse=X.sparse)
