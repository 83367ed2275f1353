"""The laws of the store, on a folder with SQLite and on PostgreSQL with S3."""

from __future__ import annotations

import hashlib
import shutil
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

import afterfit
from afterfit.bundle import read_bundle
from afterfit.errors import (
    AliasMovedError,
    ArgumentError,
    BundleError,
    StoreError,
    UnknownReferenceError,
)
from afterfit.store import Store, find_place


def test_versions_count_from_one_and_the_same_bundle_keeps_its_number(store, bundles):
    pushed = [store.push(path) for path in (bundles[0], bundles[1], bundles[0], bundles[2])]
    assert [version.number for version in pushed] == [1, 2, 1, 3]
    assert store.push(bundles[2], name="other").number == 1
    assert store.names() == ["line", "other"]
    assert [version.number for version in store.versions("line")] == [1, 2, 3]
    first = pushed[0]
    assert first.digest == read_bundle(bundles[0]).digest
    assert first.blob == hashlib.sha256(bundles[0].read_bytes()).hexdigest()
    assert first.metrics == {"auc": 0.5}
    assert (first.task, first.size) == ("transformation", bundles[0].stat().st_size)


def test_what_is_fetched_is_what_was_pushed(store, bundles):
    for path in bundles:
        store.push(path)
    for path, version in zip(bundles, store.versions("line"), strict=True):
        assert store.fetch(version).read_bytes() == path.read_bytes()


def test_references_find_their_versions(store, bundles):
    for path in bundles[:3]:
        store.push(path)
    store.promote("line", "production", 2, because="first")
    digest = read_bundle(bundles[0]).digest
    found = {
        text: store.resolve(text).number
        for text in (
            "line",
            "line@2",
            "line@production",
            f"line@sha256:{digest}",
            f"line@sha256:{digest[:12]}",
        )
    }
    assert list(found.values()) == [3, 2, 2, 1, 1]


@pytest.mark.parametrize("text", ["nobody", "line@9", "line@staging", "line@sha256:00000000"])
def test_what_is_not_there_is_named(store, bundles, text):
    store.push(bundles[0])
    with pytest.raises(UnknownReferenceError, match=r"nobody|line"):
        store.resolve(text)


def test_an_alias_moves_with_its_whole_record(store, bundles):
    for path in bundles[:3]:
        store.push(path)
    store.promote("line", "production", 1, because="the first", by="ann", evidence={"auc": 0.5})
    store.promote("line", "production", 3, because="better", by="ben")
    assert store.aliases("line") == {"production": 3}
    first, second = store.history("line", "production")
    assert (first.from_number, first.to_number, first.moved_by, first.because) == (
        None,
        1,
        "ann",
        "the first",
    )
    assert first.evidence == {"auc": 0.5}
    assert (second.from_number, second.to_number, second.sequence, second.kind) == (1, 3, 2, "promote")
    assert first.moved_at < second.moved_at


def test_rollbacks_undo_promotions_one_by_one(store, bundles):
    for path in bundles[:4]:
        store.push(path)
    for number in (1, 2, 3):
        store.promote("line", "production", number, because="up")
    assert [store.rollback("line", "production").to_number for _ in range(2)] == [2, 1]
    with pytest.raises(StoreError, match="no earlier version"):
        store.rollback("line", "production")
    store.promote("line", "production", 4, because="again")
    assert store.rollback("line", "production", because="noise", by="ann").to_number == 1
    assert [move.kind for move in store.history("line")].count("rollback") == 3
    with pytest.raises(UnknownReferenceError):
        store.rollback("line", "staging")


def test_of_two_promoters_one_wins_and_the_other_is_told(store, bundles):
    for path in bundles[:3]:
        store.push(path)
    store.promote("line", "production", 1, because="first", expected=0)
    store.promote("line", "production", 2, because="ann's", by="ann", expected=1)
    with pytest.raises(AliasMovedError, match="to version 2, by ann"):
        store.promote("line", "production", 3, because="ben's", expected=1)
    assert store.resolve("line@production").number == 2
    assert len(store.history("line")) == 2


