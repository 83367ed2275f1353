"""Which runs a filter chooses, and in what order: sets of keys, each read from one index of the database.

A comparison is answered from an index that holds all it needs; `and`, `or` and `not` are set operations; and an order
is an index read from one end until enough runs were found. So no row of a run is read that is not shown.
"""

# ruff: noqa: S608 - queries are put together of names of ours; what a person writes is an argument
from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain, filterfalse
from typing import TYPE_CHECKING, Any

from afterfit.tracking._filter import TIMES, Comparison, as_time
from afterfit.tracking._index_tables import spelled

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

    from afterfit.tracking._filter import Expression

_NUMBERS = '"column" = ? AND number IS NOT NULL'
_TEXTS = '"column" = ? AND number IS NULL'


@dataclass(frozen=True, slots=True)
class Chosen:
    """The runs with these keys; with `others`, all runs but these."""

    keys: frozenset[int] | set[int]
    others: bool = False

    def among(self, keys: Iterable[int]) -> Iterator[int]:
        """Those of some keys that are chosen."""
        return (filterfalse if self.others else filter)(self.keys.__contains__, keys)

    def count(self, runs: int) -> int:
        """How many they are of so many runs."""
        return runs - len(self.keys) if self.others else len(self.keys)

    def __invert__(self) -> Chosen:
        return Chosen(self.keys, not self.others)

    def __and__(self, other: Chosen) -> Chosen:
        match self.others, other.others:
            case False, False:
                return Chosen(self.keys & other.keys)
            case False, True:
                return Chosen(self.keys - other.keys)
            case True, False:
                return Chosen(other.keys - self.keys)
            case _:
                return Chosen(self.keys | other.keys, others=True)

    def __or__(self, other: Chosen) -> Chosen:
        return ~(~self & ~other)


EVERYTHING = Chosen(frozenset(), others=True)


def choose(
    database: sqlite3.Connection, expression: Expression, resolve: Callable[[str], tuple[str, str]]
) -> Chosen:
    """The runs that a filter chooses; `resolve` gives kind and name of a column as a person writes it."""
    if isinstance(expression, Comparison):
        kind, name = resolve(expression.name)
        compare = _compare_attribute if kind == "attributes" else _compare_fact
        return Chosen(compare(database, kind, name, expression))
    parts = [choose(database, part, resolve) for part in expression.parts]
    if expression.operator == "not":
        return ~parts[0]
    found = parts[0]
    for part in parts[1:]:
        found = found & part if expression.operator == "and" else found | part
    return found


def in_order(database: sqlite3.Connection, kind: str, name: str, *, descending: bool) -> Iterator[int]:
    """The keys of all runs by a column, numbers before texts and runs without a value last; of equal ones by id."""
    way = "DESC" if descending else "ASC"
    if kind == "attributes":
        by = '"key"' if name == "id" else f'"{name}"'
        queries = [
            f'SELECT "key" FROM runs WHERE {by} IS NOT NULL ORDER BY {by} {way}, "key" {way}',
            f'SELECT "key" FROM runs WHERE {by} IS NULL ORDER BY "key" {way}',
        ]
        return _keys(database, queries, ())
    queries = [
        f"SELECT run FROM facts WHERE {_NUMBERS} ORDER BY number {way}, run {way}",
        f"SELECT run FROM facts WHERE {_TEXTS} ORDER BY text {way}, run {way}",
        'SELECT "key" FROM runs WHERE NOT EXISTS (SELECT 1 FROM facts WHERE run = "key" AND "column" = ?)'
        f' ORDER BY "key" {way}',
    ]
    return _keys(database, queries, (column_number(database, kind, name),))


def column_number(database: sqlite3.Connection, kind: str, name: str) -> int | None:
    """The number of a column, None where no run has had it."""
    query = 'SELECT "column" FROM columns WHERE kind = ? AND name = ?'
    row = database.execute(query, (kind, name)).fetchone()
    return None if row is None else int(row[0])


def _keys(database: sqlite3.Connection, queries: Iterable[str], arguments: tuple[Any, ...]) -> Iterator[int]:
    """What queries of one column find, one after another; each is asked once the one before is read to its end."""
    # Without a step of Python for each row, which would take half of the time.
    return chain.from_iterable(chain.from_iterable(database.execute(query, arguments) for query in queries))


def _compare_attribute(
    database: sqlite3.Connection, kind: str, name: str, comparison: Comparison
) -> set[int]:
    del kind
    found: set[int] = set()
    for given in comparison.values:
        value = as_time(given) if name in TIMES else given
        test, argument = _test(f'"{name}"', comparison.operator, value)
        found.update(_keys(database, [f'SELECT "key" FROM runs WHERE {test}'], (argument,)))
    return found


def _compare_fact(database: sqlite3.Connection, kind: str, name: str, comparison: Comparison) -> set[int]:
    column, operator = column_number(database, kind, name), comparison.operator
    found: set[int] = set()
    for value in comparison.values:
        if isinstance(value, float) and not math.isnan(value) and operator != "~":
            argument: Any = value
            test, places = f"number {_sql(operator)} ?", [_NUMBERS]
        else:
            test, argument = _text_test("text", operator, value)
            # Equal to a number as it is spelled can only be what spells a number.
            spells = operator not in {"=", "in"} or _is_number(argument)
            places = [_TEXTS, _NUMBERS] if spells else [_TEXTS]
        queries = [f"SELECT run FROM facts WHERE {place} AND {test}" for place in places]
        found.update(_keys(database, queries, (column, argument)))
    return found


def _test(column: str, operator: str, value: Any) -> tuple[str, Any]:
    """A comparison of an attribute as SQL: of numbers by value, of text as text, and each only with its own kind."""
    if isinstance(value, float) and operator != "~":
        return f"typeof({column}) IN ('real', 'integer') AND {column} {_sql(operator)} ?", value
    test, text = _text_test(column, operator, value)
    return (test if operator == "~" else f"typeof({column}) = 'text' AND {test}"), text


def _text_test(column: str, operator: str, value: Any) -> tuple[str, str]:
    if operator == "~":
        return f"instr(lower({column}), lower(?)) > 0", spelled(value)
    return f"{column} {_sql(operator)} ?", spelled(value)


def _sql(operator: str) -> str:
    return "=" if operator == "in" else operator


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
