from __future__ import annotations

import asyncio

import pytest

from afterfit.serving._security import CrossOrigin

OURS = b"https://app.example"


@pytest.fixture
def ask(tools, guard, keyring):
    guarded = guard(keys=str(keyring.path))

    def ask(origins, method="GET", path="/models", headers=()):
        app = CrossOrigin(guarded.app, origins)
        return asyncio.run(tools.call(app, method, path, b"", list(headers)))

    ask.app = guarded.app
    return ask


PREFLIGHT = [
    (b"access-control-request-method", b"POST"),
    (b"access-control-request-headers", b"authorization"),
]


def test_a_preflight_needs_no_key_and_says_what_may_be_sent(ask):
    reply = ask(["https://app.example"], "OPTIONS", "/predict", [(b"origin", OURS), *PREFLIGHT])
    assert reply.status == 204
    assert reply.headers[b"access-control-allow-origin"] == OURS
    assert b"POST" in reply.headers[b"access-control-allow-methods"]
    for header in (b"authorization", b"x-api-key", b"content-type"):
        assert header in reply.headers[b"access-control-allow-headers"]
    assert reply.headers[b"vary"] == b"origin"
    assert b"access-control-allow-credentials" not in reply.headers


def test_other_origins_are_told_nothing(ask):
    for origin in (b"https://app.example.evil", b"http://app.example", b"null", b"", b"*", b"\xff"):
        reply = ask(["https://app.example"], "OPTIONS", "/predict", [(b"origin", origin), *PREFLIGHT])
        assert not [name for name in reply.headers if name.startswith(b"access-control")]
        reply = ask(["https://app.example"], headers=[(b"origin", origin)])
        assert b"access-control-allow-origin" not in reply.headers


def test_answers_to_a_page_may_be_read_by_it_and_need_a_key_all_the_same(ask, keyring):
    key = (b"authorization", b"Bearer " + keyring.predict.encode())
    for headers, status in (([key], 200), ([], 401)):
        reply = ask(["https://app.example/"], headers=[(b"origin", OURS), *headers])
        assert reply.status == status
        assert reply.headers[b"access-control-allow-origin"] == OURS
        assert b"retry-after" in reply.headers[b"access-control-expose-headers"]
    plain = ask(["https://app.example"], headers=[key])
    assert not [name for name in plain.headers if name.startswith(b"access-control")]


def test_every_origin_where_that_is_said(ask):
    assert ask(["*"], headers=[(b"origin", b"https://any")]).headers[b"access-control-allow-origin"] == b"*"


def test_without_origins_nothing_is_added(tools, ask, keyring):
    headers = [(b"origin", OURS), (b"x-api-key", keyring.predict.encode())]
    reply = asyncio.run(tools.call(ask.app, "GET", "/models", b"", headers))
    assert not [name for name in reply.headers if name.startswith(b"access-control")]
    assert asyncio.run(tools.call(ask.app, "OPTIONS", "/predict", b"", [*headers, *PREFLIGHT])).status == 405
