"""pandas' own names while a function is traced: a DataFrame made of traced columns is traced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from afterfit.lowering.tracing._array import TracedArray
from afterfit.lowering.tracing._frame import TracedFrame
from afterfit.lowering.tracing._series import TracedSeries

if TYPE_CHECKING:
    from collections.abc import Callable


def asking(name: str, original: Any) -> Any:
    """What stands for `pandas.<name>`; whatever is not traced goes on to `original` unchanged."""
    if name == "DataFrame":
        return _frame_class(original)
    return _concatenation(original) if name == "concat" else _missing(name, original)


def _frame_class(original: Any) -> Any:
    class Asking(type(original)):  # type: ignore[misc]  # the metaclass of whatever class pandas has
        def __call__(cls, data: Any = None, *args: Any, **options: Any) -> Any:
            traced = _traced_frame(data, *args, **options)
            return original(data, *args, **options) if traced is None else traced

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, original)

        def __subclasscheck__(cls, subclass: Any) -> bool:
            return issubclass(subclass, original)

    return Asking("DataFrame", (original,), {})


def _traced_frame(
    data: Any, index: Any = None, columns: Any = None, dtype: Any = None, copy: Any = None
) -> Any:
    del index, copy
    if isinstance(data, TracedFrame):
        frame = data.copy() if columns is None else data[list(columns)]
    elif isinstance(data, TracedSeries):
        name = (0 if data.name is None else data.name) if columns is None else next(iter(columns))
        frame = TracedFrame(data.trace, {name: data.copy()})
    elif isinstance(data, TracedArray):
        values = data[:, None] if data.ndim == 1 else data
        names = range(values.shape[1]) if columns is None else list(columns)
        frame = TracedFrame(data.trace, {name: values[:, i].copy() for i, name in enumerate(names)})
    elif isinstance(data, Mapping) and (traced := [v for v in data.values() if isinstance(v, TracedArray)]):
        frame = TracedFrame(traced[0].trace, {})
        for name in data if columns is None else columns:
            frame[name] = data[name]
    else:
        return None
    return frame if dtype is None else frame.astype(dtype)


def _concatenation(original: Callable[..., Any]) -> Callable[..., Any]:
    def concat(objs: Any, *args: Any, **options: Any) -> Any:
        parts = list(objs.values() if isinstance(objs, Mapping) else objs)
        traced = [part for part in parts if isinstance(part, TracedFrame | TracedSeries)]
        if not traced:
            return original(objs, *args, **options)
        trace = traced[0].trace
        if (options.get("axis", args[0] if args else 0)) not in {1, "columns"} or len(traced) != len(parts):
            raise trace.stop("it puts rows below rows", "Put columns side by side: pd.concat(..., axis=1)")
        columns: dict[Any, Any] = {}
        for part in traced:
            held = part.held if isinstance(part, TracedFrame) else {part.name: part}
            if held.keys() & columns.keys():
                raise trace.stop("two of its columns have the same name")
            columns |= held
        return TracedFrame(trace, columns)

    return concat


def _missing(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def find(value: Any) -> Any:
        if isinstance(value, TracedFrame):
            return value.isna() if name in {"isna", "isnull"} else ~value.isna()
        if isinstance(value, TracedArray):
            gaps = TracedSeries.of(value).isna()
            found = gaps if name in {"isna", "isnull"} else ~gaps
            return found if isinstance(value, TracedSeries) else found.values
        return original(value)

    return find
