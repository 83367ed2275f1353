"""Servers follow an alias: no request fails, and every answer is that of the version it names."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import io
import json
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from tests.serving.test_server import running
from tests.signing.test_signing import write_key

import afterfit
from afterfit.bundle import read_bundle
from afterfit.cli import cli
from afterfit.errors import SignatureError, StoreError
from afterfit.serving._sources import Sources
from afterfit.serving._swap import RETRY_LOOKS, BundleWatcher
from afterfit.serving.contracts._store import _parse_range
from afterfit.signing import Trust, read_signer, read_trust
from afterfit.store import Store, parse_reference

SLOPES = (2, 3, 4)


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """Versions of a model: y = slope x."""
    folder = tmp_path_factory.mktemp("lines")
    X = np.arange(20.0).reshape(-1, 1) + 0.5
    for slope in SLOPES:
        afterfit.save(LinearRegression().fit(X, slope * X[:, 0]), folder / f"{slope}.afit", X=X, name="line")
    return [folder / f"{slope}.afit" for slope in SLOPES]


@pytest.fixture
def store(tmp_path, monkeypatch, lines):
    """Three versions of `line`, the first one in production."""
    monkeypatch.setenv("AFTERFIT_STORE", str(tmp_path / "store"))
    with Store(create=True) as opened:
        for path in lines:
            opened.push(path)
        opened.promote("line", "production", 1, because="first")
        yield opened


def ask(url, method="GET", path="/models", body=None, *, connection=None):
    """The status and the JSON of an answer; by a connection of its own, which is cheaper than httpx makes one."""
    own = connection or http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    own.request(method, path, body, {"Content-Type": "application/json"})
    reply = own.getresponse()
    answer = json.loads(reply.read())
    if connection is None:
        own.close()
    return reply.status, answer


def served_versions(url, connections=12):
    """What new connections are answered by, which the kernel spreads over the workers."""
    return {ask(url)[1]["models"][0]["version"] for _ in range(connections)}


def wait_for(url, version, seconds=60):
    stop = time.monotonic() + seconds
    while served_versions(url) != {version}:
        assert time.monotonic() < stop, "the swap did not come"


@pytest.mark.parametrize(
    ("moves", "workers"), [(4, 2), pytest.param(50, 2, marks=pytest.mark.sweep)], ids=["short", "fifty"]
)
def test_promotions_and_rollbacks_under_load(store, moves, workers):
    versions = {version.number: version.digest[:12] for version in store.versions("line")}
    slope_of = {versions[number]: slope for number, slope in enumerate(SLOPES, 1)}
    seen: list[tuple[str, float, float]] = []
    failed: list[object] = []
    done = threading.Event()
    with running("line@production", "--workers", workers) as (url, _):

        def keep_asking(number):
            x = float(number)
            while not done.is_set():
                # A new connection now and then, so that every worker is asked.
                connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
                for _ in range(20):
                    x += 1.0
                    body = json.dumps({"rows": [{"x0": x}]})
                    try:
                        status, answer = ask(url, "POST", "/predict", body, connection=connection)
                    except (OSError, http.client.HTTPException) as error:
                        failed.append(error)
                        return
                    if status != 200:
                        failed.append(answer)
                        return
                    seen.append((answer["version"], x, answer["predictions"][0]))
                connection.close()

        askers = [threading.Thread(target=keep_asking, args=(number,)) for number in range(3)]
        for asker in askers:
            asker.start()
        try:
            for turn in range(moves):
                if turn % 2:
                    move = store.rollback("line", "production")
                else:
                    move = store.promote("line", "production", 2 + turn // 2 % 2, because=f"turn {turn}")
                wait_for(url, versions[move.to_number])
        finally:
            done.set()
            for asker in askers:
                asker.join()
    assert not failed
    assert len(store.history("line")) == moves + 1
    assert {version for version, _, _ in seen} == set(versions.values())
    assert all(answer == pytest.approx(x * slope_of[version], rel=1e-9) for version, x, answer in seen)
    # And each of them is on record, with the version that gave it.
    on_record = {one.version: one.rows for one in store.answers(model="line")}
    assert on_record == Counter(version for version, _, _ in seen)


def test_bundles_are_pulled_from_a_server(store, lines):
    content = lines[0].read_bytes()
    digest = store.resolve("line@1").digest
    with running("line@production") as (url, _), httpx.Client(base_url=url) as client:
        whole = client.get("/store/line@production")
        assert whole.content == content
        assert whole.headers["etag"] == f'"sha256-{hashlib.sha256(content).hexdigest()}"'
        assert whole.headers["afterfit-version"] == "line@1"
        assert whole.headers["afterfit-digest"] == f"sha256:{digest}"
        for path in ("/store/line@1", f"/store/line@sha256:{digest}"):
            assert client.get(path).content == content
        head = client.head("/store/line@production")
        assert (head.content, head.headers["content-length"]) == (b"", str(len(content)))
        etag = whole.headers["etag"]
        for condition in (etag, f'"other", W/{etag}', "*"):
            unchanged = client.get("/store/line@production", headers={"if-none-match": condition})
            assert (unchanged.status_code, unchanged.content) == (304, b"")
        check_ranges(client, content, etag)
        for path in ("/store/line@2", "/store/line", "/store/", "/store/line@sha256:00000000"):
            missing = client.get(path)
            assert (missing.status_code, missing.json()["type"]) == (
                404,
                "urn:afterfit:problem:unknown-reference",
            )
        assert client.post("/store/line@production").status_code == 405
        store.promote("line", "production", 2, because="second")
        wait_for(url, store.resolve("line@2").digest[:12])
        moved = client.get("/store/line@production", headers={"if-none-match": etag})
        assert moved.content == lines[1].read_bytes()
        assert client.get("/store/line@1").status_code == 404


def check_ranges(client, content, etag):
    size = len(content)
    for text, part in {
        "bytes=0-99": content[:100],
        "bytes=100-": content[100:],
        "bytes=-50": content[-50:],
        f"bytes=0-{size * 2}": content,
    }.items():
        reply = client.get("/store/line@production", headers={"range": text, "if-range": etag})
        assert (reply.status_code, reply.content) == (206, part)
        start = size - len(part) if text != "bytes=0-99" else 0
        assert reply.headers["content-range"] == f"bytes {start}-{start + len(part) - 1}/{size}"
    for headers in (
        {"range": "bytes=0-99", "if-range": '"other"'},
        {"range": "bytes=0-1,5-6"},
        {"range": "rows=1-2"},
    ):
        assert client.get("/store/line@production", headers=headers).content == content
    beyond = client.get("/store/line@production", headers={"range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


@given(st.binary(max_size=30) | st.from_regex(rb"bytes=[0-9]{0,4}-[0-9]{0,4}"), st.integers(0, 2000))
def test_a_range_never_leads_outside(text, size):
    found = _parse_range(text, size)
    if found is not None:
        start, stop = found
        assert start >= 0
        assert stop <= size
        file = io.BytesIO(bytes(size))
        file.seek(start)
        assert len(file.read(max(0, stop - start))) == max(0, stop - start)


def pull(*arguments):
    done = CliRunner().invoke(cli, ["pull", *map(str, arguments), "--json"])
    return done.exit_code, json.loads(done.stdout) if done.exit_code == 0 else done.stderr


def test_the_command_pulls_from_a_server(store, lines, keys, tmp_path):
    (private, public), _ = keys
    target = tmp_path / "device" / "line.afit"
    target.parent.mkdir()
    with running("line@production") as (url, _):
        here = f"{url}/store/line@production"
        code, said = pull(here, "-o", target, "--key", public)
        assert (code, said) == (1, "Error: line@1 is not signed\n")
        assert not target.exists()
        # A signature that comes later is offered without a restart.
        store.sign(store.resolve("line@1"), [signed(private, lines[0])])
        code, said = pull(here, "-o", target, "--key", public)
        assert (code, said["ref"], said["fetched"]) == (0, "line@1", lines[0].stat().st_size)
        assert target.read_bytes() == lines[0].read_bytes()
        assert (tmp_path / "device" / "line.afit.sig").read_bytes().rstrip() == signed_as(store, "line@1")
        assert pull(here, "-o", target, "--key", public)[1]["fetched"] == 0
        store.promote("line", "production", 2, because="unsigned")
        wait_for(url, store.resolve("line@2").digest[:12])
        assert pull(here, "-o", target, "--key", public) == (1, "Error: line@2 is not signed\n")
        assert target.read_bytes() == lines[0].read_bytes()
        assert pull(here, "-o", target)[1]["ref"] == "line@2"
        assert target.read_bytes() == lines[1].read_bytes()
        assert [path.name for path in target.parent.iterdir()] == ["line.afit"]
        (tmp_path / "notes.txt").write_text("not a bundle")
        code, said = pull(here, "-o", tmp_path / "notes.txt")
        assert (code, "--force" in said) == (2, True)
        assert pull(f"{url}/store/line@3", "-o", target)[0] == 2


def signed_as(store, reference):
    return store.signatures(store.resolve(reference))[0].rstrip()


def test_a_server_of_files_offers_no_store(lines):
    with running(lines[0]) as (url, _):
        assert httpx.get(f"{url}/store/line@production").status_code == 404
        assert httpx.get(f"{url}/store/line@production").json()["type"] == "urn:afterfit:problem:not-found"


def test_two_aliases_of_one_version_are_one_model(store):
    sources = Sources([parse_reference(text) for text in ("line@production", "line@1", "line@3")], store.url)
    sources.adopt(sources.load(sources.look()))
    assert [tuple(map(str, one.asked)) for one in sources.loaded] == [
        ("line@production", "line@1"),
        ("line@3",),
    ]
    before = sources.loaded[0].model
    store.promote("line", "production", 3, because="up")
    sources.adopt(sources.load(sources.look()))
    assert [tuple(map(str, one.asked)) for one in sources.loaded] == [
        ("line@1",),
        ("line@production", "line@3"),
    ]
    assert sources.loaded[0].model is before


def test_a_store_that_is_away_leaves_the_server_as_it_is(store, tmp_path, caplog):
    sources = Sources([parse_reference("line@production")], store.url)
    sources.adopt(sources.load(sources.look()))
    applied = []
    watcher = BundleWatcher(sources.look, sources.load, applied.append)
    watcher.begin(sources.look())
    hidden = tmp_path / "hidden"
    shutil.move(tmp_path / "store", hidden)
    (tmp_path / "store").mkdir()
    sources._store.close()
    for _ in range(3):
        asyncio.run(watcher.look())
    assert len([record for record in caplog.records if "what was served goes on" in record.message]) == 1
    shutil.rmtree(tmp_path / "store")
    shutil.move(hidden, tmp_path / "store")
    sources._store.close()
    asyncio.run(watcher.look())
    assert applied == []
    store.close()
    store.promote("line", "production", 2, because="up")
    asyncio.run(watcher.look())
    assert [str(one.version) for (one,) in applied] == ["line@2"]


def test_a_damaged_version_goes_live_only_once_it_is_mended(store, lines, caplog):
    sources = Sources([parse_reference("line@production")], store.url)
    sources.adopt(sources.load(sources.look()))
    applied = []
    watcher = BundleWatcher(sources.look, sources.load, applied.append)
    watcher.begin(sources.look())
    path = store.fetch(store.resolve("line@2"))
    path.write_bytes(path.read_bytes()[:-1])
    store.promote("line", "production", 2, because="damaged")
    asyncio.run(watcher.look())
    asyncio.run(watcher.look())
    assert applied == []
    assert caplog.text.count("is damaged:") == 1
    with pytest.raises(StoreError):
        sources.load(sources.look())
    store.push(lines[1])
    for _ in range(RETRY_LOOKS):
        asyncio.run(watcher.look())
    assert [str(one.version) for (one,) in applied] == ["line@2"]


@pytest.fixture
def keys(tmp_path):
    return write_key(tmp_path, "own"), write_key(tmp_path, "other")


def signed(private, path):
    return read_signer(private).sign(path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def test_an_unsigned_version_goes_live_only_once_it_is_signed(store, lines, keys, caplog):
    (private, public), (other, _) = keys
    trust = read_trust([public])
    reference = [parse_reference("line@production")]
    with pytest.raises(SignatureError, match="line@1 is not signed"):
        Sources(reference, store.url, trust=trust).load([store.resolve("line@1")])
    store.sign(store.resolve("line@1"), [signed(private, lines[0])])
    sources = Sources(reference, store.url, trust=trust)
    sources.adopt(sources.load(sources.look()))
    watcher = BundleWatcher(sources.look, sources.load, sources.adopt)
    watcher.begin(sources.look())
    store.promote("line", "production", 2, because="unsigned")
    asyncio.run(watcher.look())
    store.sign(store.resolve("line@2"), [signed(other, lines[1])])
    for _ in range(2 * RETRY_LOOKS):
        asyncio.run(watcher.look())
    assert str(sources.loaded[0].version) == "line@1"
    assert caplog.text.count("what was served goes on: line@2 is not signed") == 1
    store.sign(store.resolve("line@2"), [signed(private, lines[1])])
    for _ in range(RETRY_LOOKS + 1):
        asyncio.run(watcher.look())
    assert str(sources.loaded[0].version) == "line@2"
    store.promote("line", "production", 3, because="unsigned")
    asyncio.run(watcher.look())
    store.rollback("line", "production")
    asyncio.run(watcher.look())
    assert str(sources.loaded[0].version) == "line@2"


def test_a_file_is_served_only_with_its_signature(lines, keys, tmp_path):
    (private, public), _ = keys
    path = Path(shutil.copy(lines[0], tmp_path / "line.afit"))
    beside = tmp_path / "line.afit.sig"
    sources = Sources([str(path)], None, trust=read_trust([public]))
    with pytest.raises(SignatureError, match="is not signed"):
        sources.load(sources.look())
    beside.write_bytes(signed(private, path))
    assert sources.load(sources.look())[0].path == path
    shutil.copy(lines[1], path)
    with pytest.raises(SignatureError, match="another file"):
        sources.load(sources.look())


def test_what_is_loaded_is_what_was_verified(lines, keys, tmp_path, monkeypatch):
    """Another file is put in its place between the verification and the loading."""
    (private, public), _ = keys
    path = Path(shutil.copy(lines[0], tmp_path / "line.afit"))
    (tmp_path / "line.afit.sig").write_bytes(signed(private, path))
    verify = Trust.verify_any

    def verify_and_replace(self, *arguments):
        who = verify(self, *arguments)
        shutil.copy(lines[1], path)
        return who

    monkeypatch.setattr(Trust, "verify_any", verify_and_replace)
    sources = Sources([str(path)], None, trust=read_trust([public]))
    assert sources.load(sources.look())[0].model.bundle.digest == read_bundle(lines[0]).digest


def test_a_server_with_trust(store, lines, keys):
    (private, public), (_, other) = keys
    store.sign(store.resolve("line@1"), [signed(private, lines[0])])
    command = [sys.executable, "-m", "afterfit", "serve", "line@production", "--port", "0", "--trust", other]
    refused = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Error: line@1 is not signed by anybody trusted: ")
    with running("line@production", "--trust", other, "--trust", public, expect_complaints=True) as (
        url,
        process,
    ):
        store.promote("line", "production", 2, because="unsigned")
        store.promote("line", "production", 3, because="signed")
        store.sign(store.resolve("line@3"), [signed(private, lines[2])])
        wait_for(url, store.resolve("line@3").digest[:12])
        store.promote("line", "production", 2, because="unsigned")
        said = process.stderr.readline()
        while "goes on: line@2 is not signed" not in said:
            assert said
            said = process.stderr.readline()
        assert served_versions(url) == {store.resolve("line@3").digest[:12]}


def test_a_move_while_the_models_are_loaded_is_not_missed(store):
    sources = Sources([parse_reference("line@production")], store.url)
    seen = sources.look()
    store.promote("line", "production", 2, because="meanwhile")
    sources.adopt(sources.load(seen))
    assert str(sources.loaded[0].version) == "line@1"
    watcher = BundleWatcher(sources.look, sources.load, sources.adopt)
    watcher.begin(seen)
    asyncio.run(watcher.look())
    assert str(sources.loaded[0].version) == "line@2"
