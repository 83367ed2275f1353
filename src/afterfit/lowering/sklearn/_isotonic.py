"""Isotonic regression: straight lines between the points it learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Regression, Table, constant, round_to_float32
from afterfit.schema import Bounds

if TYPE_CHECKING:
    from spox import Var

    from afterfit.lowering._context import Context


@lowers("sklearn.isotonic.IsotonicRegression")
def lower_isotonic_regression(estimator: Any, X: Table, context: Context) -> Regression:
    if X.width != 1:
        raise context.refuse(estimator, f"it receives {X.width} columns and takes one", "Select one column")
    if estimator.out_of_bounds == "raise":
        ends = Bounds(minimum=float(estimator.X_min_), maximum=float(estimator.X_max_))
        context.require(estimator, X, ends)
    value = op.reshape(context.numbers(estimator, X), constant([-1], np.int64))
    return Regression(interpolate(estimator, value))


def interpolate(estimator: Any, value: Var) -> Var:
    """The value of a fitted isotonic regression at `value` float64 `[N]`, as `scipy.interpolate.interp1d` has it.

    Outside of the points it is NaN where the regression does not clip.
    """
    x, y = estimator.X_thresholds_, estimator.y_thresholds_
    single = x.dtype == np.float32
    if single:
        value = round_to_float32(value)
    if estimator.out_of_bounds == "clip":
        value = op.clip(value, constant(estimator.X_min_), constant(estimator.X_max_))
    if len(y) == 1:
        return op.add(op.mul(value, constant(0.0)), constant(y[0]))
    column = op.unsqueeze(value, constant([1], np.int64))
    # At a point it learned, float64 takes the line that begins there (NumPy) and float32 the one that ends (SciPy).
    passed = op.less(constant(x), column) if single else op.less_or_equal(constant(x), column)
    upper = op.reduce_sum(op.cast(passed, to=np.int64), constant([1], np.int64), keepdims=False)
    upper = op.min([op.max([upper, constant(1, np.int64)]), constant(len(x) - 1, np.int64)])
    lower = op.sub(upper, constant(1, np.int64))
    rounded = round_to_float32 if single else _kept
    slopes = np.diff(y) / np.diff(x)
    climbed = rounded(
        op.mul(op.gather(constant(slopes), lower), rounded(op.sub(value, op.gather(constant(x), lower))))
    )
    answer = rounded(op.add(climbed, op.gather(constant(y), lower)))
    outside = op.or_(op.less(value, constant(x[0])), op.greater(value, constant(x[-1])))
    return op.where(outside, constant(np.nan), answer)


def _kept(value: Var) -> Var:
    return value
