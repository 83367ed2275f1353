"""PowerTransformer and QuantileTransformer: columns brought to another distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import inverts, lowers
from afterfit.lowering._table import constant
from afterfit.lowering.sklearn._array import FloatArray
from afterfit.lowering.sklearn._search import search_sorted
from afterfit.lowering.sklearn._special import expm1, log1p, ndtri
from afterfit.schema import Bounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Table

_BOUND = 1e-7
"""How near an end of the quantiles a value is taken for it, `BOUNDS_THRESHOLD` of scikit-learn."""


@lowers("sklearn.preprocessing.PowerTransformer")
def lower_power_transformer(estimator: Any, X: Table, context: Context) -> Table:
    array = FloatArray(estimator, X, context)
    if array.single:
        context.note_float32_sum(estimator)
    if estimator.method == "box-cox":
        context.require(estimator, X, Bounds(exclusive_minimum=0.0))
    function = _box_cox if estimator.method == "box-cox" else _yeo_johnson
    array.replace(function(array.var, np.asarray(estimator.lambdas_, dtype=np.float64)))
    if not estimator.standardize:
        return array.table(traced=False)
    return context.lower_transformer(estimator._scaler, array.table(traced=False))  # noqa: SLF001 - no public equivalent


@inverts("sklearn.preprocessing.PowerTransformer")
def invert_power_transformer(estimator: Any, values: Var, context: Context) -> Var:
    if estimator.standardize:
        values = context.invert(estimator._scaler, values)  # noqa: SLF001 - no public equivalent
    function = _inverse_box_cox if estimator.method == "box-cox" else _inverse_yeo_johnson
    return function(values, np.asarray(estimator.lambdas_, dtype=np.float64))


@lowers("sklearn.preprocessing.QuantileTransformer")
def lower_quantile_transformer(estimator: Any, X: Table, context: Context) -> Table:
    """The mean of interpolating from below and from above, which differ where quantiles are repeated."""
    array = FloatArray(estimator, X, context)
    if array.single:
        context.note_float32_sum(estimator)
    x = array.var
    quantiles = np.asarray(estimator.quantiles_, dtype=np.float64)
    below = search_sorted(x, list(quantiles.T), right=True)
    above = search_sorted(x, list(quantiles.T), right=False)
    ascending = _interpolate(x, below, _tables(quantiles, estimator.references_, last=False))
    descending = _interpolate(x, above, _tables(quantiles, estimator.references_, last=True))
    y = op.mul(constant(0.5), op.add(ascending, descending))
    low, high = constant(quantiles[0]), constant(quantiles[-1])
    if estimator.output_distribution == "normal":
        near = constant(np.asarray(_BOUND, dtype=array.dtype))
        at_low = op.less(array.rounded(op.sub(x, near)), low)
        at_high = op.greater(array.rounded(op.add(x, near)), high)
    else:
        at_low, at_high = op.equal(x, low), op.equal(x, high)
    y = op.where(at_low, constant(0.0), op.where(at_high, constant(1.0), array.rounded(y)))
    if estimator.output_distribution == "normal":
        y = op.clip(ndtri(y), *(constant(bound) for bound in _normal_bounds()))
    y = op.where(op.isnan(x), x, y)
    array.replace(op.where(op.equal(x, constant(0.0)), x, y) if X.sparse else y)
    return array.table(traced=False)


def _normal_bounds() -> tuple[float, float]:
    from scipy.stats import norm

    near = _BOUND - np.spacing(1)
    return float(norm.ppf(near)), float(norm.ppf(1 - near))


def _tables(
    quantiles: NDArray[np.float64], references: NDArray[np.float64], *, last: bool
) -> tuple[NDArray[np.float64], ...]:
    """Of each column of `quantiles` `[n, d]`, for 0 up to n edges below a value: where the line through it
    starts, how high and how steep it is, each `[n + 1, d]`. `last`: it is drawn from its upper end.
    """
    n, d = quantiles.shape
    with np.errstate(divide="ignore", invalid="ignore"):
        steepness = np.diff(references)[:, None] / np.diff(quantiles, axis=0)
    base = slice(1, None) if last else slice(None, -1)
    start, height, slope = np.zeros((n + 1, d)), np.zeros((n + 1, d)), np.zeros((n + 1, d))
    start[1:n] = quantiles[base]
    height[0], height[1:n], height[n] = references[0], references[base][:, None], references[-1]
    # Between equal quantiles no value ever lies.
    slope[1:n] = np.where(np.isfinite(steepness), steepness, 0.0)
    return start, height, slope


def _interpolate(x: Var, edges_below: Var, tables: tuple[NDArray[np.float64], ...]) -> Var:
    index = op.cast(edges_below, to=np.int64)
    start, height, slope = (op.gather_elements(constant(table), index, axis=0) for table in tables)
    return op.add(op.mul(slope, op.sub(x, start)), height)


def _yeo_johnson(x: Var, lambdas: NDArray[np.float64]) -> Var:
    """SciPy's `yeojohnson`; each side of 0 is a power, or a logarithm where that power is 0."""
    zero = constant(0.0)
    right = _power_or_log(log1p(op.max([x, zero])), lambdas)
    left = op.neg(_power_or_log(log1p(op.neg(op.min([x, zero]))), 2 - lambdas))
    value = op.where(op.greater_or_equal(x, zero), right, left)
    return op.where(op.isnan(x), x, value)


