"""An index of the runs in SQLite, for listing and filtering; the files of the runs are what counts.

Runs never touch it, so that no lock of a database can hold up a training: they append their id to the file `changes`
when they begin and end, and whoever lists reads what was appended since, and the runs that were going on. It can be
deleted at any time: the next listing makes it anew from the files.
"""

from __future__ import annotations

import difflib
import json
import sqlite3
import sys
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from afterfit.errors import ArgumentError
from afterfit.tracking._filter import parse_filter
from afterfit.tracking._index_tables import (
    ATTRIBUTES,
    KINDS,
    VERSION,
    create_indexes,
    create_tables,
    forget,
    insert,
)
from afterfit.tracking._log_file import SUFFIX, is_writing
from afterfit.tracking._place import CHANGES, INDEX, run_key
from afterfit.tracking._selection import EVERYTHING, choose, column_number, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_MOST_NAMED = 60
_MANY = 200
"""Runs to read from which on it is said how far the reading is."""

_MOST_ASKED = 500
"""Keys in one query."""


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
        """Take in what changed since the last time. Raises `ArgumentError` where the index cannot be written."""
        try:
            self._refresh()
        except ArgumentError as error:
            if not _is_damaged(error):
                raise
            self.rebuild()

    def rebuild(self) -> None:
        """Make the index anew from the files of the runs. Raises `ArgumentError` where it cannot be written."""
        try:
            self._refresh(anew=True)
        except ArgumentError as error:
            if not _is_damaged(error):
                raise
            for name in (INDEX, f"{INDEX}-journal"):
                self._path.with_name(name).unlink(missing_ok=True)
            self._refresh(anew=True)

    def _refresh(self, *, anew: bool = False) -> None:
        with self._database() as database:
            changes = self.runs / CHANGES
            size = changes.stat().st_size if changes.is_file() else 0
            known = None if anew else _known(database, size)
            alive = [] if known is None else _alive(database)
            if known == size and not alive:
                return
            database.execute("BEGIN IMMEDIATE")
            known = None if anew else _known(database, size)
            if known is None:
                create_tables(database)
                self._take(database, sorted(path.name for path in self.runs.iterdir()))
                self._move(None, "sorting")
                create_indexes(database)
            else:
                alive = _alive(database)
                changed = self._changed(known, size)
                self._take(database, list(dict.fromkeys([*changed, *(run for run, _ in alive)])))
            database.execute("UPDATE state SET seen = ?", (size,))
            database.execute("COMMIT")

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
            database.execute("BEGIN")
            chosen = EVERYTHING
            if where is not None and where.strip():
                chosen = choose(database, parse_filter(where), lambda name: self.resolve(name, database))
            kind, name = self.resolve(sort, database)
            count = chosen.count(database.execute("SELECT count(*) FROM runs").fetchone()[0])
            wanted = count if limit is None else min(count, limit)
            # Not one more than are wanted: the search for another might read on to the end.
            keys = islice(chosen.among(in_order(database, kind, name, descending=descending)), wanted)
            return _indexed(database, list(keys)), count

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
            found = [run_id for (run_id,) in database.execute(query, given)]
            query = "SELECT id FROM runs WHERE name = ? ORDER BY started DESC LIMIT 1"
            named = database.execute(query, (reference,)).fetchone()
        if len(found) == 1 or (found and found[0] == reference):
            return str(found[0])
        if found:
            raise ArgumentError(
                f"{reference!r} is a part of several runs, such as {', '.join(found)}; write more of it"
            )
        hint = f"the newest of that name is {named[0]}" if named else "`afterfit runs` lists them"
        raise ArgumentError(f"there is no run {reference!r}; {hint}")

    def begin_with(self, start: str, limit: int = 30) -> list[tuple[str, str]]:
        """Id and name of the newest runs whose id begins so, as far as the index knows."""
        with self._database() as database:
            if _known(database, sys.maxsize) is None:
                return []
            query = "SELECT id, name FROM runs WHERE substr(id, 1, ?) = ? ORDER BY id DESC LIMIT ?"
            return database.execute(query, (len(start), start, limit)).fetchall()

    def columns(self, kinds: Iterable[str] = KINDS) -> list[str]:
        """The names of all columns, with their prefixes."""
        with self._database() as database:
            return self._columns(database, kinds)

    def resolve(self, name: str, database: sqlite3.Connection | None = None) -> tuple[str, str]:
        """Kind and name of a column as a person writes it. Raises `ArgumentError` with the columns there are."""
        if database is None:
            with self._database() as opened:
                return self.resolve(name, opened)
        if name in ATTRIBUTES:
            return "attributes", name
        kind, _, rest = name.partition(".")
        if kind == "attributes" and rest in ATTRIBUTES:
            return kind, rest
        asked = [(kind, rest)] if kind in KINDS else []
        asked += [(kind, name) for kind in ("params", "metrics", "tags")]
        found = [pair for pair in asked if _is_used(database, column_number(database, *pair))]
        if len(found) > 1 and found[0] != (kind, rest):
            raise ArgumentError(
                f"{name!r} may be {' or '.join('.'.join(pair) for pair in found)}; write which"
            )
        if found:
            return found[0]
        shown = [*ATTRIBUTES, *self._columns(database, ("params", "metrics", "tags"))]
        raise ArgumentError(f"no run has a column {name!r}; {_instead(name, shown)}")

    def _columns(self, database: sqlite3.Connection, kinds: Iterable[str]) -> list[str]:
        rows = database.execute('SELECT kind, name, "column" FROM columns ORDER BY name').fetchall()
        known = {kind: [(name, column) for other, name, column in rows if other == kind] for kind in kinds}
        return [
            f"{kind}.{name}" for kind in kinds for name, column in known[kind] if _is_used(database, column)
        ]

    def _changed(self, known: int, size: int) -> list[str]:
        if known == size:
            return []
        with (self.runs / CHANGES).open("rb") as file:
            file.seek(known)
            return file.read(size - known).decode("ascii", "replace").split("\n")

    def _take(self, database: sqlite3.Connection, ids: list[str]) -> None:
        """Read these runs and put them into the index in place of what it had of them."""
        columns = {
            (kind, name): int(column)
            for column, kind, name in database.execute('SELECT "column", kind, name FROM columns')
        }
        sizes = dict(_alive(database))
        for number, run_id in enumerate(ids):
            if len(ids) >= _MANY and number % _MANY == 0:
                self._move(number / len(ids), f"{number:,} of {len(ids):,} runs")
            key = run_key(run_id)
            if key is None or (run_id in sizes and _is_unchanged(self.runs / run_id, sizes[run_id])):
                continue
            # Imported here, since a listing with nothing to read needs no numpy.
            from afterfit.tracking._record import log_names, read_run

            try:
                record = read_run(self.runs / run_id)
            except ArgumentError:  # a run that has not written its beginning; it says so once it has
                if not log_names(self.runs / run_id):
                    forget(database, key)
                continue
            forget(database, key)
            insert(database, record, columns)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=60, isolation_level=None)) as database:
                database.execute("PRAGMA synchronous = OFF")
                yield database
        except sqlite3.Error as error:
            raise ArgumentError(
                f"the index of runs {self._path} cannot be used: {error}; nothing is in it that the runs do not "
                "hold, and `afterfit runs --reindex` makes it anew"
            ) from error


