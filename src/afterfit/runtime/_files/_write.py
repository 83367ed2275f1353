"""Scored rows, written in each format."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, BinaryIO, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet

from afterfit.runtime._files._batch import Batch, Sink
from afterfit.runtime._files._table import as_records, as_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from afterfit.runtime._files._formats import FileFormat

_ROW_GROUP = 131_072


class _TextSink(Sink):
    """A file of text, compressed where its name says so."""

    def __init__(self, file: BinaryIO, form: FileFormat) -> None:
        self._file = file
        if form.gzip:
            # No time and no name in the header: the same rows give the same bytes.
            self._file = cast("BinaryIO", gzip.GzipFile("", "wb", 6, file, mtime=0))
        self._compressed = form.gzip

    def finish(self) -> None:
        if self._compressed:
            self._file.close()


class CsvSink(_TextSink):
    """CSV as RFC 4180 describes it, lines ended by a line feed.

    Missing values are empty cells; empty text is quoted, so that the two stay apart.
    """

    def __init__(
        self, file: BinaryIO, form: FileFormat, columns: pa.Schema | None, answers: pa.Schema
    ) -> None:
        super().__init__(file, form)
        self._delimiter = form.delimiter
        self._echo = columns is not None
        names = [*(columns.names if columns is not None else ()), *answers.names]
        self._write_lines(pa.table([pa.chunked_array([[name]]) for name in names], names=names))

    def write(self, batch: Batch, rows: NDArray[np.intp] | None, answers: pa.Table) -> None:
        """Write rows."""
        columns = [as_text(column) for column in answers.columns]
        if self._echo:
            columns = [*batch.text(rows).columns, *columns]
        self._write_lines(pa.table(columns, names=[str(i) for i in range(len(columns))]))

    def _write_lines(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        cells = [self._quote(column.combine_chunks().cast(pa.large_string())) for column in table.columns]
        lines = pc.binary_join_element_wise(
            *cells, _text(self._delimiter), null_handling="replace", null_replacement=""
        )
        lines = pc.binary_join_element_wise(lines, _text(""), _text("\n"))
        for chunk in lines.chunks if isinstance(lines, pa.ChunkedArray) else [lines]:
            # The strings of a column lie end to end in one buffer: the file is that buffer.
            _, offsets, data = chunk.buffers()
            ends = memoryview(offsets).cast("q")
            self._file.write(memoryview(data)[ends[chunk.offset] : ends[chunk.offset + len(chunk)]])

    def _quote(self, cells: pa.Array) -> pa.Array:
        if not self._may_need_quotes(cells):
            return cells
        special = pc.or_(
            pc.match_substring_regex(cells, f'["\\r\\n{_escape(self._delimiter)}]'),
            pc.equal(pc.binary_length(cells), 0),
        )
        escaped = pc.replace_substring(cells, '"', '""')
        quoted = pc.binary_join_element_wise(_text('"'), escaped, _text('"'), _text(""))
        return pc.if_else(special, quoted, cells)

    def _may_need_quotes(self, cells: pa.Array) -> bool:
        """Whether any cell is empty, or the bytes of all of them hold a character that needs quotes."""
        if pc.min(pc.binary_length(cells)).as_py() == 0:
            return True
        content = cells.buffers()[2]
        if content is None:
            return False
        found = content.to_pybytes()
        return any(mark.encode() in found for mark in ('"', "\r", "\n", self._delimiter))


class JsonLinesSink(_TextSink):
    """One JSON object a line; NaN and infinities as the strings `NaN`, `Infinity`, `-Infinity`."""

    def __init__(
        self, file: BinaryIO, form: FileFormat, columns: pa.Schema | None, answers: pa.Schema
    ) -> None:
        super().__init__(file, form)
        del answers
        self._echo = columns is not None

    def write(self, batch: Batch, rows: NDArray[np.intp] | None, answers: pa.Table) -> None:
        """Write rows."""
        records = as_records(answers)
        if self._echo:
            records = [{**row, **answer} for row, answer in zip(batch.records(rows), records, strict=True)]
        self._file.write(msgspec.json.Encoder().encode_lines(records))


class ParquetSink(Sink):
    """A Parquet file, in row groups of about 131,072 rows."""

    def __init__(self, file: BinaryIO, columns: pa.Schema | None, answers: pa.Schema) -> None:
        self._schema = _join(columns, answers)
        self._echo = columns is not None
        self._writer = pyarrow.parquet.ParquetWriter(pa.PythonFile(file, mode="w"), self._schema)
        self._waiting: list[pa.Table] = []

    def write(self, batch: Batch, rows: NDArray[np.intp] | None, answers: pa.Table) -> None:
        """Write rows."""
        table = batch.table(rows) if self._echo else None
        self._waiting.append(_beside(table, answers, self._schema))
        if sum(table.num_rows for table in self._waiting) >= _ROW_GROUP:
            self._flush()

    def finish(self) -> None:
        """Write the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=_ROW_GROUP)
            self._waiting = []


class ArrowSink(Sink):
    """An Arrow IPC file or stream. Columns with dictionaries are written plain."""

    def __init__(
        self, file: BinaryIO, columns: pa.Schema | None, answers: pa.Schema, *, stream: bool
    ) -> None:
        if columns is not None:
            # An IPC file cannot change a dictionary between batches, and batches of the input may.
            columns = pa.schema([_plain(field) for field in columns])
        self._schema = _join(columns, answers)
        self._echo = columns is not None
        self._writer = (pyarrow.ipc.new_stream if stream else pyarrow.ipc.new_file)(
            pa.PythonFile(file, mode="w"), self._schema
        )

    def write(self, batch: Batch, rows: NDArray[np.intp] | None, answers: pa.Table) -> None:
        """Write rows."""
        table = batch.table(rows) if self._echo else None
        self._writer.write_table(_beside(table, answers, self._schema))

    def finish(self) -> None:
        """Write the footer."""
        self._writer.close()


def _text(value: str) -> pa.Scalar:
    return pa.scalar(value, pa.large_string())


def _escape(delimiter: str) -> str:
    return f"\\x{ord(delimiter):02x}"


def _plain(field: pa.Field) -> pa.Field:
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


def _join(columns: pa.Schema | None, answers: pa.Schema) -> pa.Schema:
    return answers if columns is None else pa.schema([*columns, *answers])


def _beside(table: pa.Table | None, answers: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [*(table.columns if table is not None else ()), *answers.columns]
    return pa.table(
        [column.cast(field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
