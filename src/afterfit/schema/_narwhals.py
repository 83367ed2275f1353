"""Columns of polars DataFrames and of whatever else narwhals reads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from afterfit.schema._columns import ColumnData, empty, from_numbers, from_objects, refuse

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGNED = (nw.Int8, nw.Int16, nw.Int32, nw.Int64)
_UNSIGNED = (nw.UInt8, nw.UInt16, nw.UInt32, nw.UInt64)


def read_series(name: str, series: nw.Series[Any]) -> ColumnData:
    """One column, of any dtype."""
    dtype = series.dtype
    rows = len(series)
    if rows and series.null_count() == rows and not dtype.is_numeric() and dtype == nw.Unknown:
        return empty(name, rows)
    if dtype == nw.Boolean:
        missing = _nulls(series)
        values = (series if missing is None else series.fill_null(False)).to_numpy()
        return from_numbers(name, np.asarray(values, dtype=np.bool_), missing)
    if dtype in _SIGNED or dtype in _UNSIGNED:
        missing = _nulls(series)
        values = (series if missing is None else series.fill_null(0)).to_numpy()
        return from_numbers(name, values, missing, _hold(values.dtype, missing))
    if dtype in {nw.Float32, nw.Float64}:
        return from_numbers(name, series.to_numpy())
    if dtype in {nw.Categorical, nw.Enum}:
        return _read_categorical(name, series)
    if dtype in {nw.String, nw.Object}:
        return from_objects(name, series.to_list())
    return refuse(name, rows, f"which holds {dtype}")


def _nulls(series: nw.Series[Any]) -> NDArray[np.bool_] | None:
    if series.null_count() == 0:
        return None
    return np.asarray(series.is_null().to_numpy(), dtype=np.bool_)


def _hold(dtype: np.dtype[Any], missing: NDArray[np.bool_] | None) -> np.dtype[Any]:
    """What numpy makes of integers beside missing values: the smallest float that holds them all."""
    return dtype if missing is None else np.result_type(dtype, np.float32)


def _read_categorical(name: str, series: nw.Series[Any]) -> ColumnData:
    column = from_objects(name, series.cast(nw.String).to_list())
    learned: list[str] = series.cat.get_categories().to_list()
    if series.dtype == nw.Categorical:
        # polars keeps the categories of all columns of a process together; only those of this one count.
        present = set(column.words)
        learned = [category for category in learned if category in present]
    if column.kind == "empty":
        return column
    return replace(column, categorical=True, categories=tuple(learned))
