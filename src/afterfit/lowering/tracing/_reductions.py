"""Sums, means, extremes and the like along the columns of a row."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import constant, round_to_float32
from afterfit.lowering.tracing._array import UNHELD, TracedArray, convert, wrap
from afterfit.lowering.tracing._elementwise import choose, elementwise

if TYPE_CHECKING:
    from spox import Var

_BY_ROW = "Reduce along the columns of a row (axis=1), or learn what all rows have in common while fitting"


def reduce(
    array: TracedArray, name: str, axis: Any = None, keepdims: Any = False, **options: Any
) -> TracedArray:
    """`np.<name>(array, axis, keepdims=keepdims)`; refuses to put rows together."""
    if not isinstance(array, TracedArray):
        raise TypeError(f"{type(array).__name__} is no traced array")
    ddof = options.pop("ddof", options.pop("correction", 0))
    dtype = options.pop("dtype", None)
    unused = {key for key, value in options.items() if value is not None and value is not np._NoValue}  # noqa: SLF001 - NumPy's own default
    if unused - {"where", "initial"} or options.get("where", True) not in (True, np._NoValue):  # noqa: SLF001 - as above
        raise array.trace.stop(f"it calls {name} with {', '.join(sorted(unused))}")
    if unused & {"initial"}:
        raise array.trace.stop(f"it calls {name} with initial")
    axes = _axes(array, axis, name)
    if dtype is not None:
        array = array.astype(dtype)
    shape = [1 if i in axes else size for i, size in enumerate(array.shape)]
    var, held = _reduced(array, name, axes, ddof)
    kept = TracedArray(array.trace, var, shape, held, array.row_axis)
    return kept if keepdims is True else squeeze(kept, axes)


def _axes(array: TracedArray, axis: Any, name: str) -> list[int]:
    given = range(array.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = [operator.index(one) for one in given]
    if any(not -array.ndim <= one < array.ndim for one in axes):
        raise array.trace.stop(f"it reduces axis {axis} of an array of {array.ndim}")
    axes = [one % array.ndim for one in axes]
    if array.row_axis in axes:
        raise array.trace.stop(
            f"its {name} goes over rows, and the answer to a row must not depend on the others", _BY_ROW
        )
    return axes


def squeeze(array: TracedArray, axes: list[int]) -> TracedArray:
    """Without the axes, all of size 1."""
    if not axes:
        return array
    shape = [size for i, size in enumerate(array.shape) if i not in axes]
    row_axis = array.row_axis - sum(axis < array.row_axis for axis in axes)
    return TracedArray(
        array.trace, op.squeeze(array.graph, constant(sorted(axes), np.int64)), shape, array.dtype, row_axis
    )


def _reduced(array: TracedArray, name: str, axes: list[int], ddof: Any) -> tuple[Var, np.dtype[Any]]:
    held = _result_dtype(array, name)
    where = constant(axes, np.int64)
    if name in {"any", "all"}:
        truth = op.cast(convert(array.trace, array.graph, array.dtype, np.dtype(np.bool_)), to=np.int64)
        found = op.reduce_max(truth, where) if name == "any" else op.reduce_min(truth, where)
        return op.cast(found, to=np.bool_), held
    if name in {"argmax", "argmin"}:
        return _position(array, name, axes), held
    if name in {"max", "min"}:
        return _extreme(array, name, where), held
    values = convert(array.trace, array.graph, array.dtype, held)
    if held == np.float32:
        array.trace.note_float32()
    if name in {"sum", "prod"}:
        total = op.reduce_sum(values, where) if name == "sum" else op.reduce_prod(values, where)
        return _kept(total, held), held
    count = float(np.prod([array.shape[axis] for axis in axes]))
    mean = op.div(op.reduce_sum(values, where), constant(count))
    if name == "mean":
        return _kept(mean, held), held
    apart = op.sub(values, mean)
    variance = op.div(op.reduce_sum(op.mul(apart, apart), where), constant(max(count - float(ddof), 0.0)))
    return _kept(op.sqrt(variance) if name == "std" else variance, held), held


def _result_dtype(array: TracedArray, name: str) -> np.dtype[Any]:
    if array.dtype.kind not in "biuf" or array.dtype in UNHELD:
        raise array.trace.stop(f"its {name} is of {array.dtype}", "Convert the columns to float64 first")
    result: np.dtype[Any] = getattr(np, name)(np.ones((1, 1), array.dtype), axis=1).dtype
    if result == np.uint64:
        raise array.trace.stop(f"its {name} is of {result}", "Convert the columns to float64 first")
    return result


def _kept(value: Var, dtype: np.dtype[Any]) -> Var:
    if dtype == np.float32:
        return round_to_float32(value)
    return wrap(value, dtype) if dtype.kind in "iu" else value


def _missing(array: TracedArray, where: Var) -> Var:
    return op.cast(op.reduce_max(op.cast(op.isnan(array.graph), to=np.int64), where), to=np.bool_)


def _extreme(array: TracedArray, name: str, where: Var) -> Var:
    kind = array.dtype.kind
    values = op.cast(array.graph, to=np.int64) if kind == "b" else array.graph
    found = op.reduce_max(values, where) if name == "max" else op.reduce_min(values, where)
    if kind == "f":
        return op.where(_missing(array, where), constant(np.nan), found)
    return op.cast(found, to=np.bool_) if kind == "b" else found


def _position(array: TracedArray, name: str, axes: list[int]) -> Var:
    if len(axes) != 1:
        raise array.trace.stop(f"it calls {name} over several axes")
    values = op.cast(array.graph, to=np.int64) if array.dtype.kind == "b" else array.graph
    find = op.arg_max if name == "argmax" else op.arg_min
    if array.dtype.kind != "f":
        return find(values, axis=axes[0])
    gaps = op.cast(op.isnan(values), to=np.int64)
    known = op.where(op.isnan(values), constant(0.0), values)
    where = constant(axes, np.int64)
    return op.where(_missing(array, where), op.arg_max(gaps, axis=axes[0]), find(known, axis=axes[0]))


def reduce_known(
    array: TracedArray, name: str, axis: Any = None, keepdims: Any = False, **options: Any
) -> TracedArray:
    """`np.nansum`, `nanmean`, `nanmax`, `nanmin`, `nanprod`, `nanstd` and `nanvar`: without the missing values."""
    if array.dtype.kind != "f":
        return reduce(array, name, axis, keepdims, **options)
    trace = array.trace
    gap = elementwise(trace, np.isnan, [array])
    filling = {"max": -np.inf, "min": np.inf, "prod": 1.0}.get(name, 0.0)
    filled = choose(trace, gap, array.dtype.type(filling), array)
    count = reduce(~gap, "sum", axis, keepdims=True)
    if name in {"sum", "prod"}:
        return reduce(filled, name, axis, keepdims)
    if name in {"max", "min"}:
        found = reduce(filled, name, axis, keepdims=True)
        result = choose(trace, count == 0, array.dtype.type(np.nan), found)
    else:
        ddof = options.get("ddof", options.get("correction", 0))
        number = count.astype(array.dtype)
        result = reduce(filled, "sum", axis, keepdims=True) / number
        if name in {"std", "var"}:
            apart = choose(trace, gap, array.dtype.type(0), array - result)
            left = number - array.dtype.type(ddof)
            left = choose(trace, left <= 0, array.dtype.type(np.nan), left)
            result = reduce(apart * apart, "sum", axis, keepdims=True) / left
            result = np.sqrt(result) if name == "std" else result
    return result if keepdims is True else squeeze(result, _axes(array, axis, name))
