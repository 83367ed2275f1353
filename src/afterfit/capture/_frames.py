"""The rows of `X` as the model in memory takes them, and edited copies of single rows.

Golden rows and probes are rows of `X` with some cells changed. They must reach the model in memory in a table
of the same kind and dtypes as `X`, or the model would be asked another question than the graph.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class _Missing:
    """A cell with no value."""

    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `value` (or `MISSING`) into the cell at row `row` of the copy, column `column`."""

    row: int
    column: int
    value: Any


def kind_of(X: Any) -> str:
    """`pandas`, `polars`, `pyarrow`, `array` or `rows`, by the module that `X` comes from."""
    root = type(X).__module__.partition(".")[0]
    if root in {"pandas", "polars", "pyarrow"}:
        return root
    return "array" if isinstance(X, np.ndarray) else "rows"


def reference_frame(X: Any) -> Any:
    """`X` in a form that a model in memory accepts.

    pandas, polars and 2-D arrays as they are; a pyarrow table or a list of dicts as a pandas DataFrame, since
    estimators take neither. Raises `ArgumentError` where pandas would be needed and is not installed.
    """
    kind = kind_of(X)
    if kind not in {"pyarrow", "rows"}:
        return X
    if importlib.util.find_spec("pandas") is None:
        raise ArgumentError(
            f"X is a {type(X).__name__}, which the model in memory is given as a pandas DataFrame, and pandas is "
            "not installed: run `pip install pandas`, or give X as a 2-D array or a polars DataFrame"
        )
    if kind == "pyarrow":
        return X.to_pandas()
    import pandas as pd

    return pd.DataFrame(X)


def row_count(frame: Any) -> int:
    """The number of rows of a reference frame."""
    return int(frame.shape[0])


def take(frame: Any, rows: Sequence[int] | np.ndarray[Any, Any]) -> Any:
    """A copy of the rows at `rows`, in that order; same kind and dtypes."""
    kind = kind_of(frame)
    indices = np.asarray(rows, dtype=np.int64)
    if kind == "pandas":
        return frame.iloc[indices].reset_index(drop=True)
    if kind == "polars":
        return frame[indices.tolist()]
    return frame[indices]


def edited(frame: Any, rows: Sequence[int], edits: Sequence[Edit]) -> Any:
    """The rows at `rows` with `edits` made; dtypes stay unless a value cannot be held otherwise."""
    copy = take(frame, rows)
    by_column: dict[int, list[Edit]] = {}
    for edit in edits:
        by_column.setdefault(edit.column, []).append(edit)
    return _EDITORS[kind_of(frame)](copy, by_column)


def _edit_pandas(copy: Any, by_column: dict[int, list[Edit]]) -> Any:
    changed = {}
    for position, edits in by_column.items():
        series = copy.iloc[:, position]
        changed[position] = _edit_series(series, edits)
    import pandas as pd

    columns = [changed.get(i, copy.iloc[:, i]) for i in range(copy.shape[1])]
    result = pd.concat(columns, axis=1)
    result.columns = copy.columns
    return result


def _edit_series(series: Any, edits: list[Edit]) -> Any:
    import pandas as pd

    dtype = series.dtype
    values = series.astype(object).tolist()
    for edit in edits:
        values[edit.row] = edit.value
    lost = any(edit.value is MISSING for edit in edits)
    if isinstance(dtype, pd.CategoricalDtype):
        known = dtype.categories.tolist()
        filled = [None if value is MISSING else value for value in values]
        extra = [value for value in dict.fromkeys(filled) if not pd.isna(value) and value not in known]
        widened = pd.CategoricalDtype([*known, *extra], ordered=dtype.ordered)
        return pd.Series(pd.Categorical(filled, dtype=widened), index=series.index)
    if isinstance(dtype, np.dtype):
        return _edit_numpy_series(series, values, lost=lost)
    return pd.Series([dtype.na_value if value is MISSING else value for value in values], dtype=dtype)


def _edit_numpy_series(series: Any, values: list[Any], *, lost: bool) -> Any:
    import pandas as pd

    dtype = series.dtype
    if dtype.kind in "iu" and lost:
        return pd.Series([np.nan if value is MISSING else value for value in values], dtype=np.float64)
    if dtype.kind == "b" and lost:
        return pd.Series([None if value is MISSING else value for value in values], dtype=object)
    if dtype.kind == "O":
        gap: Any = None if any(value is None for value in series) else np.nan
        return pd.Series([gap if value is MISSING else value for value in values], dtype=object)
    return pd.Series([np.nan if value is MISSING else value for value in values]).astype(dtype)


def _edit_polars(copy: Any, by_column: dict[int, list[Edit]]) -> Any:
    import polars as pl

    for position, edits in by_column.items():
        series = copy.to_series(position)
        values = series.to_list()
        for edit in edits:
            values[edit.row] = None if edit.value is MISSING else edit.value
        dtype = series.dtype
        if isinstance(dtype, pl.Enum):
            known = dtype.categories.to_list()
            dtype = pl.Enum([*known, *(v for v in dict.fromkeys(values) if v is not None and v not in known)])
        copy = copy.with_columns(pl.Series(series.name, values, dtype=dtype))
    return copy


def _edit_array(copy: Any, by_column: dict[int, list[Edit]]) -> Any:
    edits = [edit for column in by_column.values() for edit in column]
    if copy.dtype.kind in "US":
        copy = copy.astype(object)
    if copy.dtype.kind in "iub" and any(
        edit.value is MISSING or isinstance(edit.value, float) for edit in edits
    ):
        copy = copy.astype(np.float64)
    for edit in edits:
        copy[edit.row, edit.column] = np.nan if edit.value is MISSING else edit.value
    return copy


_EDITORS: dict[str, Callable[[Any, dict[int, list[Edit]]], Any]] = {
    "pandas": _edit_pandas,
    "polars": _edit_polars,
    "array": _edit_array,
}
