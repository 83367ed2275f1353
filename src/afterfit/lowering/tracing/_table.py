"""Between the tables that lowerings pass on and the arrays that a person's function receives and returns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import TEXT, Block, Table, concatenate, constant
from afterfit.lowering.tracing._array import Trace, TracedArray, convert
from afterfit.lowering.tracing._frame import TracedFrame
from afterfit.lowering.tracing._series import TracedSeries
from afterfit.lowering.tracing._stops import WRITE_ARRAYS

if TYPE_CHECKING:
    from afterfit.lowering._context import Context

_FLOAT = np.dtype(np.float64)
_GIVE_NUMBERS = "Give X as NumPy numbers or as a pandas DataFrame of numbers, booleans and text"


class Argument:
    """The table as the person's function receives it; remembers which integer columns were read.

    `gaps`: as it is where a value is missing, which NumPy and pandas hold as float64 in place of integers.
    """

    def __init__(self, trace: Trace, estimator: Any, X: Table, context: Context, *, gaps: bool) -> None:
        self.trace, self.estimator, self.context, self.gaps = trace, estimator, context, gaps
        self.integers: list[Block] = []
        self.X = X

    def of(self, sample: Any) -> Any:
        """The argument, in the container of `sample`, which is what the model in memory hands over."""
        kind = type(sample).__module__.partition(".")[0]
        width = 1 if getattr(sample, "ndim", 2) == 1 else sample.shape[1]
        if width != self.X.width:
            raise self._refuse(f"it receives {width} columns, and {self.X.width} were lowered")
        if kind == "pandas":
            return self._frame(sample)
        if not isinstance(sample, np.ndarray):
            raise self._refuse(f"it receives a {kind} {type(sample).__name__}")
        array = self._array(self._dtype(sample.dtype))
        return array if sample.ndim == 2 else array[:, 0].copy()

    def _frame(self, sample: Any) -> Any:
        names = [sample.name] if sample.ndim == 1 else list(sample.columns)
        if len(set(names)) != len(names):
            raise self._refuse("two of the columns it receives have the same name")
        dtypes = [sample.dtype] if sample.ndim == 1 else list(sample.dtypes)
        held: dict[Any, Any] = {}
        for position, (name, dtype) in enumerate(zip(names, dtypes, strict=True)):
            block = self.X.column(position)
            held[name] = (block, lambda block=block, dtype=dtype: self._column(block, dtype))
        frame = TracedFrame.of(self.trace, held)
        return frame if sample.ndim == 2 else frame.column(names[0])

    def _column(self, block: Block, dtype: Any) -> TracedArray:
        text = str(dtype) in {"str", "object"} and block.is_text
        if not text and not isinstance(dtype, np.dtype):
            raise self.trace.stop(f"it reads a column of the pandas dtype {dtype}", _GIVE_NUMBERS)
        wanted = TEXT if text else self._dtype(np.dtype(dtype))
        return self._read(block, wanted)[:, 0].copy()

    def _array(self, dtype: np.dtype[Any]) -> TracedArray:
        parts = [self._read(block, dtype) for block in self.X.blocks]
        var = parts[0].graph if len(parts) == 1 else op.concat([part.graph for part in parts], axis=1)
        return TracedArray(self.trace, var, (1, self.X.width), dtype)

    def _dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        if dtype.kind in "US":
            return TEXT
        return _FLOAT if self.gaps and dtype.kind in "iu" else dtype

    def _read(self, block: Block, dtype: np.dtype[Any]) -> TracedArray:
        if block.is_text != (dtype == TEXT):
            raise self._refuse("it receives text and numbers in one array of Python objects")
        if any(self.context.columns[o.column].beyond_float for o in block.origins if o is not None):
            raise self._refuse("it reads integers beyond 2**53, which the graph holds rounded to float64")
        var = self.context.read_block(self.estimator, block)
        if block.dtype.kind in "iu":
            self.integers.append(block)
        array = TracedArray(self.trace, var, (1, block.width), TEXT if block.is_text else _FLOAT)
        return array if dtype == TEXT else array.like(convert(self.trace, var, _FLOAT, dtype), dtype)

    def _refuse(self, reason: str) -> Exception:
        return self.trace.stop(reason, _GIVE_NUMBERS)

    def missing(self) -> Any:
        """Where an integer column that was read has no value: bool `[N, 1]`; None where none was read."""
        if not self.integers:
            return None
        gaps = op.concat([op.cast(op.isnan(block.var), to=np.int64) for block in self.integers], axis=1)
        return op.cast(op.reduce_max(gaps, constant([1], np.int64)), to=np.bool_)


def array_of_table(trace: Trace, table: Table) -> TracedArray:
    """The table as one NumPy array of the library."""
    joint = table.joined()
    parts = []
    for block in joint.blocks:
        held = TEXT if block.is_text else block.dtype
        var = block.var if block.is_text else convert(trace, block.var, _FLOAT, held)
        parts.append(var)
    if joint.has_text and not all(block.is_text for block in joint.blocks):
        raise trace.stop("it receives text and numbers in one array of Python objects", _GIVE_NUMBERS)
    var = parts[0] if len(parts) == 1 else op.concat(parts, axis=1)
    return TracedArray(trace, var, (1, joint.width), joint.blocks[0].dtype)


def table_of(trace: Trace, result: Any) -> Table:
    """What a function returned as a table: an array `[N, k]` or a DataFrame."""
    if isinstance(result, TracedFrame):
        return concatenate(Table((_block(result.held[name]),)) for name in result.held)
    if isinstance(result, TracedSeries) or (isinstance(result, TracedArray) and result.ndim == 1):
        raise trace.stop(
            "it returns one value a row where a table of columns is expected",
            "Return columns: result[:, None], or series.to_frame()",
        )
    if not isinstance(result, TracedArray):
        raise trace.stop(
            f"it returns a {type(result).__name__} that does not depend on the rows", WRITE_ARRAYS
        )
    if result.ndim != 2 or result.row_axis != 0:
        raise trace.stop(
            "it returns an array of another form than rows and columns", "Return one of shape (rows, columns)"
        )
    return Table((_block(result),))


def _block(value: Any) -> Block:
    if isinstance(value, tuple):
        block: Block = value[0]
        return block
    width = 1 if value.ndim == 1 else value.shape[1]
    var = graph_values(value)
    if value.ndim == 1:
        var = op.unsqueeze(var, constant([1], np.int64))
    return Block.of(var, int(width), TEXT if value.dtype.kind in "US" else value.dtype)


def graph_values(value: TracedArray) -> Any:
    """The values in a type that tables hold: float64, or text."""
    return (
        value.graph
        if value.dtype == TEXT or value.dtype.kind in "fUS"
        else op.cast(value.graph, to=np.float64)
    )


def with_gaps(plain: Table, gapped: Table | None, missing: Any) -> Table:
    """`plain`, and `gapped` in the rows where an integer is missing."""
    if gapped is None or missing is None or gapped.width != plain.width:
        return plain
    columns = []
    for position in range(plain.width):
        block, other = plain.column(position), gapped.column(position)
        if block.source is other.source or block.is_text or other.is_text:
            columns.append(Table((block,)))
            continue
        columns.append(Table.of(op.where(missing, other.var, block.var), 1, block.dtype))
    if len(plain.blocks) == 1 and len(gapped.blocks) == 1 and not plain.has_text:
        block = plain.blocks[0]
        chosen = op.where(missing, gapped.blocks[0].var, block.var)
        return replace(plain, blocks=(Block.of(chosen, block.width, block.dtype),))
    return concatenate(columns)
