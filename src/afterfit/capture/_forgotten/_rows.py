"""The numbers of `X` as the rules read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from afterfit.capture._graph import LoweredModel
    from afterfit.schema import Packed


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers that the model reads.

    `position`: its place in `X`. `values`: float64 `[N]`, NaN where missing or infinite. `boolean`: `X` says so.
    """

    position: int
    name: str
    values: NDArray[np.float64]
    boolean: bool

    @property
    def known(self) -> NDArray[np.float64]:
        """The values that are numbers."""
        return self.values[~np.isnan(self.values)]


@dataclass(frozen=True)
class Rows:
    """The columns of numbers in `X` that the model reads, in their order; `count` rows."""

    columns: tuple[NumberColumn, ...]
    count: int

    def __getitem__(self, position: int) -> NumberColumn | None:
        """The column at `position` of `X`, None where that is none of numbers."""
        return next((column for column in self.columns if column.position == position), None)


def read_rows(lowered: LoweredModel, packed: Packed) -> Rows:
    """The number columns among the packed rows of `X`."""
    columns = []
    for i, column in enumerate(lowered.columns):
        if column.input not in {"number", "integer"}:
            continue
        values: NDArray[Any] = packed[str(column.input)][:, column.position].astype(np.float64)
        values[~np.isfinite(values)] = np.nan
        columns.append(NumberColumn(i, column.name, values, column.type == "boolean"))
    return Rows(tuple(columns), len(next(iter(packed.values()))))
