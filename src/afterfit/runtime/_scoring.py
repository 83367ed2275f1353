"""Scoring a file: batches in, answers and rejected rows out. Knows no terminal.

Needs the extra `files` (pyarrow).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import ArgumentError, SchemaError
from afterfit.runtime._model import decoded_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from afterfit.errors import CellError
    from afterfit.runtime._files import Batch, Source
    from afterfit.runtime._model import Model
    from afterfit.schema import Output, Packed, Schema

MAX_ERRORS = 1_000
"""Mistakes that one error lists at most."""

_ITEM_PREFIX = {"probabilities": "probability", "scores": "score"}


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that cannot be scored.

    `number` counts the data rows of the file from 1; `line` is the physical line it begins on, where known.
    `errors` holds every mistake in it; their `row` counts from 0 within the file. `values` are the values as
    they stand in the file; for a row that could not be cut into cells, `text` is what stands there instead.
    """

    number: int
    line: int | None
    errors: tuple[CellError, ...]
    values: dict[str, Any] | None
    text: str | None


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """What became of a batch.

    `rows`: which rows of `batch` were scored (None for all of them), one row of `answers` each. `rejected`:
    the others, in order. `complete` is False where not all mistakes were looked for. `fraction`: how much of
    the file has been read, where that is known.
    """

    batch: Batch
    rows: NDArray[np.intp] | None
    answers: pa.Table
    rejected: tuple[RejectedRow, ...]
    complete: bool
    fraction: float | None

    @property
    def scored(self) -> int:
        """The number of rows scored."""
        count: int = self.answers.num_rows
        return count


class Answers:
    """The columns of answers: `prediction`, `probability_<class>`, or those of a transformed table.

    `prefix` goes before every name. Raises ArgumentError where two columns would have the same name.
    """

    def __init__(self, schema: Schema, prefix: str = "") -> None:
        import pyarrow as pa

        types = {"float": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_(), "string": pa.string()}
        self.outputs = schema.outputs
        self._names = {output.name: _find_names(output, schema) for output in schema.outputs}
        self.schema = pa.schema(
            [
                (prefix + name, types[output.type])
                for output in schema.outputs
                for name in self._names[output.name]
            ]
        )
        names = self.schema.names
        if len(set(names)) < len(names):
            raise ArgumentError(
                f"two columns of the answer would have the same name: {', '.join(sorted(names))}"
            )

    def check_free(self, columns: pa.Schema) -> None:
        """ArgumentError if a column of the input has the name of one of the answers."""
        taken = [name for name in self.schema.names if name in columns.names]
        if taken:
            raise ArgumentError(
                f"the input has a column called {', '.join(map(repr, taken))} already; name the answers "
                "otherwise with --prefix model_, or leave the input columns out with --only-predictions"
            )

    def table(self, found: dict[str, NDArray[Any]]) -> pa.Table:
        """Answers of the graph as a table."""
        import pyarrow as pa

        columns: list[NDArray[Any]] = []
        for output in self.outputs:
            values = _decoded(output, found[output.name])
            if values.ndim == 1:
                columns.append(np.ascontiguousarray(values))
            else:
                columns.extend(np.ascontiguousarray(np.reshape(values, (len(values), -1)).T))
        typed = [pa.array(column, field.type) for column, field in zip(columns, self.schema, strict=True)]
        return pa.Table.from_arrays(typed, schema=self.schema)


def _decoded(output: Output, array: NDArray[Any]) -> NDArray[Any]:
    """An output as people read it: the missing texts of a transformed table are None."""
    is_text_table = output.name == "transformed" and output.type == "string"
    return decoded_texts(array) if is_text_table else array


def score(model: Model, source: Source, answers: Answers, *, sift: bool) -> Iterator[ScoredBatch]:
    """Score a file batch by batch.

    With `sift`, every bad row is found and the others are scored; a row's answer depends on that row alone,
    so it is the one the row would have had without the bad ones. Otherwise a batch with a bad row is not
    scored, and `rejected` lists the mistakes that were found in it.

    Raises SchemaError for mistakes that are not in a row, ArgumentError where the file breaks its format.
    """
    for batch in source:
        packed, rows, bad, complete = _pack(batch, sift=sift)
        rejected = _reject(batch, source, bad)
        table = answers.schema.empty_table()
        if packed is not None and (sift or not rejected):
            table = answers.table(model.run(packed, [output.name for output in answers.outputs]))
        yield ScoredBatch(batch, rows, table, rejected, complete, source.fraction)


