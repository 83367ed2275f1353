"""NumPy's universal functions on traced arrays, in NumPy's own choice of dtypes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import TEXT, constant, round_to_float32
from afterfit.lowering.sklearn._ufuncs import EXACT, find_ufunc
from afterfit.lowering.tracing import _kernels as kernels
from afterfit.lowering.tracing._array import (
    UNHELD,
    Trace,
    TracedArray,
    broadcast_shape,
    convert,
    joint_row_axis,
    lift,
    var_of,
    wrap,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ROUNDED_ALIKE: frozenset[object] = EXACT | {
    np.add, np.subtract, np.multiply, np.divide, np.square, np.reciprocal, np.maximum, np.minimum, np.fmax,
    np.fmin, np.copysign, np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.isnan,
    np.isinf, np.isfinite, np.signbit, np.logical_and, np.logical_or, np.logical_not, np.logical_xor,
}  # fmt: skip
"""Functions of float32 that give the same bits when computed in float64 and rounded once."""

_REDUCTIONS = {
    np.add: "sum",
    np.multiply: "prod",
    np.maximum: "max",
    np.minimum: "min",
    np.logical_or: "any",
    np.logical_and: "all",
}


def call_ufunc(
    trace: Trace, ufunc: np.ufunc, method: str, inputs: Sequence[Any], options: dict[str, Any]
) -> Any:
    """What NumPy is asked for by `ufunc.method(*inputs, **options)`."""
    name = ufunc.__name__
    out = options.pop("out", None)
    if method == "reduce" and ufunc in _REDUCTIONS:
        from afterfit.lowering.tracing._reductions import reduce

        return reduce(inputs[0], _REDUCTIONS[ufunc], **{"axis": 0, **options})
    if options.get("where", True) is not True or options.keys() - {"where", "dtype", "casting", "order"}:
        raise trace.stop(f"it calls np.{name} with where= or another option")
    if method != "__call__":
        raise trace.stop(f"it calls np.{name}.{method}")
    if ufunc is np.matmul:
        from afterfit.lowering.tracing._functions import matmul

        result = matmul(trace, *inputs)
    else:
        result = elementwise(trace, ufunc, inputs)
    if options.get("dtype") is not None:
        result = result.astype(options["dtype"])
    return result if out is None else _stored(trace, result, out[0])


def _stored(trace: Trace, result: TracedArray, out: Any) -> TracedArray:
    if not isinstance(out, TracedArray) or out.shape != result.shape:
        raise trace.stop("it writes values of rows into an array that holds none")
    if not np.can_cast(result.dtype, out.dtype, casting="same_kind"):
        raise trace.stop(f"it writes {result.dtype} into an array of {out.dtype}")
    return out.changed(convert(trace, result.graph, result.dtype, out.dtype))


def elementwise(trace: Trace, ufunc: np.ufunc, inputs: Sequence[Any]) -> TracedArray:
    """`ufunc` of every value, computed in the dtypes that NumPy chooses."""
    values = [lift(trace, value) for value in inputs]
    shape = broadcast_shape(trace, values)
    row_axis = joint_row_axis(trace, values, shape)
    wrapped = next(
        (value for value in values if type(value) is not TracedArray and isinstance(value, TracedArray)), None
    )
    if any(value.dtype == TEXT or value.dtype.kind in "US" for value in values):
        var, dtype = _compare_text(trace, ufunc, values), np.dtype(np.bool_)
    else:
        var, dtype = _compute(trace, ufunc, inputs, values, pandas=wrapped is not None)
    result = TracedArray(trace, var, shape, dtype, row_axis)
    return result if wrapped is None else wrapped.wrap(result)


def _compute(
    trace: Trace, ufunc: np.ufunc, inputs: Sequence[Any], values: Sequence[Any], *, pandas: bool
) -> tuple[Any, np.dtype[Any]]:
    given = tuple(
        type(raw) if type(raw) in {int, float} else value.dtype
        for raw, value in zip(inputs, values, strict=True)
    )
    try:
        *wanted, result = ufunc.resolve_dtypes((*given, None))
    except TypeError as error:
        raise trace.stop(
            f"np.{ufunc.__name__} does not take {', '.join(map(str, given))}: {error}"
        ) from error
    loop = wanted[0]
    for dtype in (*wanted, result):
        if dtype.kind not in "biuf" or dtype in UNHELD:
            raise trace.stop(
                f"it computes np.{ufunc.__name__} in {dtype}", "Convert the columns to float64 first"
            )
    operands = [
        convert(trace, var_of(trace, value), value.dtype, dtype)
        for value, dtype in zip(values, wanted, strict=True)
    ]
    if pandas and ufunc in {np.floor_divide, np.remainder}:
        _check_divisor(trace, values[1])
    build = _find(trace, ufunc, loop, values)
    var = build(*operands)
    if result == np.float32:
        if ufunc not in _ROUNDED_ALIKE:
            trace.note_float32()
        var = round_to_float32(var)
    elif result.kind in "iu":
        var = wrap(var, result)
    return var, result


def _check_divisor(trace: Trace, divisor: Any) -> None:
    """Refuse a divisor that may be 0: there pandas answers otherwise than NumPy."""
    if isinstance(divisor, TracedArray) or not np.all(divisor):
        raise trace.stop(
            "pandas divides by 0 in another way than NumPy, and the divisor may be 0",
            "Divide the NumPy arrays: df['a'].to_numpy() // df['b'].to_numpy()",
        )


def _find(trace: Trace, ufunc: np.ufunc, loop: np.dtype[Any], values: Sequence[Any]) -> Callable[..., Any]:
    if ufunc is np.power:
        return partial(kernels.power, trace, loop.kind, values[1])
    kind = "i" if loop.kind == "u" else loop.kind
    build: Callable[..., Any] | None = kernels.KERNELS.get((ufunc, kind))
    if build is None and kind == "f":
        build = find_ufunc(ufunc)
    if build is None:
        raise trace.stop(
            f"np.{ufunc.__name__} of {loop} has no exact form in a graph",
            "Use another function, or apply it before X is given",
        )
    return build


def _compare_text(trace: Trace, ufunc: np.ufunc, values: Sequence[Any]) -> Any:
    if ufunc not in {np.equal, np.not_equal} or all(isinstance(value, TracedArray) for value in values):
        raise trace.stop(
            f"it computes np.{ufunc.__name__} of text", "Compare text with == and a constant alone"
        )
    if not all(value.dtype == TEXT or value.dtype.kind == "U" for value in values):
        raise trace.stop("it compares text with numbers")
    same = op.equal(*(var_of(trace, value) for value in values))
    return same if ufunc is np.equal else op.not_(same)


def choose(trace: Trace, condition: Any, yes: Any, no: Any) -> TracedArray:
    """`np.where(condition, yes, no)`."""
    parts = [lift(trace, value) for value in (condition, yes, no)]
    shape = broadcast_shape(trace, parts)
    row_axis = joint_row_axis(trace, parts, shape)
    weak = [
        type(raw)(0) if type(raw) in {int, float} else part.dtype
        for raw, part in zip((yes, no), parts[1:], strict=True)
    ]
    texts = [part.dtype == TEXT or part.dtype.kind == "U" for part in parts[1:]]
    if any(texts):
        if not all(texts):
            raise trace.stop("it chooses between text and numbers")
        dtype = TEXT
        operands = [var_of(trace, part) for part in parts[1:]]
    else:
        # NumPy gives two Python numbers their default dtypes.
        dtype = np.result_type(*weak)
        operands = [convert(trace, var_of(trace, part), part.dtype, dtype) for part in parts[1:]]
    test = convert(trace, var_of(trace, parts[0]), parts[0].dtype, np.dtype(np.bool_))
    return TracedArray(trace, select(test, operands[0], operands[1], dtype), shape, dtype, row_axis)


def select(test: Any, yes: Any, no: Any, dtype: np.dtype[Any]) -> Any:
    """`Where`, which ONNX Runtime has for every type but bool."""
    if dtype.kind != "b":
        return op.where(test, yes, no)
    return op.or_(op.and_(test, yes), op.and_(op.not_(test), no))


def fill_missing(array: TracedArray, value: Any) -> TracedArray:
    """`array` with `value` in place of NaN."""
    return choose(array.trace, elementwise(array.trace, np.isnan, [array]), value, array)


def in_set(array: TracedArray, members: Any) -> TracedArray:
    """Whether each value is one of the constants `members`, as `np.isin` says it."""
    known = np.ravel(np.asarray(list(members) if isinstance(members, set) else members))
    found = [elementwise(array.trace, np.equal, [array, member]) for member in known]
    if not found:
        return array.like(op.and_(constant(False, np.bool_), op.equal(array.graph, array.graph)), np.bool_)
    total = found[0]
    for other in found[1:]:
        total = elementwise(array.trace, np.logical_or, [total, other])
    return total
