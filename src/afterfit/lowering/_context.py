"""What a lowering is given beside its estimator: its place, its neighbours, room to note what it knows."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as dataclass_replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox
import spox.opset.ai.onnx.v21 as op
from msgspec.structs import replace

from afterfit.errors import UnsupportedModelError
from afterfit.lowering._registry import (
    find_inversion,
    find_lowering,
    find_refusal,
    find_transformation,
    may_trace,
    public_name,
)
from afterfit.lowering._table import (
    Block,
    Classification,
    Labels,
    Lowered,
    OneHot,
    Regression,
    Table,
    Terms,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._registry import Lowering
    from afterfit.schema import Analyzer, Bounds

ADVICE = (
    "Use one of the estimators listed in README.md under 'What is captured', "
    "or ask for this one to be lowered"
)


LARGEST_ROUNDING = 1e-9
"""The largest rounding error of a library, relative to the scale of an output, that a capture may carry."""


@dataclass(frozen=True, slots=True)
class RawColumn:
    """A raw column as the lowering sees it.

    `dtype`: what the library holds for it (`object` for text). `categorical`: it is of a categorical dtype.
    `missing`: what the library holds where a value is missing: NaN, None or `pandas.NA`. Imputers tell them
    apart in columns of Python objects. `distinct`: gives the different values that the column holds in `X`,
    `values` that of each row.
    """

    name: str
    dtype: np.dtype[Any]
    categorical: bool = False
    missing: Any = math.nan
    distinct: Callable[[], Sequence[Any]] = tuple
    values: Callable[[], Sequence[Any]] = tuple
    beyond_float: bool = False
    """It holds integers beyond 2**53, which lowerings see rounded to float64."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Categories that an encoder learned from a raw column; `open`: it answers for others too."""

    values: tuple[Any, ...]
    open: bool


@dataclass(frozen=True)
class Step:
    """One estimator that was lowered: its path in the model, what it received and what it returned."""

    path: tuple[str, ...]
    estimator: Any
    received: Table
    returned: Lowered


@dataclass(frozen=True)
class Thresholds:
    """Where a tree model decides: `values` `[t]` compared with column `position` of `matrix` `[N, w]`.

    `column`: the raw column that the compared one depends on; `verbatim`: it is compared as it was sent. `learned`:
    the values come from training rows, not from a parameter.
    """

    matrix: Var
    position: int
    column: int
    verbatim: bool
    values: NDArray[np.float64]
    learned: bool = True


@dataclass(frozen=True)
class Analysis:
    """An analyzer of a raw column, and the graph's inputs for its terms (or their columns) and their counts."""

    column: int
    analyzer: Analyzer
    terms: Var
    counts: Var


