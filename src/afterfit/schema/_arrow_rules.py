"""Arrow tables, checked and packed whole."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from pyarrow import types

from afterfit.schema._array_rules import NumberRules
from afterfit.schema._arrow import indices_of
from afterfit.schema._mistakes import MisfitError
from afterfit.schema._types import DTYPES, MISSING_TEXT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from afterfit.schema._types import Packed
    from afterfit.schema._values import Rule

READ = frozenset({"number", "text"})
"""The inputs that are packed here; the rules of no other may be given."""


class ArrowRules:
    """What a table of Arrow must hold to be packed whole, for a schema of numbers, booleans and texts.

    Law: what `pack` answers is what the columns, read one by one, are packed to. It answers None where it is not sure
    of a single value, and then nothing has been said of the table yet. Immutable; thread-safe.
    """

    __slots__ = ("_checks", "_known", "_rules")

    def __init__(self, rules: Mapping[str, Sequence[Rule]]) -> None:
        self._rules = rules
        self._checks = NumberRules.of(rules.get("number", ()))
        self._known = [_known_words(rule) for rule in rules.get("text", ())]

    def pack(self, table: Any) -> Packed | None:
        """The packed columns of a `pyarrow.Table` or `RecordBatch`; None where they have to be read one by one."""
        names = table.schema.names
        places = {name: place for place, name in enumerate(names)}
        if len(places) < len(names):
            return None
        packed: Packed = {}
        for name, rules in self._rules.items():
            columns = [_only_chunk(table, places.get(rule.column.name)) for rule in rules]
            if any(column is None for column in columns):
                return None
            array = self._numbers(rules, columns) if name == "number" else self._texts(rules, columns)
            if array is None:
                return None
            packed[name] = array
        return packed

    def _numbers(self, rules: Sequence[Rule], columns: list[Any]) -> NDArray[Any] | None:
        # Each column in one piece, for as long as it is filled and checked.
        block = np.empty((len(rules), len(columns[0])), dtype=DTYPES["number"])
        known_whole = True
        for place, (rule, column) in enumerate(zip(rules, columns, strict=True)):
            kind, wanted = column.type, rule.column.type
            if wanted == "boolean":
                if not types.is_boolean(kind):
                    return None
            elif types.is_float64(kind) or types.is_float32(kind):
                known_whole = known_whole and wanted == "float"
            elif not types.is_integer(kind):
                return None
            # A missing integer becomes NaN, and a missing boolean None, which NumPy takes for NaN.
            block[place] = column.to_numpy(zero_copy_only=False)
        array = block.T
        return np.ascontiguousarray(array) if self._checks.admit(array, known_whole=known_whole) else None

    def _texts(self, rules: Sequence[Rule], columns: list[Any]) -> NDArray[Any] | None:
        array = np.empty((len(columns[0]), len(rules)), dtype=DTYPES["text"])
        for place, (rule, known, column) in enumerate(zip(rules, self._known, columns, strict=True)):
            encoded = _encoded(column)
            if encoded is None or (encoded.null_count and not rule.nullable):
                return None
            words = encoded.dictionary.to_pylist()
            spelled = np.empty(len(words) + 1, dtype=object)
            # The code of missing values is -1, which is the last place.
            spelled[-1] = MISSING_TEXT
            try:
                spelled[:-1] = [known.get(word) or rule.read(word) for word in words]
            except MisfitError:
                return None
            array[:, place] = spelled[indices_of(encoded.indices)]
        return array


def _encoded(column: Any) -> Any:
    """A column of texts as one with a dictionary; None where it holds anything else."""
    kind = column.type
    if types.is_string(kind) or types.is_large_string(kind):
        return column.dictionary_encode()
    if not types.is_dictionary(kind):
        return None
    held = kind.value_type
    return column if types.is_string(held) or types.is_large_string(held) else None


def _only_chunk(table: Any, place: int | None) -> Any:
    """A column as one array; None where it is not there, or of several."""
    if place is None:
        return None
    column = table.column(place)
    chunks = getattr(column, "num_chunks", None)
    if chunks is None:
        return column
    return column.chunk(0) if chunks == 1 else None


def _known_words(rule: Rule) -> dict[str, str]:
    """The categories of a column as they are packed."""
    known: dict[str, str] = {}
    for value in rule.column.categories.values if rule.column.categories is not None else ():
        if isinstance(value, str):
            with suppress(MisfitError):
                known[value] = rule.read(value)
    return known
