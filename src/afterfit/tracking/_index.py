"""An index of the runs in SQLite, for listing and filtering; the files of the runs are what counts.

Runs never touch it, so that no lock of a database can hold up a training: they append their id to the file
`changes` when
they begin and end, and whoever lists reads what was appended since, and the runs that were going on. It can be
deleted at
any time: the next listing makes it anew from the files.
"""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from afterfit.errors import ArgumentError
from afterfit.tracking._context import seeds_digest
from afterfit.tracking._filter import TIMES, as_time, compile_filter, parse_filter
from afterfit.tracking._log_file import SUFFIX, is_writing
from afterfit.tracking._place import CHANGES, INDEX, RUN_ID
from afterfit.tracking._record import read_run, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from afterfit.tracking._filter import Comparison
    from afterfit.tracking._record import RunRecord

_VERSION = 1
"""Of the tables below, as `user_version` of the database: an index of another is made anew."""
_ATTRIBUTES = (
    "id", "name", "status", "started", "ended", "duration", "parent", "rerun_of", "commit", "data", "seed", "host",
    "python", "exception",
)  # fmt: skip
"""What every run has beside parameters, metrics and tags, in the order of the table."""

_SCHEMA = """
CREATE TABLE runs ("key" INTEGER PRIMARY KEY, id, name, status, started, ended, duration, parent, rerun_of,
    "commit", data, seed, host, python, exception, size INTEGER, document TEXT);
CREATE UNIQUE INDEX by_id ON runs (id);
CREATE INDEX by_started ON runs (started, id);
CREATE INDEX by_parent ON runs (parent);
CREATE INDEX by_status ON runs (status);
CREATE TABLE facts (kind TEXT, name TEXT, run INTEGER, number REAL, text TEXT, PRIMARY KEY (kind, name, run))
    WITHOUT ROWID;
CREATE INDEX of_run ON facts (run);
CREATE TABLE state (seen INTEGER);
INSERT INTO state VALUES (0);
PRAGMA user_version = 1;
"""

KINDS = ("params", "metrics", "min", "max", "tags")


@dataclass(frozen=True, slots=True)
class IndexedRun:
    """A run as the index knows it: attributes by name, parameters, the summary of each metric, and tags."""

    attributes: dict[str, Any]
    params: dict[str, Any]
    metrics: dict[str, dict[str, Any]]
    tags: dict[str, Any]

    def value(self, kind: str, name: str) -> Any:
        """The value of a column, None where the run has none."""
        if kind == "attributes":
            return self.attributes[name]
        if kind in {"params", "tags"}:
            return getattr(self, kind).get(name)
        member = {"metrics": "last", "min": "lowest", "max": "highest"}[kind]
        return self.metrics.get(name, {}).get(member)