def _is_damaged(error: ArgumentError) -> bool:
    """Whether the index is no database, or one that was damaged by a power cut; others of sqlite3 are subclasses."""
    return type(error.__cause__) is sqlite3.DatabaseError


def _known(database: sqlite3.Connection, size: int) -> int | None:
    """How much of `changes` is in the index; None where it has to be made anew."""
    if database.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        return None
    seen = int(database.execute("SELECT seen FROM state").fetchone()[0])
    return seen if seen <= size else None


def _alive(database: sqlite3.Connection) -> list[tuple[str, int]]:
    """Id and size of the runs that were going on."""
    return database.execute("SELECT id, size FROM runs WHERE status = 'running'").fetchall()


def _is_unchanged(folder: Path, size: int) -> bool:
    """Whether a run that was going on still is, and has logged nothing since."""
    files = list(folder.glob("*" + SUFFIX))
    return sum(file.stat().st_size for file in files) == size and any(map(is_writing, files))


def _is_used(database: sqlite3.Connection, column: int | None) -> bool:
    query = 'SELECT 1 FROM facts WHERE "column" = ? AND number IS {} NULL LIMIT 1'
    return any(database.execute(query.format(no), (column,)).fetchone() for no in ("NOT", ""))


def _instead(name: str, known: list[str]) -> str:
    """What may have been meant by a name, or what there is."""
    plain = {one.rpartition(".")[2]: one for one in known}
    near = difflib.get_close_matches(name.rpartition(".")[2], plain, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(plain[one] for one in near)}? " if near else ""
    more = f" and {len(known) - _MOST_NAMED:,} more" if len(known) > _MOST_NAMED else ""
    return f"{hint}there are {', '.join(known[:_MOST_NAMED])}{more}"


def _indexed(database: sqlite3.Connection, keys: list[int]) -> list[IndexedRun]:
    """The runs of these keys, in their order."""
    found: dict[int, IndexedRun] = {}
    for start in range(0, len(keys), _MOST_ASKED):
        part = keys[start : start + _MOST_ASKED]
        names = ", ".join(f'"{name}"' for name in ATTRIBUTES)
        marks = ", ".join("?" * len(part))
        query = f'SELECT "key", document, {names} FROM runs WHERE "key" IN ({marks})'  # noqa: S608 - question marks
        for key, document, *values in database.execute(query, part):
            found[key] = IndexedRun(dict(zip(ATTRIBUTES, values, strict=True)), **json.loads(document))
    return [found[key] for key in keys]
