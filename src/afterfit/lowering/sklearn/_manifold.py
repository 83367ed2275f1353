"""Manifolds that place new rows by the rows they kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Table, constant
from afterfit.lowering.sklearn._kernel_features import scaled_eigenvectors
from afterfit.lowering.sklearn._neighbours import Neighbours, nearest_rows
from afterfit.lowering.sklearn._project import centred_kernel

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context

_MOST_NEIGHBOURS = 16


@lowers("sklearn.manifold.Isomap")
def lower_isomap(estimator: Any, X: Table, context: Context) -> Table:
    """The shortest ways to every row kept, by way of the neighbours of a row, through the fitted KernelPCA."""
    _check(estimator, X, context)
    if estimator.n_neighbors is None:
        raise context.refuse(
            estimator, "its neighbours are those within a radius", "Set n_neighbors and fit again"
        )
    neighbours = nearest_rows(estimator.nbrs_, X, estimator.n_neighbors, context)
    ways = constant(np.asarray(estimator.dist_matrix_, dtype=np.float64))
    shortest = op.min(
        [
            op.add(
                op.gather(ways, _column(neighbours.positions, j, flat=True), axis=0),
                _column(neighbours.distances, j),
            )
            for j in range(estimator.n_neighbors)
        ]
    )
    kernel = op.mul(op.mul(shortest, shortest), constant(-0.5))
    inner = estimator.kernel_pca_
    centred = centred_kernel(inner._centerer, kernel)  # noqa: SLF001 - no public equivalent
    vectors = scaled_eigenvectors(inner)
    return Table.of(op.matmul(centred, constant(vectors)), vectors.shape[1])


@lowers("sklearn.manifold.LocallyLinearEmbedding")
def lower_locally_linear_embedding(estimator: Any, X: Table, context: Context) -> Table:
    """The combination of its neighbours that comes nearest to a row, taken among their places.

    S. Roweis and L. Saul, Nonlinear dimensionality reduction by locally linear embedding. The weights solve a small
    system of equations for each row, by Cholesky's method.
    """
    _check(estimator, X, context)
    count = estimator.n_neighbors
    if count > _MOST_NEIGHBOURS:
        raise context.refuse(
            estimator,
            f"it solves {count} equations for each row, and the graph holds {_MOST_NEIGHBOURS} at most",
            f"Set n_neighbors to {_MOST_NEIGHBOURS} or fewer and fit again",
        )
    neighbours = nearest_rows(estimator.nbrs_, X, count, context)
    weights = _barycentric_weights(estimator, context.numbers(estimator, X), neighbours)
    places = op.gather(constant(estimator.embedding_), neighbours.positions, axis=0)
    weighted = op.mul(places, op.unsqueeze(weights, constant([2], np.int64)))
    return Table.of(op.reduce_sum(weighted, constant([1], np.int64), keepdims=False), estimator.n_components)


def _check(estimator: Any, X: Table, context: Context) -> None:
    if X.number_dtype == np.float32:
        raise context.refuse(
            estimator, "it computes in float32", "Convert the columns to float64 before fitting"
        )


def _barycentric_weights(estimator: Any, x: Var, neighbours: Neighbours) -> Var:
    """Weights `[N, k]` that add up to 1: those of `barycenter_weights`."""
    rows = constant(np.asarray(estimator.nbrs_._fit_X, dtype=np.float64))  # noqa: SLF001 - no public equivalent
    apart = op.sub(op.gather(rows, neighbours.positions, axis=0), op.unsqueeze(x, constant([1], np.int64)))
    gram = op.matmul(apart, op.transpose(apart, perm=[0, 2, 1]))
    count = estimator.n_neighbors
    flat = op.reshape(gram, constant([-1, count * count], np.int64))
    entries = [[_column(flat, i * count + j) for j in range(count)] for i in range(count)]
    trace = op.sum([entries[i][i] for i in range(count)])
    ridge = op.mul(
        op.where(op.greater(trace, constant(0.0)), trace, constant(1.0)), constant(float(estimator.reg))
    )
    for i in range(count):
        entries[i][i] = op.add(entries[i][i], ridge)
    weights = op.concat(_solve_for_ones(entries), axis=1)
    return op.div(weights, op.reduce_sum(weights, constant([1], np.int64)))


def _solve_for_ones(matrix: list[list[Var]]) -> list[Var]:
    """The solution of `matrix @ w = 1` for a positive definite matrix of columns `[N, 1]`, by Cholesky."""
    count = len(matrix)
    lower: list[list[Var]] = [[] for _ in range(count)]
    for i in range(count):
        for j in range(i + 1):
            rest = matrix[i][j]
            for k in range(j):
                rest = op.sub(rest, op.mul(lower[i][k], lower[j][k]))
            lower[i].append(op.sqrt(rest) if i == j else op.div(rest, lower[j][j]))
    forward: list[Var] = []
    for i in range(count):
        rest = constant([[1.0]])
        for k in range(i):
            rest = op.sub(rest, op.mul(lower[i][k], forward[k]))
        forward.append(op.div(rest, lower[i][i]))
    solution: dict[int, Var] = {}
    for i in reversed(range(count)):
        rest = forward[i]
        for k in range(i + 1, count):
            rest = op.sub(rest, op.mul(lower[k][i], solution[k]))
        solution[i] = op.div(rest, lower[i][i])
    return [solution[i] for i in range(count)]


def _column(values: Var, position: int, *, flat: bool = False) -> Var:
    return op.gather(values, constant(position if flat else [position], np.int64), axis=1)
