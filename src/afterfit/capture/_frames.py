"""The rows of `X` as the model in memory takes them, and edited copies of single rows.

Golden rows and probes are rows of `X` with some cells changed. They must reach the model in memory in a table
of the same kind and dtypes as `X`, or the model would be asked another question than the graph.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import ArgumentError
from afterfit.schema import as_numpy, is_arrays, is_texts, texts_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


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
    """`pandas`, `polars`, `pyarrow`, `array`, `arrays` (a dict of them) or `rows`, by where `X` comes from."""
    root = type(X).__module__.partition(".")[0]
    if root in {"pandas", "polars", "pyarrow"}:
        return root
    if isinstance(X, Mapping):
        return "arrays"
    return "array" if isinstance(X, np.ndarray) else "rows"


def reference_frame(X: Any) -> Any:
    """`X` in a form that a model in memory accepts.

    pandas, polars and arrays as they are; several arrays as a dict of them, called x0, x1, ... in a list (lists of
    unequal lengths as 1-D arrays of arrays); a pyarrow table or a list of dicts as a pandas DataFrame, since
    estimators take neither. Texts (a Series, a list of str, a 1-D array) as a table of one column, which `Reference`
    hands on as a sequence. Raises `ArgumentError` where pandas would be needed and is not installed.
    """
    X = as_numpy(X)
    if is_arrays(X):
        named = X if isinstance(X, Mapping) else {f"x{i}": array for i, array in enumerate(X)}
        return {str(name): _as_array(values) for name, values in named.items()}
    kind = kind_of(X)
    if is_texts(X):
        return _one_column(X, kind)
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


def _one_column(X: Any, kind: str) -> Any:
    if kind in {"pandas", "polars"}:
        return X.to_frame(texts_name(X))
    texts = np.empty((len(X), 1), dtype=object)
    texts[:, 0] = list(X)
    return texts


def one_column(frame: Any) -> Any:
    """The first column of a reference frame as a sequence: a Series, or a 1-D array."""
    kind = kind_of(frame)
    if kind == "pandas":
        return frame.iloc[:, 0]
    return frame.to_series(0) if kind == "polars" else frame[:, 0]


def _as_array(values: Any) -> Any:
    """An array of the rows, in one dimension where they are arrays of unequal sizes."""
    values = as_numpy(values)
    if isinstance(values, np.ndarray):
        return values
    parts = [np.asarray(as_numpy(value)) for value in values]
    if len({part.shape for part in parts}) == 1:
        return np.array(parts)
    rows = np.empty(len(parts), dtype=object)
    for position, part in enumerate(parts):
        rows[position] = part
    return rows


def row_count(frame: Any) -> int:
    """The number of rows of a reference frame."""
    if kind_of(frame) == "arrays":
        return len(next(iter(frame.values())))
    return int(frame.shape[0])


def distinct_values(frame: Any, column: int) -> list[Any]:
    """The different values in one column of a reference frame, in order of appearance."""
    kind = kind_of(frame)
    if kind == "pandas":
        return list(frame.iloc[:, column].drop_duplicates().tolist())
    if kind == "polars":
        return list(frame.to_series(column).unique(maintain_order=True).to_list())
    return list(dict.fromkeys(all_values(frame, column)))


def all_values(frame: Any, column: int) -> list[Any]:
    """The value of each row in one column of a reference frame."""
    kind = kind_of(frame)
    if kind == "pandas":
        return list(frame.iloc[:, column].tolist())
    if kind == "polars":
        return list(frame.to_series(column).to_list())
    values = list(frame.values())[column] if kind == "arrays" else frame[:, column]
    return list(values.tolist())


def take(frame: Any, rows: Sequence[int] | np.ndarray[Any, Any]) -> Any:
    """A copy of the rows at `rows`, in that order; same kind and dtypes."""
    kind = kind_of(frame)
    indices = np.asarray(rows, dtype=np.int64)
    if kind == "pandas":
        return frame.iloc[indices].reset_index(drop=True)
    if kind == "polars":
        return frame[indices.tolist()]
    if kind == "arrays":
        return {name: array[indices] for name, array in frame.items()}
    return frame[indices]


def column_values(frame: Any, column: int, rows: Sequence[int]) -> list[NDArray[Any]]:
    """The arrays of a tensor column at `rows`."""
    kind = kind_of(frame)
    if kind == "pandas":
        found = frame.iloc[:, column].iloc[list(rows)].tolist()
    elif kind == "polars":
        found = frame.to_series(column)[list(rows)].to_list()
    else:
        array = list(frame.values())[column] if kind == "arrays" else frame
        found = [array[row] for row in rows]
    return [np.asarray(as_numpy(value)) for value in found]


def gap_of(frame: Any, column: int) -> Any:
    """What stands for a missing value in a column: None, NaN or `pandas.NA`.

    In a pandas column of Python objects, None if the column holds one anywhere, NaN otherwise.
    """
    kind = kind_of(frame)
    if kind == "polars":
        return None
    if kind in {"array", "arrays"}:
        array = list(frame.values())[column] if kind == "arrays" else frame
        column = 0 if kind == "arrays" else column
        if array.dtype != object or array.ndim > 2:
            return np.nan
        return None if any(v is None for v in array.reshape(len(array), -1)[:, column]) else np.nan
    series = frame.iloc[:, column]
    if isinstance(series.dtype, np.dtype):
        holds_none = series.dtype == object and any(value is None for value in series)
        return None if holds_none else np.nan
    return getattr(series.dtype, "na_value", np.nan)


def edited(frame: Any, rows: Sequence[int], edits: Sequence[Edit]) -> Any:
    """The rows at `rows` with `edits` made; dtypes stay unless a value cannot be held otherwise."""
    copy = take(frame, rows)
    by_column: dict[int, list[Edit]] = {}
    for edit in edits:
        value = gap_of(frame, edit.column) if edit.value is MISSING else edit.value
        filled = Edit(edit.row, edit.column, value)
        by_column.setdefault(edit.column, []).append(filled)
    return _EDITORS[kind_of(frame)](copy, by_column)


def _edit_pandas(copy: Any, by_column: dict[int, list[Edit]]) -> Any:
    for position, edits in by_column.items():
        copy.isetitem(position, _edit_series(copy.iloc[:, position], edits))
    return copy


def _edit_series(series: Any, edits: list[Edit]) -> Any:
    import pandas as pd

    dtype = series.dtype
    values = series.astype(object).tolist()
    for edit in edits:
        values[edit.row] = edit.value
    gaps = pd.isna(pd.Series(values, dtype=object)).to_numpy()
    if isinstance(dtype, pd.CategoricalDtype):
        known = dtype.categories.tolist()
        present = [value for value, gap in zip(values, gaps, strict=True) if not gap]
        extra = [value for value in dict.fromkeys(present) if value not in known]
        widened = pd.CategoricalDtype([*known, *extra], ordered=dtype.ordered)
        return pd.Series(pd.Categorical(values, dtype=widened))
    if isinstance(dtype, np.dtype) and gaps.any():
        return pd.Series(values, dtype=np.dtype(np.float64) if dtype.kind in "iu" else dtype)
    return pd.Series(values, dtype=dtype)


def _edit_polars(copy: Any, by_column: dict[int, list[Edit]]) -> Any:
    import polars as pl

    for position, edits in by_column.items():
        series = copy.to_series(position)
        values = series.to_list()
        for edit in edits:
            values[edit.row] = edit.value
        dtype = series.dtype
        if isinstance(dtype, pl.Enum):
            known = dtype.categories.to_list()
            dtype = pl.Enum([*known, *(v for v in dict.fromkeys(values) if v is not None and v not in known)])
        copy = copy.with_columns(pl.Series(series.name, values, dtype=dtype))
    return copy


def _edit_array(copy: Any, by_column: dict[int, list[Edit]]) -> Any:
    edits = [edit for column in by_column.values() for edit in column]
    if copy.ndim != 2:
        return _edit_tensor(copy, edits)
    if copy.dtype.kind in "US":
        copy = copy.astype(object)
    if copy.dtype.kind in "iub" and any(isinstance(edit.value, float) for edit in edits):
        copy = copy.astype(np.float64)
    for edit in edits:
        copy[edit.row, edit.column] = edit.value
    return copy


def _edit_tensor(copy: Any, edits: list[Edit]) -> Any:
    """One column: of single values, or of arrays, each edited whole."""
    if copy.dtype.kind in "US":
        copy = copy.astype(object)
    if copy.dtype.kind in "iub" and any(isinstance(edit.value, float) for edit in edits):
        copy = copy.astype(np.float64)
    for edit in edits:
        copy[edit.row] = edit.value
    return copy


def _edit_arrays(copy: Any, by_column: dict[int, list[Edit]]) -> Any:
    return {
        name: _edit_tensor(array.copy(), by_column[i]) if i in by_column else array
        for i, (name, array) in enumerate(copy.items())
    }


_EDITORS: dict[str, Callable[[Any, dict[int, list[Edit]]], Any]] = {
    "pandas": _edit_pandas,
    "polars": _edit_polars,
    "array": _edit_array,
    "arrays": _edit_arrays,
}
