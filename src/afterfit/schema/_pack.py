"""Tables to packed inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import ArgumentError, CellError, SchemaError
from afterfit.schema._array_rules import ArrayRules
from afterfit.schema._columns import from_numpy, from_values
from afterfit.schema._decode import RowDecoder
from afterfit.schema._mistakes import MAX_ERRORS, MisfitError, Suggestions, clip, nearest
from afterfit.schema._tables import TableData, is_arrow, is_rows, open_table
from afterfit.schema._tensor_rule import TensorRule
from afterfit.schema._tensors import as_numpy
from afterfit.schema._types import DTYPES, MISSING_TEXT
from afterfit.schema._values import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from afterfit.schema._arrow_rules import ArrowRules
    from afterfit.schema._columns import ColumnData
    from afterfit.schema._types import Packed, Schema


def pack_table(schema: Schema, X: object) -> Packed:
    """Check a table against `schema` and pack it; `X` as in `infer_table`, and not changed.

    Columns of a DataFrame are found by name, and columns the schema does not know are ignored; columns of an
    array are taken by position, and their number must be that of the schema; texts (a list of str, a Series) are a
    table of one column that fits any name. A list of dicts is read as `RowDecoder.decode_rows` reads it. Arrays of
    more dimensions are the values of tensor columns.

    Raises `SchemaError` with every mistake (up to 1,000), and `ArgumentError` where `X` is no table.
    """
    return TablePacker(schema).pack(X)


class TablePacker:
    """`pack_table` for many tables of one schema: what is known of its columns is worked out once. Thread-safe."""

    __slots__ = ("_array", "_arrow", "_order", "_rules", "_schema", "_tensors")

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._order = {column.name: number for number, column in enumerate(schema.columns)}
        found = {name: [Rule(column) for column in schema.packed(name)] for name in DTYPES}
        self._rules = {name: rules for name, rules in found.items() if rules}
        self._tensors = {
            str(column.input): TensorRule(column)
            for column in schema.columns
            if column.input is not None and column.shape is not None
        }
        self._array = None if self._tensors else ArrayRules.of(self._rules, self._order)
        # Worked out with the first table of Arrow: it needs pyarrow, and reads every category.
        self._arrow: ArrowRules | None = None

    def pack(self, X: object) -> Packed:
        """As `pack_table` does it."""
        if self._array is not None and type(X) is np.ndarray:
            array = self._array.pack(X)
            if array is not None:
                return {"number": array}
        if is_arrow(X):
            packed = self._pack_arrow(X)
            if packed is not None:
                return packed
        if is_rows(X):
            rows: Any = X
            return RowDecoder(self._schema).decode_rows(rows)
        return self._pack(open_table(_as_only_tensor(self._schema, X)))

    def _pack_arrow(self, table: Any) -> Packed | None:
        """A table of Arrow packed whole; None where its columns have to be read one by one."""
        if self._tensors or not self._rules or not table.num_rows:
            return None
        from afterfit.schema._arrow_rules import READ, ArrowRules

        if not self._rules.keys() <= READ:
            return None
        if self._arrow is None:
            self._arrow = ArrowRules(self._rules)
        return self._arrow.pack(table)

    def pack_columns(self, columns: Mapping[str, NDArray[Any] | list[Any]]) -> Packed:
        """Pack a table given by its columns: a 1-D array, or a list of values as JSON has them, of each name.

        The columns are of one length; those that the schema does not know are ignored. A column of objects may mix
        numbers with `NaN` and the infinities spelled as strings. Raises `SchemaError` with every mistake (up to 1,000).
        """
        rows = len(next(iter(columns.values()), ()))
        if any(len(values) != rows for values in columns.values()):
            raise ArgumentError("the columns of a table must be of one length")
        names = tuple(columns)

        def read(position: int) -> ColumnData:
            name = names[position]
            values = columns[name]
            if isinstance(values, list):
                return from_values(name, values)
            return from_numpy(name, values)

        return self._pack(TableData(names, rows, "frame", read))

    def _pack(self, table: TableData) -> Packed:
        places = _place(self._schema, table)
        packed: Packed = {}
        errors: list[tuple[int, int, CellError]] = []
        suggestions = Suggestions()
        for name, rules in self._rules.items():
            array = np.empty((table.rows, len(rules)), dtype=DTYPES[name])
            for position, rule in enumerate(rules):
                column = rule.column.name
                found = _pack_column(rule, table.read(places[column]), array[:, position], suggestions)
                errors += [_placed(error, self._order) for error in found]
            packed[name] = array
        for name, tensor in self._tensors.items():
            column = tensor.column.name
            packed[name], found = _pack_tensor(tensor, table.read(places[column]), suggestions)
            errors += [_placed(error, self._order) for error in found]
        if errors:
            errors.sort(key=lambda item: item[:2])
            raise SchemaError([item[2] for item in errors[:MAX_ERRORS]], truncated=len(errors) > MAX_ERRORS)
        return packed


def _placed(error: CellError, order: dict[str, int]) -> tuple[int, int, CellError]:
    return -1 if error.row is None else error.row, order[error.column or ""], error


def _place(schema: Schema, table: TableData) -> dict[str, int]:
    """Where in the table each column of the schema is. Raises `SchemaError` where one is not there."""
    if not table.named:
        if len(table.names) != len(schema.columns):
            several = table.source == "arrays" or any(column.shape is not None for column in schema.columns)
            raise SchemaError(
                [
                    CellError(
                        None,
                        None,
                        f"{len(schema.columns)} arrays"
                        if several
                        else f"{'an array' if table.source == 'array' else 'a table'} of "
                        f"{len(schema.columns)} columns",
                        f"{len(table.names)} columns",
                        "send the columns of the schema in their order, or a DataFrame",
                    )
                ]
            )
        return {column.name: position for position, column in enumerate(schema.columns)}
    places = {name: position for position, name in enumerate(table.names)}
    known = {column.name for column in schema.columns}
    extra = [name for name in table.names if name not in known]
    errors = []
    for column in schema.columns:
        if column.input is None or column.name in places:
            continue
        near = nearest(column.name, extra)
        fix = "add it" if near is None else f"rename the column {clip(repr(near))}"
        errors.append(CellError(None, column.name, "a column of this name", "no such column", fix))
    if errors:
        raise SchemaError(errors[:MAX_ERRORS], truncated=len(errors) > MAX_ERRORS)
    return places


def _as_only_tensor(schema: Schema, X: object) -> object:
    """An array `[N, k]` under its name where the schema's one column has values of one dimension, such as tokens."""
    values = as_numpy(X)
    if isinstance(values, np.ndarray) and len(schema.columns) == 1:
        shape = schema.columns[0].shape
        if shape is not None and values.ndim == len(shape) + 1:
            return {schema.columns[0].name: values}
    return X