class Context:
    """The state of one lowering. Lowerings call its methods; `capture` reads what was gathered."""

    def __init__(self, columns: Iterable[RawColumn], observe: Callable[[Any], Any] | None = None) -> None:
        self.columns = tuple(columns)
        self._observe = observe
        self.learned: dict[int, Learned] = {}
        self.steps: list[Step] = []
        self.thresholds: list[Thresholds] = []
        self.read: set[int] = set()
        self.float32_sums: list[str] = []
        self.roundings: list[float] = []
        self.ties: list[Var] = []
        self.bounds: dict[int, Bounds] = {}
        self.domains: dict[int, Bounds] = {}
        self.raw = Table(())
        self.analyses: list[Analysis] = []
        self._path: list[str] = []

    @property
    def where(self) -> str:
        """The place of the estimator now being lowered, such as `prep -> num -> scale`."""
        return " -> ".join(self._path)

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Lower what follows as the part called `name`."""
        self._path.append(name)
        try:
            yield
        finally:
            self._path.pop()

    def refuse(self, estimator: object, reason: str, way_out: str = ADVICE) -> UnsupportedModelError:
        """The error to raise where `estimator` cannot be captured exactly."""
        return UnsupportedModelError(type(estimator).__name__, self.where, reason, way_out)

    def lower(self, estimator: Any, X: Table, name: str | None = None) -> Lowered:
        """Lower what `estimator` answers, found in its parent under `name`, on the table it receives.

        That is `predict` where it has one, otherwise `transform`.
        """
        return self._lower(estimator, X, name, find_lowering)

    def lower_transformer(self, estimator: Any, X: Table, name: str | None = None) -> Table:
        """Lower `estimator.transform`; refuses what does not return a table."""
        returned = self._lower(estimator, X, name, find_transformation)
        if not isinstance(returned, Table):
            raise self.refuse(estimator, "it stands where a transformer is expected")
        return returned

    def lower_predictor(
        self, estimator: Any, X: Table, name: str | None = None
    ) -> Classification | Regression:
        """Lower a classifier or regressor; refuses what returns a table or several labels a row."""
        returned = self.lower(estimator, X, name)
        if isinstance(returned, Table):
            raise self.refuse(estimator, "it stands where a classifier or a regressor is expected")
        if isinstance(returned, Labels):
            raise self.refuse(
                estimator,
                "it gives each row several labels, and the estimator around it reads one",
                "Fit one classifier for each label and save each",
            )
        return returned

    def _lower(
        self, estimator: Any, X: Table, name: str | None, find: Callable[[object], Lowering | None]
    ) -> Lowered:
        if name is not None:
            with self.inside(name):
                return self._lower(estimator, X, None, find)
        lowering = find(estimator) or self._tracing(estimator, transform=find is find_transformation)
        if lowering is None:
            reason = find_refusal(estimator)
            raise self.refuse(estimator, *(reason or (f"{public_name(estimator)} has no lowering",)))
        returned = lowering(estimator, X, self)
        self.steps.append(Step(tuple(self._path), estimator, X, returned))
        return returned

    def _tracing(self, estimator: Any, *, transform: bool) -> Lowering | None:
        """What traces the code of a person's own class; None for classes of known frameworks."""
        if not may_trace(estimator):
            return None
        from afterfit.lowering.tracing import method_code, trace_predictor, trace_table

        if hasattr(estimator, "predict") and not transform:
            return lambda estimator, X, context: trace_predictor(
                estimator, X, context, context.observed(estimator)
            )
        if not hasattr(estimator, "transform"):
            return None
        return lambda estimator, X, context: trace_table(
            method_code(estimator, "transform"), X, context, context.observed(estimator)
        )

    def observed(self, estimator: Any) -> Any:
        """A few rows as the model in memory hands them to `estimator`; None where that cannot be observed."""
        return None if self._observe is None else self._observe(estimator)

    def invert(self, estimator: Any, values: Var) -> Var:
        """Lower `estimator.inverse_transform` on values float64 `[N, k]`."""
        inversion = find_inversion(estimator)
        if inversion is None and may_trace(estimator) and hasattr(estimator, "inverse_transform"):
            from afterfit.lowering.tracing import method_code, trace_inverse

            return trace_inverse(method_code(estimator, "inverse_transform"), values, self)
        if inversion is None:
            raise self.refuse(estimator, f"inverse_transform of {public_name(estimator)} has no lowering")
        return inversion(estimator, values, self)

    def invert_answer(self, estimator: Any, answer: Regression) -> Regression:
        """Lower `estimator.inverse_transform` of what a regressor answers, as `[N, targets]`.

        There are as many targets as `estimator` was fitted on.
        """
        given = answer.targets or 1
        values = op.reshape(answer.values, op.const([-1, given], dtype=np.int64))
        return Regression(self.invert(estimator, values), getattr(estimator, "n_features_in_", given))

    def numbers(self, estimator: object, X: Table) -> Var:
        """All columns of `X` as one float64 tensor `[N, width]`; refuses text by the column's name."""
        for block in X.blocks:
            if block.is_text:
                raise self.refuse(
                    estimator,
                    f"it receives the text column {self._name(block)} as numbers",
                    "Encode text columns (OneHotEncoder, OrdinalEncoder) or convert them to numbers in X",
                )
        parts = [self.read_block(estimator, block) for block in X.blocks]
        if not parts:
            raise self.refuse(estimator, "it receives no columns", "Select at least one column")
        return parts[0] if len(parts) == 1 else op.concat(parts, axis=1)

    def readable_block(self, estimator: object, X: Table) -> Block:
        """The first block of `X` that a graph can hold; refuses by the columns' names where there is none."""
        found = next((block for block in X.blocks if block.refusal is None and block.width), None)
        if found is not None:
            return found
        for block in X.blocks:
            self._note_block(estimator, block)
        raise self.refuse(estimator, "it receives no columns", "Select at least one column")

    def read_block(self, estimator: object, block: Block) -> Var:
        """The tensor of a block, noting which raw columns the model reads."""
        self._note_block(estimator, block)
        self._note_matrix(block)
        return block.var

    def analyze(self, block: Block, analyzer: Analyzer) -> tuple[int, Analysis]:
        """The terms of the raw column of `block` under an analyzer, and the number of that analysis.

        `input` and `matrix_width` of `analyzer` are filled in. Vectorizers that cut a column alike share the inputs.
        """
        origin = block.origins[0]
        if origin is None:
            raise ValueError("a block to analyze is a raw column")
        self.note_read([origin])
        for number, known in enumerate(self.analyses):
            alike = replace(known.analyzer, input=analyzer.input, matrix_width=analyzer.matrix_width)
            if known.column == origin.column and alike == analyzer:
                return number, known
        number = len(self.analyses)
        analyzer = replace(analyzer, input=number)
        names = ("N", f"T{number}")
        element = np.str_ if analyzer.hashing is None else np.int64
        found = Analysis(
            origin.column,
            analyzer,
            spox.argument(spox.Tensor(element, names)),
            spox.argument(spox.Tensor(np.float64, names)),
        )
        self.analyses.append(found)
        return number, found

    def read_terms(self, estimator: object, block: Block, source: Terms) -> Terms:
        """What a block of terms holds, noting that the model reads it."""
        self._note_block(estimator, block)
        return source

    def read_tensor(self, estimator: object, block: Block) -> Var:
        """A tensor column `[N, *block.shape]` (float64, int64, bool or string), noting that the model reads it."""
        if block.shape is None:
            raise self.refuse(estimator, f"the column {self._name(block)} holds single values, not arrays")
        self.note_read(block.origins)
        return block.var

    def note_bounds(self, block: Block, bounds: Bounds) -> None:
        """Say that the elements of a tensor column must lie within `bounds`, such as positions in a table."""
        for origin in block.origins:
            if origin is not None:
                known = self.bounds.get(origin.column)
                self.bounds[origin.column] = bounds if known is None else known.meet(bounds)

    def read_vector(self, estimator: object, block: Block) -> Var:
        """The one column of a block of width 1 as a tensor `[N]`, noting that the model reads it."""
        self._note_block(estimator, block)
        self._note_matrix(block)
        return block.vector

    def read_index(self, estimator: object, block: Block, source: OneHot) -> Var:
        """The index int64 `[N]` of a one-hot block, noting that the model reads it."""
        self._note_block(estimator, block)
        return source.index

    def _note_matrix(self, block: Block) -> None:
        """Remember that the graph makes a matrix of the terms of a block."""
        if isinstance(block.source, Terms):
            known = self.analyses[block.source.analysis]
            width = max(known.analyzer.matrix_width, block.source.width)
            self.analyses[block.source.analysis] = dataclass_replace(
                known, analyzer=replace(known.analyzer, matrix_width=width)
            )

    def _note_block(self, estimator: object, block: Block) -> None:
        if block.refusal is not None:
            raise self.refuse(
                estimator,
                f"it reads the column {self._name(block)}, {block.refusal}",
                "Convert the column to numbers, text or booleans in X, or drop it",
            )
        self.note_read(block.origins)

    def note_read(self, origins: Iterable[Any]) -> None:
        """Remember that the model reads the raw columns behind `origins`."""
        self.read.update(origin.column for origin in origins if origin is not None)

    def learn(self, block: Block, values: Iterable[Any], *, open: bool) -> None:  # noqa: A002 - the schema's word
        """Say that an encoder learned the categories `values` from the one column of `block`.

        Categories belong to the schema only where the column still holds raw values. Where several encoders
        read one column, the categories are all of theirs, and closed if they are closed for one of them: then
        only the values that every closed encoder knows.
        """
        origin = block.origins[0]
        if origin is None or not origin.verbatim:
            return
        found = Learned((*values, *origin.replaced), open)
        known = self.learned.get(origin.column)
        if known is None:
            self.learned[origin.column] = found
        elif known.open and found.open:
            extra = tuple(value for value in found.values if value not in known.values)
            self.learned[origin.column] = Learned(known.values + extra, open=True)
        elif known.open != found.open:
            self.learned[origin.column] = found if known.open else known
        else:
            both = tuple(value for value in known.values if value in found.values)
            self.learned[origin.column] = Learned(both, open=False)

    def require(self, estimator: object, X: Table, bounds: Bounds) -> None:
        """Say that `estimator` raises an error for every number of `X` outside `bounds`, NaN apart.

        The schema then enforces them on the raw columns. Refuses where a column no longer holds raw values, and
        nothing is known of what it holds.
        """
        for position in range(X.width):
            block = X.column(position)
            if all(map(bounds.admit, block.limits)):
                continue
            origin = block.origins[0]
            if origin is None or not origin.verbatim:
                raise self.refuse(
                    estimator,
                    f"it raises an error for numbers that are not {bounds.in_words()}, and the column "
                    f"{self._name(block)} that it reads was computed by earlier steps",
                    "Let it read the raw column, where the bound can be enforced, or clip the column just before it "
                    "(MinMaxScaler(clip=True)), and fit again",
                )
            if self.columns[origin.column].dtype.kind == "b" and bounds.admit(0.0) and bounds.admit(1.0):
                continue
            outside = [value for value in origin.replaced if not bounds.admit(float(value))]
            if outside:
                raise self.refuse(
                    estimator,
                    f"it raises an error for numbers that are not {bounds.in_words()}, and missing values of the "
                    f"column {self._name(block)} are spelled {outside[0]}",
                    "Spell missing values as NaN in X, and fit again",
                )
            known = self.bounds.get(origin.column)
            self.bounds[origin.column] = bounds if known is None else known.meet(bounds)

    def note_domain(self, X: Table, bounds: Bounds) -> None:
        """Say that a function of `X` is finite within `bounds` only.

        Whether the model then raises an error depends on what reads it; `capture` asks the model. Columns that no
        longer hold raw values are passed over.
        """
        for origin in X.origins:
            if origin is not None and origin.verbatim and not origin.replaced:
                known = self.domains.get(origin.column)
                self.domains[origin.column] = bounds if known is None else known.meet(bounds)

    def note_thresholds(
        self, matrix: Var, X: Table, position: int, values: NDArray[np.float64], *, learned: bool = True
    ) -> None:
        """Say that a tree compares column `position` of `matrix`, built from `X`, with `values`."""
        origin = X.origins[position]
        if origin is not None and len(values):
            self.thresholds.append(
                Thresholds(matrix, position, origin.column, origin.verbatim, np.unique(values), learned)
            )

    def note_float32_sum(self, estimator: object) -> None:
        """Say that the library itself adds up in float32 here, so parity is held to 1e-6, and stated."""
        self.float32_sums.append(
            f"{type(estimator).__name__} at {self.where}" if self.where else type(estimator).__name__
        )

    def note_rounding(self, estimator: object, error: float, way_out: str) -> None:
        """Say that the library's own rounding may move an answer by `error` of the scale of the output.

        Such an answer is what is left of large terms that cancel; parity is then held to `error`, and stated.
        Refuses where it is over `LARGEST_ROUNDING`.
        """
        if not error <= LARGEST_ROUNDING:
            raise self.refuse(
                estimator,
                f"its answers are small sums of large terms, which rounding alone moves by {error:.1g} of their scale",
                way_out,
            )
        self.roundings.append(float(error))

    def note_ties(self, tied: Var) -> None:
        """Say that in the rows where `tied` bool `[N]` holds, the library itself decides by chance.

        Such as which of two rows at the same distance is the k-th nearest. Where the graph answers otherwise
        there, it is counted as a tie; where it does on more than 5 % of the rows of `X`, saving is refused.
        """
        self.ties.append(tied)

    def _name(self, block: Block) -> str:
        names = [repr(self.columns[o.column].name) for o in block.origins if o is not None]
        return ", ".join(names) or "(derived)"
