"""Kernels and distances between the rows of a graph value and the rows that an estimator kept.

Each is computed as `sklearn.metrics.pairwise` computes it, in float64, so that rounding agrees too: what scikit-learn
multiplies as matrices is multiplied as matrices here, and what it adds up feature by feature is added up so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import constant
from afterfit.schema import Bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Table

NOT_NEGATIVE = Bounds(minimum=0.0)


def pairwise_kernel(metric: str, X: Var, Y: NDArray[Any], params: Mapping[str, Any] | None = None) -> Var:
    """`sklearn.metrics.pairwise.pairwise_kernels(X, Y, metric, **params)`.

    `X` is float64 `[N, d]`, `Y` `[m, d]`; returns float64 `[N, m]`. `params` may hold `gamma`, `degree` and
    `coef0`; those the kernel does not have, and those that are None, are passed over. `metric` is one of `KERNELS`,
    which callers check, and for which they call `require_domain`.
    """
    known = {name: value for name, value in (params or {}).items() if value is not None}
    return _KERNELS[metric](X, np.asarray(Y, dtype=np.float64), known)


def require_domain(estimator: object, metric: str, X: Table, context: Context) -> None:
    """Have the schema keep out what `pairwise_kernels` raises an error for: negative values, of some kernels."""
    if metric in ("additive_chi2", "chi2"):
        context.require(estimator, X, NOT_NEGATIVE)


def pairwise_distance(metric: str, X: Var, Y: NDArray[Any], params: Mapping[str, Any] | None = None) -> Var:
    """`sklearn.metrics.pairwise.pairwise_distances(X, Y, metric, **params)`, shapes as in `pairwise_kernel`.

    `metric` is one of `DISTANCES`, which callers check. `params` may hold `p` and `w` of `minkowski`.
    """
    return _DISTANCES[metric](X, np.asarray(Y, dtype=np.float64), dict(params or {}))


def neighbours_bray_curtis(X: Var, Y: NDArray[Any]) -> Var:
    """The Bray-Curtis distance of scikit-learn's neighbour searches, shapes as in `pairwise_distance`.

    They divide by the sum of |x| + |y|, SciPy by that of |x + y|.
    """
    sums = _added_up(X, Y, lambda x, y: op.add(op.abs(x), op.abs(y)))
    return _guarded_ratio(_manhattan(X, Y, {}), sums)


def euclidean(X: Var, Y: NDArray[Any], *, squared: bool = False) -> Var:
    """Euclidean distances `[N, m]` as |x|^2 - 2 x.y + |y|^2, which is how scikit-learn does it for dense rows."""
    Y = np.asarray(Y, dtype=np.float64)
    products = op.mul(constant(-2.0), op.matmul(X, constant(Y.T)))
    distances = op.add(op.add(products, squared_norms(X)), constant(np.einsum("ij,ij->i", Y, Y)[None, :]))
    distances = op.max([distances, constant(0.0)])
    return distances if squared else op.sqrt(distances)


def direct_euclidean(X: Var, Y: NDArray[Any], *, squared: bool = False) -> Var:
    """Euclidean distances `[N, m]` added up feature by feature, as SciPy's `cdist` and the neighbour trees do."""
    distances = _added_up(X, np.asarray(Y, dtype=np.float64), _squared_difference)
    return distances if squared else op.sqrt(distances)


def nan_euclidean(X: Var, Y: NDArray[Any], *, squared: bool = False) -> Var:
    """Euclidean distances `[N, m]` over the features present in both rows, scaled up for those that are missing.

    NaN where two rows have no feature in common.
    """
    Y = np.asarray(Y, dtype=np.float64)
    missing_X, missing_Y = op.isnan(X), np.isnan(Y)
    filled_X, filled_Y = op.where(missing_X, constant(0.0), X), np.where(missing_Y, 0.0, Y)
    gaps_X = op.cast(missing_X, to=np.float64)
    distances = euclidean(filled_X, filled_Y, squared=True)
    distances = op.sub(distances, op.matmul(op.mul(filled_X, filled_X), constant(missing_Y.T)))
    distances = op.sub(distances, op.matmul(gaps_X, constant((filled_Y * filled_Y).T)))
    distances = op.max([distances, constant(0.0)])
    common = op.matmul(op.sub(constant(1.0), gaps_X), constant(~missing_Y.T))
    distances = op.div(distances, op.max([common, constant(1.0)]))
    distances = op.mul(distances, constant(float(Y.shape[1])))
    distances = op.where(op.equal(common, constant(0.0)), constant(np.nan), distances)
    return distances if squared else op.sqrt(distances)


