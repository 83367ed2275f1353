"""`golden.jsonl`: rows with the answers of the model in memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from afterfit.bundle._audit import broken
from afterfit.bundle._bundle import GoldenRow
from afterfit.bundle._json import NON_FINITE, decode_json_lines, encode_json, join_lines
from afterfit.bundle._schema import is_of_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterfit.errors import AuditError
    from afterfit.schema import Column, Output, Schema
    from afterfit.schema._types import ColumnType

ENTRY = "golden.jsonl"


def encode_golden(rows: Sequence[GoldenRow]) -> bytes:
    """The content of `golden.jsonl`."""
    return join_lines(encode_json(row) for row in rows)


def decode_golden(content: bytes, schema: Schema) -> tuple[GoldenRow, ...]:
    """The rows of `golden.jsonl`, each of which fits the columns and outputs of `schema`."""
    columns = {column.name: column for column in schema.columns}
    read = {column.name for column in schema.columns if column.input is not None}
    outputs = {output.name: output for output in schema.outputs}
    rows: list[GoldenRow] = []
    lines = decode_json_lines(content, GoldenRow, entry=ENTRY, rule="golden-invalid")
    for number, row in enumerate(lines, 1):
        if not read <= row.input.keys() <= columns.keys():
            raise _invalid(number, "its input does not name the columns of the schema")
        if row.output.keys() != outputs.keys():
            raise _invalid(number, "its output does not name the outputs of the schema")
        rows.append(
            GoldenRow(
                input={
                    name: _restore_input(value, columns[name], number) if name in read else value
                    for name, value in row.input.items()
                },
                output={
                    name: _restore_output(value, outputs[name], outputs[name].shape[1:], number)
                    for name, value in row.output.items()
                },
            )
        )
    return tuple(rows)


def _restore_input(value: Any, column: Column, number: int) -> Any:
    if value is None and column.nullable:
        return None
    if column.shape is not None:
        return _restore_tensor(value, column, list(column.shape), 0, number)
    if not is_of_type(value, column.type):
        raise _invalid(
            number, f"column {column.name[:100]!a}: {ascii(value)[:100]} is not of type {column.type}"
        )
    restored = _restore(value, column.type)
    if column.bounds is not None and not math.isnan(restored) and not column.bounds.admit(restored):
        raise _invalid(number, f"column {column.name[:100]!a}: {restored} is not {column.bounds.in_words()}")
    return restored


def _restore_tensor(value: Any, column: Column, sizes: list[int], depth: int, number: int) -> Any:
    """The nested lists of a tensor column; the first list of an open size fills it in for the others."""
    if depth == len(sizes):
        if not is_of_type(value, column.type):
            raise _invalid(
                number, f"column {column.name[:100]!a}: {ascii(value)[:100]} is not of type {column.type}"
            )
        return _restore(value, column.type)
    if not isinstance(value, list) or not value or sizes[depth] not in (-1, len(value)):
        raise _invalid(number, f"column {column.name[:100]!a} is not of shape {column.shape}")
    sizes[depth] = len(value)
    return [_restore_tensor(item, column, sizes, depth + 1, number) for item in value]


def _restore_output(value: Any, output: Output, shape: tuple[int, ...], number: int) -> Any:
    if shape:
        if not isinstance(value, list) or len(value) != shape[0]:
            raise _invalid(number, f"output {output.name} is not of shape {output.shape}")
        return [_restore_output(item, output, shape[1:], number) for item in value]
    if value is None and output.name == "transformed" and output.type == "string":
        return None
    if not is_of_type(value, output.type):
        raise _invalid(number, f"output {output.name}: {ascii(value)[:100]} is not of type {output.type}")
    return _restore(value, output.type)


def _restore(value: Any, kind: ColumnType) -> Any:
    return NON_FINITE[value] if kind == "float" and isinstance(value, str) else value


def _invalid(number: int, message: str) -> AuditError:
    return broken("golden-invalid", message, f"{ENTRY} line {number}")