def _power_or_log(log: Var, lambdas: NDArray[np.float64]) -> Var:
    """`(exp(lambda * log) - 1) / lambda`, or `log` where lambda is 0."""
    is_log = np.abs(lambdas) < np.finfo(np.float64).eps
    power = np.where(is_log, 1.0, lambdas)
    value = op.div(expm1(op.mul(constant(power), log)), constant(power))
    return op.where(constant(is_log, np.bool_), log, value) if is_log.any() else value


def _box_cox(x: Var, lambdas: NDArray[np.float64]) -> Var:
    """SciPy's `boxcox`; NaN for values that are not above 0, which the schema keeps out."""
    positive = op.where(op.greater(x, constant(0.0)), x, constant(np.nan))
    return _power_or_log(op.log(positive), lambdas)


def _inverse_yeo_johnson(y: Var, lambdas: NDArray[np.float64]) -> Var:
    zero, one = constant(0.0), constant(1.0)
    right = _power_or_exponential(op.max([y, zero]), lambdas)
    left = _power_or_exponential(op.neg(op.min([y, zero])), 2 - lambdas)
    value = op.where(op.greater_or_equal(y, zero), op.sub(right, one), op.sub(one, left))
    return op.where(op.isnan(y), y, value)


def _power_or_exponential(y: Var, lambdas: NDArray[np.float64]) -> Var:
    """`(lambda * y + 1) ** (1 / lambda)`, or `exp(y)` where lambda is 0."""
    return _either(
        lambdas,
        op.exp(y),
        lambda power: op.pow(op.add(op.mul(y, constant(power)), constant(1.0)), constant(1 / power)),
    )


def _inverse_box_cox(y: Var, lambdas: NDArray[np.float64]) -> Var:
    """SciPy's `inv_boxcox`: `exp(log1p(lambda * y) / lambda)`, or `exp(y)` where lambda is 0."""
    return _either(
        lambdas, op.exp(y), lambda power: op.exp(op.div(log1p(op.mul(constant(power), y)), constant(power)))
    )


def _either(
    lambdas: NDArray[np.float64], at_zero: Var, elsewhere: Callable[[NDArray[np.float64]], Var]
) -> Var:
    is_zero = np.abs(lambdas) < np.finfo(np.float64).eps
    value = elsewhere(np.where(is_zero, 1.0, lambdas))
    return op.where(constant(is_zero, np.bool_), at_zero, value) if is_zero.any() else value