def pack_all(batch: Batch) -> Packed:
    """All rows of a batch as the graph takes them. Raises SchemaError with every mistake, by row."""
    packed, _, bad, _ = _pack(batch, sift=True)
    errors = [cell for cells in bad.values() for cell in cells] + [row.error for row in batch.malformed]
    if errors or packed is None:
        errors.sort(key=lambda error: -1 if error.row is None else error.row)
        raise SchemaError(errors[:MAX_ERRORS], truncated=len(errors) > MAX_ERRORS)
    return packed


def _pack(
    batch: Batch, *, sift: bool
) -> tuple[Packed | None, NDArray[np.intp] | None, dict[int, list[CellError]], bool]:
    """The good rows packed, which they are, mistakes by position, and whether all were looked for."""
    bad = {position: list(errors) for position, errors in batch.cell_errors.items()}
    count = len(batch.numbers)
    start = 0
    while start < count:
        # Rows with cells that could not be converted are looked at too: there may be more mistakes in them.
        try:
            packed = batch.pack(np.arange(start, count) if start else None)
        except SchemaError as error:
            start = _add_errors(error, start, batch, bad)
            if not sift:
                return None, np.empty(0, np.intp), bad, start == count
        else:
            if not bad:
                return packed, None, bad, True
            start = count
    good = np.array([position for position in range(count) if position not in bad], np.intp)
    return batch.pack(good) if sift and len(good) else None, good, bad, True


def _add_errors(error: SchemaError, start: int, batch: Batch, bad: dict[int, list[CellError]]) -> int:
    """Sort mistakes in the rows from `start` on by position; the position up to which all are known.

    Raises mistakes that are not in a row.
    """
    listed = [(cell.row, cell) for cell in error.errors if cell.row is not None]
    if not listed or len(listed) < len(error.errors):
        raise error
    stop = len(batch.numbers)
    if error.truncated:
        # Mistakes come in order of rows, and there may be more in the last row: it is looked at again, unless
        # it has filled the list alone.
        last = listed[-1][0]
        stop = start + max(last, 1)
        listed = [(row, cell) for row, cell in listed if row < last] or listed
    # A cell that could not be converted is missing from what was packed, which is no mistake of its own.
    converted = {(position, cell.column) for position, cells in batch.cell_errors.items() for cell in cells}
    for row, cell in listed:
        position = start + row
        if (position, cell.column) not in converted:
            bad.setdefault(position, []).append(replace(cell, row=int(batch.numbers[position]) - 1))
    return stop


def _reject(batch: Batch, source: Source, bad: dict[int, list[CellError]]) -> tuple[RejectedRow, ...]:
    rejected = [
        RejectedRow(int(batch.numbers[position]), None, tuple(errors), batch.raw(position), None)
        for position, errors in bad.items()
    ]
    rejected += [RejectedRow(row.number, None, (row.error,), None, row.text) for row in batch.malformed]
    rejected.sort(key=attrgetter("number"))
    return tuple(replace(row, line=source.line(row.number)) for row in rejected)


def _find_names(output: Output, schema: Schema) -> list[str]:
    if output.name == "prediction" and len(output.shape) == 1:
        return ["prediction"]
    stem = _ITEM_PREFIX.get(output.name, output.name)
    if len(output.shape) == 1:
        return [stem]
    if output.columns is not None:
        return list(output.columns)
    prediction = schema.output("prediction")
    classes = prediction.classes if prediction is not None and output.name in _ITEM_PREFIX else None
    fits = classes is not None and len(classes) == output.shape[1]
    labels = classes if classes is not None and fits else range(output.shape[1])
    return [f"{stem}_{label}" for label in labels]
