"""Rows like those of a table, which the model has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def perturbed(X: Any, *, amount: float = 0.03, seed: int = 0) -> Any:
    """The rows of `X` with every number moved by up to `amount` of the spread of its column.

    `X` is a DataFrame (pandas, polars), a pyarrow table, a 2-D array or a list of dicts; the last two kinds of
    table without an index come back as pandas DataFrames, the others as they are, with the same shape and dtypes.
    Integers stay integers within their column's range; missing values stay missing. What is no number
    (text, booleans, categories, extension types) is drawn anew from the column. The same `seed` gives the same rows.

    >>> import numpy as np
    >>> X = np.array([[0.0, 5.0], [10.0, 5.0]])
    >>> float(np.abs(perturbed(X) - X).max()) <= 0.3
    True
    """
    draw = np.random.default_rng(seed)
    return _by_columns(X, draw, lambda values: _moved(values, amount, draw))


def recombined(X: Any, *, seed: int = 0) -> Any:
    """The values of `X` in rows that it does not hold: every column shuffled by itself.

    `X` and what comes back as in `perturbed`; every column keeps its values, so that no value is new.

    >>> import numpy as np
    >>> recombined(np.arange(6.0).reshape(3, 2)).sum(axis=0).tolist()
    [6.0, 9.0]
    """
    return _by_columns(X, np.random.default_rng(seed), None)


def _moved(values: NDArray[Any], amount: float, draw: np.random.Generator) -> NDArray[Any]:
    known = values[np.isfinite(values)]
    if not len(known):
        return values
    low, high = known.min(), known.max()
    noise = draw.uniform(-amount, amount, len(values)) * (float(high) - float(low))
    if values.dtype.kind == "f":
        return (values + noise).astype(values.dtype)
    return np.asarray(np.clip(np.rint(values + noise), low, high).astype(values.dtype))


def _by_columns(
    X: Any, draw: np.random.Generator, move: Callable[[NDArray[Any]], NDArray[Any]] | None
) -> Any:
    """`X` with `move` done to its columns of numbers, and the others shuffled; all of them without `move`."""
    from afterfit.capture import reference_frame, row_count, take

    frame = reference_frame(X)
    columns = []
    for position in range(frame.shape[1]):
        values = _numbers(frame, position)
        if move is None or values is None:
            order = draw.permutation(row_count(frame))
            columns.append(_column(take(frame, order), position))
        else:
            columns.append(_replaced(frame, position, move(values)))
    return _joined(frame, columns)


def _numbers(frame: Any, position: int) -> NDArray[Any] | None:
    """A column of plain numbers, None where it holds anything else."""
    if isinstance(frame, np.ndarray):
        values = frame[:, position]
    elif hasattr(frame, "iloc"):
        series = frame.iloc[:, position]
        if not isinstance(series.dtype, np.dtype):
            return None
        values = series.to_numpy()
    else:
        series = frame.to_series(position)
        if not series.dtype.is_numeric() or (series.dtype.is_integer() and series.null_count()):
            return None
        values = series.to_numpy()
    return values if values.dtype.kind in "fiu" else None


def _column(frame: Any, position: int) -> Any:
    if isinstance(frame, np.ndarray):
        return frame[:, position]
    return frame.iloc[:, position] if hasattr(frame, "iloc") else frame.to_series(position)


def _replaced(frame: Any, position: int, values: NDArray[Any]) -> Any:
    if isinstance(frame, np.ndarray):
        return values
    series = _column(frame, position)
    if hasattr(frame, "iloc"):
        return type(series)(values, name=series.name)
    return type(series)(series.name, values, dtype=series.dtype).zip_with(series.is_not_null(), series)


def _joined(frame: Any, columns: list[Any]) -> Any:
    if isinstance(frame, np.ndarray):
        return np.column_stack(columns).astype(frame.dtype) if columns else frame.copy()
    if not hasattr(frame, "iloc"):
        return type(frame)(columns)
    import pandas as pd

    joined = pd.concat([column.reset_index(drop=True) for column in columns], axis=1)
    joined.columns = frame.columns
    return joined
