"""Arrays of numbers, checked and packed as one block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from afterfit.schema._values import Rule

FEW = 64
"""Values that are compared one by one faster than NumPy is called."""

FLOAT64 = np.dtype(np.float64)


@dataclass(frozen=True, slots=True)
class ArrayRules:
    """What an array of numbers must hold to be packed as it is, for a schema all of whose columns are numbers.

    `width`: of the array. `taken`: its columns that the model reads, in their order; `all_taken`, every one in the
    order of the array. The others, one for each column read: bounds, whether NaN and whether only whole numbers are
    accepted; `limits` and `whole_places` say it in plain numbers. `closed`: the values that a column accepts, by its
    position, where it does not accept every one.
    """

    width: int
    taken: NDArray[np.int64]
    all_taken: bool
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    limits: tuple[tuple[float, float], ...]
    nullable: NDArray[np.bool_]
    whole: NDArray[np.bool_]
    whole_places: tuple[int, ...]
    closed: tuple[tuple[int, frozenset[float]], ...]

    @staticmethod
    def of(rules: Mapping[str, Sequence[Rule]], order: Mapping[str, int]) -> ArrayRules | None:
        """The rules of arrays, where the schema has any; `order`: the position of each column."""
        numbers = rules.get("number", [])
        if set(rules) != {"number"} or not {rule.column.type for rule in numbers} <= {"float", "integer"}:
            return None
        whole = np.array([rule.column.type == "integer" for rule in numbers])
        taken = [order[rule.column.name] for rule in numbers]
        # The last integer that float64 holds for sure is one below the limit: the limit may have been rounded to.
        low = np.array([rule.low for rule in numbers], dtype=np.float64) + whole
        high = np.array([rule.high for rule in numbers], dtype=np.float64) - whole
        return ArrayRules(
            len(order),
            np.array(taken),
            taken == list(range(len(order))),
            low,
            high,
            tuple(zip(low.tolist(), high.tolist(), strict=True)),
            np.array([rule.nullable for rule in numbers]),
            whole,
            tuple(np.flatnonzero(whole).tolist()),
            tuple((place, rule.closed) for place, rule in enumerate(numbers) if rule.closed is not None),
        )

    def pack(self, X: NDArray[Any]) -> NDArray[np.float64] | None:
        """The columns read, float64 `[N, a]`; None where some cell has to be looked at by itself."""
        dtype = X.dtype
        if dtype != FLOAT64 and (dtype.kind not in "fi" or dtype.itemsize not in {4, 8}):
            return None
        if X.ndim != 2 or X.shape[1] != self.width:
            return None
        # A copy either way: whoever gave the array may change it while the rows wait for their run.
        values = np.array(X if self.all_taken else X[:, self.taken], dtype=FLOAT64, order="C")
        if len(values) == 1 and len(self.limits) <= FEW and self._admit_row(values.tolist()[0]):
            return values
        return values if self._admit(values) else None

    def _admit_row(self, row: list[float]) -> bool:
        """Whether one row is certainly good, number by number; it may be where this says no."""
        for value, (low, high) in zip(row, self.limits, strict=True):
            if not low <= value <= high:
                return False
        for place, learned in self.closed:
            if row[place] not in learned:
                return False
        return not self.whole_places or all(row[place].is_integer() for place in self.whole_places)

    def _admit(self, values: NDArray[np.float64]) -> bool:
        good = (values >= self.low) & (values <= self.high)
        if self.whole.any():
            good &= ~self.whole | (values == np.floor(values))
        for place, learned in self.closed:
            good[:, place] &= np.isin(values[:, place], np.array(sorted(learned), dtype=FLOAT64))
        return bool(good.all() or (good | (self.nullable & np.isnan(values))).all())
