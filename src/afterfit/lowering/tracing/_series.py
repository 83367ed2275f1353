"""A column of a pandas DataFrame, traced: the part of pandas whose answers are NumPy's, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import TEXT
from afterfit.lowering.tracing._array import TracedArray
from afterfit.lowering.tracing._elementwise import choose, elementwise, fill_missing, in_set
from afterfit.lowering.tracing._functions import around, clip

if TYPE_CHECKING:
    from afterfit.lowering.tracing._frame import TracedFrame

USE_NUMPY = (
    "Compute with df.to_numpy() or with the columns' NumPy arrays, or apply the step before X is given"
)


class TracedSeries(TracedArray):
    """A column of a DataFrame, traced."""

    name: Any = None

    @staticmethod
    def of(array: TracedArray, name: Any = None) -> TracedSeries:
        """A one-dimensional traced array as a column."""
        series = TracedSeries(array.trace, array.graph, array.shape, array.dtype, array.row_axis)
        series.name = name
        return series

    def wrap(self, array: TracedArray) -> TracedArray:
        """What pandas makes of the result of a NumPy function of this column."""
        return TracedSeries.of(array, self.name) if array.ndim == 1 else array

    def traced_values(self) -> TracedArray:
        """The column as a NumPy array."""
        return TracedArray(self.trace, self.graph, self.shape, self.dtype)

    def to_numpy(self, dtype: Any = None, *_: Any, **__: Any) -> TracedArray:
        """The column as a NumPy array."""
        return self.traced_values() if dtype is None else self.traced_values().astype(dtype)

    values = property(traced_values)
    array = property(traced_values)

    def like(self, var: Any, dtype: Any = None) -> TracedArray:
        """`var` as a column of the same name."""
        return self.wrap(super().like(var, dtype))

    def __getitem__(self, key: Any) -> TracedArray:
        if isinstance(key, slice) and key == slice(None):
            return self
        raise self.trace.stop("it takes single rows of a column", "Use np.where, or Series.where")

    def __setitem__(self, key: Any, value: Any) -> None:
        raise self.trace.stop("it writes into a column", "Use np.where, or df.assign")

    def isna(self) -> TracedArray:
        """Where the value is missing."""
        if self.dtype == TEXT:
            from afterfit.schema import MISSING_TEXT

            return self.like(op.equal(self.graph, op.constant(value=np.array(MISSING_TEXT))), np.bool_)
        return elementwise(self.trace, np.isnan, [self])

    isnull = isna

    def notna(self) -> TracedArray:
        """Where there is a value."""
        return ~self.isna()  # type: ignore[no-any-return]

    notnull = notna

    def fillna(self, value: Any) -> TracedArray:
        """The column with `value` where it is missing."""
        if not np.isscalar(value) and not isinstance(value, TracedArray):
            raise self.trace.stop("it fills gaps by something else than a value")
        if self.dtype == TEXT:
            return self.wrap(choose(self.trace, self.isna(), value, self))
        return self if self.dtype.kind != "f" else self.wrap(fill_missing(self, value))

    def clip(self, lower: Any = None, upper: Any = None, **_: Any) -> TracedArray:
        """The column within bounds."""
        return self.wrap(clip(self.trace, self, lower, upper))

    def abs(self) -> TracedArray:
        """Magnitudes."""
        return elementwise(self.trace, np.absolute, [self])

    def round(self, decimals: int = 0) -> TracedArray:
        """Rounded as NumPy does."""
        return self.wrap(around(self.trace, self, decimals))

    def isin(self, values: Any) -> TracedArray:
        """Whether each value is among constants."""
        return self.wrap(in_set(self, values))

    def between(self, left: Any, right: Any, inclusive: str = "both") -> TracedArray:
        """Whether each value lies between bounds."""
        low = self >= left if inclusive in {"both", "left"} else self > left
        high = self <= right if inclusive in {"both", "right"} else self < right
        return low & high  # type: ignore[no-any-return]

    def where(self, condition: Any, other: Any = np.nan) -> TracedArray:
        """The column where the condition holds, `other` elsewhere."""
        return self.wrap(choose(self.trace, condition, self, other))

    def mask(self, condition: Any, other: Any = np.nan) -> TracedArray:
        """`other` where the condition holds, the column elsewhere."""
        return self.wrap(choose(self.trace, condition, other, self))

    def map(self, mapping: Any, **_: Any) -> TracedArray:
        """Each value by a dict of constants; those not in it are missing."""
        if not isinstance(mapping, dict) or not mapping:
            raise self.trace.stop(
                "it calls a function for every value", "Compute with the whole column at once"
            )
        kinds = np.asarray(list(mapping.values())).dtype
        if kinds.kind not in "biuf":
            raise self.trace.stop("it maps values to something else than numbers")
        result: Any = np.float64(np.nan)
        for key, value in mapping.items():
            result = choose(self.trace, self == key, np.float64(value), result)
        if kinds.kind in "biu":
            # pandas keeps integers where every value is found, which the values decide.
            self.trace.integer_or_float = True
        return self.wrap(result)

    def to_frame(self, name: Any = None) -> TracedFrame:
        """The column as a DataFrame."""
        from afterfit.lowering.tracing._frame import TracedFrame

        return TracedFrame(self.trace, {self.name if name is None else name: self})

    def reset_index(self, *_: Any, **__: Any) -> TracedSeries:
        """The same column: rows have no names in a graph."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name in OPERATORS:
            ufunc = OPERATORS[name]
            return lambda other: elementwise(self.trace, ufunc, [self, other])
        if name in {
            "str",
            "dt",
            "cat",
            "apply",
            "rolling",
            "shift",
            "rank",
            "sort_values",
            "groupby",
            "iloc",
            "loc",
        }:
            raise self.trace.stop(f"Series.{name} has no exact form in a graph", USE_NUMPY)
        return super().__getattr__(name)


OPERATORS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "truediv": np.divide,
    "floordiv": np.floor_divide, "mod": np.remainder, "pow": np.power, "eq": np.equal, "ne": np.not_equal,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip
