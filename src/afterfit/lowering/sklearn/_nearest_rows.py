"""The rows kept that lie nearest: how far, which, and where the library itself decides by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import Table, constant
from afterfit.lowering.sklearn._kept_rows import dense_rows
from afterfit.lowering.sklearn._kernels import (
    DISTANCES,
    direct_euclidean,
    euclidean,
    neighbours_bray_curtis,
    pairwise_distance,
    squared_norms,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context

_CLOSE = 1e-12
"""Distances this close, relative to their size, may be ordered either way: releases and algorithms round them apart."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows in order: `distances` float64 `[N, k]` and `positions` int64 `[N, k]`."""

    distances: Var
    positions: Var


def nearest_rows(estimator: Any, X: Table, count: int, context: Context) -> Neighbours:
    """The `count` rows nearest to each row, as `kneighbors` finds them.

    Which of two rows at the same distance is the last one in depends on the order in which scikit-learn visits
    them; those rows are noted as ties.
    """
    ranked_by_products = _is_euclidean(estimator) and estimator._fit_method == "brute"  # noqa: SLF001 - no public equivalent
    distances, noise = _distances(estimator, X, context, by_products=ranked_by_products)
    taken = min(count + 1, estimator.n_samples_fit_)
    # Rows that have no feature in common are at no distance, which the library sorts last.
    distances = op.where(op.isnan(distances), constant(np.inf), distances)
    values, positions = op.top_k(distances, constant([taken], np.int64), axis=1, largest=False)
    if taken > count:
        inside, outside = _column(values, count - 1), _column(values, count)
        close = op.less_or_equal(op.sub(outside, inside), op.add(noise, _margin(inside)))
        context.note_ties(_flat(op.or_(close, op.isinf(inside))))
    chosen = constant(np.arange(count), np.int64)
    values, positions = op.gather(values, chosen, axis=1), op.gather(positions, chosen, axis=1)
    if ranked_by_products:
        # As scikit-learn does it too: matrix products find the neighbours, and their distances are taken again.
        values = _exact_squares(estimator, context.numbers(estimator, X), positions)
    return Neighbours(_root(estimator, values), positions)


def rows_within(estimator: Any, X: Table, context: Context) -> tuple[Var, Var]:
    """The distances float64 `[N, m]` to all rows kept, and bool `[N, m]`: within the radius of `estimator`."""
    distances, noise = _distances(estimator, X, context, by_products=False)
    radius = estimator.radius**2 if _is_euclidean(estimator) else estimator.radius
    gap = op.abs(op.sub(distances, constant(radius)))
    close = op.less_or_equal(gap, op.add(noise, constant(_CLOSE * abs(radius))))
    context.note_ties(_any(close))
    return _root(estimator, distances), op.less_or_equal(distances, constant(radius))


def weights_of(estimator: Any, distances: Var, context: Context) -> Var | None:
    """The weight of each neighbour, None where all have the same: 1 / distance, or 1 for those at distance 0."""
    if estimator.weights in (None, "uniform"):
        return None
    if estimator.weights != "distance":
        raise context.refuse(
            estimator,
            "its weights come from a Python function",
            "Use weights='uniform' or 'distance' and fit again",
        )
    at_zero = op.equal(distances, constant(0.0))
    some = op.cast(op.unsqueeze(_any(at_zero), constant([1], np.int64)), to=np.bool_)
    return op.where(some, op.cast(at_zero, to=np.float64), op.div(constant(1.0), distances))


def _distances(estimator: Any, X: Table, context: Context, *, by_products: bool) -> tuple[Var, Var]:
    """Distances `[N, m]` (squared, where Euclidean) to the rows kept, and how far off the library's own may be.

    `by_products`: Euclidean ones as a product of matrices, which is fast, and off as the library's own are.
    """
    metric = estimator.effective_metric_
    if not isinstance(metric, str) or metric not in DISTANCES:
        raise context.refuse(
            estimator,
            f"its metric is {metric!r}",
            f"Use one of the metrics {', '.join(sorted(DISTANCES))} and fit again",
        )
    rows = dense_rows(estimator._fit_X)  # noqa: SLF001 - no public equivalent
    is_brute = estimator._fit_method == "brute"  # noqa: SLF001 - no public equivalent
    if X.number_dtype == np.float32 and is_brute:
        context.note_float32_sum(estimator)
    matrix = context.numbers(estimator, X)
    if not _is_euclidean(estimator):
        params = {
            name: value for name, value in estimator.effective_metric_params_.items() if value is not None
        }
        if metric == "braycurtis":
            return neighbours_bray_curtis(matrix, rows), constant([[1e-15]])
        return pairwise_distance(metric, matrix, rows, params), constant([[1e-15]])
    found = euclidean if by_products else direct_euclidean
    distances = found(matrix, rows, squared=True)
    if not is_brute:
        return distances, constant([[0.0]])
    largest = float(np.einsum("ij,ij->i", rows, rows).max())
    lengths = op.add(squared_norms(matrix), constant(largest))
    return distances, op.mul(lengths, constant(16 * np.finfo(np.float64).eps))


def _exact_squares(estimator: Any, matrix: Var, positions: Var) -> Var:
    """Squared distances `[N, k]` to the rows at `positions`, added up feature by feature."""
    kept = op.gather(constant(dense_rows(estimator._fit_X)), positions, axis=0)  # noqa: SLF001 - no public equivalent
    differences = op.sub(op.unsqueeze(matrix, constant([1], np.int64)), kept)
    return op.reduce_sum(op.mul(differences, differences), constant([2], np.int64), keepdims=False)


def _is_euclidean(estimator: Any) -> bool:
    return estimator.effective_metric_ in ("euclidean", "l2")


def _root(estimator: Any, distances: Var) -> Var:
    return op.sqrt(distances) if _is_euclidean(estimator) else distances


def _margin(distance: Var) -> Var:
    return op.mul(op.abs(distance), constant(_CLOSE))


def _column(values: Var, position: int) -> Var:
    return op.gather(values, constant([position], np.int64), axis=1)


def _flat(values: Var) -> Var:
    return op.reshape(values, constant([-1], np.int64))


def _any(values: Var) -> Var:
    """Bool `[N]`: whether one of a row of bool `[N, m]` holds."""
    counts = op.reduce_max(op.cast(values, to=np.int64), constant([1], np.int64), keepdims=False)
    return op.cast(counts, to=np.bool_)


def mean_of_rows(values: NDArray[Any], neighbours: Neighbours, weights: Var | None) -> Var:
    """The mean `[N, t]` of `values` `[m, t]` over the neighbours, weighted where `weights` `[N, k]` is given."""
    found = op.gather(constant(values), neighbours.positions, axis=0)
    axis = constant([1], np.int64)
    if weights is None:
        return op.reduce_mean(found, axis, keepdims=False)
    weighted = op.mul(found, op.unsqueeze(weights, constant([2], np.int64)))
    return op.div(op.reduce_sum(weighted, axis, keepdims=False), op.reduce_sum(weights, axis))
