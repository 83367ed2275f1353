"""Scalers, with scikit-learn's own arithmetic in its own order: a tree behind them compares exact values."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import inverts, lowers
from afterfit.lowering._table import constant, round_to_float32
from afterfit.lowering.sklearn._array import FloatArray

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Table


@lowers("sklearn.preprocessing.StandardScaler")
def lower_standard_scaler(estimator: Any, X: Table, context: Context) -> Table:
    array = FloatArray(estimator, X, context)
    single = array.single and _standard_scaler_rounds_parameters()
    if estimator.with_mean and not X.sparse:
        array.apply(op.sub, _rounded(estimator.mean_, single))
    if estimator.scale_ is not None:
        _divide(array, _rounded(estimator.scale_, single and not X.sparse))
    return array.table()


@inverts("sklearn.preprocessing.StandardScaler")
def invert_standard_scaler(estimator: Any, values: Var, context: Context) -> Var:  # noqa: ARG001 - the protocol's
    if estimator.scale_ is not None:
        values = op.mul(values, constant(estimator.scale_))
    return op.add(values, constant(estimator.mean_)) if estimator.with_mean else values


@lowers("sklearn.preprocessing.MinMaxScaler")
def lower_min_max_scaler(estimator: Any, X: Table, context: Context) -> Table:
    array = FloatArray(estimator, X, context)
    array.apply(op.mul, estimator.scale_)
    array.apply(op.add, estimator.min_)
    if not estimator.clip:
        return array.table()
    array.clip(*estimator.feature_range)
    return array.table().within(
        *(float(np.asarray(end, dtype=array.dtype)) for end in estimator.feature_range)
    )


@inverts("sklearn.preprocessing.MinMaxScaler")
def invert_min_max_scaler(estimator: Any, values: Var, context: Context) -> Var:  # noqa: ARG001 - the protocol's
    return op.div(op.sub(values, constant(estimator.min_)), constant(estimator.scale_))


@lowers("sklearn.preprocessing.MaxAbsScaler")
def lower_max_abs_scaler(estimator: Any, X: Table, context: Context) -> Table:
    array = FloatArray(estimator, X, context)
    _divide(array, estimator.scale_)
    if getattr(estimator, "clip", False):
        array.clip(-1.0, 1.0)
    return array.table()


@inverts("sklearn.preprocessing.MaxAbsScaler")
def invert_max_abs_scaler(estimator: Any, values: Var, context: Context) -> Var:  # noqa: ARG001 - the protocol's
    return op.mul(values, constant(estimator.scale_))


@lowers("sklearn.preprocessing.RobustScaler")
def lower_robust_scaler(estimator: Any, X: Table, context: Context) -> Table:
    array = FloatArray(estimator, X, context)
    if estimator.with_centering and not X.sparse:
        array.apply(op.sub, estimator.center_)
    if estimator.with_scaling:
        _divide(array, estimator.scale_)
    return array.table()


@inverts("sklearn.preprocessing.RobustScaler")
def invert_robust_scaler(estimator: Any, values: Var, context: Context) -> Var:  # noqa: ARG001 - the protocol's
    if estimator.with_scaling:
        values = op.mul(values, constant(estimator.scale_))
    return op.add(values, constant(estimator.center_)) if estimator.with_centering else values


@lowers("sklearn.preprocessing.Normalizer")
def lower_normalizer(estimator: Any, X: Table, context: Context) -> Table:
    array = FloatArray(estimator, X, context)
    axis = constant([1], np.int64)
    if estimator.norm == "max":
        norms = op.reduce_max(op.abs(array.var), axis)
    elif estimator.norm == "l1":
        norms = op.reduce_sum(op.abs(array.var), axis)
    else:
        norms = op.sqrt(op.reduce_sum(op.mul(array.var, array.var), axis))
    if array.single and estimator.norm != "max":
        context.note_float32_sum(estimator)
        norms = round_to_float32(norms)
    # A dense row whose norm is almost zero is left as it is; of sparse rows only one of zeros.
    smallest = 0.0 if X.sparse else 10 * np.finfo(np.float32 if array.single else np.float64).eps
    small = op.less_or_equal if X.sparse else op.less
    norms = op.where(small(norms, constant(smallest)), constant(1.0), norms)
    quotient = op.div(array.var, norms)
    array.var = round_to_float32(quotient) if array.single else quotient
    return array.table(traced=False)


def _divide(array: FloatArray, scale: NDArray[Any]) -> None:
    if array.X.sparse:
        array.apply(op.mul, 1.0 / scale)
    else:
        array.apply(op.div, scale)


def _rounded(parameter: NDArray[Any], single: bool) -> NDArray[Any]:
    return parameter.astype(np.float32) if single else parameter


@cache
def _standard_scaler_rounds_parameters() -> bool:
    """Whether the installed StandardScaler casts mean and scale to float32 before it works on float32.

    Releases differ, so it is asked: 1 - (1 + 2**-30) is 0 where the mean is rounded first.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaler.mean_, scaler.scale_, scaler.n_features_in_ = np.array([1 + 2.0**-30]), np.array([1.0]), 1
    return bool(scaler.transform(np.ones((1, 1), dtype=np.float32))[0, 0] == 0.0)
