"""Audit of what `schema.json` says."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, TypeGuard

from afterfit.bundle._audit import broken
from afterfit.bundle._json import NON_FINITE
from afterfit.bundle._limits import MAX_TENSOR_RANK
from afterfit.schema import MAX_NGRAM, TENSOR_INPUT

if TYPE_CHECKING:
    from afterfit.errors import AuditError
    from afterfit.schema import Analyzer, Bounds, Column, InputName, LogicalType, Output, Scalar, Schema
    from afterfit.schema._types import ColumnType

ENTRY = "schema.json"
INPUTS: tuple[InputName, ...] = ("number", "text", "integer")
INPUT_TYPES: dict[str, tuple[LogicalType, ...]] = {
    "number": ("float", "integer", "boolean"),
    "text": ("string",),
    "integer": ("integer",),
}
UNICODE = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}")
OUTPUTS = ("prediction", "probabilities", "scores", "transformed")


def audit_schema(schema: Schema) -> None:
    """Refuse a schema that contradicts itself."""
    names = [column.name for column in schema.columns]
    if len(set(names)) != len(names):
        raise _invalid("two columns have the same name")
    for column in schema.columns:
        _audit_column(column)
    for name in INPUTS:
        positions = [column.position for column in schema.packed(name)]
        if positions != list(range(len(positions))):
            raise _invalid(
                f"the positions within input {name} are not each of 0 to {len(positions) - 1} once"
            )
    numbers = [analyzer.input for _, analyzer in schema.analyzed]
    if numbers != list(range(len(numbers))):
        raise _invalid(f"the inputs of analyzers are not each of 0 to {len(numbers) - 1} once")
    tensors = [column.input for column in schema.columns if column.shape is not None]
    if set(tensors) != {TENSOR_INPUT.format(number) for number in range(len(tensors))}:
        raise _invalid(f"the inputs of its tensor columns are not tensor_0 to tensor_{len(tensors) - 1}")
    if not any(column.input for column in schema.columns):
        raise _invalid("no column belongs to an input")
    outputs = [output.name for output in schema.outputs]
    if not outputs or len(set(outputs)) != len(outputs):
        raise _invalid("there is no output, or two have the same name")
    for output in schema.outputs:
        _audit_output(output)


def is_of_type(value: object, kind: ColumnType) -> bool:
    """Whether a JSON value is one of the logical type; null never is."""
    match kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return _is_number(value) and float(value).is_integer()
        case "float":
            if isinstance(value, str):
                return value in NON_FINITE
            return _is_number(value)
        case "any":
            return value is not None


def _is_number(value: object) -> TypeGuard[float]:
    """Floats, and integers that 64 bits hold."""
    if isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _audit_column(column: Column) -> None:
    where = f"column {column.name[:100]!a}"
    if (column.input is None) != (column.position is None):
        raise _invalid(f"{where} has only one of input and position")
    if column.shape is not None:
        _audit_tensor(column, where)
    elif column.input is not None and column.type not in INPUT_TYPES.get(column.input, ()):
        raise _invalid(f"{where} is of type {column.type}, which input {column.input[:100]!a} does not hold")
    if column.input == "integer" and column.nullable:
        raise _invalid(f"{where} may be missing, which input integer has no spelling for")
    if column.categories is not None:
        _audit_values(column.categories.values, column.type, f"{where}: categories")
    if column.example is not None:
        _audit_values((column.example,), column.type, f"{where}: example")
    if column.bounds is not None:
        _audit_bounds(column.bounds, column.type, where)
    if column.analyzers is not None:
        if column.input != "text" or column.nullable or not column.analyzers:
            raise _invalid(f"{where} is analyzed, and not text that is always there")
        for analyzer in column.analyzers:
            _audit_analyzer(analyzer, where)
    if column.range is not None:
        low, high = (_number(bound, where) for bound in column.range)
        if column.type not in ("float", "integer") or not low <= high:
            raise _invalid(f"{where}: its range is not two ordered numbers")


def _audit_tensor(column: Column, where: str) -> None:
    """A tensor column: its sizes; what is said of single values cannot be said of it."""
    sizes = column.shape or ()
    if not 0 < len(sizes) < MAX_TENSOR_RANK or any(size < 1 and size != -1 for size in sizes):
        raise _invalid(f"{where}: its shape is not 1 to {MAX_TENSOR_RANK - 1} sizes that are positive or -1")
    if column.type == "any" or column.position != 0 or column.nullable:
        raise _invalid(f"{where} has a shape, and is of type any, may be missing, or is not at position 0")
    if column.categories is not None or column.example is not None:
        raise _invalid(f"{where} has a shape, and categories or an example, which single values have")


def _audit_bounds(bounds: Bounds, kind: ColumnType, where: str) -> None:
    """Finite numbers, at most one at either end, and room between them."""
    lower = [bound for bound in (bounds.minimum, bounds.exclusive_minimum) if bound is not None]
    upper = [bound for bound in (bounds.maximum, bounds.exclusive_maximum) if bound is not None]
    if kind not in ("float", "integer") or max(len(lower), len(upper)) != 1:
        raise _invalid(f"{where}: its bounds are not one at either end of a number's values, or both")
    if not all(map(math.isfinite, lower + upper)) or (lower and upper and not lower[0] < upper[0]):
        raise _invalid(f"{where}: its bounds are not finite numbers in their order")


def _audit_analyzer(analyzer: Analyzer, where: str) -> None:
    shortest, longest = analyzer.ngram_range
    if not 1 <= shortest <= longest <= MAX_NGRAM:
        raise _invalid(f"{where}: its n-grams are not of 1 to {MAX_NGRAM} parts")
    of_words = analyzer.kind == "word"
    if of_words != (analyzer.token_pattern is not None) or (analyzer.stop_words is not None and not of_words):
        raise _invalid(f"{where}: token_pattern belongs to analyzers of words, and stop_words to no others")
    if not UNICODE.fullmatch(analyzer.unicode) or tuple(map(int, analyzer.unicode.split("."))) < (14, 0, 0):
        raise _invalid(f"{where}: {analyzer.unicode[:100]!a} is not a version of Unicode, 14.0.0 or later")
    if analyzer.hashing is not None and not 1 <= analyzer.hashing.features < 2**31:
        raise _invalid(f"{where}: its terms belong to no number of columns below 2**31")
    if not 0 <= analyzer.matrix_width < 2**31:
        raise _invalid(f"{where}: the width of its matrix is not a number from 0 to 2**31 - 1")


def _audit_output(output: Output) -> None:
    if output.name not in OUTPUTS:
        raise _invalid(f"output {output.name[:100]!a} is not one of {', '.join(OUTPUTS)}")
    where = f"output {output.name}"
    rows, *rest = output.shape or (0,)
    if rows != -1 or any(size < 1 for size in rest) or len(rest) >= MAX_TENSOR_RANK:
        raise _invalid(f"{where}: its shape is not -1, for the rows, and then positive sizes")
    if output.classes is not None:
        kinds = {type(label) for label in output.classes}
        if len(kinds) != 1 or len(set(output.classes)) != len(output.classes):
            raise _invalid(f"{where}: its classes are not distinct values of one type")
    if output.classes is not None and output.name == "prediction":
        _audit_values(output.classes, output.type, f"{where}: classes")
    if output.name == "probabilities" and output.classes is not None and rest != [len(output.classes)]:
        raise _invalid(f"{where}: its shape has not one column for each of {len(output.classes)} classes")
    if output.columns is not None and rest != [len(output.columns)]:
        raise _invalid(f"{where}: its shape has not one column for each of {len(output.columns)} names")


def _audit_values(values: tuple[Scalar, ...], kind: ColumnType, where: str) -> None:
    for value in values:
        if not is_of_type(value, kind):
            raise _invalid(f"{where}: {ascii(value)[:100]} is not of type {kind}")


def _number(bound: float | str, where: str) -> float:
    if isinstance(bound, str):
        if bound not in ("Infinity", "-Infinity"):
            raise _invalid(f"{where}: its range is not two ordered numbers")
        return NON_FINITE[bound]
    return bound


def _invalid(message: str) -> AuditError:
    return broken("schema-invalid", message, ENTRY)
