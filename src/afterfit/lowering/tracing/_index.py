"""Indexing of traced arrays: columns freely, rows only all at once."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import constant
from afterfit.lowering.tracing._array import ROWS, TracedArray, convert, lift, var_of
from afterfit.lowering.tracing._elementwise import choose, select

if TYPE_CHECKING:
    from spox import Var

_ROWS_ALONE = "it takes single rows, and every row is answered by itself"
_TAKE_ALL = "Index with X[:, columns], and choose between values with np.where(condition, a, b)"


def read(array: TracedArray, key: Any) -> TracedArray:
    """`array[key]`."""
    trace = array.trace
    entries = _entries(array, key)
    var, shape, row_axis = array.graph, [], -1
    axis = out = 0
    advanced = 0
    for entry in entries:
        if entry is None:
            var = op.unsqueeze(var, constant([out], np.int64))
            shape.append(1)
            out += 1
            continue
        size = array.shape[axis]
        if axis == array.row_axis:
            if not _all_rows(entry):
                raise trace.stop(_ROWS_ALONE, _TAKE_ALL)
            row_axis = out
        elif isinstance(entry, slice):
            var = _sliced(var, entry, size, out)
            size = len(range(*entry.indices(size)))
        elif isinstance(entry, TracedArray):
            raise trace.stop(
                "which columns it takes depends on the values of a row", "Use np.where, or np.take_along_axis"
            )
        else:
            picks = _positions(array, entry, size)
            var = op.gather(var, constant(picks, np.int64), axis=out)
            if np.ndim(picks) == 0:
                axis += 1
                continue
            advanced += 1
            size = len(picks)
        shape.append(size)
        axis += 1
        out += 1
    if advanced > 1:
        raise trace.stop("it indexes several axes by lists at once", _TAKE_ALL)
    result = TracedArray(trace, var, shape, array.dtype, row_axis)
    return result if advanced else result.view_of(array)


def _entries(array: TracedArray, key: Any) -> list[Any]:
    """The key with one entry for each axis, None for new ones."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if any(isinstance(part, TracedArray) for part in parts):
        raise array.trace.stop("how many rows or values it keeps depends on the values", _TAKE_ALL)
    given = sum(part is not None and part is not Ellipsis for part in parts)
    if given > array.ndim:
        raise array.trace.stop(f"it gives {given} indices for {array.ndim} axes")
    if Ellipsis not in [part for part in parts if part is Ellipsis]:
        parts.append(Ellipsis)
    place = next(i for i, part in enumerate(parts) if part is Ellipsis)
    parts[place : place + 1] = [slice(None)] * (array.ndim - given)
    return parts


def _all_rows(entry: Any) -> bool:
    return isinstance(entry, slice) and entry.indices(ROWS) == (0, ROWS, 1)


def _sliced(var: Var, entry: slice, size: int, axis: int) -> Var:
    if entry.indices(size) == (0, size, 1):
        return var
    return op.gather(var, constant(list(range(*entry.indices(size))), np.int64), axis=axis)


def _positions(array: TracedArray, entry: Any, size: int) -> Any:
    picks = np.asarray(entry)
    if picks.dtype.kind == "b":
        if picks.shape != (size,):
            raise array.trace.stop(f"it indexes {size} columns by a mask of shape {picks.shape}")
        picks = np.flatnonzero(picks)
    if picks.size == 0:
        picks = picks.astype(np.int64)
    if picks.dtype.kind not in "iu" or picks.ndim > 1:
        raise array.trace.stop("it indexes columns by something else than integers")
    if picks.size and not (-size <= picks.min() and picks.max() < size):
        raise array.trace.stop(f"it takes column {int(picks.max())} of {size}")
    positions = np.where(picks < 0, picks + size, picks)
    return operator.index(positions.item()) if positions.ndim == 0 else positions.tolist()


