"""An array whose values are a part of a graph: what a person's function is run on instead of numbers."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import spox.opset.ai.onnx.v21 as op
from numpy.lib.mixins import NDArrayOperatorsMixin

from afterfit.lowering._table import TEXT, constant, round_to_float32
from afterfit.lowering.tracing._stops import StopError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from spox import Var

ROWS = 10_007
"""The number of rows that a traced array says it has. Its axis of this size is the one of the rows."""


UNHELD = frozenset(np.dtype(kind) for kind in (np.float16, np.longdouble, np.uint64))
"""Dtypes of numbers that a graph does not hold exactly."""


class RowCount(int):
    """`X.shape[0]`: a size to make arrays with, and no number to calculate with."""

    __slots__ = ()


class Trace:
    """One run of a person's function: the number of rows of the graph, and what stopped the run first.

    `rows` is int64 `[1]`.
    """

    def __init__(self, rows: Var, note_float32: Callable[[], None]) -> None:
        self.rows = rows
        self.note_float32 = note_float32
        self.stopped: StopError | None = None
        self.unwritten: dict[int, tuple[TracedArray, StopError]] = {}
        """Results of `X[...] += value` that Python has yet to write back into `X`."""
        self.integer_or_float = False
        """The values decide whether the library answers in integers or in floats."""

    def stop(self, reason: str, *way_out: str) -> StopError:
        """The error to raise where a graph cannot follow; also kept, in case the person's code catches it."""
        error = StopError(reason, *way_out)
        self.stopped = self.stopped or error
        return error


