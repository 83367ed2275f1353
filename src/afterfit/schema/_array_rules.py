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
class NumberRules:
    """What a block of float64 `[N, a]` must hold to be certainly good, `a` columns of numbers or booleans.

    For each column: bounds, whether NaN and whether only whole numbers are accepted. `closed`: the values that a
    column accepts, by its position, where it does not accept every one.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    nullable: NDArray[np.bool_]
    whole: NDArray[np.bool_]
    any_whole: bool
    all_nullable: bool
    closed: tuple[tuple[int, frozenset[float]], ...]

    @staticmethod
    def of(rules: Sequence[Rule]) -> NumberRules:
        """The rules of columns that are packed as float64."""
        whole = np.array([rule.column.type == "integer" for rule in rules], dtype=np.bool_)
        # The last integer that float64 holds for sure is one below the limit: the limit may have been rounded to.
        return NumberRules(
            np.array([rule.low for rule in rules], dtype=np.float64) + whole,
            np.array([rule.high for rule in rules], dtype=np.float64) - whole,
            np.array([rule.nullable for rule in rules], dtype=np.bool_),
            whole,
            bool(whole.any()),
            all(rule.nullable for rule in rules),
            tuple((place, rule.closed) for place, rule in enumerate(rules) if rule.closed is not None),
        )

    def admit(self, values: NDArray[np.float64], *, known_whole: bool = False) -> bool:
        """Whether a block `[N, a]` is certainly good; it may be where this says no.

        `known_whole`: what stands in the columns of whole numbers comes from integers, or is NaN.
        """
        # Fastest where each column lies in one piece. NaN compares as false, and so is not outside.
        columns = values.T
        bad = (columns < self.low[:, np.newaxis]) | (columns > self.high[:, np.newaxis])
        if self.any_whole and not known_whole:
            bad |= self.whole[:, np.newaxis] & (columns != np.floor(columns)) & ~np.isnan(columns)
        for place, learned in self.closed:
            inside = np.isin(columns[place], np.array(sorted(learned), dtype=FLOAT64))
            bad[place] |= ~(inside | np.isnan(columns[place]))
        if bad.any():
            return False
        return self.all_nullable or not bool(np.isnan(columns[~self.nullable]).any())


@dataclass(frozen=True, slots=True)
class ArrayRules:
    """What an array of numbers must hold to be packed as it is, for a schema all of whose columns are numbers.

    `width`: of the array. `taken`: its columns that the model reads, in their order; `all_taken`, every one in the
    order of the array. `limits` and `whole_places` say in plain numbers what `numbers` says of bounds and of whole
    numbers.
    """

    width: int
    taken: NDArray[np.int64]
    all_taken: bool
    numbers: NumberRules
    limits: tuple[tuple[float, float], ...]
    whole_places: tuple[int, ...]

    @staticmethod
    def of(rules: Mapping[str, Sequence[Rule]], order: Mapping[str, int]) -> ArrayRules | None:
        """The rules of arrays, where the schema has any; `order`: the position of each column."""
        found = rules.get("number", [])
        if set(rules) != {"number"} or not {rule.column.type for rule in found} <= {"float", "integer"}:
            return None
        taken = [order[rule.column.name] for rule in found]
        numbers = NumberRules.of(found)
        return ArrayRules(
            len(order),
            np.array(taken),
            taken == list(range(len(order))),
            numbers,
            tuple(zip(numbers.low.tolist(), numbers.high.tolist(), strict=True)),
            tuple(np.flatnonzero(numbers.whole).tolist()),
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
        return values if self.numbers.admit(values) else None

    def _admit_row(self, row: list[float]) -> bool:
        """Whether one row is certainly good, number by number; it may be where this says no."""
        for value, (low, high) in zip(row, self.limits, strict=True):
            if not low <= value <= high:
                return False
        for place, learned in self.numbers.closed:
            if row[place] not in learned:
                return False
        return not self.whole_places or all(row[place].is_integer() for place in self.whole_places)
