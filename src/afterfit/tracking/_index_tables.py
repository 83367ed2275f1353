"""The tables of the index of runs, and how a run becomes rows of them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from afterfit.tracking._place import run_key

if TYPE_CHECKING:
    import sqlite3

    from afterfit.tracking._record import RunRecord

VERSION = 2
"""Of the tables below, as `user_version` of the database: an index of another is made anew."""

ATTRIBUTES = (
    "id", "name", "status", "started", "ended", "duration", "parent", "rerun_of", "commit", "data", "seed", "host",
    "python", "exception",
)  # fmt: skip
"""What every run has beside parameters, metrics and tags, in the order of the table."""

KINDS = ("params", "metrics", "min", "max", "tags")

_TABLES = """
CREATE TABLE runs ("key" INTEGER PRIMARY KEY, id, name, status, started, ended, duration, parent, rerun_of,
    "commit", data, seed, host, python, exception, size INTEGER, document TEXT);
CREATE TABLE columns ("column" INTEGER PRIMARY KEY, kind TEXT, name TEXT, UNIQUE (kind, name));
CREATE TABLE facts (run INTEGER, "column" INTEGER, number REAL, text TEXT, PRIMARY KEY (run, "column"))
    WITHOUT ROWID;
CREATE TABLE state (seen INTEGER);
INSERT INTO state VALUES (0)
"""

# Each holds all that a comparison or an order needs: the wide rows of `runs` are read only for what is shown.
_INDEXES = [
    *(f'CREATE INDEX "by_{name}" ON runs ("{name}")' for name in ATTRIBUTES),
    'CREATE INDEX by_number ON facts ("column", number) WHERE number IS NOT NULL',
    'CREATE INDEX by_text ON facts ("column", text, number) WHERE number IS NULL',
]


def create_tables(database: sqlite3.Connection) -> None:
    """Empty tables in place of those there are; without indexes, which are made faster once the rows are there."""
    for name in ("runs", "columns", "facts", "state"):
        database.execute(f"DROP TABLE IF EXISTS {name}")
    for statement in _TABLES.split(";"):
        database.execute(statement)


def create_indexes(database: sqlite3.Connection) -> None:
    """The indexes of the tables; with them they are complete, and marked as such."""
    for statement in _INDEXES:
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {VERSION}")


def forget(database: sqlite3.Connection, key: int) -> None:
    """Remove a run, if it is there."""
    database.execute("DELETE FROM facts WHERE run = ?", (key,))
    database.execute('DELETE FROM runs WHERE "key" = ?', (key,))


def insert(database: sqlite3.Connection, record: RunRecord, columns: dict[tuple[str, str], int]) -> None:
    """Add a run that is not there; `columns`: the numbers of the columns that are known, and it adds its own."""
    from afterfit.tracking._context import seeds_digest
    from afterfit.tracking._record import summary

    metrics = summary(record)
    code = record.context.get("code") or {}
    attributes = {
        "id": record.id,
        "name": record.name,
        "status": record.status,
        "started": record.started,
        "ended": record.ended,
        "duration": None if record.ended is None else record.ended - record.started,
        "parent": record.parent,
        "rerun_of": record.rerun_of,
        "commit": code.get("commit") or code.get("sha256"),
        "data": next((data["sha256"][:12] for data in record.data.values()), None),
        "seed": seeds_digest(record.context["seeds"]),
        "host": record.context["machine"]["host"],
        "python": record.context["python"],
        "exception": None if record.exception is None else record.exception["type"],
    }
    document = json.dumps({"params": record.params, "metrics": metrics, "tags": record.tags}, sort_keys=True)
    marks = ", ".join("?" * (len(ATTRIBUTES) + 3))
    key = run_key(record.folder.name)
    database.execute(
        f"INSERT INTO runs VALUES ({marks})",  # noqa: S608 - question marks
        (key, *(attributes[name] for name in ATTRIBUTES), record.size, document),
    )
    facts = [("params", name, value) for name, value in record.params.items()]
    facts += [("tags", name, value) for name, value in record.tags.items()]
    for kind, member in (("metrics", "last"), ("min", "lowest"), ("max", "highest")):
        facts += [(kind, name, entry[member]) for name, entry in metrics.items() if member in entry]
    rows = []
    for kind, name, value in facts:
        column = columns.get((kind, name))
        if column is None:
            added = database.execute("INSERT INTO columns VALUES (NULL, ?, ?)", (kind, name)).lastrowid
            column = columns[kind, name] = int(added or 0)
        rows.append((key, column, as_number(value), spelled(value)))
    database.executemany("INSERT INTO facts VALUES (?, ?, ?, ?)", rows)


def spelled(value: Any) -> str:
    """A value as the index holds it as text; equal numbers are spelled alike."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return repr(value) if type(value) is float and math.isfinite(value) else json.dumps(value)


def as_number(value: Any) -> float | None:
    """A value as the index holds it as a number; None where it is none, or beyond float64."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
