"""Columns of pandas DataFrames."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from afterfit.schema._columns import (
    FLOAT64,
    OBJECT,
    ColumnData,
    empty,
    from_numbers,
    from_numpy,
    from_strings,
    name_kind,
    refuse,
)


def read_series(name: str, series: pd.Series[Any]) -> ColumnData:
    """One column of a DataFrame, of any dtype.

    scikit-learn converts every extension dtype of numbers to float64, so that is the dtype reported.
    """
    dtype = series.dtype
    if isinstance(dtype, np.dtype | pd.SparseDtype):
        return from_numpy(name, np.asarray(series))
    if isinstance(dtype, pd.CategoricalDtype):
        return _read_categorical(name, series)
    if isinstance(dtype, pd.ArrowDtype) or (isinstance(dtype, pd.StringDtype) and dtype.storage == "pyarrow"):
        from afterfit.schema._arrow import read_array

        return _hold_float64(read_array(name, series.array.__arrow_array__()))
    if isinstance(dtype, pd.StringDtype):
        return from_strings(name, series.to_numpy(dtype=object).tolist())
    return _read_masked(name, series)


def _read_masked(name: str, series: pd.Series[Any]) -> ColumnData:
    held = getattr(series.dtype, "numpy_dtype", None)
    if not isinstance(held, np.dtype) or held.kind not in "biuf":
        return refuse(name, len(series), f"which holds {name_kind(series.dtype)}")
    # The value at missing places only has to be one of the dtype; what is missing comes beside it.
    values = series.to_numpy(dtype=held, na_value=np.nan if held.kind == "f" else held.type(0))
    return from_numbers(name, values, series.isna().to_numpy(), FLOAT64)


def _read_categorical(name: str, series: pd.Series[Any]) -> ColumnData:
    learned = read_series(name, series.cat.categories.to_series())
    codes = series.cat.codes.to_numpy().astype(np.intp)
    if learned.kind in {"mixed", "refused"}:
        return refuse(name, len(series), f"whose categories are {learned.held}")
    if learned.kind == "empty":
        return empty(name, len(series))
    column = learned.take(codes)
    held = learned.dtype
    if held.kind != "O" and (column.missing is not None or held.kind == "b"):
        held = held if held.kind == "f" else FLOAT64
    return replace(column, dtype=held, categorical=True, categories=learned.scalars())


def _hold_float64(column: ColumnData) -> ColumnData:
    return column if column.dtype == OBJECT else replace(column, dtype=FLOAT64)
