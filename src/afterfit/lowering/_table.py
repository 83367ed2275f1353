"""Typed values that flow through a graph while it is built: what a fitted pipeline passes on at each step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
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
    """Round float64 values to the nearest float32 and hold them as float64 again, as a cast does."""
    return op.cast(op.cast(value, to=np.float32), to=np.float64)


@dataclass(frozen=True, slots=True)
class Origin:
    """The one raw column that a column of a table depends on.

    `verbatim`: its values are still the raw ones (imputed at most), so that categories learned from it are
    raw categories. Otherwise they were transformed element by element (scaled, say).
    """

    column: int
    verbatim: bool
    replaced: tuple[Any, ...] = ()
    """Raw values that an imputer replaced on the way: the model answers for them, though no category."""
    fills: tuple[Any, ...] = ()
    """What imputers wrote where a value was missing: the column may hold these beside its raw values, and where there
    are any, no value is missing."""


@dataclass(frozen=True, eq=False)
class OneHot:
    """A float64 matrix `[N, w]` of zeros with at most a single 1.0 a row, at column `index` int64 `[N]`.

    An `index` of `w` or more is a row of zeros. A linear model gathers its coefficients by `index` instead of
    multiplying a matrix that is nearly all zeros.
    """

    index: Var


@dataclass(frozen=True, eq=False)
class Terms:
    """A float64 matrix `[N, w]` of which each row states the columns that are not 0.

    `index` int64 `[N, T]`: columns, each once a row; `w` for a place that belongs to none. `values` float64
    `[N, T]`, 0 there. `width`: w. `analysis`: the number of the analyzer they come from. A linear model gathers its
    coefficients by `index` instead of multiplying a matrix that is nearly all zeros.
    """

    index: Var
    values: Var
    width: int
    analysis: int

    def matrix(self) -> Var:
        """The matrix `[N, w]`."""
        rows = op.gather(op.shape(self.index), constant([0], np.int64))
        shape = op.concat([rows, constant([self.width + 1], np.int64)], axis=0)
        empty = op.expand(constant(0.0), shape)
        filled = op.scatter_elements(empty, self.index, self.values, axis=1, reduction="add")
        return op.slice(
            filled, constant([0], np.int64), constant([self.width], np.int64), constant([1], np.int64)
        )


@dataclass(frozen=True)
class Block:
    """Some columns of one kind: `picks` of the columns of `source`, in that order.

    `source` is float64 `[N, w]` for numbers (integers and booleans included) and string `[N, w]` for text, in
    the spelling of `afterfit.schema.encode_text`; a missing number is NaN. `dtype` is what the library itself
    holds at this point (`TEXT` for text), which decides how it rounds. `origins` has one entry a column.
    """

    source: Var | OneHot | Terms
    source_width: int
    picks: tuple[int, ...]
    dtype: np.dtype[Any]
    origins: tuple[Origin | None, ...]
    refusal: str | None = field(default=None)
    """Why nothing may read these columns, for raw columns of a kind that graphs do not hold."""
    shape: tuple[int, ...] | None = field(default=None)
    """Of a tensor column the sizes of a row's value, -1 where open; `Context.read_tensor` reads it, nothing else."""
    limits: tuple[float, float] = (-math.inf, math.inf)
    """The numbers that these columns can only lie between, both included, NaN apart: those of a clipped column."""

    @property
    def width(self) -> int:
        return len(self.picks)

    @property
    def is_text(self) -> bool:
        return self.dtype == TEXT

    @cached_property
    def var(self) -> Var:
        """The columns as one tensor `[N, width]`."""
        if isinstance(self.source, OneHot):
            return _materialize(self.source.index, self.picks)
        if isinstance(self.source, Terms):
            return replace(self, source=self.source.matrix()).var
        if self.picks == tuple(range(self.source_width)):
            return self.source
        return op.gather(self.source, constant(self.picks, np.int64), axis=1)

    @cached_property
    def vector(self) -> Var:
        """The one column of a block of width 1 as a tensor `[N]`."""
        if self.width != 1:
            raise ValueError(f"a block of {self.width} columns is no vector")
        if isinstance(self.source, OneHot | Terms):
            return op.reshape(self.var, constant([-1], np.int64))
        return op.gather(self.source, constant(self.picks[0], np.int64), axis=1)

    @staticmethod
    def of_tensor(var: Var, dtype: np.dtype[Any], shape: tuple[int, ...], origin: Origin) -> Block:
        """A tensor column: `var` `[N, *shape]` of the element type of the column, where `dtype` is the library's."""
        sizes = ", ".join("any" if size == -1 else str(size) for size in shape)
        return Block(var, 1, (0,), dtype, (origin,), f"whose values are arrays of sizes [{sizes}]", shape)

    def select(self, positions: Sequence[int]) -> Block:
        return replace(
            self,
            picks=tuple(self.picks[i] for i in positions),
            origins=tuple(self.origins[i] for i in positions),
        )

    @staticmethod
    def of(
        var: Var | OneHot | Terms,
        width: int,
        dtype: Any = np.float64,
        origins: Sequence[Origin | None] | None = None,
    ) -> Block:
        """A block of all `width` columns of `var`; without `origins`, of no one raw column."""
        return Block(
            var,
            width,
            tuple(range(width)),
            np.dtype(dtype),
            tuple(origins) if origins is not None else (None,) * width,
            limits=(0.0, 1.0) if isinstance(var, OneHot) else (-math.inf, math.inf),
        )


