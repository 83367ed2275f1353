"""Mixtures of Gaussians: the component of a row, and how likely each is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._links import log_normalized, most_likely, refuse_float32
from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Table, constant

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context


@lowers("sklearn.mixture.GaussianMixture", "sklearn.mixture.BayesianGaussianMixture")
def lower_mixture(estimator: Any, X: Table, context: Context) -> Classification:
    """What is the same for every row is asked of the estimator itself, at a row of its own choice."""
    refuse_float32(estimator, X, context)
    matrix = context.numbers(estimator, X)
    distances = _squared_distances(estimator, matrix)
    halved = op.mul(constant(-0.5), op.add(constant(X.width * math.log(2 * math.pi)), distances))
    joint = op.add(halved, constant(_offsets(estimator, X.width)))
    return most_likely(np.arange(len(estimator.means_)), joint, log_normalized(joint))


def _offsets(estimator: Any, width: int) -> NDArray[np.float64]:
    """What each component adds to minus half its squared distance: determinant, weight and what else it has."""
    means = np.asarray(estimator.means_, dtype=np.float64)
    at_means = estimator._estimate_log_prob(means).diagonal()  # noqa: SLF001 - no public equivalent
    weights = estimator._estimate_log_weights()  # noqa: SLF001 - likewise
    return np.asarray(at_means + 0.5 * width * math.log(2 * math.pi) + weights)


def _squared_distances(estimator: Any, matrix: Var) -> Var:
    """The squared Mahalanobis distance to each component, `[N, k]`, in the library's own order of operations."""
    means, factors = estimator.means_, estimator.precisions_cholesky_
    if estimator.covariance_type in ("full", "tied"):
        columns = []
        for i, mean in enumerate(means):
            factor = factors[i] if estimator.covariance_type == "full" else factors
            rotated = op.sub(op.matmul(matrix, constant(factor)), constant(mean @ factor))
            columns.append(op.reduce_sum(op.mul(rotated, rotated), constant([1], np.int64)))
        return op.concat(columns, axis=1)
    precisions = factors**2
    squares = op.mul(matrix, matrix)
    if estimator.covariance_type == "diag":
        start = np.sum(means**2 * precisions, axis=1)
        crossed = op.matmul(matrix, constant((means * precisions).T))
        squared = op.matmul(squares, constant(precisions.T))
    else:
        start = np.sum(means**2, axis=1) * precisions
        crossed = op.matmul(matrix, constant(means.T * precisions))
        norms = op.reduce_sum(squares, constant([1], np.int64))
        squared = op.mul(norms, constant(precisions))
    return op.add(op.sub(constant(start), op.mul(constant(2.0), crossed)), squared)
