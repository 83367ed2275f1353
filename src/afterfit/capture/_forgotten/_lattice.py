"""Values that were recorded in round decimals once, and are no longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DECIMALS = 6
"""Measurements are recorded with at most this many decimals; what was computed has all 16 digits."""

_DISTINCT_NEEDED = 6
_FINEST = 12
_OFF = 1e-3
_SAMPLE = 5000


def is_short(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which values are decimals of at most `DECIMALS` places, as float64 or as float32."""
    rounded = np.round(values, DECIMALS)
    in_double = np.abs(values - rounded) <= 1e-12 * np.maximum(1, np.abs(values))
    return np.asarray(in_double | (values == rounded.astype(np.float32)))


def odd_step(values: NDArray[np.float64]) -> float | None:
    """The even step between the distinct values of a column that are not decimals; None where there is none.

    A column recorded in tenths lies on a grid of step 0.1. Scaled by a standard deviation of 0.83 it lies on a grid
    of step 0.1205..., and none of its values is a short decimal. Numbers that were drawn lie on no grid, nor do
    those computed from several columns. With six distinct values or more, of which all differences are multiples of
    a 12th of the smallest one to 0.1 %, chance makes such a grid once in 1e6 columns.
    """
    sample = values[np.linspace(0, len(values) - 1, min(len(values), _SAMPLE)).astype(np.int64)]
    distinct = np.unique(sample)
    if len(distinct) < _DISTINCT_NEEDED:
        return None
    if np.mean(is_short(distinct)) > 0.5:
        return None
    gaps = np.diff(distinct)
    smallest = float(gaps.min())
    error = 8 * np.finfo(np.float64).eps * float(np.abs(distinct).max())
    for part in range(1, _FINEST + 1):
        step = smallest / part
        if error > _OFF * step:
            return None
        multiples = gaps / step
        if float(np.abs(multiples - np.round(multiples)).max()) <= _OFF:
            return step
    return None


def odd_value(values: NDArray[np.float64]) -> tuple[float, int] | None:
    """The one value of many digits that recurs among short decimals, and how often; None where there is none."""
    distinct, counts = np.unique(values, return_counts=True)
    long = ~is_short(distinct)
    if long.sum() != 1 or len(distinct) < _DISTINCT_NEEDED or counts[long][0] < 2:
        return None
    return float(distinct[long][0]), int(counts[long][0])
