"""The records of a store in SQLite or PostgreSQL: tables, connections, transactions, migration."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError as BadUrlError
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from afterfit.errors import ArgumentError, StoreError
from afterfit.store._place import RECORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from afterfit.store._place import Place

SCHEMA_VERSION = "2"
"""The schema this release works with. To change it: add a file to `migrations/versions`, raise this, and freeze a
database of the new schema under `tests/compat`."""

BUSY_SECONDS = 30
"""How long a process waits for others that write."""

_WRITER_LOCK = 0x61667465
"""The advisory lock of PostgreSQL that whoever writes holds: "afte" in ASCII."""

_metadata = sa.MetaData()
models = sa.Table(
    "models",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("created_at", sa.Text),
)
versions = sa.Table(
    "versions",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("model_id", sa.Integer),
    sa.Column("number", sa.Integer),
    sa.Column("digest", sa.Text),
    sa.Column("blob", sa.Text),
    sa.Column("size", sa.BigInteger),
    sa.Column("pushed_at", sa.Text),
    sa.Column("pushed_by", sa.Text),
    sa.Column("task", sa.Text),
    sa.Column("made_with", sa.Text),
    sa.Column("data_sha256", sa.Text),
    sa.Column("metrics", sa.Text),
    sa.Column("run_id", sa.Text),
    sa.Column("run", sa.Text),
)
moves = sa.Table(
    "moves",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("model_id", sa.Integer),
    sa.Column("alias", sa.Text),
    sa.Column("sequence", sa.Integer),
    sa.Column("kind", sa.Text),
    sa.Column("from_number", sa.Integer),
    sa.Column("to_number", sa.Integer),
    sa.Column("moved_at", sa.Text),
    sa.Column("moved_by", sa.Text),
    sa.Column("because", sa.Text),
    sa.Column("evidence", sa.Text),
)
signatures = sa.Table(
    "signatures",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("blob", sa.Text),
    sa.Column("sha256", sa.Text),
    sa.Column("content", sa.Text),
    sa.Column("added_at", sa.Text),
    sa.Column("added_by", sa.Text),
)
answers = sa.Table(
    "answers",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("server", sa.Text),
    sa.Column("model", sa.Text),
    sa.Column("version", sa.Text),
    sa.Column("first_at", sa.Text),
    sa.Column("last_at", sa.Text),
    sa.Column("rows", sa.BigInteger),
)


class Records:
    """Connections to the records at a place, brought to the schema of this release.

    Laws: of all processes one writes at a time; a reader sees one moment; what `writing` returned from is on
    the disk. Raises `StoreError` where the database cannot be used, or has the schema of a newer release.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        if place.folder is not None:
            place.folder.mkdir(parents=True, exist_ok=True)
            (place.folder / RECORDS).touch()
        try:
            self._engine = _engine(place)
            with self._translated():
                if place.folder is not None:
                    _enter_wal(self._engine)
                if self._schema_version() != SCHEMA_VERSION:
                    self._migrate()
        except ModuleNotFoundError as error:
            raise ArgumentError(
                f'a store on PostgreSQL needs {error.name}: pip install "afterfit[postgres]"'
            ) from None
        except (BadUrlError, NoSuchModuleError, ValueError) as error:
            raise ArgumentError(f"the URL of the store is malformed: {error}") from None

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that sees one moment."""
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that no other writer runs beside; committed at the end, undone by an exception."""
        with self._translated(), self._engine.connect() as opened:
            connection = opened.execution_options(afterfit_writes=True)
            with connection.begin():
                if self._engine.dialect.name == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITER_LOCK)))
                yield connection

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            said = str(error.orig if isinstance(error, DBAPIError) else error)
            lines = said.strip().splitlines() or [type(error).__name__]
            raise StoreError(f"the store at {self._place} cannot be used: {lines[0]}") from error

    def _schema_version(self) -> str | None:
        """The version of the schema that is there; None where there is none yet."""
        with self._engine.connect() as connection:
            return _stated_version(connection)

    def _migrate(self) -> None:
        """Bring the schema up to this release, once, however many processes begin at the same time."""
        with self.writing() as connection:
            found = _stated_version(connection)
            if found == SCHEMA_VERSION:
                return
            import alembic.command
            import alembic.config
            import alembic.script

            config = alembic.config.Config()
            folder = str(Path(__file__).parent / "migrations")
            config.set_main_option("script_location", folder.replace("%", "%%"))
            config.set_main_option("path_separator", "os")
            known = alembic.script.ScriptDirectory.from_config(config)
            if found is not None and found not in {script.revision for script in known.walk_revisions()}:
                raise StoreError(
                    f"the store at {self._place} has schema {found[:20]!a}; this release knows schemas up to "
                    f"{SCHEMA_VERSION}. Use it with a newer afterfit: pip install --upgrade afterfit"
                )
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")


def _engine(place: Place) -> sa.Engine:
    if place.folder is None:
        return sa.create_engine(str(place.server), pool_pre_ping=True, connect_args={"connect_timeout": 10})
    # Opened as it is there: SQLite would otherwise make an empty database where a store has gone away.
    database = f"{(place.folder / RECORDS).as_uri()}?mode=rw"

    def open_database() -> sqlite3.Connection:
        return sqlite3.connect(database, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)

    engine = sa.create_engine("sqlite://", creator=open_database, poolclass=sa.QueuePool)

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, record: object) -> None:
        del record
        # Transactions are begun below; sqlite3 would begin none for DDL, and late for the rest.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("afterfit_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _enter_wal(engine: sa.Engine) -> None:
    """Switch a new database to WAL, which it then stays in.

    SQLite does not wait for another process that does the same, so we try until that one is done.
    """
    stop = time.monotonic() + BUSY_SECONDS
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        while True:
            try:
                if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    cursor.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > stop:
                    raise
                time.sleep(0.01)
            else:
                cursor.close()
                return
    finally:
        raw.close()


def _stated_version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return found
