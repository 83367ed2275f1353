"""Functions that put traced columns side by side, take them apart, and change the shape of a row."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import TEXT, constant
from afterfit.lowering.tracing._array import (
    ROWS,
    Trace,
    TracedArray,
    broadcast_shape,
    convert,
    lift,
    var_of,
)
from afterfit.lowering.tracing._reductions import squeeze

if TYPE_CHECKING:
    from collections.abc import Sequence


def as_arrays(value: Any) -> Any:
    """`value` with the NumPy arrays of the DataFrames and columns in it."""
    if hasattr(type(value), "traced_values"):
        return value.traced_values()
    if type(value) in {list, tuple}:
        return type(value)(as_arrays(part) for part in value)
    return {key: as_arrays(part) for key, part in value.items()} if type(value) is dict else value


def _joint_dtype(trace: Trace, parts: Sequence[Any]) -> np.dtype[Any]:
    dtypes = [part.dtype for part in parts]
    texts = [dtype == TEXT or dtype.kind == "U" for dtype in dtypes]
    if any(texts):
        if not all(texts):
            raise trace.stop(
                "it puts text and numbers into one array", "Return the text and the numbers apart"
            )
        return TEXT
    return np.result_type(*dtypes)


def concatenate(trace: Trace, arrays: Any, axis: Any = 0, **options: Any) -> TracedArray:
    """`np.concatenate`, along the columns alone."""
    if options.keys() - {"dtype", "casting"}:
        raise trace.stop("it calls np.concatenate with an option")
    lifted = [lift(trace, array) for array in arrays]
    parts = [part for part in lifted if isinstance(part, TracedArray)]
    first = parts[0]
    if any(part.ndim != first.ndim for part in lifted):
        raise trace.stop("it puts arrays of different numbers of axes side by side", "Use np.column_stack")
    place = operator.index(axis) % first.ndim
    rows = {part.row_axis for part in parts}
    if len(rows) != 1 or place in rows or len(parts) != len(lifted):
        raise trace.stop("it puts rows below rows", "Put columns side by side: np.column_stack, or axis=1")
    dtype = np.dtype(options["dtype"]) if options.get("dtype") is not None else _joint_dtype(trace, parts)
    var = op.concat([convert(trace, part.graph, part.dtype, dtype) for part in parts], axis=place)
    shape = list(first.shape)
    shape[place] = sum(part.shape[place] for part in parts)
    return TracedArray(trace, var, shape, dtype, first.row_axis)


def column_stack(trace: Trace, tup: Any) -> TracedArray:
    """`np.column_stack`."""
    parts = [lift(trace, array) for array in tup]
    return concatenate(trace, [part[:, None] if part.ndim == 1 else part for part in parts], 1)


def hstack(trace: Trace, tup: Any, **options: Any) -> TracedArray:
    """`np.hstack`."""
    return concatenate(trace, tup, 1, **options)


def stack(trace: Trace, arrays: Any, axis: Any = 0, **_: Any) -> TracedArray:
    """`np.stack`."""
    parts = [lift(trace, array) for array in arrays]
    shape = broadcast_shape(trace, parts)
    parts = [broadcast_to(trace, part, shape) for part in parts]
    place = operator.index(axis) % (len(shape) + 1)
    key = (*(slice(None),) * place, None)
    return concatenate(trace, [part[key] for part in parts], place)


def vstack(trace: Trace, tup: Any, **_: Any) -> TracedArray:
    """`np.vstack` of single columns, which become the rows of a transposed array."""
    parts = [lift(trace, array) for array in tup]
    if any(part.ndim != 1 for part in parts):
        raise trace.stop("it puts rows below rows", "Put columns side by side: np.column_stack, or axis=1")
    return stack(trace, parts, 0)


def broadcast_to(trace: Trace, array: Any, shape: Any, **_: Any) -> TracedArray:
    """`np.broadcast_to`."""
    part = lift(trace, array)
    sizes = [operator.index(size) for size in (shape if np.iterable(shape) else (shape,))]
    rows = [axis for axis, size in enumerate(sizes) if size == ROWS]
    if len(rows) != 1:
        raise trace.stop("it makes an array without rows from rows")
    target = op.concat(
        [trace.rows if i in rows else constant([n], np.int64) for i, n in enumerate(sizes)], axis=0
    )
    dtype = TEXT if part.dtype.kind == "U" else part.dtype
    return TracedArray(trace, op.expand(var_of(trace, part), target), sizes, dtype, rows[0])


def full_like(trace: Trace, like: Any, value: Any, dtype: Any, shape: Any) -> TracedArray:
    """`np.full_like`, of the same shape."""
    if shape is not None:
        raise trace.stop("it makes an array of another shape")
    held = np.asarray(value, dtype=dtype or like.dtype)
    return broadcast_to(trace, held, like.shape)


def expand_dims(trace: Trace, a: Any, axis: Any) -> TracedArray:
    """`np.expand_dims`."""
    del trace
    place = operator.index(axis) % (a.ndim + 1)
    return a[(*(slice(None),) * place, None)]  # type: ignore[no-any-return]


def squeezed(trace: Trace, a: Any, axis: Any = None) -> TracedArray:
    """`np.squeeze`."""
    given = [i for i, n in enumerate(a.shape) if n == 1] if axis is None else list(np.atleast_1d(axis))
    axes = [operator.index(one) % a.ndim for one in given]
    if any(a.shape[one] != 1 for one in axes):
        raise trace.stop("it squeezes an axis of more than one value")
    return squeeze(a, axes).view_of(a)


def ravel(trace: Trace, a: Any, order: Any = "C") -> TracedArray:
    """`np.ravel` of a single column."""
    if a.ndim == 1:
        return a  # type: ignore[no-any-return]
    if order in {"C", "K", "A"} and a.size == ROWS:
        return a.reshape(-1)  # type: ignore[no-any-return]
    raise trace.stop("it puts the columns of all rows into one", "Keep the rows apart")


def flip(trace: Trace, m: Any, axis: Any = None) -> TracedArray:
    """`np.flip` of the columns."""
    if axis is None:
        raise trace.stop("it turns the rows round")
    return m[(*(slice(None),) * (operator.index(axis) % m.ndim), slice(None, None, -1))]  # type: ignore[no-any-return]


def delete(trace: Trace, arr: Any, obj: Any, axis: Any = None) -> TracedArray:
    """`np.delete` of columns."""
    if axis is None:
        raise trace.stop("it deletes single values")
    place = operator.index(axis) % arr.ndim
    kept = np.delete(np.arange(arr.shape[place]), obj)
    return arr[(*(slice(None),) * place, kept)]  # type: ignore[no-any-return]


def append(trace: Trace, arr: Any, values: Any, axis: Any = None) -> TracedArray:
    """`np.append` of columns."""
    if axis is None:
        raise trace.stop("it puts all values into one row", "Append columns: axis=1")
    return concatenate(trace, (arr, values), axis)


def split_columns(trace: Trace, array: Any, split: Any, sections: Any, axis: Any) -> list[TracedArray]:
    """`np.split` and `np.array_split` of columns."""
    place = operator.index(axis) % array.ndim
    if place == array.row_axis:
        raise trace.stop("it takes the rows apart")
    parts = split(np.arange(array.shape[place]), sections)
    return [array[(*(slice(None),) * place, part)] for part in parts]
