"""Kernel ridge regression: a weighted sum of kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Regression, Table, constant
from afterfit.lowering.sklearn._kept_rows import dense_rows, note_cancellation
from afterfit.lowering.sklearn._kernels import KERNELS, pairwise_kernel, require_domain
from afterfit.lowering.sklearn._links import flat

if TYPE_CHECKING:
    from afterfit.lowering._context import Context


@lowers("sklearn.kernel_ridge.KernelRidge")
def lower_kernel_ridge(estimator: Any, X: Table, context: Context) -> Regression:
    kernel = estimator.kernel
    if not isinstance(kernel, str) or kernel not in KERNELS:
        raise context.refuse(
            estimator,
            f"its kernel is {kernel!r}",
            f"Use one of the kernels {', '.join(sorted(KERNELS))} and fit again",
        )
    if X.number_dtype == np.float32:
        context.note_float32_sum(estimator)
    require_domain(estimator, kernel, X, context)
    matrix = context.numbers(estimator, X)
    kept = dense_rows(estimator.X_fit_)
    weights = np.asarray(estimator.dual_coef_, dtype=np.float64)
    known = estimator._get_kernel(kept, kept)  # noqa: SLF001 - no public equivalent
    note_cancellation(estimator, known, weights, 0.0, 1.0, context, "Use a larger alpha, and fit again")
    params = {"gamma": estimator.gamma, "degree": estimator.degree, "coef0": estimator.coef0}
    sums = op.matmul(
        pairwise_kernel(kernel, matrix, kept, params), constant(weights.reshape(len(weights), -1))
    )
    return Regression(flat(sums)) if weights.ndim == 1 else Regression(sums, targets=weights.shape[1])
