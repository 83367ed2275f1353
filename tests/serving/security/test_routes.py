"""Every route of the real application, asked for without a key, with each key, and with one that has expired."""

from __future__ import annotations

import asyncio
import datetime as dt
import json

import pytest

from afterfit.serving import Protection, _worker
from afterfit.serving._security import create_key
from afterfit.serving._worker import Settings, make_application
from afterfit.serving.contracts import VertexRoutes
from afterfit.store import Store, parse_reference

PUBLIC = {
    "/", "/docs", "/health", "/health/live", "/health/ready", "/ping", "/v2/health/live", "/v2/health/ready",
    "/vertex/health",
}  # fmt: skip
"""What may be seen without a key, beside the files of the page: that the server lives, an empty page."""

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]


@pytest.fixture
def served(tools, tmp_path, monkeypatch, toy_bundle, keyring):
    """What one worker serves, from the store and with every contract, and a call of it."""
    monkeypatch.setattr(_worker, "_log_to_stderr", lambda: None)
    monkeypatch.setattr(_worker, "_settle_memory", lambda: None)
    with Store(str(tmp_path / "store"), create=True) as store:
        store.push(toy_bundle)
        url = str(tmp_path / "store")
    counts = tmp_path / "counts"
    counts.mkdir()
    expired = create_key(
        keyring.path, "old", "admin", expires=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    )[0]
    keys = json.loads(keyring.path.read_text())
    keys["keys"][-1]["expires"] = "2020-01-01T00:00:00Z"
    keyring.path.write_text(json.dumps(keys))
    keyring.expired = expired

    def make(**protection):
        app = make_application(
            Settings(
                (parse_reference("toy"),),
                str(counts),
                store=url,
                vertex=VertexRoutes("/vertex/health", "/vertex/predict"),
                protection=Protection(**protection),
                is_local=False,
            )
        )
        app.start()
        made.append(app)

        def ask(method, path, key=None, body=b"{}"):
            headers = [(b"content-type", b"application/json")]
            headers += [] if key is None else [(b"authorization", b"Bearer " + key.encode())]
            return asyncio.run(tools_call(app, method, path, body, headers))

        return app, ask

    tools_call = tools.call
    made = []
    yield make
    for app in made:
        app.stop()
        app._gate.close()
        app._observer.board.close()


def routes_of(app):
    return [
        (path, method, route)
        for path, methods in app._table.items()
        for method, (route, _) in methods.items()
    ]


def changes_the_server(path):
    return path.startswith("/v2/repository/models")


def test_every_route(served, keyring):
    app, ask = served(keys=str(keyring.path))
    table = routes_of(app)
    assert len(table) > 60
    kinds = {route.access for _, _, route in table}
    assert kinds == {"public", "predict", "pull", "admin"}
    for path, method, route in table:
        if path.startswith("/static/"):
            # Files of the page, which come in pieces.
            assert route.access == "public"
            continue
        without, stale = ask(method, path), ask(method, path, keyring.expired)
        if path in PUBLIC or path.startswith("/static/"):
            assert route.access == "public"
            assert without.status == stale.status == 200, (method, path)
            continue
        assert route.access != "public", path
        for refused in (without, stale):
            assert refused.status == 401, (method, path)
            assert refused.headers[b"www-authenticate"].startswith(b"Bearer")
        for scope in ("predict", "pull", "admin"):
            if scope == "admin" and changes_the_server(path):
                continue
            may = scope in {route.access, "admin"}
            if path.startswith("/store/") and may and method == "GET":
                # A file comes in pieces; its HEAD is asked for too.
                continue
            reply = ask(method, path, getattr(keyring, scope))
            assert (reply.status not in {401, 403}) == may, (method, path, scope, reply)
            assert may or b"insufficient_scope" in reply.headers[b"www-authenticate"]


def test_paths_and_methods_that_are_none_are_told_to_holders_of_a_key_alone(served, keyring):
    app, ask = served(keys=str(keyring.path))
    paths = [
        "/nowhere",
        "/v2/nothing",
        "/models/other/predict",
        "/store/toy@9",
        "/v1/x",
        "/invocations/",
        *app._table,
    ]
    for path in paths:
        known = app._table.get(path, {})
        for method in METHODS:
            if method in known:
                continue
            assert ask(method, path).status == 401, (method, path)
            assert ask(method, path, keyring.predict).status in {404, 405}, (method, path)


def test_admins_load_and_unload(served, keyring):
    """The routes that the walk leaves out for what they do."""
    app, ask = served(keys=str(keyring.path))
    found = [path for path in app._table if changes_the_server(path)]
    assert sorted(found) == ["/v2/repository/models/toy/load", "/v2/repository/models/toy/unload"]
    assert ask("POST", "/v2/repository/models/toy/load", keyring.predict).status == 403
    assert ask("POST", "/v2/repository/models/toy/load", keyring.admin).status == 200


def test_without_a_key_what_is_for_admins_stays_closed_though_the_server_is_insecure(served, keyring):
    app, ask = served(insecure=True)
    for path, method, route in routes_of(app):
        reply = ask(method, path)
        if route.access in {"public", "predict"}:
            assert reply.status not in {401, 403}, (method, path)
        else:
            assert reply.status == 403, (method, path)
            assert method == "HEAD" or b"--keys" in reply.body


def test_an_insecure_server_with_keys_opens_to_admins(served, keyring):
    _, ask = served(insecure=True, keys=str(keyring.path))
    assert ask("GET", "/models").status == 200
    assert ask("GET", "/metrics").status == 401
    assert ask("GET", "/metrics", keyring.admin).status == 200
    assert ask("GET", "/models", "a key that is none").status == 200
    assert ask("GET", "/metrics", keyring.expired).status == 401


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/predict", "detail"),
        ("/v2/models/toy/infer", "error"),
        ("/v2/nothing", "error"),
        ("/invocations", "message"),
        ("/v1/models/toy:predict", "error"),
        ("/vertex/predict", "error"),
        ("/store/toy@9", "detail"),
    ],
)
def test_each_contract_says_it_in_its_own_words(served, keyring, path, form):
    _, ask = served(keys=str(keyring.path))
    reply = ask("POST", path)
    assert reply.status == 401
    assert "Authorization: Bearer KEY" in json.loads(reply.body)[form]
