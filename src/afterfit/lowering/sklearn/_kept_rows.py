"""Models that answer by comparing a row with rows that they kept: distances, and what rounding does to the sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import constant
from afterfit.lowering.sklearn._kernels import direct_euclidean, squared_norms

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context

_SAFE_EXPONENT = 64.0
_ROUNDINGS = 16
"""How many roundings of float64 a term of a sum may have gone through: a few in the kernel, one for each addition."""


def dense_rows(rows: Any) -> NDArray[np.float64]:
    """Rows that an estimator kept, also where it was fitted on a sparse matrix."""
    return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows, dtype=np.float64)


def scaled_squares(X: Var, Y: NDArray[np.float64], gamma: float) -> Var:
    """`gamma * |x - y|^2` `[N, m]`, to be negated and put into an exponential.

    As a product of matrices around the centre of `Y` where rounding stays below that of the exponential, which
    many times faster; otherwise feature by feature.
    """
    centred = Y - Y.mean(axis=0)
    norms = np.einsum("ij,ij->i", centred, centred)
    if not gamma * norms.max(initial=0.0) < _SAFE_EXPONENT:
        return op.mul(constant(gamma), direct_euclidean(X, Y, squared=True))
    moved = op.sub(X, constant(Y.mean(axis=0)))
    products = op.matmul(moved, constant(-2.0 * centred.T))
    squares = op.add(op.add(products, squared_norms(moved)), constant(norms[None, :]))
    return op.mul(constant(gamma), op.max([squares, constant(0.0)]))


def note_cancellation(
    estimator: Any,
    kernel: NDArray[np.float64],
    weights: NDArray[np.float64],
    shift: Any,
    scale: Any,
    context: Context,
    way_out: str,
) -> None:
    """Say how far rounding moves `(kernel @ weights) * scale + shift`, given `kernel` at the rows kept `[m, m]`.

    `weights` is `[m]` or `[m, k]`. Nothing is said where it is less than what parity allows anyway.
    """
    weights = weights.reshape(len(weights), -1)
    sums = kernel @ weights * scale + shift
    terms = (np.abs(kernel) @ np.abs(weights) * np.abs(scale)).max(initial=0.0)
    answers = max(1.0, float(np.abs(sums).max(initial=0.0)))
    error = _ROUNDINGS * np.finfo(np.float64).eps * terms / answers
    if error > 1e-13:
        context.note_rounding(estimator, 10 * error, way_out)
