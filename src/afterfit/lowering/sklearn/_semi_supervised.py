"""Labels that spread from the rows near by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Table, constant
from afterfit.lowering.sklearn._kept_rows import dense_rows
from afterfit.lowering.sklearn._kernels import pairwise_kernel
from afterfit.lowering.sklearn._links import most_likely
from afterfit.lowering.sklearn._nearest_rows import nearest_rows

if TYPE_CHECKING:
    from afterfit.lowering._context import Context


@lowers("sklearn.semi_supervised.LabelPropagation", "sklearn.semi_supervised.LabelSpreading")
def lower_label_propagation(estimator: Any, X: Table, context: Context) -> Classification:
    """The labels of the rows kept, weighted by a kernel or of the nearest; NaN where every weight is 0."""
    axis = constant([1], np.int64)
    shares = constant(estimator.label_distributions_)
    if estimator.kernel == "knn":
        neighbours = nearest_rows(estimator.nn_fit, X, estimator.n_neighbors, context)
        votes = op.reduce_sum(op.gather(shares, neighbours.positions, axis=0), axis, keepdims=False)
    elif estimator.kernel == "rbf":
        if X.number_dtype == np.float32:
            context.note_float32_sum(estimator)
        matrix = context.numbers(estimator, X)
        kernel = pairwise_kernel("rbf", matrix, dense_rows(estimator.X_), {"gamma": estimator.gamma})
        votes = op.matmul(kernel, shares)
    else:
        raise context.refuse(
            estimator, "its kernel is a Python function", "Use kernel='rbf' or 'knn' and fit again"
        )
    probabilities = op.div(votes, op.reduce_sum(votes, axis))
    return most_likely(estimator.classes_, probabilities, probabilities)
