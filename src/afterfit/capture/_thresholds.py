"""Raw values on both sides of the thresholds of a tree model, one step of the column's dtype apart.

A tree sees its column after imputing, scaling and casting. The value to send is found by bisection through the
graph itself, so it lies as close to the threshold as the raw column can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.capture._graph import build
from afterfit.capture._probes import Probe, evenly
from afterfit.runtime import GraphSession
from afterfit.schema import Bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from afterfit.capture._graph import LoweredModel
    from afterfit.lowering import Thresholds
    from afterfit.schema import Packed

THRESHOLDS_PROBED = 48
_STEPS = 66


def threshold_probes(lowered: LoweredModel, packed: Packed, dtypes: Sequence[np.dtype[Any]]) -> list[Probe]:
    """Two probes for each of up to `THRESHOLDS_PROBED` thresholds, spread over the columns.

    `packed` holds the rows of `X`; `dtypes` what the library holds for each raw column.
    """
    found = [
        group
        for group in lowered.context.thresholds
        if lowered.columns[group.column].type in {"float", "integer"}
    ]
    groups = evenly(found, THRESHOLDS_PROBED)
    if not groups:
        return []
    each = max(1, THRESHOLDS_PROBED // len(groups))
    probes = []
    for group in groups:
        column = lowered.columns[group.column]
        closed = column.categories is not None and not column.categories.open
        if column.range is None or column.input != "number" or closed:
            continue
        for low, high, base in _bracket(
            lowered, group, evenly(group.values, each), packed, dtypes[group.column]
        ):
            probes += [
                Probe("threshold", base, ((group.column, low),)),
                Probe("threshold", base, ((group.column, high),)),
            ]
    return probes


def _bracket(
    lowered: LoweredModel,
    group: Thresholds,
    values: Sequence[float],
    packed: Packed,
    dtype: np.dtype[Any],
) -> list[tuple[float | int, float | int, int]]:
    column = lowered.columns[group.column]
    position = column.position or 0
    known = np.flatnonzero(~np.isnan(packed["number"][:, position]))
    span = column.range
    if len(known) == 0 or span is None:
        return []
    bases = known[np.arange(len(values)) * 7919 % len(known)]
    session = GraphSession(build(lowered.arguments, {"matrix": group.matrix}), threads=1)
    grid = _Grid(dtype, integral=column.type == "integer")
    width = max(float(span[1]) - float(span[0]), 1.0)
    ends = _reachable(column.bounds or Bounds(), grid, float(span[0]) - width, float(span[1]) + width)

    def above(ordinals: NDArray[np.int64]) -> NDArray[np.bool_]:
        rows = {name: array[bases].copy() for name, array in packed.items()}
        rows["number"][:, position] = grid.value(ordinals)
        seen = session.run(rows, ["matrix"])["matrix"][:, group.position]
        return np.asarray(seen > np.asarray(values), dtype=np.bool_)

    low, high = np.full(len(values), ends[0]), np.full(len(values), ends[1])
    at_low, at_high = above(low), above(high)
    for _ in range(_STEPS):
        middle = (low >> 1) + (high >> 1) + (low & high & 1)  # low + high may be beyond int64
        same = above(middle) == at_low
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return [
        (grid.scalar(low[i]), grid.scalar(high[i]), int(bases[i]))
        for i in range(len(values))
        if at_low[i] != at_high[i] and high[i] - low[i] == 1
    ]


def _reachable(bounds: Bounds, grid: _Grid, low: float, high: float) -> tuple[int, int]:
    """The ordinals of the values from `low` to `high` that lie within the bounds of the column."""
    first, last = grid.ordinal(max(low, bounds.lowest)), grid.ordinal(min(high, bounds.highest))
    # A bound may be rounded to the other side of itself.
    first += not bounds.admit(grid.scalar(np.int64(first)))
    last -= not bounds.admit(grid.scalar(np.int64(last)))
    return first, last


class _Grid:
    """The values a column can hold, numbered in order: integers by themselves, floats by their bits."""

    def __init__(self, dtype: np.dtype[Any], *, integral: bool) -> None:
        self._integral = integral
        self._float: Any = np.float32 if dtype == np.float32 else np.float64
        self._bits: Any = np.int32 if dtype == np.float32 else np.int64

    def ordinal(self, value: float) -> int:
        if self._integral:
            return int(value)
        bits = int(np.array(value, dtype=self._float).view(self._bits))
        return bits if bits >= 0 else int(np.iinfo(self._bits).min) - bits

    def value(self, ordinals: NDArray[np.int64]) -> NDArray[np.float64]:
        if self._integral:
            return ordinals.astype(np.float64)
        bits = np.where(ordinals >= 0, ordinals, int(np.iinfo(self._bits).min) - ordinals)
        return np.asarray(bits.astype(self._bits).view(self._float), dtype=np.float64)

    def scalar(self, ordinal: np.int64) -> float | int:
        if self._integral:
            return int(ordinal)
        return float(self.value(np.array([ordinal]))[0])
