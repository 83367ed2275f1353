"""JSON lines: one object a line, read by the rules of the server."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from afterfit.errors import ArgumentError, CellError
from afterfit.runtime._files._batch import Batch, Malformed, Source
from afterfit.runtime._files._cells import arrow_type
from afterfit.runtime._files._stream import ByteStream
from afterfit.runtime._files._table import as_text
from afterfit.schema import RowDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from afterfit.runtime._files._formats import FileFormat
    from afterfit.schema import Packed, Schema

_BLOCK = 4 << 20
_LONGEST = 64 << 20
_SHOWN = 40
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_NOT_JSON = (msgspec.DecodeError, ValueError, RecursionError)
"""What decoders raise: also for bytes that are not UTF-8, numbers of thousands of digits, deep nesting."""

_NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class JsonLinesBatch(Batch):
    """Rows of a file of JSON lines."""

    def __init__(
        self,
        *,
        decoder: RowDecoder,
        wanted: frozenset[str],
        columns: pa.Schema,
        rows: list[dict[str, Any]],
        numbers: NDArray[np.int64],
        malformed: tuple[Malformed, ...],
    ) -> None:
        self.numbers = numbers
        self.malformed = malformed
        self.cell_errors = {}
        self._decoder, self._wanted, self._columns, self._rows = decoder, wanted, columns, rows

    def pack(self, rows: NDArray[np.intp] | None = None) -> Packed:
        """The rows as the graph takes them. Keys that are no column of the model are passed over."""
        records = self.records(rows)
        wanted = self._wanted
        if any(row.keys() != wanted for row in records):
            records = [self._select(row) for row in records]
        # The rows were parsed once to be told apart and echoed; the decoder's own way from bytes is so much
        # faster than its way from dicts that writing them for it pays.
        return self._decoder.decode_json(msgspec.json.encode({"rows": records}))

    def table(self, rows: NDArray[np.intp] | None = None) -> pa.Table:
        """The rows as a table; ArgumentError where a column that the model does not read changes its type."""
        records = self.records(rows)
        names = tuple(self._columns.names)
        if all(map(names.__eq__, map(tuple, records))):
            columns: Iterable[Sequence[Any]] = zip(*(row.values() for row in records), strict=True)
        else:
            self._check_known(records, rows)
            columns = ([row.get(name) for row in records] for name in names)
        arrays = [self._column(field, values) for field, values in zip(self._columns, columns, strict=False)]
        return pa.table(arrays, schema=self._columns) if arrays else self._columns.empty_table()

    def text(self, rows: NDArray[np.intp] | None = None) -> pa.Table:
        """The rows with every value spelled so that reading it back gives the same value."""
        table = self.table(rows)
        return pa.table([as_text(column) for column in table.columns], names=table.column_names)

    def records(self, rows: NDArray[np.intp] | None = None) -> list[dict[str, Any]]:
        """The rows as they stand in the file."""
        return self._rows if rows is None else [self._rows[position] for position in rows.tolist()]

    def raw(self, position: int) -> dict[str, Any]:
        """One row as it stands in the file."""
        return self._rows[position]

    def _select(self, row: dict[str, Any]) -> dict[str, Any]:
        """The columns of the model; all that was sent where one is missing, so that the nearest is found."""
        if row.keys() >= self._wanted:
            return {name: row[name] for name in self._wanted}
        return row

    def _check_known(self, records: list[dict[str, Any]], rows: NDArray[np.intp] | None) -> None:
        known = set(self._columns.names)
        for position, row in enumerate(records):
            if not row.keys() <= known:
                extra = ", ".join(repr(name) for name in row.keys() - known)
                number = self.numbers[position if rows is None else rows[position]]
                raise ArgumentError(f"row {number} has {extra}, which the first rows have not; {_WAY_OUT}")

    def _column(self, field: pa.Field, values: Sequence[Any]) -> pa.Array:
        if field.type == pa.float64():
            values = [_NUMBERS.get(value, value) if isinstance(value, str) else value for value in values]
        try:
            return pa.array(values, field.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise ArgumentError(
                f"column {field.name!r} is {field.type} in the first rows and something else in rows "
                f"{self.numbers[0]} to {self.numbers[-1]}; {_WAY_OUT}"
            ) from error


_WAY_OUT = "write the output as .jsonl, or leave the input columns out with --only-predictions"


class JsonLinesSource(Source):
    """A file of JSON lines. Blank lines are passed over.

    The types of columns that the model does not read are those of the first batch.
    """

    def __init__(self, path: Path, form: FileFormat, schema: Schema, *, batch_rows: int, label: str) -> None:
        self._label = label
        self._stream = ByteStream(path, form, label)
        self._batch_rows = batch_rows
        self._decoder = RowDecoder(schema)
        self._types = {c.name: arrow_type(c) for c in schema.columns if c.input is not None}
        self._wanted = frozenset(self._types)
        self._blank_lines: list[int] = []
        self._batches = self._read()
        self._first = next(self._batches, None)

    @property
    def fraction(self) -> float | None:
        """How much of the file has been read."""
        return self._stream.fraction

    def __iter__(self) -> Iterator[Batch]:
        """The rows, cut into batches."""
        if self._first is not None:
            yield self._first
            yield from self._batches

    def line(self, number: int) -> int | None:
        """The line of a row: its number, and the blank lines before it."""
        line = number
        for blank in self._blank_lines:
            if blank > line:
                break
            line += 1
        return line

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _read(self) -> Iterator[JsonLinesBatch]:
        start = 1
        first = True
        for lines in self._lines():
            rows, malformed = _decode(lines, start)
            numbers = np.arange(start, start + len(lines), dtype=np.int64)
            if malformed:
                numbers = numbers[~np.isin(numbers, [row.number for row in malformed])]
            if first:
                self.schema = _find_columns(rows, self._types)
                first = False
            start += len(lines)
            yield JsonLinesBatch(
                decoder=self._decoder,
                wanted=self._wanted,
                columns=self.schema,
                rows=rows,
                numbers=numbers,
                malformed=tuple(malformed),
            )
        if first:
            self.schema = pa.schema(list(self._types.items()))

    def _lines(self) -> Iterator[list[bytes]]:
        """Lines that are not blank, at most `batch_rows` at a time."""
        reader = io.BufferedReader(self._stream)
        rest = b""
        number = 0
        first = True
        while True:
            data = reader.read(_BLOCK)
            if first:
                data = data.removeprefix(b"\xef\xbb\xbf")
                first = False
            lines = (rest + data).split(b"\n")
            rest = lines.pop() if data else b""
            if len(rest) > _LONGEST:
                raise ArgumentError(
                    f"line {number + len(lines) + 1} of {self._label} is longer than "
                    f"{_LONGEST >> 20} MiB; JSON lines hold one object a line"
                )
            if not data and lines == [b""]:
                return
            full = [line for line in lines if line.strip()]
            if len(full) < len(lines):
                self._blank_lines += [number + i for i, line in enumerate(lines, 1) if not line.strip()]
            number += len(lines)
            for offset in range(0, len(full), self._batch_rows):
                yield full[offset : offset + self._batch_rows]
            if not data:
                return


def _decode(lines: list[bytes], start: int) -> tuple[list[dict[str, Any]], list[Malformed]]:
    """The objects on the lines, and the lines that hold none; `start` is the number of the first."""
    content = b"\n".join(lines)
    found: list[dict[str, Any]] | None = None
    with suppress(*_NOT_JSON):
        found = _OBJECT.decode_lines(content)
    if found is not None and not _may_repeat_keys(content, sum(map(len, found))):
        return found, []
    rows: list[dict[str, Any]] = []
    malformed: list[Malformed] = []
    for position, line in enumerate(lines):
        try:
            row = found[position] if found is not None else _OBJECT.decode(line)
            _refuse_repeated_keys(line, row)
        except _NOT_JSON as error:
            malformed.append(_describe(start + position, line, error))
        else:
            rows.append(row)
    return rows, malformed


def _describe(number: int, line: bytes, error: Exception) -> Malformed:
    text = line.decode("utf-8", "backslashreplace").strip()
    got = f"{text[:_SHOWN]!r}{'...' if len(text) > _SHOWN else ''} ({error})"
    fix = "write NaN as null" if "NaN" in text else "write one object a line"
    return Malformed(number, CellError(number - 1, None, "a JSON object", got, fix), text)


def _may_repeat_keys(content: bytes, keys: int) -> bool:
    """Whether a key may come twice in objects where `keys` were found; msgspec keeps the last of them.

    A key ends with a quote, and where nothing stands between, a colon follows it. So there are at least as
    many of these pairs as keys, each counted as often as it comes; if there are just as many as were found,
    none comes twice.
    """
    spaced = any(gap in content for gap in (b" :", b"\t:", b"\r:"))
    return spaced or content.count(b'":') != keys


def _refuse_repeated_keys(line: bytes, row: dict[str, Any]) -> None:
    if _may_repeat_keys(line, len(row)):
        json.loads(line, object_pairs_hook=_build_object)


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise msgspec.DecodeError("a key comes twice")
    return result


def _find_columns(rows: Sequence[dict[str, Any]], types: dict[str, pa.DataType]) -> pa.Schema:
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    fields = []
    for name in names:
        kind = types.get(name)
        if kind is None:
            try:
                kind = pa.array([row.get(name) for row in rows]).type
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
                kind = pa.string()
        fields.append((name, pa.string() if pa.types.is_null(kind) else kind))
    return pa.schema(fields)
