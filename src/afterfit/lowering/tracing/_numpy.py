"""Names of NumPy and pandas that do not ask their arguments what to do, made to ask while a function is traced."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.lowering.tracing._array import TracedArray
from afterfit.lowering.tracing._columns import column_stack, stack
from afterfit.lowering.tracing._functions import REDUCTIONS, call_function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CONVERSIONS = ("array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray")
_LOCK = threading.RLock()


@contextmanager
def asking() -> Iterator[None]:
    """Let `np.asarray` and its kin, `np.c_`, `np.take` and reductions of lists answer for traced arrays.

    Whatever else they are given goes on to NumPy unchanged, in other threads too.
    """
    with _LOCK:
        names = (*_CONVERSIONS, *REDUCTIONS, "c_", "take")
        kept = {name: getattr(np, name) for name in names}
        for name in _CONVERSIONS:
            setattr(np, name, _conversion(kept[name]))
        for name in REDUCTIONS:
            setattr(np, name, _stacking(kept[name]))
        np.c_ = _Columns(kept["c_"])  # type: ignore[misc,assignment]  # put back below
        np.take = _taking(kept["take"])
        try:
            with _asking_pandas():
                yield
        finally:
            for name, value in kept.items():
                setattr(np, name, value)


@contextmanager
def _asking_pandas() -> Iterator[None]:
    """Let `pd.DataFrame`, `pd.concat` and `pd.isna` do the same, if pandas is there at all."""
    pandas = sys.modules.get("pandas")
    if pandas is None:
        yield
        return
    from afterfit.lowering.tracing import _pandas

    kept = {
        name: getattr(pandas, name) for name in ("DataFrame", "concat", "isna", "isnull", "notna", "notnull")
    }
    for name, value in kept.items():
        setattr(pandas, name, _pandas.asking(name, value))
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(pandas, name, value)


def as_array(convert: Callable[..., Any], value: Any, *args: Any, **options: Any) -> Any:
    """`convert(value, ...)`, where `value` may be traced, a traced table, or a list of traced columns."""
    traced = _traced(value)
    if traced is None:
        return convert(value, *args, **options)
    dtype = args[0] if args else options.get("dtype")
    if dtype is not None and np.dtype(dtype) != traced.dtype:
        return traced.astype(dtype)
    # NumPy copies for True alone; None and its own "if needed" do not.
    return traced.copy() if convert.__name__ == "array" and options.get("copy", True) is True else traced


def _traced(value: Any) -> TracedArray | None:
    if isinstance(value, list | tuple) and any(isinstance(part, TracedArray) for part in value):
        trace = next(part.trace for part in value if isinstance(part, TracedArray))
        return stack(trace, value, 0)
    if hasattr(type(value), "traced_values"):
        return value.traced_values()  # type: ignore[no-any-return]
    return value if isinstance(value, TracedArray) else None


def _conversion(original: Callable[..., Any]) -> Callable[..., Any]:
    def convert(*args: Any, **options: Any) -> Any:
        return as_array(original, *args, **options) if args else original(**options)

    return convert


def _stacking(original: Callable[..., Any]) -> Callable[..., Any]:
    """`original`, of a list of traced columns too."""

    def reduce(*args: Any, **options: Any) -> Any:
        if args and isinstance(args[0], list | tuple) and (traced := _traced(args[0])) is not None:
            return original(traced, *args[1:], **options)
        return original(*args, **options)

    return reduce


def _taking(original: Callable[..., Any]) -> Callable[..., Any]:
    def take(a: Any, indices: Any, *args: Any, **options: Any) -> Any:
        if isinstance(indices, TracedArray):
            return call_function(indices.trace, original, (a, indices, *args), options)
        return original(a, indices, *args, **options)

    return take


class _Columns:
    """`np.c_`, which puts traced columns side by side."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        arrays = [_traced(part) for part in parts]
        if all(array is None for array in arrays):
            return self._original[key]
        trace = next(array.trace for array in arrays if array is not None)
        return column_stack(
            trace, [part if array is None else array for part, array in zip(parts, arrays, strict=True)]
        )
