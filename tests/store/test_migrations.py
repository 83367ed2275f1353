"""Every earlier schema becomes the present one; a later one is refused; a folder's first users do not collide."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from afterfit.errors import StoreError
from afterfit.store import Store
from afterfit.store._records import SCHEMA_VERSION, models, moves, versions

COMPAT = Path(__file__).parents[1] / "compat"
FROZEN = sorted(COMPAT.glob("store*"))


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


def test_every_schema_is_frozen():
    assert [path.name for path in FROZEN] == [
        f"store{number}" for number in range(1, int(SCHEMA_VERSION) + 1)
    ]


def test_the_last_migration_is_the_present_schema(store):
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    import afterfit.store

    config = Config()
    config.set_main_option("script_location", str(Path(afterfit.store.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_VERSION]
    import sqlalchemy as sa

    with store._records.reading() as connection:
        inspector = sa.inspect(connection)
        for table in (models, versions, moves):
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