def squared_norms(X: Var) -> Var:
    """The squared length of each row, `[N, 1]`."""
    return op.reduce_sum(op.mul(X, X), constant([1], np.int64))


def _normalized(X: Var) -> Var:
    """Rows of length 1; those of almost no length stay as they are."""
    norms = op.sqrt(squared_norms(X))
    small = op.less(norms, constant(10 * np.finfo(np.float64).eps))
    return op.div(X, op.where(small, constant(1.0), norms))


def _normalized_rows(Y: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.sqrt(np.einsum("ij,ij->i", Y, Y))
    return np.asarray(Y / np.where(norms < 10 * np.finfo(np.float64).eps, 1.0, norms)[:, None])


def _added_up(
    X: Var,
    Y: NDArray[np.float64],
    term: Callable[[Var, Var], Var],
    combine: Callable[[Var, Var], Var] = op.add,
) -> Var:
    """`term(x[:, j], y[:, j])` `[N, m]` added up over the features `j` in their order.

    One feature at a time: the whole of `[N, m, d]` would take gigabytes, and is slower for a single row as well.
    """
    total: Var | None = None
    for j in range(Y.shape[1]):
        x = op.gather(X, constant([j], np.int64), axis=1)
        found = term(x, constant(Y[None, :, j]))
        total = found if total is None else combine(total, found)
    if total is None:
        raise ValueError("rows without features have no distance")
    return total


def _squared_difference(x: Var, y: Var) -> Var:
    difference = op.sub(x, y)
    return op.mul(difference, difference)


def _absolute_difference(x: Var, y: Var) -> Var:
    return op.abs(op.sub(x, y))


def _guarded_ratio(numerator: Var, denominator: Var) -> Var:
    """The quotient, 0 where the denominator is 0."""
    none = op.equal(denominator, constant(0.0))
    return op.where(none, constant(0.0), op.div(numerator, op.where(none, constant(1.0), denominator)))


def _affine_products(X: Var, Y: NDArray[np.float64], params: Mapping[str, Any]) -> Var:
    """`gamma * x.y + coef0`."""
    products = op.mul(op.matmul(X, constant(Y.T)), constant(params.get("gamma", 1.0 / Y.shape[1])))
    return op.add(products, constant(params.get("coef0", 1)))


def _linear(X: Var, Y: NDArray[np.float64], _: Mapping[str, Any]) -> Var:
    return op.matmul(X, constant(Y.T))


def _polynomial(X: Var, Y: NDArray[np.float64], params: Mapping[str, Any]) -> Var:
    return op.pow(_affine_products(X, Y, params), constant(params.get("degree", 3)))


def _sigmoid(X: Var, Y: NDArray[np.float64], params: Mapping[str, Any]) -> Var:
    return op.tanh(_affine_products(X, Y, params))


def _rbf(X: Var, Y: NDArray[np.float64], params: Mapping[str, Any]) -> Var:
    gamma = params.get("gamma", 1.0 / Y.shape[1])
    return op.exp(op.mul(euclidean(X, Y, squared=True), constant(-gamma)))


def _laplacian(X: Var, Y: NDArray[np.float64], params: Mapping[str, Any]) -> Var:
    gamma = params.get("gamma", 1.0 / Y.shape[1])
    return op.exp(op.mul(_manhattan(X, Y, params), constant(-gamma)))


def _cosine(X: Var, Y: NDArray[np.float64], _: Mapping[str, Any]) -> Var:
    return op.matmul(_normalized(X), constant(_normalized_rows(Y).T))


def _additive_chi2(X: Var, Y: NDArray[np.float64], _: Mapping[str, Any]) -> Var:
    def term(x: Var, y: Var) -> Var:
        return _guarded_ratio(_squared_difference(x, y), op.add(x, y))

    return op.neg(_added_up(X, Y, term))


def _chi2(X: Var, Y: NDArray[np.float64], params: Mapping[str, Any]) -> Var:
    return op.exp(op.mul(_additive_chi2(X, Y, params), constant(params.get("gamma", 1.0))))


def _euclidean_distance(X: Var, Y: NDArray[np.float64], _: Mapping[str, Any]) -> Var:
    return euclidean(X, Y)


def _squared_euclidean(X: Var, Y: NDArray[np.float64], _: Mapping[str, Any]) -> Var:
    return direct_euclidean(X, Y, squared=True)


def _nan_euclidean_distance(X: Var, Y: NDArray[np.float64], _: Mapping[str, Any]) -> Var:
    return nan_euclidean(X, Y)


def _manhattan(X: Var, Y: NDArray[np.float64], _: Mapping[str, Any]) -> Var:
    return _added_up(X, Y, _absolute_difference)


def _chebyshev(X: Var, Y: NDArray[np.float64], _: Mapping[str, Any]) -> Var:
    return _added_up(X, Y, _absolute_difference, lambda a, b: op.max([a, b]))


def _minkowski(X: Var, Y: NDArray[np.float64], params: Mapping[str, Any]) -> Var:
    p, w = float(params.get("p", 2)), params.get("w")
    if w is None and p in (1.0, 2.0, np.inf):
        return {1.0: _manhattan, 2.0: _direct, np.inf: _chebyshev}[p](X, Y, params)

    def power(x: Var, y: Var) -> Var:
        return op.pow(_absolute_difference(x, y), constant(p))

    if w is None:
        return op.pow(_added_up(X, Y, power), constant(1.0 / p))
    weights = iter(np.asarray(w, dtype=np.float64))
    total = _added_up(X, Y, lambda x, y: op.mul(constant(next(weights)), power(x, y)))
    return op.pow(total, constant(1.0 / p))


def _direct(X: Var, Y: NDArray[np.float64], _: Mapping[str, Any]) -> Var:
    return direct_euclidean(X, Y)


def _cosine_distance(X: Var, Y: NDArray[np.float64], params: Mapping[str, Any]) -> Var:
    return op.clip(op.sub(constant(1.0), _cosine(X, Y, params)), constant(0.0), constant(2.0))


def _canberra(X: Var, Y: NDArray[np.float64], _: Mapping[str, Any]) -> Var:
    def term(x: Var, y: Var) -> Var:
        return _guarded_ratio(_absolute_difference(x, y), op.add(op.abs(x), op.abs(y)))

    return _added_up(X, Y, term)


def _bray_curtis(X: Var, Y: NDArray[np.float64], _: Mapping[str, Any]) -> Var:
    sums = _added_up(X, Y, lambda x, y: op.abs(op.add(x, y)))
    return op.div(_added_up(X, Y, _absolute_difference), sums)


def _hamming(X: Var, Y: NDArray[np.float64], _: Mapping[str, Any]) -> Var:
    def different(x: Var, y: Var) -> Var:
        return op.cast(op.not_(op.equal(x, y)), to=np.float64)

    return op.div(_added_up(X, Y, different), constant(float(Y.shape[1])))


_KERNELS: dict[str, Callable[[Var, NDArray[np.float64], Mapping[str, Any]], Var]] = {
    "linear": _linear,
    "poly": _polynomial,
    "polynomial": _polynomial,
    "sigmoid": _sigmoid,
    "rbf": _rbf,
    "laplacian": _laplacian,
    "cosine": _cosine,
    "additive_chi2": _additive_chi2,
    "chi2": _chi2,
}

_DISTANCES: dict[str, Callable[[Var, NDArray[np.float64], Mapping[str, Any]], Var]] = {
    "euclidean": _euclidean_distance,
    "l2": _euclidean_distance,
    "sqeuclidean": _squared_euclidean,
    "nan_euclidean": _nan_euclidean_distance,
    "manhattan": _manhattan,
    "cityblock": _manhattan,
    "l1": _manhattan,
    "chebyshev": _chebyshev,
    "infinity": _chebyshev,
    "minkowski": _minkowski,
    "p": _minkowski,
    "cosine": _cosine_distance,
    "canberra": _canberra,
    "braycurtis": _bray_curtis,
    "hamming": _hamming,
}

KERNELS = frozenset(_KERNELS)
"""The metrics that `pairwise_kernel` takes."""

DISTANCES = frozenset(_DISTANCES)
"""The metrics that `pairwise_distance` takes."""