def _pack_tensor(
    rule: TensorRule, column: ColumnData, suggestions: Suggestions
) -> tuple[NDArray[Any], Sequence[CellError]]:
    """The packed column and its mistakes, one more than `MAX_ERRORS` at most."""
    name = rule.column.name
    if column.kind == "refused":
        fix = f"give each row {rule.expected}"
        return np.empty(0), [CellError(None, name, rule.expected, f"a column of {column.held}", fix)]
    if column.shape is not None and not rule.ragged and rule.fits(column.shape) and rule.vouch(column.values):
        return column.values.astype(rule.dtype, copy=False), []
    packed: list[NDArray[Any]] = []
    errors: list[CellError] = []
    for row in range(column.rows):
        value = column.value(row)
        try:
            packed.append(rule.read(value))
        except MisfitError:
            errors += [misfit.at(row, name, suggestions) for misfit in rule.explain(value)]
            if len(errors) > MAX_ERRORS:
                break
    return (np.empty(0) if errors else rule.pack(packed)), errors


def _pack_column(
    rule: Rule, column: ColumnData, out: NDArray[Any], suggestions: Suggestions
) -> Sequence[CellError]:
    """Fill `out` `[N]` with the packed column; return its mistakes, one more than `MAX_ERRORS` at most."""
    if column.kind == "refused":
        fix = f"convert it to {_PLURAL[rule.column.type]}"
        return [CellError(None, rule.column.name, rule.expected, f"a column of {column.held}", fix)]
    if column.kind == "string" and rule.column.type == "string":
        doubtful = _pack_words(rule, column, out)
    else:
        doubtful = _pack_numbers(rule, column, out)
    errors: list[CellError] = []
    for row in np.flatnonzero(doubtful).tolist():
        try:
            out[row] = rule.read(column.value(row))
        except MisfitError as misfit:
            errors.append(misfit.at(row, rule.column.name, suggestions))
            if len(errors) > MAX_ERRORS:
                break
    return errors


_PLURAL = {"float": "numbers", "integer": "integers", "boolean": "booleans", "string": "strings"}


def _pack_words(rule: Rule, column: ColumnData, out: NDArray[Any]) -> NDArray[np.bool_]:
    """Fill `out` with strings, reading each distinct one once; return the rows still to be read."""
    spelled = np.empty(len(column.words) + 1, dtype=object)
    doubtful = np.zeros(len(spelled), dtype=np.bool_)
    # The code of missing values is -1, which is the last place.
    spelled[-1] = MISSING_TEXT
    doubtful[-1] = not rule.nullable
    for position, word in enumerate(column.words):
        try:
            spelled[position] = rule.read(word)
        except MisfitError:
            doubtful[position] = True
    np.take(spelled, column.values, out=out, mode="wrap")
    return doubtful[column.values] if doubtful.any() else doubtful[:0]


def _pack_numbers(rule: Rule, column: ColumnData, out: NDArray[Any]) -> NDArray[np.bool_]:
    """Fill `out` with the numbers the rule vouches for; return the rows still to be read."""
    fitting = {"float": {"float", "integer"}, "integer": {"float", "integer"}, "boolean": {"boolean"}}
    if column.kind not in fitting.get(rule.column.type, ()):
        return np.ones(column.rows, dtype=np.bool_)
    values = column.values
    if column.kind == "boolean":
        values = values.astype(np.int64)
    good = rule.vouch(values)
    if column.missing is not None:
        if column.kind != "float" and rule.nullable:
            values = np.where(column.missing, np.nan, values)
        good = np.where(column.missing, rule.nullable, good)
    if good.all():
        out[:] = values
        return np.zeros(0, dtype=np.bool_)
    out[good] = values[good]
    return ~good