class RunIndex:
    """The index of a folder of runs. `move(fraction, note)` is told how far a long reading is."""

    def __init__(self, runs: Path, move: Callable[[float | None, str], None] | None = None) -> None:
        self.runs = runs
        self._path = runs.parent / INDEX
        self._move = move or (lambda _fraction, _note: None)

    def refresh(self) -> None:
        """Take in what changed since the last time."""
        with self._database() as database:
            changes = self.runs / CHANGES
            size = changes.stat().st_size if changes.is_file() else 0
            known = self._known(database, size)
            alive = [] if known is None else database.execute(
                "SELECT id, size FROM runs WHERE status = 'running'"
            ).fetchall()  # fmt: skip
            if known == size and not alive:
                return
            database.execute("BEGIN IMMEDIATE")
            known = self._known(database, size)
            if known is None:
                self._create(database)
                ids: Iterable[str] = sorted(p.name for p in self.runs.iterdir() if RUN_ID.fullmatch(p.name))
            else:
                ids = dict.fromkeys([run for run, _ in alive] + self._changed(known, size))
            self._take(database, list(ids))
            database.execute("UPDATE state SET seen = ?", (size,))
            database.execute("COMMIT")

    def rebuild(self) -> None:
        """Make the index anew from the files of the runs."""
        self._path.unlink(missing_ok=True)
        self.refresh()

    def select(
        self,
        where: str | None = None,
        *,
        sort: str = "started",
        descending: bool = True,
        limit: int | None = 20,
    ) -> tuple[list[IndexedRun], int]:
        """The runs that a filter chooses, in order, and how many there are without `limit`. Runs without the
        value come last.

        Raises `ArgumentError` for a filter that cannot be read, or a column that no run has; it lists those there are.
        """
        with self._database() as database:
            chosen: str = "1"
            arguments: list[Any] = []
            if where is not None and where.strip():
                chosen, arguments = compile_filter(
                    parse_filter(where), lambda found: self._compare(database, found)
                )
            kind, name = self.resolve(sort, database)
            order = "DESC" if descending else "ASC"
            if kind == "attributes":
                joined, by, given = "", f'runs."{name}" {order}{"" if descending else " NULLS LAST"}', []
            else:
                joined = "LEFT JOIN facts ON facts.kind = ? AND facts.name = ? AND facts.run = runs.key"
                by, given = (
                    f"facts.run IS NULL, facts.number IS NULL, facts.number {order}, facts.text {order}",
                    [kind, name],
                )
            # Keys first, since rows are wide and only a few of them are shown.
            query = (
                f'SELECT runs."key" FROM runs {joined} WHERE {chosen} ORDER BY {by}, runs.id {order} LIMIT ?'  # noqa: S608
            )
            keys = database.execute(query, [*given, *arguments, -1 if limit is None else limit]).fetchall()
            rows = [
                database.execute('SELECT * FROM runs WHERE "key" = ?', tuple(key)).fetchone() for key in keys
            ]
            count = len(rows)
            if limit is not None and count == limit:
                count = database.execute(f"SELECT count(*) FROM runs WHERE {chosen}", arguments).fetchone()[0]  # noqa: S608
            return [_indexed(row) for row in rows], count

    def find(self, reference: str) -> str:
        """The id of the run that a person names: its id, a part of it, or `last`, the last that is no
        part of another.

        Raises `ArgumentError` where no run or several are meant.
        """
        with self._database() as database:
            if reference == "last":
                query, given = "SELECT id FROM runs WHERE parent IS NULL ORDER BY started DESC LIMIT 1", []
            else:
                query, given = (
                    "SELECT id FROM runs WHERE instr(id, ?) > 0 ORDER BY id = ? DESC LIMIT 3",
                    [reference] * 2,
                )
            found = [row["id"] for row in database.execute(query, given)]
        if len(found) == 1 or (found and found[0] == reference):
            return str(found[0])
        if not found:
            raise ArgumentError(f"there is no run {reference!r}; `afterfit runs` lists them")
        raise ArgumentError(
            f"{reference!r} is a part of several runs, such as {', '.join(found)}; write more of it"
        )

    def columns(self, kinds: Iterable[str] = KINDS) -> list[str]:
        """The names of all columns, with their prefixes."""
        with self._database() as database:
            return self._columns(database, kinds)

    def resolve(self, name: str, database: sqlite3.Connection | None = None) -> tuple[str, str]:
        """Kind and name of a column as a person writes it. Raises `ArgumentError` with the columns there are."""
        if database is None:
            with self._database() as opened:
                return self.resolve(name, opened)
        if name in _ATTRIBUTES:
            return "attributes", name
        kind, _, rest = name.partition(".")
        if kind == "attributes" and rest in _ATTRIBUTES:
            return kind, rest
        asked = [(kind, rest)] if kind in KINDS else []
        asked += [(kind, name) for kind in ("params", "metrics", "tags")]
        query = "SELECT 1 FROM facts WHERE kind = ? AND name = ? LIMIT 1"
        found = [pair for pair in asked if database.execute(query, pair).fetchone()]
        if len(found) > 1 and found[0] != (kind, rest):
            raise ArgumentError(
                f"{name!r} may be {' or '.join('.'.join(pair) for pair in found)}; write which"
            )
        if found:
            return found[0]
        shown = [*_ATTRIBUTES, *self._columns(database, ("params", "metrics", "tags"))]
        more = f" and {len(shown) - 60} more" if len(shown) > 60 else ""
        raise ArgumentError(f"no run has a column {name!r}; there are {', '.join(shown[:60])}{more}")

    def _columns(self, database: sqlite3.Connection, kinds: Iterable[str]) -> list[str]:
        # From one name to the next in the primary key, so that it takes as long as there are names, not runs.
        query = "SELECT name FROM facts WHERE kind = ? AND name > ? ORDER BY name LIMIT 1"
        found = []
        for kind in kinds:
            row = database.execute(query, (kind, "")).fetchone()
            while row is not None:
                found.append(f"{kind}.{row['name']}")
                row = database.execute(query, (kind, row["name"])).fetchone()
        return found

    def _compare(self, database: sqlite3.Connection, found: Comparison) -> tuple[str, list[Any]]:
        kind, name = self.resolve(found.name, database)
        values = [
            as_time(value) if name in TIMES and kind == "attributes" else value for value in found.values
        ]
        if kind == "attributes":
            tests = [_test(f'runs."{name}"', f'runs."{name}"', found.operator, value) for value in values]
            start, given, end = "ifnull(", [], ", 0)"
        else:
            tests = [_test("number", "text", found.operator, value) for value in values]
            start = "runs.key IN (SELECT run FROM facts WHERE kind = ? AND name = ? AND "
            given, end = [kind, name], ")"
        sql = " OR ".join(test for test, _ in tests)
        return f"{start}({sql}){end}", [*given, *(value for _, value in tests)]

    def _known(self, database: sqlite3.Connection, size: int) -> int | None:
        """How much of `changes` is in the index; None where it has to be made anew."""
        if database.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            return None
        seen = int(database.execute("SELECT seen FROM state").fetchone()[0])
        return seen if seen <= size else None

    def _create(self, database: sqlite3.Connection) -> None:
        for name in ("runs", "facts", "state"):
            database.execute(f"DROP TABLE IF EXISTS {name}")
        for statement in _SCHEMA.split(";"):
            database.execute(statement)

    def _changed(self, known: int, size: int) -> list[str]:
        with (self.runs / CHANGES).open("rb") as file:
            file.seek(known)
            lines = file.read(size - known).decode("ascii", "replace").split("\n")
        return [line for line in lines if RUN_ID.fullmatch(line)]

    def _take(self, database: sqlite3.Connection, ids: list[str]) -> None:
        sizes = dict(database.execute("SELECT id, size FROM runs WHERE status = 'running'").fetchall())
        for number, run_id in enumerate(ids):
            if number % 200 == 0:
                self._move(number / len(ids), f"{number:,} of {len(ids):,} runs")
            folder = self.runs / run_id
            files = list(folder.glob("*" + SUFFIX))
            if not files:
                _forget(database, run_id)
                continue
            size = sum(file.stat().st_size for file in files)
            if sizes.get(run_id) == size and any(map(is_writing, files)):
                continue
            try:
                record = read_run(folder)
            except ArgumentError:  # a run that has not written its beginning; it says so once it has
                continue
            _forget(database, run_id)
            _insert(database, record)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=60, isolation_level=None)) as database:
            database.row_factory = sqlite3.Row
            database.execute("PRAGMA synchronous = OFF")
            yield database


