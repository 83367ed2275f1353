"""NumPy's functions, beyond the universal ones, on traced arrays."""

from __future__ import annotations

import inspect
import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import TEXT, constant
from afterfit.lowering.tracing._array import (
    ROWS,
    Trace,
    TracedArray,
    convert,
    lift,
    var_of,
)
from afterfit.lowering.tracing._columns import (
    append,
    as_arrays,
    broadcast_to,
    column_stack,
    concatenate,
    delete,
    expand_dims,
    flip,
    full_like,
    hstack,
    ravel,
    split_columns,
    squeezed,
    stack,
    vstack,
)
from afterfit.lowering.tracing._elementwise import choose, elementwise, in_set
from afterfit.lowering.tracing._reductions import reduce, reduce_known

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def call_function(trace: Trace, function: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """What NumPy is asked for by `function(*args, **options)`."""
    build = FUNCTIONS.get(function)
    own = _PANDAS_OWN.get(function)
    if own is not None and args and hasattr(type(args[0]), "traced_values"):
        options = {_PANDAS_NAMES.get(name, name): value for name, value in options.items()}
        return getattr(args[0], own)(*args[1:], **options)
    args, options = as_arrays(args), as_arrays(options)
    name = getattr(function, "__name__", str(function))
    if build is None:
        raise trace.stop(
            f"np.{name} has no exact form in a graph", "Use another function, or apply it before X is given"
        )
    options = {key: value for key, value in options.items() if value is not np._NoValue}  # noqa: SLF001 - NumPy's own default
    out = options.pop("out", None)
    try:
        bound = inspect.signature(build).bind(trace, *args, **options)
    except TypeError as error:
        raise trace.stop(f"it calls np.{name} in a way that has no form in a graph ({error})") from error
    result = build(*bound.args, **bound.kwargs)
    if out is not None:
        if not isinstance(out, TracedArray):
            raise trace.stop("it writes values of rows into an array that holds none")
        out[...] = result
        return out
    return result


def clip(trace: Trace, a: Any, a_min: Any = None, a_max: Any = None, **bounds: Any) -> TracedArray:
    """`np.clip`: the lower bound first."""
    low, high = bounds.pop("min", a_min), bounds.pop("max", a_max)
    if bounds:
        raise trace.stop(f"it calls np.clip with {', '.join(bounds)}")
    result = lift(trace, a)
    if low is not None:
        result = elementwise(trace, np.maximum, [result, low])
    return result if high is None else elementwise(trace, np.minimum, [result, high])  # type: ignore[return-value]


def around(trace: Trace, a: Any, decimals: Any = 0) -> TracedArray:
    """`np.round`: multiplied by a power of ten, rounded to even, and divided again, as NumPy does."""
    if a.dtype.kind in "iu" and decimals >= 0:
        return lift(trace, a)  # type: ignore[return-value]
    if a.dtype.kind != "f":
        raise trace.stop(f"it rounds {a.dtype}")
    if decimals == 0:
        return elementwise(trace, np.rint, [a])
    power = a.dtype.type(10.0 ** abs(decimals))
    first, last = (np.multiply, np.divide) if decimals > 0 else (np.divide, np.multiply)
    return elementwise(
        trace, last, [elementwise(trace, np.rint, [elementwise(trace, first, [a, power])]), power]
    )


def matmul(trace: Trace, x1: Any, x2: Any) -> TracedArray:
    """`x1 @ x2`, of rows by a constant matrix or vector, or row by row of arrays with three axes."""
    a, b = lift(trace, x1), lift(trace, x2)
    dtype = np.result_type(a.dtype, b.dtype)
    if dtype.kind != "f" and not (dtype.kind == "i" and dtype.itemsize == 8):
        raise trace.stop(f"it multiplies matrices of {dtype}", "Convert the columns to float64 first")
    if dtype == np.float32:
        trace.note_float32()
    left, right = (convert(trace, var_of(trace, part), part.dtype, dtype) for part in (a, b))
    summed_left, summed_right = a.ndim - 1, max(b.ndim - 2, 0)
    if (isinstance(a, TracedArray) and a.row_axis == summed_left) or (
        isinstance(b, TracedArray) and b.row_axis == summed_right
    ):
        raise trace.stop("it adds up rows", "Let the answer to a row not depend on the others")
    if a.shape[-1] != b.shape[summed_right]:
        raise trace.stop(f"it multiplies {a.shape[-1]} columns with {b.shape[summed_right]} rows of a matrix")
    if isinstance(a, TracedArray) and isinstance(b, TracedArray):
        if a.ndim < 3 or b.ndim < 3 or a.row_axis != 0 or b.row_axis != 0 or a.ndim != b.ndim:
            raise trace.stop("it multiplies rows with rows", "Use (a * b).sum(axis=1)")
        shape = [*a.shape[:-1], b.shape[-1]]
        row_axis = 0
    else:
        shape = list((np.empty(_small(a)) @ np.empty(_small(b))).shape)
        row_axis = a.row_axis if isinstance(a, TracedArray) else len(shape) - 1
        shape[row_axis] = ROWS
    var = op.matmul(left, right)
    result = TracedArray(trace, var, shape, dtype, row_axis)
    return result.like(convert(trace, var, np.dtype(np.float64), dtype)) if dtype == np.float32 else result


def _small(part: Any) -> tuple[int, ...]:
    """Its shape with few rows, to ask NumPy for the shape of a product."""
    return tuple(2 if size == ROWS else int(size) for size in part.shape)


def dot(trace: Trace, a: Any, b: Any) -> TracedArray:
    """`np.dot`."""
    if np.ndim(b) == 0 and not isinstance(b, TracedArray):
        return elementwise(trace, np.multiply, [a, b])
    return matmul(trace, a, b)


def select(trace: Trace, condlist: Any, choicelist: Any, default: Any = 0) -> TracedArray:
    """`np.select`: the first choice whose condition holds."""
    dtype = np.result_type(*[lift(trace, choice).dtype for choice in choicelist], np.asarray(default))
    result = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        result = choose(trace, condition, choice, result)
    return result if result.dtype == TEXT else result.astype(dtype)  # type: ignore[no-any-return]


def nan_to_num(
    trace: Trace, x: Any, copy: Any = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> TracedArray:
    """`np.nan_to_num`."""
    if copy is not True:
        raise trace.stop("it calls np.nan_to_num in place")
    if x.dtype.kind != "f":
        return x.copy()  # type: ignore[no-any-return]
    limits = np.finfo(x.dtype)
    scalar = x.dtype.type
    result = choose(trace, elementwise(trace, np.isnan, [x]), scalar(nan), x)
    result = choose(trace, result == scalar(np.inf), scalar(limits.max if posinf is None else posinf), result)
    return choose(trace, result == scalar(-np.inf), scalar(limits.min if neginf is None else neginf), result)


def digitize(trace: Trace, x: Any, bins: Any, right: Any = False) -> TracedArray:
    """`np.digitize` with increasing edges: how many of them lie at or below (`right`: below) each value."""
    edges = np.asarray(bins, dtype=np.float64)
    if edges.ndim != 1 or not (np.diff(edges) >= 0).all():
        raise trace.stop("its bins do not increase")
    value = x[..., None].astype(np.float64)
    below = elementwise(trace, np.less_equal if right else np.less, [value, edges])
    return reduce(~below, "sum", -1)


def searchsorted(trace: Trace, a: Any, v: Any, side: Any = "left", sorter: Any = None) -> TracedArray:
    """`np.searchsorted` in a constant sorted array."""
    if isinstance(a, TracedArray) or sorter is not None:
        raise trace.stop("it searches in the rows")
    return digitize(trace, v, a, right=side == "left")


def cumsum(trace: Trace, a: Any, axis: Any = None, dtype: Any = None) -> TracedArray:
    """`np.cumsum` along the columns."""
    if axis is None or operator.index(axis) % a.ndim == a.row_axis:
        raise trace.stop("it adds up rows", "Let the answer to a row not depend on the others")
    held = np.cumsum(np.ones(1, a.dtype), dtype=dtype).dtype
    var = op.cumsum(convert(trace, a.graph, a.dtype, held), constant(operator.index(axis) % a.ndim, np.int64))
    if held == np.float32:
        trace.note_float32()
    return TracedArray(
        trace,
        convert(trace, var, np.dtype(np.float64), held) if held.kind == "f" else var,
        a.shape,
        held,
        a.row_axis,
    )


def diff(trace: Trace, a: Any, n: Any = 1, axis: Any = -1) -> TracedArray:
    """`np.diff` along the columns."""
    place = operator.index(axis) % a.ndim
    for _ in range(n):
        key = (slice(None),) * place
        a = elementwise(trace, np.subtract, [a[(*key, slice(1, None))], a[(*key, slice(None, -1))]])
    return a  # type: ignore[no-any-return]


def norm(trace: Trace, x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> TracedArray:  # noqa: A002
    """`np.linalg.norm` of rows: the first, the second and the largest."""
    if axis is None or not isinstance(axis, int):
        raise trace.stop("it takes the norm of all rows", "Take it of each row: axis=1")
    values = x if x.dtype.kind == "f" else x.astype(np.float64)
    if ord is None or ord == 2:
        return elementwise(trace, np.sqrt, [reduce(values * values, "sum", axis, keepdims)])
    if ord in {1, np.inf}:
        return reduce(abs(values), "sum" if ord == 1 else "max", axis, keepdims)
    raise trace.stop(f"it takes the norm of order {ord}")


def take(trace: Trace, a: Any, indices: Any, axis: Any = None, **options: Any) -> TracedArray:
    """`np.take` of columns by constant positions, or of a constant array by positions that the rows give."""
    from afterfit.lowering.tracing._index import take as take_entries

    if options.keys() - {"mode"} or options.get("mode", "raise") != "raise":
        raise trace.stop("it calls np.take with an option")
    if isinstance(indices, TracedArray):
        if isinstance(a, TracedArray) or (axis not in {0, None}) or (axis is None and np.ndim(a) != 1):
            raise trace.stop("which columns it takes depends on the values of a row")
        return take_entries(trace, np.asarray(a), indices)
    if axis is None:
        raise trace.stop("it takes single values of all rows", "Say which axis: axis=1")
    return a[(*(slice(None),) * (operator.index(axis) % a.ndim), indices)]  # type: ignore[no-any-return]


def isclose(
    trace: Trace, a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: Any = False
) -> TracedArray:
    """`np.isclose`."""
    if equal_nan:
        raise trace.stop("it calls np.isclose with equal_nan")
    near = abs(lift(trace, a) - b) <= atol + rtol * abs(lift(trace, b))
    return (near & np.isfinite(b)) | (lift(trace, a) == b)  # type: ignore[no-any-return]


def _reduction(name: str) -> Callable[..., TracedArray]:
    def call(trace: Trace, a: Any, axis: Any = None, *, keepdims: Any = False, **options: Any) -> TracedArray:
        del trace
        return reduce(a, name, axis, keepdims, **options)

    return call


def _known_reduction(name: str) -> Callable[..., TracedArray]:
    def call(trace: Trace, a: Any, axis: Any = None, *, keepdims: Any = False, **options: Any) -> TracedArray:
        del trace
        return reduce_known(a, name, axis, keepdims, **options)

    return call


def _method(build: Callable[..., Any]) -> Callable[..., Any]:
    return lambda array, *args, **options: build(array.trace, array, *args, **options)


REDUCTIONS = ("sum", "prod", "max", "min", "mean", "std", "var", "any", "all", "argmax", "argmin")

FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **{getattr(np, name): _reduction(name) for name in REDUCTIONS},
    **{getattr(np, f"nan{name}"): _known_reduction(name) for name in REDUCTIONS[:7]},
    np.append: append,
    np.array_split: lambda trace, ary, sections, axis=0: split_columns(trace, ary, np.array_split, sections, axis),
    np.astype: lambda trace, x, dtype, /, **_: x.astype(dtype),  # noqa: ARG005 - every function takes the trace
    np.atleast_1d: lambda trace, a: a,  # noqa: ARG005 - as above
    np.atleast_2d: lambda trace, a: a if a.ndim > 1 else a[None],  # noqa: ARG005 - as above
    np.around: around,
    np.broadcast_to: broadcast_to,
    np.clip: clip,
    np.column_stack: column_stack,
    np.concatenate: concatenate,
    np.copy: lambda trace, a, order="K", subok=False: a.copy(),  # noqa: ARG005 - as above
    np.cumsum: cumsum,
    np.delete: delete,
    np.diff: diff,
    np.digitize: digitize,
    np.dot: dot,
    np.empty_like: lambda trace, a, dtype=None, *, shape=None, **_: full_like(trace, a, 0, dtype, shape),
    np.expand_dims: expand_dims,
    np.flip: flip,
    np.full_like: lambda trace, a, value, dtype=None, *, shape=None, **_: full_like(trace, a, value, dtype, shape),
    np.hstack: hstack,
    np.isclose: isclose,
    np.isin: lambda trace, element, test_elements, **_: in_set(lift(trace, element), test_elements),  # type: ignore[arg-type]
    np.linalg.norm: norm,
    np.may_share_memory: lambda trace, a, b, max_work=None: True,  # noqa: ARG005 - as above
    np.nan_to_num: nan_to_num,
    np.ndim: lambda trace, a: a.ndim,  # noqa: ARG005 - as above
    np.ones_like: lambda trace, a, dtype=None, *, shape=None, **_: full_like(trace, a, 1, dtype, shape),
    np.ptp: lambda trace, a, axis=None: reduce(a, "max", axis) - reduce(a, "min", axis),  # noqa: ARG005 - as above
    np.ravel: ravel,
    np.reshape: lambda trace, a, /, shape, **options: a.reshape(shape, **options),  # noqa: ARG005 - as above
    np.round: around,
    np.searchsorted: searchsorted,
    np.select: select,
    np.shape: lambda trace, a: a.shape,  # noqa: ARG005 - as above
    np.size: lambda trace, a, axis=None: a.shape[axis] if axis is not None else a.size,  # noqa: ARG005 - as above
    np.split: lambda trace, ary, sections, axis=0: split_columns(trace, ary, np.split, sections, axis),
    np.squeeze: squeezed,
    np.stack: stack,
    np.take: take,
    np.transpose: lambda trace, a, axes=None: a.transpose(axes),  # noqa: ARG005 - as above
    np.vstack: vstack,
    np.where: choose,
    np.zeros_like: lambda trace, a, dtype=None, *, shape=None, **_: full_like(trace, a, 0, dtype, shape),
}  # fmt: skip


_PANDAS_NAMES = {"a_min": "lower", "a_max": "upper", "min": "lower", "max": "upper"}

_PANDAS_OWN = {np.clip: "clip", np.round: "round", np.around: "round"}
"""Functions of NumPy that call the method of a DataFrame or a column, and so return one."""


METHODS: dict[str, Callable[..., Any]] = {
    **{name: _method(FUNCTIONS[getattr(np, name)]) for name in (
        "sum", "prod", "max", "min", "mean", "std", "var", "any", "all", "argmax", "argmin", "cumsum", "dot", "ravel",
        "squeeze", "take", "round",
    )},
    "clip": _method(clip),
    "flatten": _method(lambda trace, a, order="C": ravel(trace, a, order).copy()),
}  # fmt: skip
