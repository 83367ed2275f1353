"""Tables that are held in memory whole and come from strangers: the bodies of requests.

What is read is bounded before it is read: a few bytes can say that a billion rows follow, or unpack to a string that
ten thousand rows share.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from afterfit.errors import ArgumentError, CellError, TooManyRowsError
from afterfit.runtime._files._csv import CsvBatch, RowsAside, csv_options, header_names, quiet_handler
from afterfit.runtime._files._formats import FileFormat
from afterfit.runtime._files._ipc import END_OF_STREAM, is_compressed
from afterfit.runtime._files._table import TableBatch, check_columns, explained
from afterfit.runtime._files._write import CsvSink
from afterfit.schema import Schema, TablePacker

if TYPE_CHECKING:
    from collections.abc import Callable

    from afterfit.runtime._files._batch import Batch

    Wanted = Callable[[pa.Schema], list[str]]

BodyKind = Literal["csv", "arrow stream", "parquet"]

_EXTRA_COLUMNS = 1_000
"""Columns that a body may have beside those of the schema."""

_CODECS = {"UNCOMPRESSED", "SNAPPY"}
"""Compressions of Parquet that make at most some twenty times more of a body."""

_MALFORMED = 1_000
"""Malformed rows of CSV after which reading stops."""

_HEAD = 1 << 20
"""Bytes within which the header of CSV has to end."""

_REMEMBERED = 16
"""Kinds of tables whose columns are known again: clients send few, and could make up any number."""

_LONG_KEY = 4096
"""Bytes of a schema that are kept as they are."""

_LABEL = "the body"


class BodyReader:
    """Reads bodies of at most `max_rows` rows, and of at most `max_bytes` once they are unpacked, for one schema.

    What it found out of the columns of one body it remembers for others with the same. Thread-safe.
    """

    def __init__(self, schema: Schema, *, max_rows: int, max_bytes: int) -> None:
        self._schema = schema
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._packer = TablePacker(schema)
        self._known: dict[bytes, list[str]] = {}

    def read(self, data: bytes, kind: BodyKind, *, has_header: bool = True) -> Batch:
        """All rows of a body. Columns that the schema does not read are left out.

        Raises ArgumentError where the body breaks its format or is larger, TooManyRowsError for more rows,
        SchemaError if columns are missing or of a type of no use.
        """
        if kind == "csv":
            return _read_csv(data, self._schema, self._max_rows, has_header=has_header)
        with explained(_LABEL, "Arrow IPC" if kind == "arrow stream" else "Parquet"):
            read = _read_arrow if kind == "arrow stream" else _read_parquet
            table = read(data, self._wanted, self._max_rows, self._max_bytes)
            table.validate(full=True)
        numbers = np.arange(1, table.num_rows + 1, dtype=np.int64)
        return TableBatch(self._schema, table, numbers, self._packer)

    def _wanted(self, found: pa.Schema) -> list[str]:
        """The names of the columns to read, whose types can be read within bounds."""
        key = found.remove_metadata().serialize().to_pybytes()
        if len(key) > _LONG_KEY:
            # Names and types of any length are kept as 32 bytes.
            key = hashlib.sha256(key).digest()
        wanted = self._known.get(key)
        if wanted is None:
            wanted = _check_schema(found, self._schema)
            if len(self._known) < _REMEMBERED:
                self._known[key] = wanted
        return wanted


def write_body(table: pa.Table, kind: BodyKind) -> bytes:
    """A table as a body; none of its columns has a dictionary."""
    if kind == "arrow stream":
        # What the writer of pyarrow writes, without a call for each of its many short pieces.
        batches = [batch.serialize() for batch in table.to_batches()]
        return b"".join([table.schema.serialize(), *batches, END_OF_STREAM])
    file = io.BytesIO()
    if kind == "csv":
        rows = np.arange(1, table.num_rows + 1, dtype=np.int64)
        sink = CsvSink(file, FileFormat("csv"), None, table.schema)
        sink.write(TableBatch(Schema(columns=(), outputs=()), table, rows), None, table)
        sink.finish()
    else:
        pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def _read_csv(data: bytes, schema: Schema, max_rows: int, *, has_header: bool) -> CsvBatch:
    form = FileFormat("csv")
    if b"\n" not in data and b"\r" not in data:
        data += b"\n"
    names = (
        header_names(data[:_HEAD], form, _LABEL) if has_header else [column.name for column in schema.columns]
    )
    _check_width(len(names), schema)
    aside = RowsAside(most=_MALFORMED)
    reads, parses, converts = csv_options(names, form, aside.add, block=len(data) + 1)
    if not has_header:
        reads.column_names = names
        aside.header_rows = 0
    with explained(_LABEL, "CSV"), quiet_handler():
        table = pyarrow.csv.read_csv(
            pa.BufferReader(data), read_options=reads, parse_options=parses, convert_options=converts
        )
    check_columns(schema, pa.schema([(name, pa.null()) for name in names]), _LABEL)
    count = table.num_rows + len(aside.rows)
    _check_rows(count, max_rows)
    gaps = [row.number for row in aside.rows]
    numbers = np.setdiff1d(np.arange(1, count + 1, dtype=np.int64), gaps)
    wanted = {column.name for column in schema.columns if column.input is not None}
    cells = {name: table.column(name).combine_chunks() for name in names if name in wanted}
    return CsvBatch(schema, cells, numbers, tuple(aside.rows))


def _read_arrow(data: bytes, wanted_of: Wanted, max_rows: int, max_bytes: int) -> pa.Table:
    del max_bytes
    source = pa.BufferReader(data)
    messages = pa.ipc.MessageReader.open_stream(pa.BufferReader(data))
    for message in messages:
        if is_compressed(message.type, bytes(message.metadata)):
            raise ArgumentError("the body has compressed buffers; write the stream without compression")
    reader = pa.ipc.open_stream(source)
    wanted = wanted_of(reader.schema)
    selects = wanted != reader.schema.names
    parts = []
    rows = 0
    for part in reader:
        rows += part.num_rows
        _check_rows(rows, max_rows)
        parts.append(part.select(wanted) if selects else part)
    if parts:
        return pa.Table.from_batches(parts)
    return pa.schema([reader.schema.field(name) for name in wanted]).empty_table()


def _read_parquet(data: bytes, wanted_of: Wanted, max_rows: int, max_bytes: int) -> pa.Table:
    file = pyarrow.parquet.ParquetFile(pa.BufferReader(data))
    wanted = wanted_of(file.schema_arrow)
    metadata = file.metadata
    _check_rows(metadata.num_rows, max_rows)
    if metadata.num_row_groups > max_rows:
        raise ArgumentError(f"the body has {metadata.num_row_groups} row groups; write it in one")
    unpacked = 0
    for group in range(metadata.num_row_groups):
        for position in range(metadata.row_group(group).num_columns):
            chunk = metadata.row_group(group).column(position)
            unpacked += chunk.total_uncompressed_size
            if chunk.compression not in _CODECS:
                raise ArgumentError(
                    f"the body is compressed with {chunk.compression}; write it with snappy, or without"
                )
    if unpacked > max_bytes:
        raise ArgumentError(f"the body is larger than {max_bytes} bytes once unpacked; send fewer rows")
    texts = [name for name in wanted if _is_text(file.schema_arrow.field(name).type)]
    # As a dictionary, a text that many rows share is held once.
    file = pyarrow.parquet.ParquetFile(pa.BufferReader(data), read_dictionary=texts)
    return file.read(columns=wanted, use_threads=False)


def _check_schema(found: pa.Schema, schema: Schema) -> list[str]:
    _check_width(len(found), schema)
    check_columns(schema, found, _LABEL)
    wanted = [column.name for column in schema.columns if column.input is not None]
    for name in wanted:
        kind = found.field(name).type
        held = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (_is_text(held) or pa.types.is_null(held) or pa.types.is_boolean(held) or _is_number(held)):
            raise ArgumentError(
                f"the column {name!r} is of type {kind}, which is not read here; cast it first"
            )
    return wanted


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _check_width(columns: int, schema: Schema) -> None:
    if columns > len(schema.columns) + _EXTRA_COLUMNS:
        raise ArgumentError(
            f"the body has {columns} columns, the model {len(schema.columns)}; leave them out"
        )


def _check_rows(rows: int, most: int) -> None:
    if rows > most:
        cell = CellError(
            None, None, f"at most {most:,} rows", f"{rows:,} rows", "send them in several requests"
        )
        raise TooManyRowsError([cell])