def _test(number: str, text: str, operator: str, value: Any) -> tuple[str, Any]:
    """A comparison as SQL: of numbers by value, of text as text, and each only with its own kind."""
    operator = "=" if operator == "in" else operator
    if operator == "~":
        return f"instr(lower({text}), lower(?)) > 0", _spelled(value)
    if isinstance(value, float) and math.isfinite(value):
        return f"(typeof({number}) IN ('real', 'integer') AND {number} {operator} ?)", value
    if isinstance(value, float) and number != text and math.isnan(value):
        return f"{text} {operator} ?", "NaN"
    if isinstance(value, float):
        return f"{number} {operator} ?", value
    return f"(typeof({text}) = 'text' AND {text} {operator} ?)", _spelled(value)


def _spelled(value: Any) -> str:
    """A value as the index holds it as text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value)


def _forget(database: sqlite3.Connection, run_id: str) -> None:
    row = database.execute("SELECT key FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is not None:
        database.execute("DELETE FROM facts WHERE run = ?", (row["key"],))
        database.execute("DELETE FROM runs WHERE key = ?", (row["key"],))


def _insert(database: sqlite3.Connection, record: RunRecord) -> None:
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
    marks = ", ".join("?" * (len(_ATTRIBUTES) + 3))
    key = database.execute(
        f"INSERT INTO runs VALUES ({marks})",  # noqa: S608 - question marks
        (None, *(attributes[name] for name in _ATTRIBUTES), record.size, document),
    ).lastrowid
    facts = [("params", name, value) for name, value in record.params.items()]
    facts += [("tags", name, value) for name, value in record.tags.items()]
    for kind, member in (("metrics", "last"), ("min", "lowest"), ("max", "highest")):
        facts += [(kind, name, entry[member]) for name, entry in metrics.items() if member in entry]
    database.executemany(
        "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)",
        [(kind, name, key, _number(value), _spelled(value)) for kind, name, value in facts],
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _indexed(row: sqlite3.Row) -> IndexedRun:
    document = json.loads(row["document"])
    return IndexedRun({name: row[name] for name in _ATTRIBUTES}, **document)