@dataclass(frozen=True)
class Table:
    """An ordered sequence of columns, as a transformer receives or returns them, in blocks of one kind.

    `sparse`: the library holds it as a sparse matrix. Graphs hold it as dense, but some arithmetic differs:
    scikit-learn multiplies sparse columns by 1/scale where it divides dense ones by scale. `flat`: it is one column
    held as a sequence of values, a Series or a list, which is what vectorizers of text read.
    """

    blocks: tuple[Block, ...]
    sparse: bool = False
    flat: bool = False

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
    def terms(self) -> Terms | None:
        """What the table is, if it is terms and nothing else, in their order."""
        if len(self.blocks) != 1:
            return None
        source = self.blocks[0].source
        whole = isinstance(source, Terms) and self.blocks[0].picks == tuple(range(source.width))
        return source if isinstance(source, Terms) and whole else None

    def with_terms(self, values: Var, dtype: Any) -> Table:
        """The same terms with other values, held as `dtype`; only for a table of nothing else."""
        if self.terms is None:
            raise ValueError("the table holds more than terms")
        source = replace(self.terms, values=values)
        return replace(self, blocks=(replace(self.blocks[0], source=source, dtype=np.dtype(dtype)),))

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
        chosen = concatenate(Table((self.column(position),)) for position in positions)
        return replace(chosen, sparse=self.sparse)

    def joined(self) -> Table:
        """The table as one NumPy array of the library: numbers of one joint dtype, float64 beside text.

        Beside text the array is one of Python objects, and whatever reads numbers from it makes them float64.
        """
        if self.has_text:
            joint = np.dtype(np.float64)
        elif self.blocks:
            joint = np.result_type(*[block.dtype for block in self.blocks])
        else:
            return self
        blocks = tuple(block if block.is_text else replace(block, dtype=joint) for block in self.blocks)
        return replace(self, blocks=blocks)

    def within(self, low: float, high: float) -> Table:
        """The table, whose numbers are known to lie between `low` and `high`, both included, or to be NaN."""
        return replace(self, blocks=tuple(replace(block, limits=(low, high)) for block in self.blocks))

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
                and last.limits == block.limits
            ):
                joined[-1] = replace(
                    last, picks=last.picks + block.picks, origins=last.origins + block.origins
                )
            else:
                joined.append(block)
    return Table(tuple(joined))


_GATHERED_WIDTH = 256
"""Up to this width one-hot rows are gathered from a table of width squared; beyond, they are compared."""


def _materialize(index: Var, picks: tuple[int, ...]) -> Var:
    if len(picks) <= _GATHERED_WIDTH and max(picks) <= 4 * _GATHERED_WIDTH:
        rows = np.zeros((max(picks) + 2, len(picks)))
        rows[list(picks), range(len(picks))] = 1.0
        inside = op.min([index, constant(max(picks) + 1, np.int64)])
        return op.gather(constant(rows), inside, axis=0)
    found = op.equal(op.unsqueeze(index, constant([1], np.int64)), constant(picks, np.int64))
    return op.cast(found, to=np.float64)


@dataclass(frozen=True)
class Classification:
    """What a classifier answers.

    `classes` `[k]` as the estimator holds them; `index` int64 `[N]`, the position of the label in `classes`;
    `probabilities` float64 `[N, k]` or None; `scores` (`decision_function`) float64 `[N]`, `[N, k]` or None, or
    `[N, score_columns]` where that is given.
    """

    classes: NDArray[Any]
    index: Var
    probabilities: Var | None = None
    scores: Var | None = None
    score_columns: int | None = None


@dataclass(frozen=True)
class Regression:
    """What a regressor answers: `values` float64, `[N]` where `targets` is None, otherwise `[N, targets]`.

    `shape`: the sizes of one row's answer where it is of a higher rank, `values` being `[N, *shape]`.
    """

    values: Var
    targets: int | None = None
    shape: tuple[int, ...] | None = None
    last_operator: str = ""
    """Of a network the operator that makes the answer: `Softmax` and `Sigmoid` make probabilities."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of one row's answer."""
        if self.shape is not None:
            return self.shape
        return () if self.targets is None else (self.targets,)


@dataclass(frozen=True)
class Labels:
    """What a classifier of several targets answers, or of several labels a row.

    `values` `[N, targets]` in the element type of `dtype`, that of the array `predict` returns (text for strings);
    `probabilities` float64 `[N, targets]` where `predict_proba` returns one matrix, otherwise None.
    """

    values: Var
    targets: int
    dtype: np.dtype[Any]
    probabilities: Var | None = None

    @staticmethod
    def of(parts: Sequence[Classification], dtype: Any = None, probabilities: Var | None = None) -> Labels:
        """The labels of one classifier for each target, in the dtype that NumPy gives them side by side."""
        classes = [np.asarray(part.classes) for part in parts]
        joint = np.result_type(*classes) if dtype is None else np.dtype(dtype)
        columns = [
            op.gather(op.constant(value=label_values(held.astype(joint))[:, np.newaxis]), part.index, axis=0)
            for held, part in zip(classes, parts, strict=True)
        ]
        return Labels(op.concat(columns, axis=1), len(parts), joint, probabilities)


def label_values(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels in the element type that graphs hold them in: bool, int64, float64 or text."""
    if labels.dtype.kind == "b":
        return labels
    if labels.dtype.kind in "iu":
        return labels.astype(np.int64)
    if labels.dtype.kind == "f":
        return labels.astype(np.float64)
    # NumPy's own strings lose a NUL at their end.
    return np.array([str(label) for label in labels.ravel()], dtype=object).reshape(labels.shape)


Lowered = Table | Classification | Labels | Regression
