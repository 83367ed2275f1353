from __future__ import annotations

import asyncio
import json
import random
import shutil

import pytest
from tests.serving.test_fuzz import KNOWN, make_request

from afterfit.serving import Limits
from afterfit.serving._security import create_key, revoke_key


def test_a_key_comes_in_either_header(guard, keyring, tools):
    guarded = guard(keys=str(keyring.path))
    row = tools.rows(tools.row(x=7.0))
    for how in ("authorization", "x-api-key"):
        reply = guarded.send("POST", "/predict", row, keyring.predict, how=how)
        assert reply.status == 200
        assert reply.json["predictions"] == [7.0]
    both = [(b"x-api-key", keyring.predict.encode())]
    assert guarded.send("POST", "/predict", row, keyring.predict, both).status == 200


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ([], "no-key"),
        ([(b"authorization", b"")], "no-key"),
        ([(b"authorization", b"Bearer")], "no-key"),
        ([(b"authorization", b"Basic dXNlcjpwYXNz")], "no-key"),
        ([(b"authorization", b"Bearer ")], "unknown-key"),
        ([(b"authorization", b"Bearer \xff\x00\xfe")], "unknown-key"),
        ([(b"authorization", b"Bearer KEY extra")], "unknown-key"),
        ([(b"authorization", b"Bearer " + b"x" * 100_000)], "unknown-key"),
        ([(b"x-api-key", b"")], "unknown-key"),
        ([(b"x-api-key", b"KEY"), (b"x-api-key", b"other")], "two-keys"),
        ([(b"authorization", b"Bearer KEY"), (b"x-api-key", b"other")], "two-keys"),
        ([(b"authorization", b"Bearer other"), (b"authorization", b"Bearer KEY")], "two-keys"),
    ],
)
def test_what_is_no_key(guard, keyring, headers, kind):
    guarded = guard(keys=str(keyring.path))
    headers = [(name, value.replace(b"KEY", keyring.predict.encode())) for name, value in headers]
    reply = guarded.send("GET", "/models", headers=headers)
    assert reply.status == 401
    assert reply.json["type"] == f"urn:afterfit:problem:{kind}"
    assert guarded.count("afterfit_refused_total", reason=kind) == 1


def test_the_scheme_is_read_in_any_case_and_the_key_is_not(guard, keyring):
    guarded = guard(keys=str(keyring.path))
    for scheme in (b"bearer ", b"BEARER ", b"Bearer   "):
        headers = [(b"authorization", scheme + keyring.predict.encode())]
        assert guarded.send("GET", "/models", headers=headers).status == 200
    for wrong in (keyring.predict[:-1], keyring.predict + "x", keyring.predict.swapcase()):
        assert guarded.send("GET", "/models", key=wrong).status == 401


def test_nothing_of_a_stranger_is_read_but_what_keeps_it_from_an_answer(guard, keyring, tools):
    guarded = guard(keys=str(keyring.path))
    spy_runs = []
    read = []

    async def receive():
        read.append(65536)
        return {"type": "http.request", "body": b"x" * 65536, "more_body": True}

    async def send(message):
        spy_runs.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
    asyncio.run(guarded.app(scope, receive, send))
    assert spy_runs[0]["status"] == 401
    assert sum(read) <= 2 * 1024 * 1024
    assert guarded.app._plane._held_bytes == 0


def test_keys_rotate_while_the_server_runs(guard, keyring, caplog):
    guarded = guard(keys=str(keyring.path))

    def look():
        asyncio.run(guarded.gate.look())

    new, _ = create_key(keyring.path, "new", "predict")
    assert guarded.send("GET", "/models", key=new).status == 401
    look()
    assert guarded.send("GET", "/models", key=new).status == 200
    revoke_key(keyring.path, "predict-key")
    look()
    assert guarded.send("GET", "/models", key=keyring.predict).status == 401
    assert guarded.send("GET", "/models", key=new).status == 200
    assert caplog.records == []

    good = keyring.path.read_bytes()
    for broken in (b"", b"{", good[:100], b'{"format":1,"keys":[{"name":"x"}]}', b'{"format":2,"keys":[]}'):
        keyring.path.write_bytes(broken)
        look()
        look()
        assert guarded.send("GET", "/models", key=new).status == 200
    keyring.path.unlink()
    look()
    assert guarded.send("GET", "/models", key=new).status == 200
    assert len([one for one in caplog.records if "known so far" in one.getMessage()]) == 6

    keyring.path.write_bytes(good)
    for name in ("new", "pull-key", "admin-key"):
        revoke_key(keyring.path, name)
    look()
    assert guarded.send("GET", "/models", key=new).status == 401, "the last key can be revoked"