def test_promoters_in_threads_each_win_or_are_told(store, bundles):
    for path in bundles[:2]:
        store.push(path)
    told: list[AliasMovedError] = []
    won: list[int] = []
    start = threading.Barrier(6)

    def promote(number: int) -> None:
        start.wait()
        try:
            won.append(
                store.promote("line", "production", 1 + number % 2, because="race", expected=0).sequence
            )
        except AliasMovedError as error:
            told.append(error)

    threads = [threading.Thread(target=promote, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (won, len(told)) == ([1], 5)


def test_the_history_cannot_be_changed(store, bundles):
    store.push(bundles[0])
    store.promote("line", "production", 1, because="first")
    for statement in ("UPDATE moves SET because = 'other'", "DELETE FROM moves"):
        with pytest.raises(StoreError, match="append-only"), store._records.writing() as connection:
            connection.execute(sa.text(statement))
    assert [move.because for move in store.history("line")] == ["first"]


def test_an_alias_of_a_version_that_is_not_there_is_refused(store, bundles):
    store.push(bundles[0])
    for name, alias, number, error in (
        ("line", "production", 2, UnknownReferenceError),
        ("nobody", "production", 1, UnknownReferenceError),
        ("line", "3", 1, ArgumentError),
        ("line", "no spaces", 1, ArgumentError),
    ):
        with pytest.raises(error):
            store.promote(name, alias, number, because="no")
    assert store.history("line") == []


def test_what_is_no_bundle_is_not_kept(store, bundles, tmp_path):
    broken = tmp_path / "broken.afit"
    content = bytearray(bundles[0].read_bytes())
    content[len(content) // 2] ^= 0xFF
    broken.write_bytes(content)
    with pytest.raises(BundleError):
        store.push(broken)
    with pytest.raises(ArgumentError, match="cannot be read"):
        store.push(tmp_path / "missing.afit")
    assert store.names() == []
    assert list(store._blobs.addresses()) == []


def test_a_name_that_no_reference_could_spell_is_refused(store, bundles, hand_bundle):
    with pytest.raises(ArgumentError, match="--name"):
        store.push(hand_bundle)
    with pytest.raises(ArgumentError):
        store.push(bundles[0], name="../escape")
    assert store.push(hand_bundle, name="hand").number == 1


def test_collecting_removes_what_no_version_is_bound_to(store, bundles):
    kept = store.push(bundles[0])
    loose = hashlib.sha256(bundles[1].read_bytes()).hexdigest()
    store._blobs.put(loose, bundles[1])
    assert store.collect().blobs == (loose,)
    assert store.collect().blobs == ()
    assert store.fetch(kept).read_bytes() == bundles[0].read_bytes()


def test_a_push_that_a_collection_came_between_still_keeps_its_bytes(store, bundles, monkeypatch):
    put, calls = store._blobs.put, []

    def put_and_collect(address: str, source: Path) -> None:
        assert store.names() == [], "a name without a version"
        put(address, source)
        calls.append(address)
        if len(calls) == 1:
            assert store.collect().blobs == (address,)

    monkeypatch.setattr(store._blobs, "put", put_and_collect)
    version = store.push(bundles[0])
    assert len(calls) == 2
    assert store.fetch(version).read_bytes() == bundles[0].read_bytes()


def test_an_exception_within_a_transaction_undoes_it(store, bundles, monkeypatch):
    store.push(bundles[0])
    monkeypatch.setattr("afterfit.store._store.add_version", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.push(bundles[1], name="never")
    assert store.names() == ["line"]


def test_a_store_opened_again_has_what_it_had(store, store_url, bundles):
    store.push(bundles[0])
    store.promote("line", "production", 1, because="first")
    store.close()
    with Store(store_url) as again:
        assert again.resolve("line@production").number == 1
        assert again.url == store.url


def test_a_damaged_file_is_never_given_out(tmp_path, bundles):
    with Store(tmp_path / "store", create=True) as store:
        version = store.push(bundles[0])
        path = store.fetch(version)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        with pytest.raises(StoreError, match="damaged"):
            store.fetch(version)
        store.push(bundles[0])
        assert store.fetch(version).read_bytes() == bundles[0].read_bytes()
        path.unlink()
        with pytest.raises(StoreError, match="push it again"):
            store.fetch(version)


def test_a_damaged_copy_in_the_cache_is_fetched_again(request, tmp_path, monkeypatch, bundles):
    from tests.store.conftest import make_server_store

    server, endpoint = request.getfixturevalue("postgres"), request.getfixturevalue("object_server")
    with Store(make_server_store(server, endpoint, tmp_path, monkeypatch)) as store:
        version = store.push(bundles[0])
        store.fetch(version).write_bytes(b"damaged")
        assert store.fetch(version).read_bytes() == bundles[0].read_bytes()
        store._blobs.delete(version.blob)
        shutil.rmtree(tmp_path / "cache")
        with pytest.raises(StoreError, match="push it again"):
            store.fetch(version)


def test_the_folder_is_found_upward(tmp_path, monkeypatch, bundles):
    monkeypatch.delenv("AFTERFIT_STORE", raising=False)
    deep = tmp_path / "project" / "notebooks" / "july"
    deep.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    with pytest.raises(StoreError, match="there is no store"):
        Store()
    assert not (tmp_path / "project" / ".afterfit").exists()
    with Store(create=True) as store:
        store.push(bundles[0])
    monkeypatch.chdir(deep)
    assert find_place().folder == tmp_path / "project" / ".afterfit"
    with Store() as store:
        assert store.names() == ["line"]
    monkeypatch.setenv("AFTERFIT_STORE", str(tmp_path / "elsewhere"))
    with pytest.raises(StoreError, match="elsewhere"):
        Store()


def test_load_takes_names_where_there_is_no_file(tmp_path, monkeypatch, bundles):
    monkeypatch.setenv("AFTERFIT_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    with Store(create=True) as store:
        store.push(bundles[0])
        store.push(bundles[1])
        store.promote("line", "production", 1, because="first")
    versions = [read_bundle(path).version for path in bundles[:2]]
    assert [afterfit.load(text).version for text in ("line@production", "line", "line@2")] == [
        versions[0],
        versions[1],
        versions[1],
    ]
    assert afterfit.load(bundles[0]).version == versions[0]
    shutil.copy(bundles[1], "line@production")
    assert afterfit.load("./line@production").version == versions[1]
    with pytest.raises(UnknownReferenceError):
        afterfit.load("line@staging")
    with pytest.raises(BundleError, match="cannot be read"):
        afterfit.load("missing.afit")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://host/db", "cannot be at mysql"),
        ("postgresql://user:secret@host/db", "does not say where bundles are kept"),
        ("postgresql://host/db?blobs=gopher://x", "cannot be kept at"),
        ("postgresql://host:port/db?blobs=s3://x", "malformed"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        Store(url, create=True)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_away_is_an_error_without_the_password(tmp_path):
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with pytest.raises(StoreError, match=r"postgresql://127.0.0.1:1/db cannot be used") as caught:
        Store(f"postgresql://user:secret@127.0.0.1:1/db?blobs={tmp_path}")
    assert "secret" not in str(caught.value)


def test_a_folder_of_any_name_will_do(tmp_path, bundles):
    folder = tmp_path / "50% of ?#é &=" / "store"
    with Store(folder, create=True) as store:
        store.push(bundles[0])
    with Store(folder) as store:
        assert store.names() == ["line"]


def test_a_store_that_has_gone_is_not_made_anew(tmp_path, bundles):
    with Store(tmp_path / "store", create=True) as store:
        store.push(bundles[0])
        store.close()
        shutil.rmtree(tmp_path / "store")
        with pytest.raises(StoreError, match="cannot be used"):
            store.names()
    assert not (tmp_path / "store").exists()