class TracedArray(NDArrayOperatorsMixin):
    """Values of all rows at once, in a graph that is being built.

    `shape` as NumPy would say it, with `ROWS` at `row_axis`; `dtype` what NumPy would hold. In the graph floats are
    float64 (float32 values rounded), integers int64 (wrapped to their own width), booleans bool, and text string.
    NumPy's functions and operators, and the Array API through `__array_namespace__`, give further such arrays.
    """

    __array_priority__ = 1000
    chosen: tuple[NDArray[Any], Var] | None = None
    """Where the values were picked from a constant array by an index: that array and the index."""

    def __init__(self, trace: Trace, var: Var, shape: Sequence[int], dtype: Any, row_axis: int = 0) -> None:
        self.trace = trace
        self._var = var
        self.shape = tuple(RowCount(ROWS) if i == row_axis else int(n) for i, n in enumerate(shape))
        self.dtype = np.dtype(dtype)
        self.row_axis = row_axis
        self.version = 0
        self._viewed: tuple[TracedArray, int] | None = None

    @property
    def graph(self) -> Var:
        """The values in the graph."""
        if self._viewed is not None and self._viewed[0].version != self._viewed[1]:
            raise self.trace.stop(
                "it reads a slice of an array that was written to since", "Take a copy of the slice first"
            )
        return self._var

    def like(self, var: Var, dtype: Any = None) -> TracedArray:
        """`var`, in the shape of this array."""
        return TracedArray(self.trace, var, self.shape, dtype or self.dtype, self.row_axis)

    def view_of(self, base: TracedArray) -> TracedArray:
        """Say that NumPy's array would share its memory with `base`; returns this array."""
        while base._viewed is not None:
            base = base._viewed[0]
        self._viewed = (base, base.version)
        return self

    def changed(self, var: Var) -> TracedArray:
        """What `array += value` gives: the array itself, or of a slice what Python then writes back into the whole."""
        if self._viewed is None:
            self.replace(var)
            return self
        result = self.like(var)
        self.trace.unwritten[id(result)] = (result, _slice_error())
        return result

    def replace(self, var: Var) -> None:
        """Put other values into this array, as assignment in place does."""
        if self._viewed is not None:
            self.trace.stopped = self.trace.stopped or _slice_error()
            raise self.trace.stopped
        self._var = var
        self.version += 1

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: int(np.prod(self.shape)))
    T = property(lambda self: self.transpose())
    mT = property(lambda self: self.transpose())  # noqa: N815 - the Array API's name
    device = "cpu"
    flags = np.ones(1).flags
    __hash__ = None  # type: ignore[assignment]  # as NumPy's arrays

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        del api_version
        from afterfit.lowering.tracing._namespace import NAMESPACE

        return NAMESPACE

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        from afterfit.lowering.tracing._elementwise import call_ufunc

        return call_ufunc(self.trace, ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        del types
        from afterfit.lowering.tracing._functions import call_function

        return call_function(self.trace, function, args, options)

    def __getitem__(self, key: Any) -> TracedArray:
        from afterfit.lowering.tracing._index import read

        return read(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        from afterfit.lowering.tracing._index import write

        write(self, key, value)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[TracedArray]:
        if self.row_axis == 0:
            raise self.trace.stop("it goes through the rows one by one")
        return iter([self[i] for i in range(self.shape[0])])

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise self.trace.stop(
            "it turns the rows into a NumPy array of numbers, and there are none while tracing"
        )

    def _decides(self, *_: Any) -> NoReturn:
        raise self.trace.stop(
            "what it does next depends on the values of a row",
            "Choose between values with np.where(condition, a, b)",
        )

    __bool__ = __float__ = __int__ = __index__ = __complex__ = __contains__ = item = tolist = _decides

    def __repr__(self) -> str:
        return f"TracedArray(shape={tuple(map(int, self.shape))}, dtype={self.dtype})"

    def astype(self, dtype: Any, *_: Any, **__: Any) -> TracedArray:
        """The values in another dtype, as NumPy converts them."""
        wanted = np.dtype(dtype)
        return self.like(convert(self.trace, self.graph, self.dtype, wanted), wanted)

    def copy(self, *_: Any, **__: Any) -> TracedArray:
        """An array of its own with the same values."""
        return self.like(self.graph)

    __copy__ = copy
    __deepcopy__ = copy

    def transpose(self, *axes: Any) -> TracedArray:
        """The axes in another order."""
        order = (
            list(axes[0] if len(axes) == 1 and np.iterable(axes[0]) else axes) or [*range(self.ndim)][::-1]
        )
        if order == [None]:
            order = [*range(self.ndim)][::-1]
        order = [operator.index(axis) % self.ndim for axis in order]
        shape = [self.shape[axis] for axis in order]
        turned = op.transpose(self.graph, perm=order)
        return TracedArray(self.trace, turned, shape, self.dtype, order.index(self.row_axis)).view_of(self)

    def reshape(self, *shape: Any, **options: Any) -> TracedArray:
        """The values in another shape, whose first axis stays the rows."""
        wanted = shape[0] if len(shape) == 1 and np.iterable(shape[0]) else shape
        sizes = [operator.index(size) for size in wanted]
        if options.get("order", "C") not in {"C", "A"}:
            raise self.trace.stop("it reorders values by columns")
        inner = int(np.prod([size for axis, size in enumerate(self.shape) if axis != self.row_axis]))
        if -1 in sizes:
            known = -int(np.prod(sizes))
            total = ROWS * inner
            if known == 0 or total % known:
                raise self.trace.stop(f"it reshapes {self!r} to {tuple(sizes)}, which does not fit")
            sizes[sizes.index(-1)] = total // known
        if self.row_axis != 0 or sizes[0] != ROWS or int(np.prod(sizes[1:])) != inner:
            raise self.trace.stop(
                "it moves values between rows",
                "Reshape with the rows as the first axis: (len(X), ...) or (-1, k)",
            )
        var = op.reshape(self.graph, constant([-1, *sizes[1:]], np.int64))
        return TracedArray(self.trace, var, sizes, self.dtype).view_of(self)

    def __getattr__(self, name: str) -> Any:
        from afterfit.lowering.tracing._functions import METHODS

        if name in METHODS:
            function = METHODS[name]
            return lambda *args, **options: function(self, *args, **options)
        raise AttributeError(f"an array of rows being traced has no {name!r}")


def _slice_error() -> StopError:
    return StopError(
        "it writes into a slice of an array", "Write into the array itself, or into a copy of the slice"
    )


def convert(trace: Trace, var: Var, held: np.dtype[Any], wanted: np.dtype[Any]) -> Var:
    """`var`, held as `held`, as the values that NumPy makes of it as `wanted`."""
    if held == wanted:
        return var
    if TEXT in (held, wanted) or wanted.kind not in "biuf" or wanted in UNHELD:
        raise trace.stop(f"it converts {_name(held)} to {_name(wanted)}")
    if wanted.kind == "b":
        return op.not_(op.equal(var, zero(held)))
    if wanted.kind == "f":
        if wanted == np.float32:
            return round_to_float32(var) if held.kind == "f" else _widened(op.cast(var, to=np.float32))
        return var if held.kind == "f" else _widened(var)
    return wrap(_whole(var) if held.kind == "f" else op.cast(var, to=np.int64), wanted)


def _name(dtype: np.dtype[Any]) -> str:
    return "text" if dtype == TEXT or dtype.kind in "US" else str(dtype)


def _widened(var: Var) -> Var:
    return op.cast(var, to=np.float64)


def _whole(var: Var) -> Var:
    """Floats without their fraction as int64; what int64 does not hold becomes its smallest value."""
    inside = op.less(op.abs(var), constant(2.0**63))
    return op.where(
        inside,
        op.cast(op.where(inside, var, constant(0.0)), to=np.int64),
        constant(np.iinfo(np.int64).min, np.int64),
    )


def zero(dtype: np.dtype[Any]) -> Var:
    """Zero, in the type that the graph holds `dtype` in."""
    return constant(0, {"f": np.float64, "b": np.bool_}.get(dtype.kind, np.int64))


def wrap(var: Var, dtype: np.dtype[Any]) -> Var:
    """int64 values wrapped to the width of `dtype`, as NumPy's overflow does."""
    if dtype.itemsize == 8:
        return var
    span = 2 ** (8 * dtype.itemsize)
    low = int(np.iinfo(dtype).min)
    moved = op.mod(op.sub(var, constant(low, np.int64)), constant(span, np.int64))
    return op.add(moved, constant(low, np.int64))


def lift(trace: Trace, value: Any) -> TracedArray | NDArray[Any]:
    """`value` as an array: a traced one, or a constant with no axis of rows.

    A NumPy array with `ROWS` rows was made with `len(X)` or `X.shape[0]`; its rows have to be equal.
    """
    if isinstance(value, TracedArray):
        return value
    if isinstance(value, RowCount) or (
        np.ndim(value) == 0 and isinstance(value, int | float) and value == ROWS
    ):
        raise trace.stop(
            "it calculates with the number of rows", "Let the answer to a row not depend on the others"
        )
    if isinstance(value, list | tuple) and any(isinstance(part, TracedArray) for part in value):
        from afterfit.lowering.tracing._columns import stack

        return stack(trace, value, 0)
    array = np.asarray(value)
    if array.dtype.kind not in "biufOUS":
        raise trace.stop(f"it calculates with {type(value).__name__}")
    rows = [axis for axis, size in enumerate(array.shape) if size == ROWS]
    if not rows:
        return array
    axis = rows[0]
    first = np.take(array, [0], axis=axis)
    if not (array == first).all():
        raise trace.stop(
            "it gives each row a value by its position, or by chance",
            "Let rows depend on their own values alone",
        )
    shape = op.concat(
        [trace.rows if i == axis else constant([n], np.int64) for i, n in enumerate(array.shape)], axis=0
    )
    var = op.expand(held_constant(trace, first), shape)
    return TracedArray(trace, var, array.shape, array.dtype, axis)


def held_constant(trace: Trace, array: NDArray[Any]) -> Var:
    """A NumPy array as a constant of the graph, in the type that the graph holds its dtype in."""
    from afterfit.schema import encode_text

    kind = array.dtype.kind
    if kind in "OUS":
        if not all(isinstance(value, str) for value in array.ravel().tolist()):
            raise trace.stop("it calculates with Python objects")
        texts = [encode_text(str(value)) for value in array.ravel().tolist()]
        return op.constant(value=np.array(texts, dtype=np.str_).reshape(array.shape))
    if array.dtype in UNHELD:
        raise trace.stop(f"it calculates in {array.dtype}")
    return constant(array, {"f": np.float64, "b": np.bool_}.get(kind, np.int64))


def var_of(trace: Trace, value: TracedArray | NDArray[Any]) -> Var:
    """The values of a lifted array in the graph."""
    return value.graph if isinstance(value, TracedArray) else held_constant(trace, value)


def joint_row_axis(trace: Trace, values: Sequence[Any], shape: Sequence[int]) -> int:
    """The axis of the rows after broadcasting `values` to `shape`."""
    axes = {value.row_axis - value.ndim + len(shape) for value in values if isinstance(value, TracedArray)}
    if len(axes) != 1:
        raise trace.stop(
            "it compares rows with each other", "Let the answer to a row not depend on the others"
        )
    return int(axes.pop())


def broadcast_shape(trace: Trace, values: Sequence[Any]) -> tuple[int, ...]:
    """The shape that NumPy broadcasts `values` to."""
    shapes = [
        tuple(map(int, np.shape(value) if not isinstance(value, TracedArray) else value.shape))
        for value in values
    ]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        shown = " and ".join(str(tuple("N" if n == ROWS else n for n in shape)) for shape in shapes)
        raise trace.stop(f"it puts arrays of the shapes {shown} together, which do not fit") from None
