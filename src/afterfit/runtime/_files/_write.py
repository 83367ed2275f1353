"""Scored rows, written in each format."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet

from afterfit.runtime._files._batch import Batch, Sink
from afterfit.runtime._files._table import as_records, as_text

if TYPE_CHECKING:
    import numpy as np
    from _typeshed import ReadableBuffer
    from numpy.typing import NDArray

    from afterfit.runtime._files._formats import FileFormat

_ROW_GROUP = 131_072


class _Tap(io.RawIOBase):
    """What writers write to: the file until it is shut, and nowhere from then on.

    Writers of pyarrow and gzip write an end when they are disposed of, even of a file that was given up.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file: BinaryIO | None = file

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        return len(memoryview(data)) if self._file is None else self._file.write(data)

    def shut(self) -> None:
        self._file = None


class _TextSink(Sink):
    """A file of text, compressed where its name says so."""

    def __init__(self, file: BinaryIO, form: FileFormat) -> None:
        self._tap = _Tap(file)
        # No time and no name in the header: the same rows give the same bytes.
        self._gzip = gzip.GzipFile("", "wb", 6, self._tap, mtime=0) if form.gzip else None
        self._file: gzip.GzipFile | _Tap = self._gzip or self._tap

    def finish(self) -> None:
        if self._gzip is not None:
            self._gzip.close()

    def close(self) -> None:
        self._tap.shut()
        self.finish()


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


class _TableSink(Sink):
    """A file of typed columns: those of the input, unless they are left out, and the answers."""

    def __init__(self, file: BinaryIO, columns: pa.Schema | None, answers: pa.Schema) -> None:
        self._tap = _Tap(file)
        self._echo = columns is not None
        self._schema = answers if columns is None else pa.schema([*columns, *answers])

    def write(self, batch: Batch, rows: NDArray[np.intp] | None, answers: pa.Table) -> None:
        columns = [*(batch.table(rows).columns if self._echo else ()), *answers.columns]
        typed = [column.cast(field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._write_table(pa.table(typed, schema=self._schema))

    def close(self) -> None:
        self._tap.shut()
        self._close_writer()

    def _write_table(self, table: pa.Table) -> None:
        raise NotImplementedError

    def _close_writer(self) -> None:
        raise NotImplementedError


class ParquetSink(_TableSink):
    """A Parquet file, in row groups of about 131,072 rows."""

    def __init__(self, file: BinaryIO, columns: pa.Schema | None, answers: pa.Schema) -> None:
        super().__init__(file, columns, answers)
        self._writer = pyarrow.parquet.ParquetWriter(pa.PythonFile(self._tap, mode="w"), self._schema)
        self._waiting: list[pa.Table] = []

    def finish(self) -> None:
        """Write the footer."""
        self._flush()
        self._writer.close()

    def _write_table(self, table: pa.Table) -> None:
        self._waiting.append(table)
        if sum(waiting.num_rows for waiting in self._waiting) >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=_ROW_GROUP)
            self._waiting = []

    def _close_writer(self) -> None:
        self._writer.close()


class ArrowSink(_TableSink):
    """An Arrow IPC file or stream. Columns with dictionaries are written plain."""

    def __init__(
        self, file: BinaryIO, columns: pa.Schema | None, answers: pa.Schema, *, stream: bool
    ) -> None:
        if columns is not None:
            # An IPC file cannot change a dictionary between batches, and batches of the input may.
            columns = pa.schema([_plain(field) for field in columns])
        super().__init__(file, columns, answers)
        opener = pyarrow.ipc.new_stream if stream else pyarrow.ipc.new_file
        self._writer = opener(pa.PythonFile(self._tap, mode="w"), self._schema)

    def finish(self) -> None:
        """Write the footer."""
        self._writer.close()

    def _write_table(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def _close_writer(self) -> None:
        self._writer.close()


def _text(value: str) -> pa.Scalar:
    return pa.scalar(value, pa.large_string())


def _escape(delimiter: str) -> str:
    return f"\\x{ord(delimiter):02x}"


def _plain(field: pa.Field) -> pa.Field:
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