def test_a_worker_that_starts_while_the_file_is_broken_knows_what_the_others_know(guard, keyring, caplog):
    guard(keys=str(keyring.path))
    keyring.path.write_bytes(b"{")
    second = guard(keys=str(keyring.path))
    assert second.send("GET", "/models", key=keyring.predict).status == 200
    assert "known so far" in caplog.text
    shutil.rmtree(second.folder)


def test_an_expired_key_ends_by_itself(guard, keyring, monkeypatch):
    import datetime as dt
    import time

    soon = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)
    key, _ = create_key(keyring.path, "brief", "predict", expires=soon)
    guarded = guard(keys=str(keyring.path))
    assert guarded.send("GET", "/models", key=key).status == 200
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 301)
    reply = guarded.send("GET", "/models", key=key)
    assert (reply.status, reply.json["type"]) == (401, "urn:afterfit:problem:expired-key")


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        (b"127.0.0.1:8000", True),
        (b"127.0.0.1", True),
        (b"[::1]:8000", True),
        (b"localhost:8000", True),
        (b"LOCALHOST", True),
        (b"app.localhost:80", True),
        (b"192.168.1.4:8000", True),
        (b"evil.example:8000", False),
        (b"localhost.evil.example", False),
        (b"127.0.0.1.evil.example", False),
        (b"evil.example@127.0.0.1", False),
        (b"", False),
        (b"\xff", False),
        (b"[::1", True),
        (b"[evil.example]:80", False),
    ],
)
def test_a_server_without_keys_answers_only_to_names_of_its_own(guard, host, allowed):
    guarded = guard()
    for _ in range(2):
        reply = guarded.send("GET", "/models", headers=[(b"host", host)])
        assert (reply.status == 200) == allowed
    assert allowed or reply.json["type"].endswith("foreign-host")
    assert guarded.send("GET", "/health/live", headers=[(b"host", host)]).status == 200


def test_the_name_of_the_key_is_left_in_the_state(guard, keyring, tools):
    guarded = guard(keys=str(keyring.path))
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/models",
        "headers": [(b"x-api-key", keyring.pull.encode())],
    }
    assert guarded.gate.admit(scope, None) is None
    assert scope["state"]["key"] == "pull-key"
    guarded.gate.leave(scope)


def test_no_answer_and_no_log_repeats_a_key(guard, keyring, tools, caplog):
    guarded = guard(keys=str(keyring.path))
    for key in (keyring.predict, "afit_guess"):
        for method, path in (("GET", "/metrics"), ("POST", "/predict"), ("GET", "/nothing"), ("PUT", "/v2")):
            reply = guarded.send(method, path, b"[]", key)
            assert key.encode() not in reply.body + b"".join(reply.headers.values())
    assert "afit_" not in caplog.text
    assert "afit_" not in json.dumps([one.read_bytes().decode("latin-1") for one in guarded.folder.iterdir()])


def test_hostile_requests_at_the_gate(guard, keyring, tools, limited_key, caplog):
    """Whatever comes with whatever for a key: one well-formed answer, no 500, and nothing left counted as under way."""
    key = limited_key(concurrent=5, requests_per_second=50, burst=200).encode()
    guarded = guard(keys=str(keyring.path), limits=Limits(max_body=4000, max_rows=20))
    credentials = [
        [],
        *[
            [(b"authorization", b"Bearer " + one)]
            for one in (key, key, keyring.predict.encode(), b"\xff\x00", b"")
        ],
        *[[(b"x-api-key", one)] for one in (key, keyring.admin.encode(), b"x" * 9000)],
        [(b"authorization", b"Digest x"), (b"x-api-key", key)],
        [(b"authorization", b"Bearer " + key), (b"x-api-key", b"other")],
    ]
    rng = random.Random(17)
    seen = {}

    async def one():
        method, path, body, headers = make_request(rng)
        reply = await tools.call(guarded.app, method, path, body, headers + rng.choice(credentials))
        if reply is not None:
            seen[reply.status] = seen.get(reply.status, 0) + 1
            assert reply.status in KNOWN | {401, 403, 429}, reply

    async def main():
        for _ in range(100):
            await asyncio.gather(*[one() for _ in range(20)])

    asyncio.run(main())
    assert caplog.records == []
    assert min(seen[200], seen[401], seen[429]) >= 20, seen
    account = next(one for one in guarded.gate._callers.values() if one.key.name == "limited").account
    assert account._under_way() == 0
