"""Typed values that flow through a graph while it is built: what a fitted pipeline passes from step to step."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray
    from spox import Var

TEXT = np.dtype(object)
"""The dtype of text columns in a `Block`."""


def constant(value: Any, dtype: type[np.generic] | None = np.float64) -> Var:
    """A constant of the graph; float64 unless said otherwise, `dtype=None` to keep what `value` has."""
    return op.constant(value=np.asarray(value, dtype=dtype))


def round_to_float32(value: Var) -> Var:
    """Round float64 values to the nearest float32 and hold them as float64 again, as a library's cast does."""
    return op.cast(op.cast(value, to=np.float32), to=np.float64)


@dataclass(frozen=True, slots=True)
class Origin:
    """The one raw column that a column of a table depends on.

    `verbatim`: its values are still the raw ones (imputed at most), so that categories learned from it are
    raw categories. Otherwise they were transformed element by element (scaled, say).
    """

    column: int
    verbatim: bool


@dataclass(frozen=True)
class Block:
    """Some columns of one kind: `picks` of the columns of `source`, in that order.

    `source` is float64 `[N, w]` for numbers (integers and booleans included) and string `[N, w]` for text, in
    the spelling of `afterfit.schema.encode_text`; a missing number is NaN. `dtype` is what the library itself
    holds at this point (`TEXT` for text), which decides how it rounds. `origins` has one entry a column.
    """

    source: Var
    source_width: int
    picks: tuple[int, ...]
    dtype: np.dtype[Any]
    origins: tuple[Origin | None, ...]
    refusal: str | None = field(default=None)
    """Why nothing may read these columns, for raw columns of a kind that graphs do not hold."""

    @property
    def width(self) -> int:
        return len(self.picks)

    @property
    def is_text(self) -> bool:
        return self.dtype == TEXT

    @cached_property
    def var(self) -> Var:
        """The columns as one tensor `[N, width]`."""
        if self.picks == tuple(range(self.source_width)):
            return self.source
        return op.gather(self.source, constant(self.picks, np.int64), axis=1)

    def select(self, positions: Sequence[int]) -> Block:
        return Block(
            self.source,
            self.source_width,
            tuple(self.picks[i] for i in positions),
            self.dtype,
            tuple(self.origins[i] for i in positions),
            self.refusal,
        )

    @staticmethod
    def of(
        var: Var, width: int, dtype: Any = np.float64, origins: Sequence[Origin | None] | None = None
    ) -> Block:
        """A block of all `width` columns of `var`; without `origins`, of no one raw column."""
        return Block(
            var,
            width,
            tuple(range(width)),
            np.dtype(dtype),
            tuple(origins) if origins is not None else (None,) * width,
        )


@dataclass(frozen=True)
class Table:
    """An ordered sequence of columns, as a transformer receives or returns them, in blocks of one kind."""

    blocks: tuple[Block, ...]

    @property
    def width(self) -> int:
        return sum(block.width for block in self.blocks)

    @property
    def origins(self) -> tuple[Origin | None, ...]:
        return tuple(origin for block in self.blocks for origin in block.origins)

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...]:
        """The dtype of each column."""
        return tuple(block.dtype for block in self.blocks for _ in range(block.width))

    @property
    def has_text(self) -> bool:
        return any(block.is_text for block in self.blocks)

    @property
    def number_dtype(self) -> np.dtype[Any]:
        """The dtype that scikit-learn's validation makes of these number columns: float32 or float64."""
        if not self.blocks:
            return np.dtype(np.float64)
        joint = np.result_type(*[block.dtype for block in self.blocks])
        return np.dtype(np.float32) if joint == np.float32 else np.dtype(np.float64)

    def column(self, position: int) -> Block:
        """The one column at `position`, as a block of width 1."""
        for block in self.blocks:
            if position < block.width:
                return block.select([position])
            position -= block.width
        raise IndexError(position)

    def select(self, positions: Iterable[int]) -> Table:
        """The columns at `positions`, in that order; neighbours of one source stay one block."""
        return concatenate(Table((self.column(position),)) for position in positions)

    @staticmethod
    def of(
        var: Var, width: int, dtype: Any = np.float64, origins: Sequence[Origin | None] | None = None
    ) -> Table:
        """A table of one block; see `Block.of`."""
        return Table((Block.of(var, width, dtype, origins),))


def concatenate(tables: Iterable[Table]) -> Table:
    """The columns of all `tables` side by side; neighbours from one source are joined without a node."""
    joined: list[Block] = []
    for table in tables:
        for block in table.blocks:
            if block.width == 0:
                continue
            last = joined[-1] if joined else None
            if (
                last is not None
                and last.source is block.source
                and last.dtype == block.dtype
                and last.refusal == block.refusal
            ):
                joined[-1] = Block(
                    last.source,
                    last.source_width,
                    last.picks + block.picks,
                    last.dtype,
                    last.origins + block.origins,
                    last.refusal,
                )
            else:
                joined.append(block)
    return Table(tuple(joined))


@dataclass(frozen=True)
class Classification:
    """What a classifier answers.

    `classes` `[k]` as the estimator holds them; `index` int64 `[N]`, the position of the label in `classes`;
    `probabilities` float64 `[N, k]` or None; `scores` float64 `[N]` or `[N, k]` (`decision_function`) or None.
    """

    classes: NDArray[Any]
    index: Var
    probabilities: Var | None = None
    scores: Var | None = None


@dataclass(frozen=True)
class Regression:
    """What a regressor answers: `values` float64, `[N]` where `targets` is None, otherwise `[N, targets]`."""

    values: Var
    targets: int | None = None


Lowered = Table | Classification | Regression
