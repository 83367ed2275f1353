"""Every earlier schema becomes the present one; a later one is refused; a folder's first users do not collide."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import uuid
from pathlib import Path

import alembic.command
import psycopg
import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

import afterfit.store
from afterfit.errors import StoreError
from afterfit.signing import read_trust
from afterfit.store import Store
from afterfit.store._records import SCHEMA_VERSION, answers, models, moves, signatures, versions

COMPAT = Path(__file__).parents[1] / "compat"
FROZEN = sorted(COMPAT.glob("store*"))


def migrations() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(afterfit.store.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def make_database(server: str) -> str:
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return name


def schema_of(database: Path) -> dict[str, str]:
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return dict(rows)


@pytest.mark.parametrize("frozen", FROZEN, ids=lambda path: path.name)
def test_a_store_of_an_earlier_schema_is_used_as_it_is(frozen: Path, tmp_path: Path):
    shutil.copytree(frozen, tmp_path / "old")
    with Store(tmp_path / "new", create=True):
        pass
    with Store(tmp_path / "old") as store:
        assert [version.number for version in store.versions("scaler")] == [1, 2]
        assert store.aliases("scaler") == {"production": 1}
        assert [move.kind for move in store.history("scaler")] == ["promote", "promote", "rollback"]
        assert store.history("scaler")[0].evidence == {"auc": 0.5}
        assert store.fetch(store.resolve("scaler@2")).is_file()
        store.promote("scaler", "production", 2, because="still works")
    assert schema_of(tmp_path / "old" / "records.db") == schema_of(tmp_path / "new" / "records.db")


@pytest.mark.parametrize("frozen", FROZEN[1:], ids=lambda path: path.name)
def test_signatures_and_answers_are_kept(frozen: Path, tmp_path: Path):
    shutil.copytree(frozen, tmp_path / "old")
    with Store(tmp_path / "old") as store:
        first = store.resolve("scaler@1")
        trust = read_trust([frozen / "public.pem"])
        assert trust.verify_any(store.signatures(first), first.blob, "it").startswith("key ")
        assert [(one.server, one.rows) for one in store.answers(version=first.digest[:12])] == [
            ("host:1", 1000)
        ]
        assert store.answers(model="scaler") == store.answers(version=first.digest[:12])


@pytest.mark.parametrize("frozen", FROZEN, ids=lambda path: path.name)
def test_an_earlier_schema_in_postgresql_is_migrated(frozen: Path, postgres: str, tmp_path: Path):
    """The tables of the schema as its migrations make them there, filled from the frozen store."""
    url = f"{postgres}/{make_database(postgres)}"
    revision = frozen.name.removeprefix("store")
    source = sa.create_engine(f"sqlite:///{frozen}/records.db")
    target = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    config = migrations()
    with target.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)
    filled = sa.MetaData()
    filled.reflect(source)
    with source.connect() as old, target.begin() as new:
        for table in filled.sorted_tables:
            if table.name != "alembic_version" and (rows := old.execute(table.select()).mappings().all()):
                new.execute(table.insert(), [dict(row) for row in rows])
    source.dispose()
    target.dispose()
    with Store(f"{url}?blobs={frozen / 'blobs'}") as store:
        assert [version.number for version in store.versions("scaler")] == [1, 2]
        assert [move.kind for move in store.history("scaler")] == ["promote", "promote", "rollback"]
        with store._records.reading() as connection:
            assert (
                connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
                == SCHEMA_VERSION
            )
            found = sa.inspect(connection)
            for table in (models, versions, moves, signatures, answers):
                names = {column["name"] for column in found.get_columns(table.name)}
                assert names == {column.name for column in table.columns}


def test_every_schema_is_frozen():
    assert [path.name for path in FROZEN] == [
        f"store{number}" for number in range(1, int(SCHEMA_VERSION) + 1)
    ]


def test_the_last_migration_is_the_present_schema(store):
    assert ScriptDirectory.from_config(migrations()).get_heads() == [SCHEMA_VERSION]
    with store._records.reading() as connection:
        inspector = sa.inspect(connection)
        for table in (models, versions, moves, signatures, answers):
            found = {column["name"] for column in inspector.get_columns(table.name)}
            assert found == {column.name for column in table.columns}


def test_a_store_of_a_later_schema_is_refused_and_left_alone(tmp_path: Path):
    with Store(tmp_path / "store", create=True):
        pass
    with sqlite3.connect(tmp_path / "store" / "records.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '99'")
    connection.close()
    with pytest.raises(StoreError, match="newer afterfit"):
        Store(tmp_path / "store")


def test_what_is_no_database_is_an_error(tmp_path: Path):
    (tmp_path / "records.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="cannot be used"):
        Store(tmp_path)


FIRST_USE = """
import sys
from afterfit.store import Store
print("ready", flush=True)
sys.stdin.readline()
with Store(sys.argv[1], create=True) as store:
    print(store.push(sys.argv[2]).number)
"""


def test_processes_that_use_a_store_first_at_the_same_time_all_succeed(store_url, bundles):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_USE, store_url, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for path in bundles
    ]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * len(started)
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=120) for process in started]
    assert all(not complaints for _, complaints in ended), ended
    assert sorted(int(said) for said, _ in ended) == list(range(1, len(bundles) + 1))


def test_a_folder_is_in_wal_mode(tmp_path: Path):
    with Store(tmp_path / "store", create=True):
        pass
    with sqlite3.connect(tmp_path / "store" / "records.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
