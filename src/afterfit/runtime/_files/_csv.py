"""CSV as RFC 4180 describes it, read with pyarrow, every cell as text."""

from __future__ import annotations

import codecs
import csv
import io
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from afterfit.errors import ArgumentError, CellError
from afterfit.runtime._files._batch import Batch, Malformed, Source
from afterfit.runtime._files._cells import ARROW_TYPES, EXPECTED, FIXES, convert_cells, decode_utf8
from afterfit.runtime._files._stream import ByteStream
from afterfit.runtime._files._table import TableBatch, check_columns, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from afterfit.runtime._files._formats import FileFormat
    from afterfit.schema import Column, Schema

_HEAD = 1 << 20
_BLOCK = 2 << 20
"""Bytes read at a time, which no row may exceed. pyarrow reads 32 such blocks ahead."""

_SHOWN = 40


class CsvBatch(TableBatch):
    """Rows of a CSV file: the cells as they stand in it, and as values of the types of their columns."""

    def __init__(
        self,
        schema: Schema,
        cells: dict[str, pa.Array],
        numbers: NDArray[np.int64],
        malformed: tuple[Malformed, ...],
    ) -> None:
        texts: dict[str, pa.Array] = {}
        values: dict[str, pa.Array] = {}
        errors: dict[int, list[CellError]] = {}
        types = {column.name: column for column in schema.columns if column.input is not None}
        for name, array in cells.items():
            texts[name], garbled = decode_utf8(array)
            for position in garbled.tolist():
                errors.setdefault(position, []).append(_garbled_cell(numbers, position, name, array))
            if name not in types:
                values[name] = texts[name]
                continue
            values[name], wrong = convert_cells(types[name], texts[name])
            for position in wrong.tolist():
                errors.setdefault(position, []).append(
                    _wrong_cell(numbers, position, types[name], texts[name])
                )
        super().__init__(schema, pa.table(values), numbers)
        self.malformed = malformed
        self.cell_errors = errors
        self._cells = cells
        self._texts = pa.table(texts)

    def text(self, rows: NDArray[np.intp] | None = None) -> pa.Table:
        """The cells as they stand in the file."""
        return take(self._texts, rows)

    def raw(self, position: int) -> dict[str, Any]:
        """The cells of a row as they stand in the file; bytes that are not UTF-8 are escaped."""
        cells = {name: array[position].as_py() for name, array in self._cells.items()}
        return {
            name: None if cell is None else cell.decode("utf-8", "backslashreplace")
            for name, cell in cells.items()
        }


class RowsAside:
    """Takes the rows that cannot be cut into cells, up to `most`; `header_rows` come before the first row."""

    def __init__(self, delimiter: str = ",", most: int | None = None) -> None:
        self.rows: list[Malformed] = []
        self.header_rows = 1
        self._delimiter = delimiter
        self._most = most

    def add(self, row: Any) -> str:
        """What pyarrow is given to call with a row."""
        if len(self.rows) == self._most:
            return "error"
        number = row.number - self.header_rows  # pyarrow counts the header
        self.rows.append(
            Malformed(
                number,
                CellError(
                    row=number - 1,
                    column=None,
                    expected=f"{row.expected_columns} cells",
                    got=f"{row.actual_columns}: {_shorten(row.text)}",
                    fix=f"quote cells that contain {self._delimiter!r}, a quote or a line break",
                ),
                row.text,
            )
        )
        return "skip"