def write(array: TracedArray, key: Any, value: Any) -> None:
    """`array[key] = value`: the values afterwards, in the array's own dtype."""
    trace = array.trace
    trace.unwritten.pop(id(value), None)
    if array.row_axis != 0 or array.ndim > 2:
        raise trace.stop("it writes into an array of another form than rows and columns")
    if isinstance(key, TracedArray):
        key = (key,)
    parts = list(key) if isinstance(key, tuple) else [key]
    parts = [slice(None) if part is Ellipsis else part for part in parts]
    parts += [slice(None)] * (array.ndim - len(parts))
    if isinstance(parts[0], TracedArray) and parts[0].ndim == array.ndim:
        array.replace(_cast(array, _masked(array, parts[0], value, array)))
        return
    if not isinstance(parts[0], TracedArray) and not _all_rows(parts[0]):
        raise trace.stop(_ROWS_ALONE, _TAKE_ALL)
    if array.ndim == 1:
        test = parts[0] if isinstance(parts[0], TracedArray) else None
        array.replace(_cast(array, _masked(array, test, value, array)))
        return
    _write_columns(array, parts[0], parts[1], value)


def _write_columns(array: TracedArray, rows: Any, columns: Any, value: Any) -> None:
    trace, width = array.trace, array.shape[1]
    single = not isinstance(columns, slice) and np.ndim(columns) == 0
    chosen = (
        list(range(width))[columns]
        if isinstance(columns, slice)
        else np.ravel(_positions(array, columns, width)).tolist()
    )
    lifted = lift(trace, value)
    pieces = [op.gather(array.graph, constant([i], np.int64), axis=1) for i in range(width)]
    for place, column in enumerate(chosen):
        part = lifted
        if lifted.ndim == 2 or (lifted.ndim == 1 and not single and not isinstance(lifted, TracedArray)):
            part = lifted[..., place if lifted.shape[-1] != 1 else 0]
        old = read(array, (slice(None), column))
        test = rows if isinstance(rows, TracedArray) else None
        new = _cast(array, _masked(array, test, part, old))
        pieces[column] = op.unsqueeze(new, constant([1], np.int64))
    array.replace(op.concat(pieces, axis=1))


def _masked(array: TracedArray, test: TracedArray | None, value: Any, old: TracedArray) -> TracedArray:
    """The values written, in their own dtype, in the shape of `old`."""
    trace = array.trace
    lifted = lift(trace, value)
    if test is not None and (
        test.dtype.kind != "b" or (isinstance(lifted, TracedArray) and lifted.shape != old.shape)
    ):
        raise trace.stop("it writes as many values as a mask keeps", _TAKE_ALL)
    everywhere = constant(True, np.bool_) if test is None else test.graph
    new = convert(
        trace,
        var_of(trace, lifted),
        lifted.dtype if lifted.dtype.kind != "U" else array.dtype,
        array.dtype,
    )
    if isinstance(lifted, TracedArray) and lifted.row_axis - lifted.ndim != old.row_axis - old.ndim:
        raise trace.stop("it writes rows into columns")
    return old.like(select(everywhere, new, old.graph, array.dtype))


def _cast(array: TracedArray, value: TracedArray) -> Var:
    return convert(array.trace, value.graph, value.dtype, array.dtype)


def take(trace: Any, held: Any, index: TracedArray) -> TracedArray:
    """`held[index]`: entries of a constant array by positions that the rows give."""
    if index.dtype.kind == "b":
        raise trace.stop("which entries of an array it takes depends on the values", "Use np.where")
    if index.dtype.kind not in "iu":
        raise trace.stop(f"it indexes an array by {index.dtype}", "Convert the index with .astype(np.int64)")
    array = np.asarray(held)
    size = array.shape[0]
    positions = choose(trace, index < 0, index + size, index).graph
    var = op.gather(var_of(trace, array), positions, axis=0)
    shape = (*index.shape, *array.shape[1:])
    result = TracedArray(
        trace, var, shape, array.dtype if array.dtype.kind != "U" else object, index.row_axis
    )
    if index.ndim == 1 and array.ndim == 1:
        result.chosen = (array, positions)
    return result
