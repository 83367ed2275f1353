"""A pandas DataFrame, traced: the part of pandas whose answers are NumPy's, row by row."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from afterfit.lowering.tracing._array import ROWS, RowCount, Trace, TracedArray, lift
from afterfit.lowering.tracing._columns import broadcast_to, column_stack
from afterfit.lowering.tracing._elementwise import elementwise
from afterfit.lowering.tracing._series import OPERATORS, USE_NUMPY, TracedSeries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from afterfit.lowering._table import Block


class TracedFrame:
    """A DataFrame of traced columns; a column nothing was done with is kept as the `Block` it came in."""

    __array_priority__ = 1000

    def __init__(self, trace: Trace, columns: dict[Any, Any]) -> None:
        self.trace = trace
        self.held = dict(columns)

    @property  # type: ignore[misc]  # isinstance believes what an object says of its class
    def __class__(self) -> Any:
        # Code that asks isinstance(X, pd.DataFrame) goes the way it goes for the real one.
        pandas = sys.modules.get("pandas")
        return TracedFrame if pandas is None else _real_class(pandas.DataFrame)

    def __invert__(self) -> TracedFrame:
        return self._each(lambda column: ~column)

    def __neg__(self) -> TracedFrame:
        return self._each(lambda column: -column)

    @staticmethod
    def of(trace: Trace, columns: dict[Any, tuple[Block, Callable[[], TracedArray]]]) -> TracedFrame:
        """A DataFrame of raw columns, each read only when it is used."""
        return TracedFrame(trace, columns)

    def column(self, name: Any) -> TracedSeries:
        """The column called `name`."""
        held = self.held[name]
        array = held[1]() if isinstance(held, tuple) else held
        return TracedSeries.of(array, name)

    @property
    def columns(self) -> Any:
        """Their names."""
        import pandas as pd

        return pd.Index(list(self.held))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return (RowCount(ROWS), len(self.held))

    @property
    def index(self) -> NoReturn:
        raise self.trace.stop("it reads the names of the rows, which a graph does not know")

    @property
    def dtypes(self) -> Any:
        """The dtype of each column."""
        import pandas as pd

        return pd.Series({name: self.column(name).dtype for name in self.held})

    ndim = 2
    empty = False

    def traced_values(self) -> TracedArray:
        """All columns as one NumPy array."""
        return column_stack(self.trace, [self.column(name).traced_values() for name in self.held])

    def to_numpy(self, dtype: Any = None, *_: Any, **__: Any) -> TracedArray:
        """All columns as one NumPy array."""
        return self.traced_values() if dtype is None else self.traced_values().astype(dtype)

    values = property(traced_values)

    def __len__(self) -> int:
        return ROWS

    def __iter__(self) -> Iterator[Any]:
        return iter(self.held)

    def __contains__(self, name: Any) -> bool:
        return name in self.held

    def items(self) -> Iterator[tuple[Any, TracedSeries]]:
        """Names and columns."""
        return iter([(name, self.column(name)) for name in self.held])

    def _pick(self, names: Any) -> TracedFrame:
        return TracedFrame(self.trace, {name: self.held[name] for name in names})

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, TracedArray | TracedFrame | slice):
            raise self.trace.stop("it takes single rows", "Use np.where, or Series.where")
        if isinstance(key, str) or np.isscalar(key):
            return self.column(key)
        return self._pick(list(key))

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in self.__dict__.get("held", {}):
            return self.column(name)
        if name in {
            "apply",
            "applymap",
            "map",
            "pipe",
            "iterrows",
            "itertuples",
            "groupby",
            "query",
            "eval",
            "merge",
            "join",
            "sort_values",
            "drop_duplicates",
            "dropna",
            "head",
            "tail",
            "sample",
            "transform",
            "agg",
            "T",
        }:
            raise self.trace.stop(f"DataFrame.{name} has no exact form in a graph", USE_NUMPY)
        raise AttributeError(f"a DataFrame being traced has no {name!r}")

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, list):
            for name, part in zip(key, self._parts(value, len(key)), strict=True):
                self[name] = part
            return
        self.held[key] = self._as_column(value)

    def _parts(self, value: Any, count: int) -> list[Any]:
        if isinstance(value, TracedFrame):
            return [value.column(name) for name in value.held]
        if isinstance(value, TracedArray) and value.ndim == 2:
            return [value[:, i] for i in range(value.shape[1])]
        return [value] * count

    def _as_column(self, value: Any) -> TracedArray:
        if isinstance(value, TracedFrame):
            raise self.trace.stop("it puts a DataFrame into one column")
        if isinstance(value, TracedArray):
            if value.ndim == 2 and value.shape[1] == 1:
                value = value[:, 0]
            if value.ndim != 1:
                raise self.trace.stop("it puts an array of several columns into one")
            column: TracedArray = value
            return column
        lifted = lift(self.trace, value)
        return lifted if isinstance(lifted, TracedArray) else broadcast_to(self.trace, lifted, (ROWS,))

    def __delitem__(self, name: Any) -> None:
        del self.held[name]

    def pop(self, name: Any) -> TracedSeries:
        """Take a column out."""
        column = self.column(name)
        del self.held[name]
        return column

    def copy(self, *_: Any, **__: Any) -> TracedFrame:
        """A DataFrame of its own."""
        return TracedFrame(self.trace, self.held)

    __copy__ = copy
    reset_index = copy

    def assign(self, **columns: Any) -> TracedFrame:
        """With further columns."""
        result = self.copy()
        for name, value in columns.items():
            result[name] = value(result) if callable(value) else value
        return result

    def drop(
        self,
        labels: Any = None,
        *,
        axis: Any = 0,
        columns: Any = None,
        inplace: bool = False,
        errors: str = "raise",
        **_: Any,
    ) -> Any:
        """Without some columns."""
        if columns is None and axis in {1, "columns"}:
            columns = labels
        if columns is None:
            raise self.trace.stop("it drops rows")
        dropped = [columns] if isinstance(columns, str) else list(columns)
        if (missing := [name for name in dropped if name not in self.held]) and errors != "ignore":
            raise KeyError(missing)
        if inplace:
            for name in dropped:
                del self.held[name]
            return None
        return self._pick([name for name in self.held if name not in dropped])

    def rename(self, *, columns: Any = None, **_: Any) -> TracedFrame:
        """With other names."""
        if columns is None:
            raise self.trace.stop("it renames rows")
        find = columns if callable(columns) else lambda name: columns.get(name, name)
        return TracedFrame(self.trace, {find(name): held for name, held in self.held.items()})

    def get(self, name: Any, default: Any = None) -> Any:
        """A column, or `default`."""
        return self.column(name) if name in self.held else default

    def select_dtypes(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: dtypes of columns change where a value is missing."""
        raise self.trace.stop(
            "it selects columns by dtype, which a missing value changes", "Name the columns"
        )

    def _each(self, function: Callable[[TracedSeries], Any]) -> TracedFrame:
        return TracedFrame(self.trace, {name: function(self.column(name)) for name in self.held})

    def fillna(self, value: Any) -> TracedFrame:
        """Gaps filled by a value, or by one for each column."""
        if isinstance(value, dict):
            return TracedFrame(
                self.trace,
                {n: self.column(n).fillna(value[n]) if n in value else held for n, held in self.held.items()},
            )
        return self._each(lambda column: column.fillna(value))

    def clip(self, lower: Any = None, upper: Any = None, *, axis: Any = None) -> TracedFrame:
        """Values within bounds, which may be one for each column (`axis=1`)."""
        del axis
        low, high = self._bounds(lower), self._bounds(upper)
        return TracedFrame(self.trace, {n: self.column(n).clip(low[n], high[n]) for n in self.held})

    def _bounds(self, bound: Any) -> dict[Any, Any]:
        if bound is None or np.ndim(bound) == 0:
            return dict.fromkeys(self.held, bound)
        if hasattr(bound, "to_dict"):
            by_name = {str(name): value for name, value in bound.to_dict().items()}
            if by_name.keys() != {str(name) for name in self.held}:
                raise self.trace.stop("it has bounds for other columns than it clips")
            return {name: by_name[str(name)] for name in self.held}
        if np.shape(bound) != (len(self.held),):
            raise self.trace.stop("it has another number of bounds than of columns")
        return dict(zip(self.held, np.asarray(bound).tolist(), strict=True))

    def abs(self) -> TracedFrame:
        """Magnitudes."""
        return self._each(lambda column: column.abs())

    def round(self, decimals: int = 0) -> TracedFrame:
        """Rounded as NumPy does."""
        return self._each(lambda column: column.round(decimals))

    def isna(self) -> TracedFrame:
        """Where values are missing."""
        return self._each(lambda column: column.isna())

    isnull = isna

    def astype(self, dtype: Any) -> TracedFrame:
        """In other dtypes."""
        if isinstance(dtype, dict):
            return TracedFrame(
                self.trace,
                {n: self.column(n).astype(dtype[n]) if n in dtype else held for n, held in self.held.items()},
            )
        return self._each(lambda column: column.astype(dtype))

    def _across(self, name: str, axis: Any, options: dict[str, Any]) -> TracedSeries:
        """A reduction along the columns; pandas leaves missing values out."""
        from afterfit.lowering.tracing._reductions import reduce_known

        if (
            axis not in {1, "columns"}
            or options.pop("skipna", True) is not True
            or options.pop("numeric_only", False)
        ):
            raise self.trace.stop(
                f"its {name} goes over rows, or keeps missing values", "Use axis=1, or NumPy"
            )
        values = self.traced_values()
        if name in {"std", "var"}:
            options.setdefault("ddof", 1)
        return TracedSeries.of(reduce_known(values, name, 1, **options))

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise self.trace.stop(
            "it turns the rows into a NumPy array of numbers, and there are none while tracing"
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            raise self.trace.stop(f"it calls np.{ufunc.__name__}.{method} of a DataFrame", USE_NUMPY)
        return TracedFrame(
            self.trace,
            {
                n: elementwise(self.trace, ufunc, [self._operand(value, n) for value in inputs])
                for n in self.held
            },
        )

    def _operand(self, value: Any, name: Any) -> Any:
        if isinstance(value, TracedFrame):
            if list(value.held) != list(self.held):
                raise self.trace.stop("it computes with DataFrames of different columns", USE_NUMPY)
            return value.column(name)
        if np.ndim(value) == 1 and not isinstance(value, TracedArray) and len(value) == len(self.held):
            return self._bounds(value)[name]
        if np.ndim(value) != 0 or isinstance(value, TracedArray):
            raise self.trace.stop("it computes with a DataFrame and a column or a list", USE_NUMPY)
        return value

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        del types
        from afterfit.lowering.tracing._functions import call_function

        return call_function(self.trace, function, args, options)


def _binary(ufunc: np.ufunc, *, swapped: bool = False) -> Callable[[TracedFrame, Any], TracedFrame]:
    def apply(self: TracedFrame, other: Any) -> TracedFrame:
        frame: TracedFrame = self.__array_ufunc__(
            ufunc, "__call__", *((other, self) if swapped else (self, other))
        )
        return frame

    return apply


def _across(name: str) -> Callable[..., TracedSeries]:
    return lambda self, axis=0, **options: self._across(name, axis, options)


for _name, _ufunc in {**OPERATORS, "and": np.bitwise_and, "or": np.bitwise_or}.items():
    if _name != "div":
        setattr(TracedFrame, f"__{_name}__", _binary(_ufunc))
        if _name not in {"eq", "ne", "lt", "le", "gt", "ge"}:
            setattr(TracedFrame, f"__r{_name}__", _binary(_ufunc, swapped=True))
    if _name not in {"and", "or"}:
        setattr(TracedFrame, _name, _binary(_ufunc))
for _name in ("sum", "prod", "max", "min", "mean", "std", "var"):
    setattr(TracedFrame, _name, _across(_name))


class _Locator:
    """`df.loc[:, names]` and `df.iloc[:, positions]`."""

    def __init__(self, frame: TracedFrame, *, positions: bool) -> None:
        self._frame, self._positions = frame, positions

    def _names(self, key: Any) -> Any:
        if (
            not isinstance(key, tuple)
            or len(key) != 2
            or not (isinstance(key[0], slice) and key[0] == slice(None))
        ):
            raise self._frame.trace.stop("it takes single rows", "Take all rows: df.loc[:, columns]")
        names = list(self._frame.held)
        if self._positions:
            return names[key[1]] if isinstance(key[1], int | slice) else [names[i] for i in key[1]]
        if isinstance(key[1], slice):
            raise self._frame.trace.stop("it takes columns from one name to another", "Name the columns")
        return key[1]

    def __getitem__(self, key: Any) -> Any:
        return self._frame[self._names(key)]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._frame[self._names(key)] = value


TracedFrame.loc = property(lambda self: _Locator(self, positions=False))  # type: ignore[attr-defined]  # needs _Locator
TracedFrame.iloc = property(lambda self: _Locator(self, positions=True))  # type: ignore[attr-defined]  # needs _Locator


def _real_class(named: Any) -> Any:
    """The class of pandas itself, which another may stand for while a function is traced."""
    return named.__mro__[1] if named.__module__.startswith("afterfit") else named