def csv_options(names: list[str], form: FileFormat, aside: Callable[[Any], str], *, block: int) -> Any:
    """How pyarrow reads CSV: its options of reading, of parsing and of conversion, every cell as bytes."""
    return (
        # One thread, for then rows that do not parse come with their number.
        pyarrow.csv.ReadOptions(use_threads=False, block_size=block),
        pyarrow.csv.ParseOptions(
            delimiter=form.delimiter,
            newlines_in_values=True,
            ignore_empty_lines=len(names) > 1,
            invalid_row_handler=aside,
        ),
        pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


class CsvSource(Source):
    """A CSV file with a header.

    An empty cell is missing; a quoted empty one is empty text in a text column, and missing elsewhere. Blank
    lines are passed over, except where there is one column: there they are missing values.
    """

    def __init__(self, path: Path, form: FileFormat, schema: Schema, *, batch_rows: int, label: str) -> None:
        _refuse_tensors(schema)
        self._path, self._format, self._schema = path, form, schema
        self._batch_rows, self._label = batch_rows, label
        self.names = _read_header(path, form, label)
        types = {
            column.name: ARROW_TYPES[column.type] for column in schema.columns if column.input is not None
        }
        self.schema = pa.schema([(name, types.get(name, pa.string())) for name in self.names])
        self._check_names()
        self._aside = RowsAside(form.delimiter)
        self._lines: LineFinder | None = None
        # Read by pyarrow alone: its threads would have to wait for Python to read from a Python file, and
        # Python for them when they are given up.
        self._file = pa.OSFile(str(path), mode="r")
        self._size = max(1, path.stat().st_size)

    @property
    def fraction(self) -> float | None:
        """How much of the file has been read."""
        return None if self._file.closed else min(1.0, self._file.tell() / self._size)

    def __iter__(self) -> Iterator[Batch]:
        """The rows, cut into batches."""
        start = 1
        for block in self._blocks():
            for offset in range(0, max(1, block.num_rows), self._batch_rows):
                part = block.slice(offset, self._batch_rows)
                numbers, malformed = self._number_rows(start, part.num_rows)
                start = int(numbers[-1]) + 1 if len(numbers) else start
                yield CsvBatch(
                    self._schema, dict(zip(self.names, part.columns, strict=True)), numbers, malformed
                )
        if self._aside.rows:
            nothing = dict.fromkeys(self.names, pa.array([], pa.binary()))
            yield CsvBatch(self._schema, nothing, np.empty(0, np.int64), tuple(self._aside.rows))

    def line(self, number: int) -> int | None:
        """The physical line of a row, found by reading the file once more."""
        if self._lines is None or self._lines.number > number:
            self._lines = LineFinder(self._path, self._format, len(self.names))
        return self._lines.find(number)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _blocks(self) -> Iterator[pa.RecordBatch]:
        source = pa.CompressedInputStream(self._file, "gzip") if self._format.gzip else self._file
        try:
            with quiet_handler():
                reads, parses, converts = csv_options(self.names, self._format, self._aside.add, block=_BLOCK)
                reader = pyarrow.csv.open_csv(
                    source, read_options=reads, parse_options=parses, convert_options=converts
                )
            while True:
                with quiet_handler():
                    block = reader.read_next_batch()
                yield block
        except StopIteration:
            return
        except pa.ArrowInvalid as error:
            raise ArgumentError(self._explain(str(error))) from error
        except OSError as error:
            raise ArgumentError(f"{self._label} is damaged or cut short: {error}") from error

    def _number_rows(self, start: int, rows: int) -> tuple[NDArray[np.int64], tuple[Malformed, ...]]:
        """The numbers of the next rows, without those that did not parse; and these, up to the last row."""
        malformed = self._aside.rows
        if not malformed:
            return np.arange(start, start + rows, dtype=np.int64), ()
        gaps = [row.number for row in malformed]
        candidates = np.arange(start, start + rows + len(gaps), dtype=np.int64)
        numbers = candidates[~np.isin(candidates, gaps)][:rows]
        last = numbers[-1] if rows else start - 1
        passed = tuple(row for row in malformed if row.number < last)
        self._aside.rows = [row for row in malformed if row.number > last]
        return numbers, passed

    def _check_names(self) -> None:
        try:
            check_columns(self._schema, self.schema, self._label)
        except ArgumentError:
            raise
        except ValueError as error:
            only = self.names[0]
            other = next((mark for mark in ";\t|" if mark in only), None)
            if len(self.names) > 1 or other is None:
                raise
            raise ArgumentError(
                f"the header of {self._label} has one column, {_shorten(only)}; "
                f"if {other!r} parts the cells, say so with --delimiter"
            ) from error

    def _explain(self, message: str) -> str:
        if "straddling" in message or "block size" in message:
            size = f"{_BLOCK >> 20} MiB"
            return f"a row of {self._label} is longer than {size}; is a quote never closed?"
        return f"{self._label} cannot be read as CSV: {message.splitlines()[0]}"


class LineFinder:
    """Finds the physical lines of rows by reading the file once more; rows are asked for in order."""

    def __init__(self, file: Path, form: FileFormat, columns: int) -> None:
        text = io.TextIOWrapper(
            io.BufferedReader(ByteStream(file, form, str(file)), 1 << 18),
            "utf-8",
            errors="replace",
            newline="",
        )
        self._reader = csv.reader(text, delimiter=form.delimiter)
        self._columns = columns
        self.number = -1
        self._line: int | None = None

    def find(self, number: int) -> int | None:
        """The line on which a row begins; None where it cannot be told."""
        while self.number < number:
            before = self._reader.line_num
            try:
                row = next(self._reader)
            except (csv.Error, StopIteration):
                return None
            if row or self._columns == 1:
                self.number += 1
                self._line = before + 1
        return self._line


def _read_header(path: Path, form: FileFormat, label: str) -> list[str]:
    with ByteStream(path, form, label) as stream:
        head = io.BufferedReader(stream).read(_HEAD)
    return header_names(head, form, label)


def header_names(head: bytes, form: FileFormat, label: str) -> list[str]:
    """The names in the first line of a CSV file. Raises ArgumentError where there are none."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ArgumentError(f"{label} is UTF-16; save it as UTF-8")
    # What is not UTF-8 further down is reported with its row.
    text = head.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=form.delimiter)
        names = next((row for row in rows if row), None)
        for name in names or ():
            name.encode("utf-8")
    except (UnicodeEncodeError, csv.Error) as error:
        raise ArgumentError(f"the header of {label} is not a line of UTF-8 text") from error
    if names is None:
        raise ArgumentError(f"{label} is empty; a header with the names of the columns is needed")
    return names


def _garbled_cell(numbers: NDArray[np.int64], position: int, name: str, cells: pa.Array) -> CellError:
    raw = cells[position].as_py()
    return CellError(int(numbers[position]) - 1, name, "UTF-8 text", _shorten(raw), "save the file as UTF-8")


def _wrong_cell(numbers: NDArray[np.int64], position: int, column: Column, texts: pa.Array) -> CellError:
    got = _shorten(texts[position].as_py())
    return CellError(int(numbers[position]) - 1, column.name, EXPECTED[column.type], got, FIXES[column.type])


def _shorten(value: str | bytes) -> str:
    return repr(value if len(value) <= _SHOWN else value[:_SHOWN]) + ("" if len(value) <= _SHOWN else "...")


def _forgive_unicode(default: Any, event: Any) -> None:
    if event.exc_type is not UnicodeDecodeError:
        default(event)


@contextmanager
def quiet_handler() -> Iterator[None]:
    """Keep pyarrow from printing a traceback for a ragged row that is not UTF-8; it raises all the same."""
    default = sys.unraisablehook
    sys.unraisablehook = partial(_forgive_unicode, default)
    try:
        yield
    finally:
        sys.unraisablehook = default


def _refuse_tensors(schema: Schema) -> None:
    tensors = [column.name for column in schema.columns if column.shape is not None]
    if tensors:
        raise ArgumentError(
            f"column {tensors[0]!r} holds arrays, which a cell of a CSV file does not; give the rows as JSON lines "
            "(.jsonl), Parquet or Arrow"
        )
