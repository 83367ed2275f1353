"""Files that hold typed tables: Parquet and Arrow IPC."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet

from afterfit.errors import ArgumentError
from afterfit.runtime._files._batch import Batch, Source
from afterfit.schema import TablePacker, pack_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from afterfit.schema import Packed, Schema


class TableBatch(Batch):
    """Rows of a table with typed columns. `packer`: the schema's, where there is one already."""

    def __init__(
        self, schema: Schema, table: pa.Table, numbers: NDArray[np.int64], packer: TablePacker | None = None
    ) -> None:
        self.numbers = numbers
        self.malformed = ()
        self.cell_errors = {}
        self._packer = packer or TablePacker(schema)
        self._table = table
        self._schema = schema

    def pack(self, rows: NDArray[np.intp] | None = None) -> Packed:
        """The rows as the graph takes them."""
        if rows is None:
            return self._packer.pack(self._table)
        wanted = [column.name for column in self._schema.columns if column.input is not None]
        return self._packer.pack(take(self._table.select(wanted), rows))

    def table(self, rows: NDArray[np.intp] | None = None) -> pa.Table:
        """The rows as they are typed."""
        return take(self._table, rows)

    def text(self, rows: NDArray[np.intp] | None = None) -> pa.Table:
        """The rows with every value spelled so that reading it back gives the same value."""
        table = self.table(rows)
        return pa.table([as_text(column) for column in table.columns], names=table.column_names)

    def records(self, rows: NDArray[np.intp] | None = None) -> list[dict[str, Any]]:
        """The rows as JSON objects."""
        return as_records(self.table(rows))

    def raw(self, position: int) -> dict[str, Any]:
        """One row as a JSON object."""
        return as_records(self._table.slice(position, 1))[0]


class ParquetSource(Source):
    """A Parquet file. A batch is read from one row group at a time."""

    def __init__(self, file: Path, schema: Schema, *, batch_rows: int, label: str) -> None:
        self._label, self._schema, self._batch_rows = label, schema, batch_rows
        self._packer = TablePacker(schema)
        with explained(self._label, "Parquet"):
            self._file = pyarrow.parquet.ParquetFile(file, buffer_size=1 << 20)
            self.schema = self._file.schema_arrow
        check_columns(schema, self.schema, self._label)
        self._rows = 0

    @property
    def fraction(self) -> float | None:
        """How many of the rows have been read."""
        total: int = self._file.metadata.num_rows
        return self._rows / max(1, total)

    def __iter__(self) -> Iterator[Batch]:
        """The rows, cut into batches."""
        batches = self._file.iter_batches(self._batch_rows)
        while True:
            with explained(self._label, "Parquet"):
                part = next(batches, None)
                if part is None:
                    return
                part.validate(full=True)
            numbers = np.arange(self._rows + 1, self._rows + part.num_rows + 1, dtype=np.int64)
            self._rows += part.num_rows
            yield TableBatch(self._schema, pa.Table.from_batches([part]), numbers, self._packer)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ArrowSource(Source):
    """An Arrow IPC file or stream, which of them is told by its first bytes."""

    def __init__(self, file: Path, schema: Schema, *, batch_rows: int, label: str) -> None:
        self._label, self._schema, self._batch_rows = label, schema, batch_rows
        self._packer = TablePacker(schema)
        self._file = pa.memory_map(str(file)) if file.stat().st_size else pa.BufferReader(b"")
        self._size = file.stat().st_size
        with explained(self._label, "Arrow IPC"):
            self._is_file = self._file.read(6) == b"ARROW1"
            self._file.seek(0)
            self._reader = (pyarrow.ipc.open_file if self._is_file else pyarrow.ipc.open_stream)(self._file)
            self.schema = self._reader.schema
        check_columns(schema, self.schema, self._label)
        self._fraction = 0.0

    @property
    def fraction(self) -> float | None:
        """How much of the file has been read."""
        return self._fraction

    def __iter__(self) -> Iterator[Batch]:
        """The rows, cut into batches."""
        first = 1
        for part in self._parts():
            for offset in range(0, part.num_rows, self._batch_rows):
                piece = pa.Table.from_batches([part.slice(offset, self._batch_rows)])
                numbers = np.arange(first, first + piece.num_rows, dtype=np.int64)
                first += piece.num_rows
                yield TableBatch(self._schema, piece, numbers, self._packer)

    def _parts(self) -> Iterator[pa.RecordBatch]:
        index = 0
        while True:
            with explained(self._label, "Arrow IPC"):
                try:
                    if self._is_file and index == self._reader.num_record_batches:
                        return
                    part = self._reader.get_batch(index) if self._is_file else self._reader.read_next_batch()
                except StopIteration:
                    return
                part.validate(full=True)
            index += 1
            yield part
            self._fraction = (
                index / self._reader.num_record_batches if self._is_file else self._file.tell() / self._size
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextmanager
def explained(label: str, form: str) -> Iterator[None]:
    """What pyarrow raises, as ArgumentError that names the file."""
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise ArgumentError(f"{label} cannot be read as {form}: {reason}") from error


def check_columns(schema: Schema, columns: pa.Schema, label: str) -> None:
    """SchemaError if a column is missing or of a type of no use; ArgumentError if two have one name."""
    with explained(label, "a table"):
        # Decodes the names, which nothing has looked at so far.
        names = columns.names
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ArgumentError(f"{label} has more than one column called {', '.join(map(repr, double))}")
    pack_table(schema, columns.empty_table())


def take(table: pa.Table, rows: NDArray[np.intp] | None) -> pa.Table:
    """Some rows of a table; all of them where `rows` is None."""
    return table if rows is None else table.take(pa.array(rows))


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as strings; null stays null."""
    column = as_plain(column)
    if (
        pa.types.is_nested(column.type)
        or pa.types.is_binary(column.type)
        or pa.types.is_large_binary(column.type)
    ):
        texts = [None if v is None else msgspec.json.encode(v).decode() for v in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    return pc.cast(column, pa.string())


def as_plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without dictionaries; dates and times as text; narrow floats as float64, spelled exactly."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_plain(pc.cast(column, kind.value_type))
    if pa.types.is_temporal(kind):
        return pc.cast(column, pa.string())
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        return pc.cast(column, pa.float64())
    return column


def as_records(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as JSON objects; NaN and infinities as the strings `NaN`, `Infinity`, `-Infinity`."""
    columns = [_as_values(as_plain(column)) for column in table.columns]
    names = table.column_names
    if not names:
        return [{} for _ in range(table.num_rows)]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _as_values(column: pa.ChunkedArray) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if not pa.types.is_floating(column.type) or pc.all(pc.is_finite(column)).as_py() in (True, None):
        return values
    spelled = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return [spelled.get(str(value), value) if isinstance(value, float) else value for value in values]
